// What systemd hears of us and gives us: sd_notify, the watchdog, sockets that it opened (socket
// activation). Does nothing where no systemd started us. Control thread; owned by the Supervisor.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"
#include "proxy/net/address.h"
#include "proxy/net/fd.h"

namespace genkan::control {

class ServiceManager {
 public:
  explicit ServiceManager(event::EventLoop& loop);

  // Sockets that were handed to us ($LISTEN_FDS); each is given out once.
  void TakeSockets();
  std::optional<net::Fd> FindSocket(const net::Address& address);
  // Those that no listener wants, for a warning.
  std::vector<std::string> UnusedSockets() const;

  // "READY=1", "STOPPING=1", "STATUS=…".
  void Notify(const std::string& state);
  void NotifyReloading();

  // Where a watchdog is asked for: `is_alive` is asked twice in its time; when it says so, the
  // watchdog hears of it.
  void StartWatchdog(std::function<bool()> is_alive);
  // The main process is another one from now on: what we say does not count any more.
  void NameMain(pid_t pid);

 private:
  struct Given {
    net::Address address;
    net::Fd fd;
  };
  void Beat();

  std::vector<Given> sockets_;
  std::function<bool()> is_alive_;
  Millis interval_{0};
  event::Timer timer_;
};

}  // namespace genkan::control
