// Percent-encoding (RFC 3986 2.1), as far as it is only bytes: what an escape may stand for, others
// decide. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "proxy/base/text.h"

namespace genkan {

// -1: no hex digit.
constexpr int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  const char lower = ToLower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that an escape at `at` stands for; -1 where there is none.
int EscapedByte(std::string_view text, size_t at);

// Each escape becomes its byte, once; a percent sign that escapes nothing stays.
std::string Unescape(std::string_view text);

}  // namespace genkan
