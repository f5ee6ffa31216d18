// A TCP port of the loopback that nobody gets while this lives. It is bound and does not listen: a
// connection to it is refused, whoever asks the system for any port is given another one, and a
// listener with SO_REUSEADDR (all of ours) may take it. A port that was closed a moment ago is none
// of that: tests run beside each other and ask for many.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "proxy/base/check.h"
#include "proxy/net/acceptor.h"
#include "proxy/net/address.h"
#include "proxy/net/fd.h"

namespace genkan::testing {

class HeldPort {
 public:
  explicit HeldPort(const std::string& host = "127.0.0.1") {
    auto any = net::Address::ParseHost(host, 0);
    GENKAN_CHECK(any.has_value());
    fd_ = net::Fd(socket(any->family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
    GENKAN_CHECK(bind(fd_.get(), any->get(), any->length()) == 0);
    // Only now: with it from the beginning two of these could get the same port.
    const int on = 1;
    setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto local = net::Acceptor::LocalAddress(fd_.get());
    GENKAN_CHECK(local.has_value());
    address_ = *local;
  }

  const net::Address& address() const { return address_; }

 private:
  net::Fd fd_;
  net::Address address_;
};

}  // namespace genkan::testing
