// A listening socket that hands out what it accepts, many a wake-up. Out of descriptors it waits a little instead of
// spinning. Worker's thread; owned by the Worker.
#pragma once

#include <functional>

#include "proxy/event/io_watcher.h"
#include "proxy/event/timer.h"
#include "proxy/net/address.h"
#include "proxy/net/fd.h"

namespace genkan::net {

struct ListenOptions {
  int backlog = 4096;
  bool has_reuse_port = true;  // a socket for each worker; ignored for Unix sockets
  // Refuses where anybody listens there already, although SO_REUSEPORT would let two programs share: for the first
  // worker's socket. With port 0 it means nothing.
  bool must_be_free = false;
  unsigned unix_mode = 0666;   // permissions of a Unix socket's file
};

class Acceptor final : private event::IoWatcher::Handler {
 public:
  // `fd`: connected, non-blocking, close-on-exec, TCP_NODELAY.
  using OnAccept = std::function<void(Fd fd, const Address& peer, const Address& local)>;

  // Begins to accept in the next turn. Must not be destroyed from within `on_accept`; Pause is fine there.
  Acceptor(event::EventLoop& loop, Fd listener, OnAccept on_accept);
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  // A listening socket. A dual-stack address falls back to IPv4 where the machine has no IPv6. A Unix socket's file
  // that nobody listens on any more is replaced.
  static Result<Fd> OpenListener(const Address& address, const ListenOptions& options = {});
  // The address a socket is bound to; tells the port that 0 became.
  static Result<Address> LocalAddress(int fd);

  void Pause();
  void Resume();
  bool is_paused() const { return is_paused_; }
  // Waiting because the process or the machine is out of descriptors or memory.
  bool is_starved() const { return retry_.is_running(); }
  const Address& address() const { return address_; }
  int fd() const { return listener_.get(); }
  // Stops and gives the socket away (hand-over).
  Fd Release();

 private:
  void OnReadable() noexcept override;
  void OnWritable() noexcept override {}
  void Starve(int error);

  Fd listener_;
  Address address_;
  bool is_wildcard_ = false;
  OnAccept on_accept_;
  event::IoWatcher watcher_;
  event::Timer retry_;
  Millis retry_delay_;
  int batch_ = 1;
  bool is_paused_ = false;
};

}  // namespace genkan::net
