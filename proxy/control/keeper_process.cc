#include "proxy/control/keeper_process.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/base/log.h"

namespace genkan::control {
namespace {

// Everything but stdin, stdout, stderr and these two. A listening socket of systemd's that stayed
// open here would go on taking connections that nobody accepts.
void CloseOthers(int one, int other) {
  const unsigned low = static_cast<unsigned>(std::min(one, other));
  const unsigned high = static_cast<unsigned>(std::max(one, other));
  if (low > 3) close_range(3, low - 1, 0);
  if (high > low + 1) close_range(low + 1, high - 1, 0);
  close_range(high + 1, ~0U, 0);
}

[[noreturn]] void RunKeeper(pid_t proxy, net::Fd calls, net::Fd events, KeeperSettings settings) {
  // The end comes from the proxy, not from the terminal or the service manager: it still reads and
  // runs things for a proxy that drains.
  for (int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE})
    signal(number, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It may have gone before that was asked for.
  if (getppid() != proxy) _exit(0);
  prctl(PR_SET_NAME, "genkan-keeper");
  CloseOthers(calls.get(), events.get());
  SetLogThreadName("keeper");
  {
    Keeper keeper(std::move(calls), std::move(events), std::move(settings));
    keeper.Serve();
  }
  // Nothing of the proxy's is ours to destroy.
  _exit(0);
}

}  // namespace

Result<std::unique_ptr<KeeperClient>> StartKeeper(KeeperSettings settings) {
  auto calls = KeeperChannel::MakePair();
  if (!calls) return PassOn(calls);
  auto events = KeeperChannel::MakePair();
  if (!events) return PassOn(events);
  const pid_t proxy = getpid();
  const pid_t pid = fork();
  if (pid < 0) return Fail(ErrorCode::kIo, "fork of the keeper: {}", std::strerror(errno));
  if (pid == 0)
    RunKeeper(proxy, std::move(calls->second), std::move(events->second), std::move(settings));
  return std::make_unique<KeeperClient>(std::move(calls->first), std::move(events->first));
}

}  // namespace genkan::control
