// The PROXY protocol's header, versions 1 and 2 (haproxy's proxy-protocol.txt): who really connects, told by a
// balancer in front of us, or by us to the origin. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/base/result.h"
#include "proxy/net/address.h"

namespace genkan::net {

struct ProxyHeader {
  // False for LOCAL and UNKNOWN (health checks of the balancer): the connection's own addresses count.
  bool has_addresses = false;
  Address source;
  Address destination;
  std::string authority;  // the name that the client asked for (PP2_TYPE_AUTHORITY), or ""
  size_t length = 0;      // bytes of the header
};

// No header is longer; a longer one is refused.
inline constexpr size_t kMaxProxyHeader = 4096;

// The header at the start of `bytes`: nothing yet = more bytes are needed; an error = there is none.
Result<std::optional<ProxyHeader>> ParseProxyHeader(std::string_view bytes);

// Addresses of different families, or none, are written as UNKNOWN (v1) and LOCAL (v2).
std::string WriteProxyHeaderV1(const Address& source, const Address& destination);
std::string WriteProxyHeaderV2(const Address& source, const Address& destination,
                               std::string_view authority = {});

}  // namespace genkan::net
