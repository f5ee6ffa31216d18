// The commands that the keeper runs as root: only those of the configuration, with the words that
// may stand in their places. One at a time, on a thread of its own. Owned by the Keeper.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/control/hook_runner.h"
#include "proxy/control/keeper_channel.h"

namespace genkan::control {

// Pure: whether this is on_revoked of the configuration, its {lineage} and {name} being ones that
// the configuration knows, and nothing but GENKAN_ variables in its environment.
bool IsConfiguredHook(const HookRequest& request, const config::Config& config);

class KeeperHooks {
 public:
  explicit KeeperHooks(net::Fd events);
  // Ends a command that is under way.
  ~KeeperHooks();

  // kHookEnded with this id comes on the events' socket when it has ended.
  Status Run(uint64_t id, HookRequest request);

 private:
  void RunThread();
  bool IsStopping();

  KeeperChannel events_;  // written by the thread alone
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<uint64_t, HookRequest>> waiting_;  // guarded by mutex_
  bool is_stopping_ = false;                              // guarded by mutex_
  std::thread thread_;                                    // from the first command on
};

}  // namespace genkan::control
