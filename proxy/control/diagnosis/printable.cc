// What a stranger's certificate or server says, made safe for a terminal and a letter.
#include <fmt/core.h>

#include "proxy/control/diagnosis/diagnosis.h"

namespace genkan::control {
namespace {

// Length of the UTF-8 sequence at the start of `text` that shows something; 0 for what is no UTF-8
// or moves the cursor, the direction or the line.
size_t VisibleLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x20 || first == 0x7f) return 0;
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 && first < 0xf5   ? 4
                        : first >= 0xe0 && first < 0xf0 ? 3
                        : first >= 0xc2 && first < 0xe0 ? 2
                                                        : 0;
  if (length == 0 || text.size() < length) return 0;
  uint32_t point = first & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3fu);
  }
  const uint32_t smallest = length == 4 ? 0x10000 : length == 3 ? 0x800 : 0x80;
  const bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
  const bool is_control = point < 0xa0;
  const bool is_layout = (point >= 0x200b && point <= 0x200f) ||
                         (point >= 0x2028 && point <= 0x202e) ||
                         (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
  if (point < smallest || point > 0x10ffff || is_surrogate || is_control || is_layout) return 0;
  return length;
}

}  // namespace

std::string Printable(std::string_view text) {
  constexpr size_t kMaxBytes = 200;
  std::string clean;
  while (!text.empty()) {
    const size_t length = VisibleLength(text);
    std::string next = length > 0 ? std::string(text.substr(0, length))
                                  : fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    if (clean.size() + next.size() > kMaxBytes) return clean + "…";
    clean += next;
    text.remove_prefix(length > 0 ? length : 1);
  }
  return clean;
}

}  // namespace genkan::control
