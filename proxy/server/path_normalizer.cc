#include "proxy/server/path_normalizer.h"

#include <algorithm>

#include "proxy/base/percent.h"
#include "proxy/base/text.h"

namespace genkan::server {
namespace {

// RFC 3986 2.3.
bool IsUnreserved(unsigned char c) {
  return IsAlpha(static_cast<char>(c)) || IsDigit(static_cast<char>(c)) || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

// Why the decoded byte of an escape cannot be judged; "" where it can.
std::string_view DoubtOf(unsigned char byte) {
  if (byte == '/') return "an escaped slash";
  if (byte == '\\') return "an escaped backslash";
  if (byte == ';') return "an escaped parameter";
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
    int escaped = EscapedByte(path, i);
    if (escaped < 0) {
      doubt("a percent sign that escapes nothing");
      result.text += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(escaped);
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

// "%252e", but not the "%25" of "/100%25".
bool HasDoubleEscape(std::string_view decoded) {
  for (size_t i = 0; i < decoded.size(); ++i) {
    if (EscapedByte(decoded, i) != '%' || i + 4 >= decoded.size()) continue;
    if (HexValue(decoded[i + 3]) >= 0 && HexValue(decoded[i + 4]) >= 0) return true;
  }
  return false;
}

// More bytes of UTF-8 than a character needs: decoders that are not strict take %c0%af for a slash (CVE-2000-0884). In
// Latin-1 the same bytes are letters, but no letter is followed by one from 0x80 to 0xbf.
bool HasOverlongUtf8(std::string_view bytes) {
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    auto first = static_cast<unsigned char>(bytes[i]);
    auto second = static_cast<unsigned char>(bytes[i + 1]);
    if (second < 0x80 || second > 0xbf) continue;
    if (first == 0xc0 || first == 0xc1 || (first == 0xe0 && second < 0xa0) ||
        (first == 0xf0 && second < 0x90) || first >= 0xf8) {
      return true;
    }
  }
  return false;
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

// "/a;x=1/b" -> "/a/b", as servlet containers see it.
std::string WithoutParameters(std::string_view path) {
  std::string out;
  bool is_in_parameter = false;
  for (char c : path) {
    if (c == '/') is_in_parameter = false;
    if (c == ';') is_in_parameter = true;
    if (!is_in_parameter) out += c;
  }
  return out;
}

}  // namespace

bool IsPlainPath(std::string_view path) {
  if (!path.starts_with('/')) return false;
  char before = 0;
  for (size_t i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%' || c == '\\' || c == ';') return false;
    if (static_cast<unsigned char>(c) >= 0x80) return false;
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
  if (result.doubt.empty() && HasDoubleEscape(decoded.text)) result.doubt = "a doubly escaped byte";
  if (result.doubt.empty() && HasOverlongUtf8(Unescape(decoded.text))) {
    result.doubt = "overlong UTF-8";
  }
  result.path = RemoveDotSegments(decoded.text);
  return result;
}

std::vector<std::string> OtherReadings(std::string_view path) {
  constexpr int kTimesDecoded = 3;
  std::vector<std::string> readings;
  auto add = [&](const std::string& text) {
    std::string reading = RemoveDotSegments(text);
    if (std::find(readings.begin(), readings.end(), reading) == readings.end()) {
      readings.push_back(std::move(reading));
    }
  };
  std::string text(path);
  for (int times = 0; times <= kTimesDecoded; ++times) {
    std::string slashed = text;
    std::replace(slashed.begin(), slashed.end(), '\\', '/');
    for (const std::string& one : {text, slashed}) {
      add(one);
      // To the first byte that ends a name for somebody: C's strings, URLs with fragments or parameters.
      for (std::string_view end : {std::string_view("\0", 1), std::string_view("#"),
                                   std::string_view("?"), std::string_view(";")}) {
        if (size_t at = one.find(end); at != std::string::npos) add(one.substr(0, at));
      }
      add(WithoutParameters(one));
    }
    std::string decoded = Unescape(text);
    if (decoded == text) break;
    text = std::move(decoded);
  }
  return readings;
}

}  // namespace genkan::server
