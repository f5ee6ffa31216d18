// Small pure functions on text: ASCII only, no locale.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace genkan {

constexpr char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsAlpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// For texts of the same size.
bool SameBytesIgnoreCase(std::string_view a, std::string_view b);
inline bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  // Nearly all that differ do so in their first byte, and in more than its case.
  return a.empty() || (((a.front() ^ b.front()) & ~0x20) == 0 && SameBytesIgnoreCase(a, b));
}
std::string ToLower(std::string_view text);

// Without the blanks and tabs at both ends (RFC 9110 5.6.3, OWS).
std::string_view Trim(std::string_view text);

// "a, b,,c" by ',' -> "a", "b", "", "c", each trimmed.
std::vector<std::string_view> Split(std::string_view text, char separator);

// 1*DIGIT up to 2^63 - 1, nothing else; not even a sign or a blank.
std::optional<uint64_t> ParseDecimal(std::string_view digits);
// 1 to 16 hex digits.
std::optional<uint64_t> ParseHex(std::string_view digits);

// Lower-case hex of bytes.
std::string HexEncode(std::span<const unsigned char> bytes);

std::string Base64Encode(std::span<const unsigned char> bytes);
// Without padding, with - and _ (RFC 4648 5).
std::string Base64UrlEncode(std::span<const unsigned char> bytes);
// Strict; nothing where the text is not base64.
std::optional<std::string> Base64Decode(std::string_view text);

// Bytes below 0x20, 0x7f and above become \xHH; so does a backslash before x, so that it can be read back.
std::string EscapeControl(std::string_view text);

// `pattern` with * (any run, also empty) and ? (one byte). Linear in both lengths, no recursion.
bool GlobMatch(std::string_view pattern, std::string_view text);

// Which of `known` a writer most likely meant by `word`; empty when none is near.
std::string_view NearestWord(std::string_view word, std::span<const std::string_view> known);

inline std::span<const unsigned char> AsBytes(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}
inline std::string_view AsText(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace genkan
