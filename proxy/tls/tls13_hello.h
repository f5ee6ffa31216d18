// A ClientHello that begins a TLS 1.3 handshake over a fresh X25519 exchange, whole or to resume a
// session (RFC 8446 4.1.2, 4.2.11), as far as answering it needs. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "proxy/tls/hello_fields.h"

namespace genkan::tls {

// Views into the bytes that were parsed.
struct Tls13Hello {
  std::string_view message;     // the whole message
  std::string_view session_id;  // legacy_session_id, to be echoed
  HelloFields fields;
  uint16_t suite = 0;          // the client's first of TLS 1.3 that we have
  std::string_view share;      // of X25519, 32 bytes
  bool takes_tickets = false;  // its sessions resume with a fresh exchange (psk_dhe_ke)
  bool wants_staple = false;   // status_request of OCSP

  // The first session that it offers to resume, with its binder; "" where it offers none.
  std::string_view identity;
  std::string_view binder;
  std::string_view before_binders;  // the message's front, which the binders are over
};

// Nothing where it is another kind of hello, is not alone in one record that is all of `bytes`, or
// holds anything that is for libssl to judge: early data, a cookie, another group first, limits on
// the signatures of certificates, a staple of some responders alone, an extension twice, lengths
// that are wrong, whatever else libssl refuses.
std::optional<Tls13Hello> ParseTls13Hello(std::string_view bytes);

}  // namespace genkan::tls
