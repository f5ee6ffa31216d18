// TLS13-KDF: the key schedule's steps (RFC 8446 7.1) as libssl asks for them, some twenty times a
// handshake. OpenSSL's own fetches a digest and an HMAC for each.
#pragma once

#include <openssl/core_dispatch.h>

namespace genkan::tls::provider {

// Takes the same parameters as OpenSSL's and gives the same bytes; its digests are SHA-256, SHA-384
// and SHA-512.
extern const OSSL_DISPATCH kTls13KdfFunctions[];

}  // namespace genkan::tls::provider
