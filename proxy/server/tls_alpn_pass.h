// A validation by tls-alpn-01 (RFC 8737) on its way through: the bytes of a client's connection,
// from its ClientHello on, to who answers it, and back. No more than a handshake needs goes either
// way. Worker's thread; owned by the connection, which also keeps the time and must outlive it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"
#include "proxy/net/address.h"
#include "proxy/net/tcp_stream.h"
#include "proxy/tls/client_hello.h"

namespace genkan::server {

// Pure. RFC 8737 3: the validation's hello offers this one protocol and names the host.
bool IsTlsAlpnChallenge(const tls::ClientHello& hello);

class TlsAlpnPass final : private net::Stream::Owner {
 public:
  // A handshake with a chain of certificates is some 10 KiB.
  static constexpr size_t kMostBytes = 64 * 1024;

  // `on_end` is called once, from the loop, when nothing more is to be passed; never after
  // Shutdown.
  TlsAlpnPass(event::EventLoop& loop, net::Stream& client, std::function<void()> on_end);
  ~TlsAlpnPass() { Shutdown(); }
  TlsAlpnPass(const TlsAlpnPass&) = delete;
  TlsAlpnPass& operator=(const TlsAlpnPass&) = delete;

  // `first`: what was read from the client before.
  void Start(const net::Address& target, Buffer& first);
  void Shutdown();
  // The client's connection can be read or written again.
  void OnClientReady() { Pump(); }

  // For the log: who answers, bytes of his, and why it ended ("" in order).
  const std::string& target() const { return target_name_; }
  size_t bytes_out() const { return out_.passed; }
  const std::string& failure() const { return failure_; }

 private:
  struct Direction {
    Buffer waiting;
    size_t passed = 0;
    bool has_end = false;    // the source has no more
    bool is_closed = false;  // and the other side was told
  };

  void OnReadable() noexcept override { Pump(); }
  void OnWritable() noexcept override { Pump(); }
  void Pump();
  // False: it is over.
  bool Move(net::Stream& from, net::Stream& to, Direction& direction, std::string_view whose);
  void End(std::string failure);

  event::EventLoop& loop_;
  net::Stream& client_;
  event::Timer ended_;  // whoever is told lets the client go, whose frames are on the stack in End
  std::unique_ptr<net::TcpStream> target_;
  Direction in_, out_;
  std::string target_name_, failure_;
  bool is_over_ = false;
};

}  // namespace genkan::server
