// A bundle's first handshakes, in memory, before it serves anybody: the server side as listeners
// have it, the client side of each version that the trust profiles speak. Finds what no look at
// files finds: a key that does not sign for its certificate, one too weak for the policy, a chain
// that arrives otherwise than it was meant. What each client says to that chain is
// tls::ProveChain's to find out. One handshake costs about a millisecond. Stateless; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/tls/certificate_bundle.h"
#include "proxy/tls/tls_policy.h"
#include "proxy/tls/trust_profile.h"

namespace genkan::tls {

struct Rehearsed {
  // Why a handshake fails whatever the client trusts: "TLS 1.3 with a client of today: ee key too
  // small"; "" where none does.
  std::string failure;
};

// `policy`: the site's; who asks for client certificates is not asked for one here. Two clients
// come, whatever they trust: one with TLS 1.3, for which libssl is not needed, and one that needs
// it, with TLS 1.2 where the policy has it. They have the names of a profile that is required and
// of one that is not.
Rehearsed Rehearse(const BundlePtr& bundle, TlsPolicy policy, std::string_view server_name,
                   const std::vector<TrustProfilePtr>& profiles, const Clock& clock);

// Who judged: another library may think otherwise.
std::string_view LibraryVersion();

}  // namespace genkan::tls
