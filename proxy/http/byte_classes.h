// Which bytes may stand where, as tables: the inner loops of the codecs look here. Constants; any
// thread.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "proxy/base/text.h"

namespace genkan::http {

using ByteClass = std::array<bool, 256>;

// RFC 9110 5.6.2: tchar.
inline constexpr ByteClass kTokenBytes = [] {
  ByteClass table{};
  for (size_t c = 0; c < 256; ++c) {
    char byte = static_cast<char>(c);
    table[c] = IsDigit(byte) || IsAlpha(byte);
  }
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

// RFC 9110 5.5: VCHAR, obs-text, blank and tab.
inline constexpr ByteClass kValueBytes = [] {
  ByteClass table{};
  for (size_t c = 0; c < 256; ++c) table[c] = (c >= 0x20 && c != 0x7f) || c == '\t';
  return table;
}();

// For field names: kTokenBytes, and those of the usual name apart (letters, digits, dash).
inline constexpr uint8_t kTokenBit = 1, kPlainBit = 2;
inline constexpr std::array<uint8_t, 256> kNameBytes = [] {
  std::array<uint8_t, 256> table{};
  for (size_t c = 0; c < 256; ++c) {
    char byte = static_cast<char>(c);
    bool is_plain = IsDigit(byte) || IsAlpha(byte) || byte == '-';
    table[c] = static_cast<uint8_t>((kTokenBytes[c] ? kTokenBit : 0) | (is_plain ? kPlainBit : 0));
  }
  return table;
}();

// What a request target may hold: no blank, no control byte, no fragment.
inline constexpr ByteClass kTargetBytes = [] {
  ByteClass table{};
  for (size_t c = 0; c < 256; ++c) table[c] = c > 0x20 && c != 0x7f && c != '#';
  return table;
}();

inline bool IsIn(const ByteClass& table, char c) { return table[static_cast<unsigned char>(c)]; }

// How many bytes at the front of `text` are in the class.
inline size_t CountLeading(const ByteClass& table, std::string_view text) {
  size_t count = 0;
  while (count < text.size() && IsIn(table, text[count])) ++count;
  return count;
}

inline bool IsControl(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

// Where the first byte stands that is below 0x20 or is 0x7f, a tab among them; `end` without one.
inline const char* FindControl(const char* at, const char* end) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  constexpr uint64_t kHighs = 0x8080808080808080u;
  for (; end - at >= 8; at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    uint64_t below_blank = (word - kOnes * 0x20) & ~word;
    uint64_t deletes = word ^ kOnes * 0x7f;
    uint64_t is_delete = (deletes - kOnes) & ~deletes;
    uint64_t found = (below_blank | is_delete) & kHighs;
    if (found == 0) continue;
    // The lowest mark is right; those above it may be of what it borrowed.
    if constexpr (std::endian::native != std::endian::little) break;
    return at + std::countr_zero(found) / 8;
  }
  while (at != end && !IsControl(*at)) ++at;
  return at;
}

inline bool AreAllIn(const ByteClass& table, std::string_view text) {
  return CountLeading(table, text) == text.size();
}

// AreAllIn(kValueBytes, …), quick for the usual value.
inline bool AreValueBytes(std::string_view text) {
  const char* end = text.data() + text.size();
  return FindControl(text.data(), end) == end || AreAllIn(kValueBytes, text);
}

}  // namespace genkan::http
