// Whether a site's standby certificate can take the place of one that is revoked or must be renewed
// now. Pure; control thread.
#pragma once

#include "proxy/base/result.h"
#include "proxy/control/cert_entry.h"

namespace genkan::control {

// The error says why not: it is not in service, expired, revoked itself, or lacks a name that the
// site would lose.
Status CanStandIn(const CertEntry& standby, const CertEntry& replaced,
                  const std::vector<std::string>& site_names, const CertLeaves& leaves,
                  WallTime now);

}  // namespace genkan::control
