// What a listener or a site allows in a handshake. A value; any thread.
#pragma once

#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace genkan::tls {

enum class Profile { kModern, kIntermediate, kOld };  // Mozilla's names

struct TlsPolicy {
  Profile profile = Profile::kIntermediate;
  int min_version = 0x0303;     // 0x0301 TLS 1.0 … 0x0304 TLS 1.3
  enum class ClientCertificates { kOff, kRequest, kRequire } client_certificates =
      ClientCertificates::kOff;
  bool ktls = false;          // the kernel encrypts what is sent, where it can; a listener's, never a site's
  bool own_provider = true;  // parts of a handshake are ours (provider/provider.h); a listener's, never a site's
  std::string client_ca;      // PEM text of the CAs that client certificates must come from
  bool operator==(const TlsPolicy&) const = default;
};

Result<Profile> ParseProfile(std::string_view name);
Result<int> ParseTlsVersion(std::string_view text);  // "1.0" … "1.3"

int MinVersionOf(const TlsPolicy& policy);
// As SSL_CTX_set_security_level takes it: 2, or 0 where the policy goes below TLS 1.2, whose
// signatures need MD5 and SHA-1.
int SecurityLevelOf(const TlsPolicy& policy);

}  // namespace genkan::tls
