// What a process that was told SIGUSR2 gives to the new one: every listening socket (closing one
// would reset what waits in its queue), the lock of state_dir, the ticket keys, the leaves whose
// sessions may not resume. By descriptor, never by disk. Control thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/control/keeper_channel.h"
#include "proxy/control/program.h"
#include "proxy/control/socket_opener.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/io_watcher.h"
#include "proxy/event/timer.h"

namespace genkan::control {

struct HandOver {
  struct Socket {
    std::string address;  // as configured
    size_t listener = 0;  // sockets of one listener have one number; of admin sockets 0
    net::Fd fd;
  };
  std::vector<Socket> listeners, admin;
  net::Fd state_lock;
  std::string state_path;
  net::Fd ticket_keys;  // none where a fleet's file has them
  net::Fd barred;       // leaves whose sessions may not resume (barred_leaves.h)
  Millis rotation_due{0};
};

// `pid` and the place of the old process.
KeeperMessage Pack(const HandOver& hand_over, std::vector<int>& descriptors);
Result<HandOver> ParseHandOver(KeeperMail mail);

// In the new process: what was handed over, and the word that it serves.
class Inheritance {
 public:
  // None where nobody handed anything over. An error where somebody tried to.
  static Result<std::unique_ptr<Inheritance>> Take();
  ~Inheritance();

  HandOver& hand_over() { return hand_over_; }
  // The admin's sockets first, then `others`.
  SocketOpener& AdminSockets(SocketOpener& others);

  // Tells the old process; `on_told` is called when it has let go (or is gone).
  Status Serve(event::EventLoop& loop, std::function<void()> on_told);

 private:
  class AdminOpener;
  class Waiter;
  explicit Inheritance(KeeperChannel channel);

  KeeperChannel channel_;
  HandOver hand_over_;
  std::unique_ptr<SocketOpener> admin_;
  std::unique_ptr<Waiter> waiter_;
};

// In the old process: the new one, until it serves or has failed.
class Successor final : private event::IoWatcher::Handler {
 public:
  struct Options {
    event::EventLoop& loop;
    // Starts the program with this descriptor, ends it.
    std::function<Result<pid_t>(int descriptor)> start;
    std::function<void(pid_t)> end;
    // It serves: it is told that we let go when this returns.
    std::function<void(pid_t)> on_ready;
    std::function<void(const std::string& reason)> on_failed;
  };
  static constexpr Millis kLongest{60'000};

  static Result<std::unique_ptr<Successor>> Start(Options options, const HandOver& hand_over);
  ~Successor() = default;
  pid_t pid() const { return pid_; }

 private:
  Successor(Options options, KeeperChannel channel);
  void OnReadable() noexcept override;
  void OnWritable() noexcept override {}
  void Fail(const std::string& reason);

  Options options_;
  KeeperChannel channel_;
  pid_t pid_ = -1;
  event::IoWatcher watcher_;
  event::Timer timer_;
};

}  // namespace genkan::control
