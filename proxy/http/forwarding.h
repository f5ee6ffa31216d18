// What a proxy does to a head between its two sides: hop-by-hop fields, X-Forwarded-*, Forwarded,
// Via, Location and cookies. Pure functions over heads.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "proxy/http/messages.h"

namespace genkan::http {

enum class UnderscoreHeaders { kDrop, kPass, kRefuse };

struct ForwardingPolicy {
  bool forwarded = false;  // also write Forwarded (RFC 7239)
  bool via = false;        // also write Via
  UnderscoreHeaders underscores = UnderscoreHeaders::kDrop;
};

struct PeerView {
  std::string_view address;     // of the client as text, without port ("192.0.2.1", "::1")
  std::string_view local_port;  // the listener's port, "443"
  bool is_tls = false;
  bool is_trusted =
      false;  // in trusted_proxies: incoming X-Forwarded-* and Forwarded are kept and extended
};

// What PrepareForUpstream usually adds to a head: room for it, and nothing grows again.
inline constexpr size_t kForwardingFields = 8;
inline constexpr size_t kForwardingBytes = 192;

// Turns the head that came from the client into the one for the origin. False: refuse with 400 (an
// underscore field where the policy says refuse).
bool PrepareForUpstream(RequestHead& head, const PeerView& peer, const ForwardingPolicy& policy);

// Turns the origin's head into the one for the client: hop-by-hop fields away. `upgrade` keeps a
// 101 a 101.
void PrepareForDownstream(ResponseHead& head, const ForwardingPolicy& policy);

struct RewritePolicy {
  bool location =
      false;  // http://host/… of ours in Location, Content-Location and Refresh becomes https://
  bool cookies_secure = false;  // Set-Cookie without Secure gets it
};
// For origins that think they are on http. `authority` is the one the client asked for.
void RewriteResponse(ResponseHead& head, std::string_view authority, const RewritePolicy& policy);

}  // namespace genkan::http
