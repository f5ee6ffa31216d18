// NormalizePath and OtherReadings on anything: what comes out has nothing left to normalise, and
// where there is no doubt, a server that decodes the path as it was sent and one that decodes what
// is forwarded go to the same file.
#include "proxy/server/path_normalizer.h"

#include <algorithm>

#include "proxy/base/check.h"
#include "proxy/base/text.h"

namespace genkan::fuzz {
namespace {

int HexValue(char c) {
  size_t at = std::string_view("0123456789abcdef").find(ToLower(c));
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// As a server of files does it: every escape once, then segment by segment.
std::vector<std::string> FileOf(std::string_view path) {
  std::string bytes;
  for (size_t i = 0; i < path.size(); ++i) {
    int high = path[i] == '%' && i + 2 < path.size() ? HexValue(path[i + 1]) : -1;
    int low = high >= 0 ? HexValue(path[i + 2]) : -1;
    bytes += low >= 0 ? static_cast<char>(high * 16 + low) : path[i];
    if (low >= 0) i += 2;
  }
  std::vector<std::string> segments;
  for (size_t at = 0; at <= bytes.size();) {
    size_t end = std::min(bytes.find('/', at), bytes.size());
    std::string segment = bytes.substr(at, end - at);
    at = end + 1;
    if (segment.empty() || segment == ".") continue;
    if (segment != "..") {
      segments.push_back(std::move(segment));
    } else if (!segments.empty()) {
      segments.pop_back();
    }
  }
  return segments;
}

void CheckNormal(std::string_view path) {
  GENKAN_CHECK(path.starts_with('/'));
  GENKAN_CHECK(path.find("//") == std::string_view::npos);
  GENKAN_CHECK(path.find("/./") == std::string_view::npos && !path.ends_with("/."));
  GENKAN_CHECK(path.find("/../") == std::string_view::npos && !path.ends_with("/.."));
}

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  constexpr size_t kMostBytes = 8192;
  std::string path = "/" + std::string(AsText({data, std::min(size, kMostBytes)}));
  server::NormalizedPath normal = server::NormalizePath(path);
  fuzz::CheckNormal(normal.path);
  if (normal.doubt.empty()) {
    // What is forwarded is neither doubted nor changed when it comes round once more.
    server::NormalizedPath again = server::NormalizePath(normal.path);
    GENKAN_CHECK(again.path == normal.path && again.doubt.empty());
  }
  if (server::IsPlainPath(path)) GENKAN_CHECK(normal.path == path && normal.doubt.empty());
  if (normal.doubt.empty()) GENKAN_CHECK(fuzz::FileOf(path) == fuzz::FileOf(normal.path));
  std::vector<std::string> readings = server::OtherReadings(path);
  GENKAN_CHECK(!readings.empty() && readings.size() <= 60);
  for (const std::string& reading : readings) fuzz::CheckNormal(reading);
  return 0;
}
