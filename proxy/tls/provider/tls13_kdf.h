// TLS13-KDF: the key schedule's steps (RFC 8446 7.1) as libssl asks for them, some twenty times a
// handshake. OpenSSL's own fetches a digest and an HMAC for each.
#pragma once

#include <openssl/core_dispatch.h>

#include <span>

#include "proxy/tls/provider/sha2.h"

namespace genkan::tls::provider {

// HKDF-Expand-Label (RFC 8446 7.1): HKDF-Expand over uint16 length, opaque label<7..255>, which is
// `prefix` ("tls13 ") and `label`, opaque context<0..255>. False where they are too long, or more
// is wanted than HKDF has.
bool ExpandLabel(Sha2 digest, Bytes secret, Bytes prefix, Bytes label, Bytes context,
                 std::span<unsigned char> out);

// Takes the same parameters as OpenSSL's and gives the same bytes; its digests are SHA-256, SHA-384
// and SHA-512.
extern const OSSL_DISPATCH kTls13KdfFunctions[];

}  // namespace genkan::tls::provider
