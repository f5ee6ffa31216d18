// Writes messages of TLS (RFC 8446 3): numbers and vectors at the end of a text. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace genkan::tls {

// `value` in `width` bytes, the highest first.
inline void AppendInt(std::string& out, uint64_t value, size_t width) {
  while (width-- > 0) out.push_back(static_cast<char>(value >> (8 * width)));
}
// A vector with its length in `width` bytes in front.
inline void AppendVector(std::string& out, size_t width, std::string_view content) {
  AppendInt(out, content.size(), width);
  out.append(content);
}

}  // namespace genkan::tls
