// X25519 for the server's half of a key exchange (RFC 7748, RFC 8446 7.4.2). Keys are those of
// OpenSSL's default provider, and so is the multiplication with the peer's point, its assembler
// being the fastest there is; only a key pair is made otherwise: OpenSSL 3.0 multiplies the base
// point in portable C, libsodium does it in a third of the time.
//
// To libssl the group is a key encapsulation: one call makes the pair and the shared secret,
// instead of a second EVP_PKEY and two contexts more. What goes over the wire is the same.
#pragma once

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include <cstddef>
#include <span>

namespace genkan::tls::provider {

// Finds what is needed in the default provider, once, before any of the tables below is used.
// False: it is not all there.
bool BorrowX25519(const OSSL_PROVIDER* default_provider);

// As the default provider has them, "X25519:1.3.101.110".
const char* X25519Names();
const OSSL_DISPATCH* X25519KeyManagement();
const OSSL_DISPATCH* X25519KeyExchange();
const OSSL_DISPATCH* X25519Encapsulation();

inline constexpr size_t kX25519Bytes = 32;

// The same without EVP: a fresh pair, whose public half goes to `share`, and what it agrees on with
// the peer's point. False: no randomness, no memory, or a point of low order (RFC 7748 6.1).
bool AgreeX25519(std::span<const unsigned char, kX25519Bytes> peer,
                 std::span<unsigned char, kX25519Bytes> share,
                 std::span<unsigned char, kX25519Bytes> secret);

// The entry for TLS-GROUP: a group whose keys are ours must be ours.
const OSSL_PARAM* X25519Group();

}  // namespace genkan::tls::provider
