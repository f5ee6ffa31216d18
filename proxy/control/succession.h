// The old process's part of a hand-over (SIGUSR2): whether it may be followed, and the new process
// until that one serves or has failed. Control thread; owned by the Supervisor.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>

#include "proxy/control/hand_over.h"
#include "proxy/control/program.h"

namespace genkan::control {

class KeeperClient;

class Succession {
 public:
  struct Options {
    event::EventLoop& loop;
    KeeperClient* keeper;  // starts the program; null: we do
    Program program;
    bool is_possible;  // false: this command cannot be started twice
    // What is given away, as copies.
    std::function<HandOver()> collect;
    // The new one serves: what it does from now on is to be let go before this returns.
    std::function<void(pid_t)> on_ready;
  };
  explicit Succession(Options options) : options_(std::move(options)) {}

  // A refusal or failure is a line in the log, and everything goes on.
  void Begin(bool is_serving);

 private:
  // Empty: nothing speaks against it.
  const char* WhyNot(bool is_serving) const;

  Options options_;
  std::unique_ptr<Successor> successor_;  // being started
};

}  // namespace genkan::control
