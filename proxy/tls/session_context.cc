#include "proxy/tls/session_context.h"

#include <openssl/sha.h>

namespace genkan::tls {

std::string SessionContextOf(std::string_view site, const TlsPolicy& policy) {
  std::string text(site);
  text += '\0';
  text += std::to_string(static_cast<int>(policy.profile));
  text += '/';
  text += std::to_string(policy.min_version);
  text += '/';
  text += std::to_string(static_cast<int>(policy.client_certificates));
  text += '/';
  text += policy.client_ca;
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash);
  return std::string(reinterpret_cast<const char*>(hash), sizeof hash);
}

}  // namespace genkan::tls
