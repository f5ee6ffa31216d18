// Which bytes may stand where, as tables: the inner loops of the codecs look here. Constants; any
// thread.
#pragma once

#include <array>
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

// Eight bytes at a time: whether any is below 0x20 or is 0x7f. A tab is among them, so a yes needs
// a second look.
inline bool MayHaveControl(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  constexpr uint64_t kHighs = 0x8080808080808080u;
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    uint64_t below_blank = (word - kOnes * 0x20) & ~word;
    uint64_t deletes = word ^ kOnes * 0x7f;
    uint64_t is_delete = (deletes - kOnes) & ~deletes;
    if (((below_blank | is_delete) & kHighs) != 0) return true;
  }
  for (; left > 0; --left, ++at) {
    auto byte = static_cast<unsigned char>(*at);
    if (byte < 0x20 || byte == 0x7f) return true;
  }
  return false;
}

inline bool AreAllIn(const ByteClass& table, std::string_view text) {
  return CountLeading(table, text) == text.size();
}

// AreAllIn(kValueBytes, …), quick for the usual value.
inline bool AreValueBytes(std::string_view text) {
  return !MayHaveControl(text) || AreAllIn(kValueBytes, text);
}

}  // namespace genkan::http
