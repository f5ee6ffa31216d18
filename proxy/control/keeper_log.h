// Where the keeper's lines go: a descriptor that the proxy has opened, so that root writes to no
// file that the proxy could put in its way. Keeper's process; thread-safe as the log is.
#pragma once

#include "proxy/base/log.h"
#include "proxy/net/fd.h"

namespace genkan::control {

// From then on; before, lines go to stderr.
void SetKeeperLog(LogLevel level, net::Fd output);

}  // namespace genkan::control
