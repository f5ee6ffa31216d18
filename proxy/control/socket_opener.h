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
};

// With this process's own rights. Any thread.
SocketOpener& DirectSocketOpener();
Result<std::vector<net::Fd>> OpenListenerSockets(const net::Address& address, size_t count,
                                                 unsigned unix_mode);

}  // namespace genkan::control
