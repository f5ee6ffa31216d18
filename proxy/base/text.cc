#include "proxy/base/text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <numeric>

#include "proxy/base/percent.h"

namespace genkan {

bool SameBytesIgnoreCase(std::string_view a, std::string_view b) {
  size_t i = 0;
  // Eight at a time, while they are the same in case too.
  for (; i + 8 <= a.size(); i += 8) {
    if (std::memcmp(a.data() + i, b.data() + i, 8) != 0) break;
  }
  for (; i < a.size(); ++i) {
    if (a[i] != b[i] && ToLower(a[i]) != ToLower(b[i])) return false;
  }
  return true;
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = ToLower(c);
  return lower;
}

std::string_view Trim(std::string_view text) {
  auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    size_t at = text.find(separator);
    parts.push_back(Trim(text.substr(0, at)));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::optional<uint64_t> ParseDecimal(std::string_view digits) {
  if (digits.empty()) return std::nullopt;
  constexpr uint64_t kMax = (uint64_t{1} << 63) - 1;
  uint64_t value = 0;
  for (char c : digits) {
    if (!IsDigit(c)) return std::nullopt;
    auto digit = static_cast<uint64_t>(c - '0');
    if (value > (kMax - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr uint8_t kNoValue = 0xff;
constexpr std::array<uint8_t, 256> kBase64Values = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kNoValue);
  for (size_t i = 0; i < kBase64.size(); ++i)
    values[static_cast<uint8_t>(kBase64[i])] = static_cast<uint8_t>(i);
  return values;
}();

std::string EncodeBase64(std::span<const unsigned char> bytes, std::string_view alphabet,
                         bool has_padding) {
  const size_t whole = bytes.size() / 3, rest = bytes.size() % 3;
  std::string text(whole * 4 + (rest == 0 ? 0 : has_padding ? 4 : rest + 1), '=');
  char* out = text.data();
  const unsigned char* in = bytes.data();
  for (size_t i = 0; i < whole; ++i, in += 3, out += 4) {
    const uint32_t group = static_cast<uint32_t>(in[0]) << 16 | in[1] << 8 | in[2];
    for (size_t k = 0; k < 4; ++k) out[k] = alphabet[(group >> (18 - 6 * k)) & 63];
  }
  if (rest == 0) return text;
  const uint32_t group = static_cast<uint32_t>(in[0]) << 16 | (rest > 1 ? in[1] << 8 : 0);
  for (size_t k = 0; k <= rest; ++k) out[k] = alphabet[(group >> (18 - 6 * k)) & 63];
  return text;
}

}  // namespace

std::optional<uint64_t> ParseHex(std::string_view digits) {
  if (digits.empty() || digits.size() > 16) return std::nullopt;
  uint64_t value = 0;
  for (char c : digits) {
    int digit = HexValue(c);
    if (digit < 0) return std::nullopt;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  return value;
}

std::string HexEncode(std::span<const unsigned char> bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text(bytes.size() * 2, '\0');
  char* out = text.data();
  for (unsigned char byte : bytes) {
    *out++ = kDigits[byte >> 4];
    *out++ = kDigits[byte & 15];
  }
  return text;
}

std::string Base64Encode(std::span<const unsigned char> bytes) {
  return EncodeBase64(bytes, kBase64, true);
}

std::string Base64UrlEncode(std::span<const unsigned char> bytes) {
  return EncodeBase64(bytes, kBase64Url, false);
}

std::optional<std::string> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && !text.empty() && text.back() == '=') {
    text.remove_suffix(1);
    ++padding;
  }
  std::string bytes(text.size() * 3 / 4, '\0');
  char* out = bytes.data();
  const auto value_at = [&](size_t i) { return kBase64Values[static_cast<uint8_t>(text[i])]; };
  size_t at = 0;
  for (; at + 4 <= text.size(); at += 4) {
    const uint8_t a = value_at(at), b = value_at(at + 1), c = value_at(at + 2),
                  d = value_at(at + 3);
    // No value has its bits.
    if (((a | b | c | d) & ~63) != 0) return std::nullopt;
    *out++ = static_cast<char>(a << 2 | b >> 4);
    *out++ = static_cast<char>(b << 4 | c >> 2);
    *out++ = static_cast<char>(c << 6 | d);
  }
  uint32_t group = 0;
  int bits = 0;
  for (char c : text.substr(at)) {
    const uint8_t value = kBase64Values[static_cast<uint8_t>(c)];
    if (value == kNoValue) return std::nullopt;
    group = group << 6 | value;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      *out++ = static_cast<char>(group >> bits & 0xff);
    }
  }
  // The bits that padding leaves over must be zero, or one value would have several spellings.
  if ((group & ((1u << bits) - 1)) != 0) return std::nullopt;
  return bytes;
}

std::string EscapeControl(std::string_view text) {
  auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f && c != '\\'; };
  if (std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
  std::string clean;
  clean.reserve(text.size() + 8);
  for (char c : text) {
    if (is_plain(c)) {
      clean += c;
    } else {
      clean += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return clean;
}

bool GlobMatch(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string_view NearestWord(std::string_view word, std::span<const std::string_view> known) {
  std::string_view nearest;
  size_t best = std::max<size_t>(1, word.size() / 3) + 1;
  for (std::string_view candidate : known) {
    std::vector<size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j <= candidate.size(); ++j) {
        size_t substituted = diagonal + (ToLower(word[i - 1]) == ToLower(candidate[j - 1]) ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
      }
    }
    if (row.back() < best) {
      best = row.back();
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace genkan
