// A socket address: IPv4, IPv6 or a Unix path. IPv4-mapped IPv6 addresses become IPv4 at once, so that
// limits, lists and logs see one spelling. A value; any thread.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"

namespace genkan::net {

class Address {
 public:
  Address() = default;

  // "127.0.0.1:80", "[::1]:80", ":80" (the wildcard, both versions), "unix:/path". No names.
  static Result<Address> Parse(std::string_view text);
  static Address FromSockaddr(const sockaddr* address, socklen_t length);
  // An address literal without a port: "10.0.0.1", "::1".
  static Result<Address> ParseHost(std::string_view host, uint16_t port);

  bool is_ip() const { return family() == AF_INET || family() == AF_INET6; }
  bool is_unix() const { return family() == AF_UNIX; }
  // ":80": listens on [::] with IPV6_V6ONLY off.
  bool is_dual_stack() const { return is_dual_stack_; }
  int family() const { return storage_.ss_family; }
  uint16_t port() const;
  void set_port(uint16_t port);
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t length() const { return length_; }

  // "127.0.0.1:80", "[::1]:80", "unix:/path".
  std::string ToString() const;
  // "127.0.0.1", "::1", "unix:".
  std::string HostString() const;
  // 4 or 16 bytes in network order; empty for Unix.
  std::string_view HostBytes() const;

  bool operator==(const Address& other) const;

 private:
  sockaddr_storage storage_{};
  socklen_t length_ = 0;
  bool is_dual_stack_ = false;
};

// A network in CIDR form: "10.0.0.0/8", "::1/128", "192.0.2.1".
class Network {
 public:
  static Result<Network> Parse(std::string_view text);
  bool Contains(const Address& address) const;
  std::string ToString() const;
  bool operator==(const Network&) const = default;

 private:
  std::string bytes_;  // 4 or 16
  int prefix_ = 0;
};

bool ContainsAny(const std::vector<Network>& networks, const Address& address);

}  // namespace genkan::net
