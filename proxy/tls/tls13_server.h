// A listener's TLS 1.3 without libssl: which hellos a handshake of ours answers, and the tickets of
// the connections whose records are ours. Worker's thread; owned by its ServerContext.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/base/clock.h"
#include "proxy/tls/session_ticket.h"
#include "proxy/tls/ticket_keys.h"
#include "proxy/tls/tls_policy.h"

namespace genkan::tls {

class Tls13Handshake;
struct HandshakeChoice;
struct HandshakeInfo;
struct HandshakeState;

// Whether connections of this context may have TLS 1.3: whoever configures OpenSSL may take it
// away.
bool HasTls13(SSL_CTX* context);

class Tls13Server {
 public:
  struct Options {
    TlsPolicy policy;           // where a site has none of its own
    std::string alpn;           // WireProtocols'
    SSL_CTX* libssl = nullptr;  // whose suites and versions we keep to; outlives this
    uint8_t tickets = 0;        // of a whole handshake
    bool has_records = false;   // the records are ours once a handshake is done
  };
  // `ticket_cipher` is AES-256-CBC; it and the clock outlive this.
  Tls13Server(Options options, const EVP_CIPHER* ticket_cipher, const Clock& clock);

  void SetTicketKeys(TicketKeysPtr keys);

  // Where `received` is a ClientHello that we answer: the handshake, whose first flight is appended
  // to `out`; what it agreed on goes to `info`. Null: for libssl, from the first byte on. Neither
  // it nor libssl asks the delegate again.
  std::unique_ptr<Tls13Handshake> Begin(std::string_view received, HandshakeState& state,
                                        HandshakeInfo& info, Buffer& out);

  // `count` NewSessionTicket messages; "" where there are none. `session` lacks its times and its
  // secret. `resumption_master_secret` as in RFC 8446 7.1.
  std::string WriteTickets(TicketSession session, provider::Bytes resumption_master_secret,
                           int count);
  uint8_t tickets() const { return options_.tickets; }

 private:
  struct Reading;  // of one hello

  bool HasSuite(uint16_t suite) const;
  const TlsPolicy& PolicyOf(const HandshakeChoice& choice) const;
  // False: for libssl. Nobody was asked yet.
  bool Read(std::string_view received, Reading& reading);
  std::unique_ptr<Tls13Handshake> Resume(const Reading& reading, HandshakeState& state,
                                         Buffer& out);
  std::unique_ptr<Tls13Handshake> BeginWhole(const Reading& reading, HandshakeState& state,
                                             Buffer& out);

  Options options_;
  const EVP_CIPHER* ticket_cipher_;
  const Clock& clock_;
  bool answers_ = false, has_tickets_ = false;
  std::optional<TicketSealer> sealer_;  // under the newest key
  std::optional<TicketOpener> opener_;
};

}  // namespace genkan::tls
