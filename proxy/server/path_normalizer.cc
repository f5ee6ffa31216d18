#include "proxy/server/path_normalizer.h"

#include "proxy/base/text.h"

namespace genkan::server {
namespace {

// RFC 3986 2.3.
bool IsUnreserved(unsigned char c) {
  return IsAlpha(static_cast<char>(c)) || IsDigit(static_cast<char>(c)) || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Why the decoded byte of an escape cannot be judged; "" where it can.
std::string_view DoubtOf(unsigned char byte) {
  if (byte == '/') return "an escaped slash";
  if (byte == '\\') return "an escaped backslash";
  if (byte == ';') return "an escaped parameter";
  if (byte == '%') return "a doubly escaped byte";
  if (byte < 0x20 || byte == 0x7f) return "an escaped control byte";
  return {};
}

struct Decoded {
  std::string text;
  std::string_view doubt;
};

Decoded DecodeUnreserved(std::string_view path) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  Decoded result;
  result.text.reserve(path.size());
  auto doubt = [&](std::string_view why) {
    if (result.doubt.empty()) result.doubt = why;
  };
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '\\') doubt("a backslash");
    if (c == ';') doubt("a parameter");
    if (c != '%') {
      result.text += c;
      continue;
    }
    int high = i + 2 < path.size() ? HexValue(path[i + 1]) : -1;
    int low = i + 2 < path.size() ? HexValue(path[i + 2]) : -1;
    if (high < 0 || low < 0) {
      doubt("a percent sign that escapes nothing");
      result.text += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(high * 16 + low);
    i += 2;
    if (IsUnreserved(byte)) {
      result.text += static_cast<char>(byte);
      continue;
    }
    if (auto why = DoubtOf(byte); !why.empty()) doubt(why);
    result.text += '%';
    result.text += kDigits[byte >> 4];
    result.text += kDigits[byte & 15];
  }
  return result;
}

// Merged slashes first: "/a//../b" is "/b" then, as for a file system.
std::string RemoveDotSegments(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  size_t at = 0;
  while (at < path.size()) {
    while (at < path.size() && path[at] == '/') ++at;
    size_t end = std::min(path.find('/', at), path.size());
    std::string_view segment = path.substr(at, end - at);
    bool is_last = end == path.size();
    if (segment == "..") out.resize(out.empty() ? 0 : out.rfind('/'));
    if (segment.empty() || segment == "." || segment == "..") {
      // "/a/." and "/a/.." name directories: the slash stays.
      if (is_last) out += '/';
    } else {
      out += '/';
      out += segment;
    }
    at = end;
  }
  if (out.empty()) out = "/";
  return out;
}

}  // namespace

bool IsPlainPath(std::string_view path) {
  if (!path.starts_with('/')) return false;
  char before = 0;
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%' || c == '\\' || c == ';') return false;
    if (before == '/' && (c == '/' || c == '.')) return false;
    before = c;
  }
  return true;
}

NormalizedPath NormalizePath(std::string_view path) {
  NormalizedPath result;
  if (!path.starts_with('/') || IsPlainPath(path)) {
    result.path = path;
    return result;
  }
  Decoded decoded = DecodeUnreserved(path);
  result.doubt = decoded.doubt;
  result.path = RemoveDotSegments(decoded.text);
  return result;
}

}  // namespace genkan::server
