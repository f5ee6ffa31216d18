// Makes one connection to a server: its name, then each of its addresses in turn, the PROXY header,
// TLS; all within connect_timeout. Worker's thread; owned by the connection it is made for.
// Destroyed = never called again.
#pragma once

#include <memory>
#include <string>

#include "proxy/event/timer.h"
#include "proxy/net/stream.h"
#include "proxy/net/tcp_stream.h"
#include "proxy/tls/server_context.h"
#include "proxy/tls/tls_stream.h"
#include "proxy/upstream/endpoint.h"

namespace genkan::upstream {

struct ConnectOptions {
  Millis timeout{5'000};
  // Goes first on the wire, before TLS. "" = none.
  std::string proxy_header;
  const tls::ClientContext* tls = nullptr;  // null: plain
  std::string tls_name;
};

class Connector final : private net::Stream::Owner, private Endpoint::Waiter {
 public:
  // Called from the loop, never from within Start. The owner then lets go of the connector by
  // EventLoop::Retire, for its frames are on the stack.
  class Owner {
   public:
    // The stream has no owner yet and all of the PROXY header is on its way.
    virtual void OnConnected(std::unique_ptr<net::Stream> stream) = 0;
    virtual void OnConnectFailed(const Error& error) = 0;

   protected:
    ~Owner() = default;
  };

  // `endpoint`, `options.tls` and `owner` outlive the connector.
  Connector(event::EventLoop& loop, Endpoint& endpoint, ConnectOptions options, Owner& owner);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  void Start();
  void Shutdown();

 private:
  enum class Step { kResolve, kConnect, kProxyHeader, kShake, kDone };

  void OnResolved() override;
  void OnReadable() noexcept override;
  void OnWritable() noexcept override;
  void OnTimeout();
  void Advance();
  void TryNextAddress();
  void DropStream();
  void FailAddress(Error error);
  void Finish();
  void Fail(Error error);
  void ArmTimer();

  event::EventLoop& loop_;
  Endpoint& endpoint_;
  ConnectOptions options_;
  Owner* owner_;
  Step step_ = Step::kResolve;
  std::shared_ptr<const Addresses> addresses_;
  size_t next_ = 0;
  net::Address address_;
  std::unique_ptr<net::TcpStream> tcp_;
  std::unique_ptr<tls::TlsStream> tls_;
  Buffer header_;
  Error error_;  // of the address that failed last
  MonotonicTime deadline_{};
  event::Timer timer_;
};

}  // namespace genkan::upstream
