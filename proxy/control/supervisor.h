// The running proxy: the control loop, its signals, and everything that lives on it; starts the
// workers, joins them. Main thread; one at a time in a process.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/validate.h"

namespace genkan::control {

// Where it serves: the listeners' real addresses, in the configuration's order.
struct ListenerStatus {
  std::string address;
  bool tls = false;
};

struct RunOptions {
  // Reads the configuration; asked again at each reload. `modules` are the names of those that are
  // built in.
  std::function<config::OrErrors<config::Checked>(const std::vector<std::string_view>& modules)>
      load;
  // Called once, on the control thread, when it serves. May be empty.
  std::function<void(const std::vector<ListenerStatus>&)> on_ready;
  // root that the configuration gives no `user` drops to this one; "" = genkan.
  std::string default_user;
  // root that becomes another user leaves a keeper behind. False: where everything is readable for
  // that user, and there are threads already.
  bool has_keeper = true;
  // SIGUSR2 starts the program anew.
  bool may_hand_over = true;
};

// Serves until a signal or `genkan stop` ends it. The process's exit code: 0, or 2 where it could
// not start (what is wrong is on stderr, one line each, and nothing was listened on).
int Supervise(RunOptions options);

}  // namespace genkan::control
