// A ClientHello that offers to resume a session of TLS 1.3 with a fresh X25519 exchange (RFC 8446
// 4.2.11), as far as resuming it needs. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/tls/hello_fields.h"

namespace genkan::tls {

// Views into the bytes that were parsed.
struct PskHello {
  std::string_view message;         // the whole message
  std::string_view before_binders;  // its front, which the binders are over
  std::string_view session_id;      // legacy_session_id, to be echoed
  HelloFields fields;
  uint16_t suite = 0;         // the client's first of TLS 1.3 that we have
  std::string_view share;     // of X25519, 32 bytes
  std::string_view identity;  // the first that is offered, and its binder
  std::string_view binder;
};

// Nothing where it is another kind of hello, is not alone in one record that is all of `bytes`, or
// holds anything that is for libssl to judge: early data, a cookie, another group first, lengths
// that are wrong.
std::optional<PskHello> ParsePskHello(std::string_view bytes);

}  // namespace genkan::tls
