// Bytes as a standard's traces print them. Test code.
#pragma once

#include <string>
#include <string_view>

namespace genkan::tls {

inline std::string FromHex(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}

}  // namespace genkan::tls
