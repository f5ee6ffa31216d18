#include "proxy/tls/client_chain.h"

#include <algorithm>

namespace genkan::tls {
namespace {

enum class Named { kNothing, kShort, kLong };

// Whether `names` (certificate_authorities, RFC 8446 4.2.4: a vector of distinguished names, each
// with its length) has an issuer on the way. What is broken is a list that ends there.
Named WhatIsNamed(std::string_view names, const CertificateBundle& bundle) {
  const auto is_issuer = [](const std::vector<CertificatePtr>& chain, const std::string& name) {
    return std::any_of(chain.begin(), chain.end(),
                       [&](const CertificatePtr& one) { return one->issuer_der() == name; });
  };
  const auto length_at = [&](size_t at) {
    return static_cast<size_t>(static_cast<unsigned char>(names[at])) << 8 |
           static_cast<unsigned char>(names[at + 1]);
  };
  Named named = Named::kNothing;
  size_t at = 2;
  while (at + 2 <= names.size()) {
    const size_t length = length_at(at);
    if (length == 0 || length > names.size() - at - 2) break;
    const std::string name = CanonicalNameOf(names.substr(at + 2, length));
    at += 2 + length;
    if (name.empty()) continue;
    // Who knows a root that the short chain reaches needs no other.
    if (is_issuer(bundle.chain(), name)) return Named::kShort;
    if (is_issuer(bundle.long_chain(), name)) named = Named::kLong;
  }
  return named;
}

}  // namespace

bool WantsLongChain(const ClientHello& hello, const CertificateBundle& bundle) {
  if (bundle.long_chain().empty()) return false;
  switch (WhatIsNamed(hello.authorities, bundle)) {
    case Named::kShort:
      return false;
    case Named::kLong:
      return true;
    case Named::kNothing:
      break;
  }
  // Old Android: its library knew ChaCha20 years before it knew TLS 1.3. OpenSSL 1.0.x has no
  // ChaCha20 and sends heartbeat; OpenSSL 1.1.0 and GnuTLS send encrypt_then_mac.
  return !hello.offers_tls13 && hello.offers_chacha20 && !hello.has_heartbeat &&
         !hello.has_encrypt_then_mac;
}

}  // namespace genkan::tls
