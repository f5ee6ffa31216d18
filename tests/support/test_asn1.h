// What test_ca.cc and test_revocation.cc share: times and digests in OpenSSL's terms. Private to
// tests/support.
#pragma once

#include <ctime>

#include "proxy/base/check.h"
#include "proxy/base/clock.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::testing {

// Ed25519 signs without a digest of ours.
inline const EVP_MD* DigestFor(const EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

inline void SetTime(ASN1_TIME* time, WallTime value) {
  GENKAN_CHECK(ASN1_TIME_set(time, std::chrono::system_clock::to_time_t(value)) != nullptr);
}

}  // namespace genkan::testing
