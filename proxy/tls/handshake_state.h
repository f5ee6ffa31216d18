// What OpenSSL's callbacks and the TlsStream of one connection share while a handshake goes on; reached through
// SSL_get_app_data. Worker's thread; owned by the TlsStream.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/tls/server_context.h"

namespace genkan::tls {

struct HandshakeState {
  HandshakeDelegate* delegate = nullptr;  // server side only
  ClientHello hello;
  std::optional<HandshakeChoice> choice;  // made before libssl began: it is not made twice
  BundlePtr bundle;
  bool has_sent_staple = false;
  bool takes_over_records = false;  // the stream does, when TLS 1.3 is shaken and its secrets are known
  // Of a handshake without libssl: the context of its session, the leaf that it began under, and how many tickets
  // it is to have.
  std::string session_context;
  std::string leaf;
  uint8_t tickets = 0;
  bool owes_tickets = false;        // then it is ours to write them, and not libssl's
  std::string_view alert;   // static text of the last fatal alert, sent or received
  std::string_view reason;  // static text; why a callback of ours refused
};

inline HandshakeState* GetHandshakeState(const SSL* ssl) {
  return static_cast<HandshakeState*>(SSL_get_app_data(ssl));
}

// Keeps the text of fatal alerts. For both sides.
void OnSslInfo(const SSL* ssl, int where, int value) noexcept;

// What server and client contexts have in common: modes, options, groups, no cache.
void SetCommonOptions(SSL_CTX* context);

}  // namespace genkan::tls
