#include "proxy/control/socket_opener.h"

#include "proxy/net/acceptor.h"

namespace genkan::control {
namespace {

class Direct final : public SocketOpener {
 public:
  Result<std::vector<net::Fd>> Open(const std::string& address, size_t count,
                                    unsigned unix_mode) override {
    auto parsed = net::Address::Parse(address);
    if (!parsed) return PassOn(parsed);
    return OpenListenerSockets(*parsed, count, unix_mode);
  }

  Result<std::vector<net::Fd>> OpenMore(const std::string& address, uint16_t port,
                                        size_t count) override {
    auto parsed = net::Address::Parse(address);
    if (!parsed) return PassOn(parsed);
    return OpenMoreSockets(*parsed, port, count);
  }
};

}  // namespace

SocketOpener& DirectSocketOpener() {
  static Direct direct;
  return direct;
}

Result<std::vector<net::Fd>> OpenListenerSockets(const net::Address& wanted, size_t count,
                                                 unsigned unix_mode) {
  net::ListenOptions options;
  options.unix_mode = unix_mode;
  std::vector<net::Fd> sockets;
  net::Address address = wanted;
  for (size_t i = 0; i < (wanted.is_unix() ? 1 : count); ++i) {
    options.must_be_free = i == 0;
    auto socket = net::Acceptor::OpenListener(address, options);
    if (!socket) return PassOn(socket);
    if (i == 0 && address.is_ip() && address.port() == 0) {
      auto local = net::Acceptor::LocalAddress(socket->get());
      if (!local) return PassOn(local);
      address.set_port(local->port());
    }
    sockets.push_back(*std::move(socket));
  }
  return sockets;
}

Result<std::vector<net::Fd>> OpenMoreSockets(net::Address address, uint16_t port, size_t count) {
  if (!address.is_ip())
    return Fail(ErrorCode::kUnsupported, "{}: there can be only one", address.ToString());
  address.set_port(port);
  std::vector<net::Fd> sockets;
  while (sockets.size() < count) {
    auto socket = net::Acceptor::OpenListener(address);
    if (!socket) return PassOn(socket);
    sockets.push_back(*std::move(socket));
  }
  return sockets;
}

}  // namespace genkan::control
