// Hashes that name things on disk and on the wire. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

namespace genkan::tls {

// SHA-256 in lower-case hex.
std::string Sha256Hex(std::string_view bytes);

}  // namespace genkan::tls
