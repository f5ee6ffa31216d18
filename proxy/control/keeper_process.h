// Forks the keeper. Before any other thread; main thread.
#pragma once

#include <memory>

#include "proxy/control/keeper.h"
#include "proxy/control/keeper_client.h"

namespace genkan::control {

// Returns in the proxy alone. The keeper has nothing of this process but its three standard
// descriptors; the kernel ends it with the proxy.
Result<std::unique_ptr<KeeperClient>> StartKeeper(KeeperSettings settings);

}  // namespace genkan::control
