// Runs an operator's command (on_revoked): an argv without a shell, with a time limit, off the
// control loop. The interface has two homes: directly, as the user that the proxy runs as (here),
// and in the keeper, as root. Control thread; owned by the Supervisor.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/event/event_loop.h"

namespace genkan::control {

struct HookRequest {
  std::string name;               // for the log: what it is run for, "example.com"
  std::vector<std::string> argv;  // argv[0] is looked for in PATH unless it has a slash
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  Millis timeout{600'000};  // then SIGTERM to its process group, and SIGKILL after kHookGrace
};

struct HookOutcome {
  int exit_code = 0;  // where no signal ended it
  int signal = 0;     // that ended it; 0: none
  bool is_timed_out = false;
  bool is_cut = false;  // the middle of the output is left out
  std::string output;   // of stdout and stderr together, kMaxHookOutput at most
  Millis took{};

  bool is_success() const { return exit_code == 0 && signal == 0 && !is_timed_out; }
};

inline constexpr size_t kMaxHookOutput = 16 * 1024;
inline constexpr Millis kHookGrace{5'000};

class HookRunner {
 public:
  using Done = std::function<void(Result<HookOutcome>)>;

  virtual ~HookRunner() = default;
  // One at a time, in order: certbot and its like lock themselves against a second one. `done` is
  // called on the control thread, later, and not at all when the runner goes before; an error where
  // nothing could be run (no such program, too many are waiting).
  virtual void Run(HookRequest request, Done done) = 0;
};

// As ourselves, on a thread of its own, so that a command of minutes never holds up what the
// BlockingPool has to do. Its destructor ends a command that is under way.
std::unique_ptr<HookRunner> MakeDirectHookRunner(event::EventLoop& loop);

// Blocks until the command has ended (not what it left behind in the background). Signals are as a
// fresh program has them, stdin is /dev/null, no descriptor of ours is passed on. `is_cancelled` is
// asked ten times a second, may be empty, and ends it as the time limit does. Any thread; also for
// the keeper.
Result<HookOutcome> RunHookBlocking(const HookRequest& request,
                                    const std::function<bool()>& is_cancelled = {});

// "exit 1", "signal 9", "ended after 600 s": for the log and for people.
std::string Describe(const HookOutcome& outcome);
// One line how it went (info, or error where it failed), then its output line by line, 100 at most.
void LogHook(const HookRequest& request, const Result<HookOutcome>& outcome);

}  // namespace genkan::control
