// Which bytes may stand where, as tables: the inner loops of the codecs look here. Constants; any
// thread.
#pragma once

#include <array>
#include <cstddef>
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

inline bool AreAllIn(const ByteClass& table, std::string_view text) {
  return CountLeading(table, text) == text.size();
}

}  // namespace genkan::http
