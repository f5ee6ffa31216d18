// Opens listening sockets: directly, or through the keeper, which has root's rights for ports below
// 1024. Control thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/net/address.h"
#include "proxy/net/fd.h"

namespace genkan::control {

class SocketOpener {
 public:
  virtual ~SocketOpener() = default;
  // `address` as the configuration has it. So many sockets for one port (SO_REUSEPORT), also where
  // the port is 0; one of a Unix path, whose file gets this mode.
  virtual Result<std::vector<net::Fd>> Open(const std::string& address, size_t count,
                                            unsigned unix_mode) = 0;
  // Further sockets beside those that it opened for this address, whose port became this one.
  virtual Result<std::vector<net::Fd>> OpenMore(const std::string& address, uint16_t port,
                                                size_t count) = 0;
};

// With this process's own rights. Any thread.
SocketOpener& DirectSocketOpener();
Result<std::vector<net::Fd>> OpenListenerSockets(const net::Address& address, size_t count,
                                                 unsigned unix_mode);
Result<std::vector<net::Fd>> OpenMoreSockets(net::Address address, uint16_t port, size_t count);

}  // namespace genkan::control
