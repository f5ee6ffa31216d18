// Overwrites what was secret, whether or not anybody reads it again. Some two hundred times a
// handshake: OPENSSL_cleanse writes eight bytes a step, the C library as many as the CPU can.
#pragma once

#include <string.h>

#include <cstddef>

namespace genkan::tls::provider {

inline void Wipe(void* bytes, size_t size) { explicit_bzero(bytes, size); }

}  // namespace genkan::tls::provider
