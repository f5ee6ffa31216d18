// The issuers that a proxy on this machine has fetched from the addresses in certificates, one file
// an address in its state_dir/aia, verified again: for `genkan check`, which asks nobody and says
// what the running one would. Any thread; reads files.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/tls/certificate.h"

namespace genkan::control {

// Of what an address gave last and was taken: its name in state_dir/aia.
std::string IssuerFileOf(const std::string& url);

// Who signed `last`, and who signed that, as far as it was fetched. None: nothing is known.
std::vector<tls::CertificatePtr> FindKnownIssuers(const std::string& state_dir,
                                                  const tls::Certificate& last, WallTime now);

}  // namespace genkan::control
