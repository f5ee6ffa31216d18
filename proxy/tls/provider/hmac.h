// HMAC for Finished and for session tickets: SHA-256, SHA-384 and SHA-512 by ourselves, with
// neither a fetch of the digest nor three contexts of it. Any other digest, and the constant-time
// way of CBC records, is handed to the default provider's HMAC: whoever asks for "HMAC" with our
// property query gets this one, whatever the digest will be.
#pragma once

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

namespace genkan::tls::provider {

// Finds the default provider's, once, before the table is used. False: it is not all there.
bool BorrowHmac(const OSSL_PROVIDER* default_provider, const char* property_query);

extern const OSSL_DISPATCH kHmacFunctions[];

}  // namespace genkan::tls::provider
