// What a proxy on this machine has learnt of a certificate's revocation: the last OCSP response and
// the revocation list in its state_dir, verified again. For `genkan check`, which asks nobody. Any
// thread; reads files.
#pragma once

#include <optional>
#include <string>

#include "proxy/base/clock.h"
#include "proxy/tls/certificate.h"

namespace genkan::control {

struct KnownRevocation {
  std::string source, reason;  // "ocsp", "crl"
  WallTime since{};
};

// Nothing where it is good, or nothing is known that still holds.
std::optional<KnownRevocation> FindKnownRevocation(const std::string& state_dir,
                                                   const tls::Certificate& leaf,
                                                   const tls::Certificate& issuer, WallTime now);

}  // namespace genkan::control
