// Session tickets of TLS 1.3 (RFC 8446 4.6.1) without OpenSSL's SSL, for connections whose records
// are ours: libssl encodes a session four times for one ticket and decodes it once. Inside is
// libssl's own form, sealed as the ticket key callback seals, so that libssl takes it back, here,
// in another worker or in another instance with the same keys. No I/O. Worker's thread; owned by
// its ServerContext.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "proxy/tls/openssl_ptr.h"
#include "proxy/tls/provider/sha2.h"
#include "proxy/tls/ticket_keys.h"

namespace genkan::tls {

// How long a session lives, of either version.
inline constexpr uint32_t kSessionSeconds = 12 * 3600;

// What a resumption needs, and no more: neither names nor protocols, which TLS 1.3 settles anew in
// each handshake, nor a client's certificate.
struct TicketSession {
  uint16_t suite = 0;        // as on the wire (0x1301 …)
  provider::Bytes secret;    // the pre-shared key, 1 to 48 bytes; borrowed
  std::string_view context;  // the session id context, at most 32 bytes
  std::string_view
      leaf;          // SHA-256 of the leaf that it began with, at most 32 bytes: application data
  int64_t made = 0;  // seconds since 1970
  uint32_t lifetime = 0;  // seconds
  uint32_t age_add = 0;
};

// DER of libssl's SSL_SESSION, as d2i_SSL_SESSION takes it. 0: a field is longer than it may be.
inline constexpr size_t kMostSessionDer = 192;
size_t WriteSession(const TicketSession& session, std::span<unsigned char, kMostSessionDer> out);

// The session that WriteSession wrote, with views into `der`. False: it is another's, even if
// libssl would read it.
bool ReadSession(std::string_view der, TicketSession& session);

// Key name, IV, the session under AES-256-CBC, HMAC-SHA-256 over all of it (RFC 5077 4), with
// everything set up that does not change from ticket to ticket.
class TicketSealer {
 public:
  static constexpr size_t kIv = 16;
  static constexpr size_t kMostSealed = 16 + kIv + kMostSessionDer + 16 + 32;

  // `cipher` is AES-256-CBC, and outlives this.
  TicketSealer(const TicketKey& key, const EVP_CIPHER* cipher);

  // The number of bytes written; 0: it cannot be sealed, and there is no ticket.
  size_t Seal(provider::Bytes iv, provider::Bytes plain, std::span<unsigned char, kMostSealed> out);

 private:
  std::array<unsigned char, 16> name_;
  provider::HmacSha2 mac_;  // wipes itself; so does OpenSSL's context
  OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> encryption_;
};

// Takes tickets back, sealed under any of the keys.
class TicketOpener {
 public:
  // A session, for as long as this lives; wiped.
  struct Opened {
    ~Opened();
    TicketSession session;
    std::array<unsigned char, kMostSessionDer + 16> plain{};
  };

  // `cipher` is AES-256-CBC, and outlives this.
  TicketOpener(TicketKeysPtr keys, const EVP_CIPHER* cipher);
  // False: another's, or none that we wrote.
  bool Open(std::string_view ticket, Opened& opened);

 private:
  TicketKeysPtr keys_;
  const EVP_CIPHER* cipher_;
  OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> decryption_;
};

// Appends to `messages` a NewSessionTicket, whose secret comes of `resumption_master_secret` and
// `number`, other than those of the other tickets of the connection. `session` lacks its secret and
// age_add. Without randomness or memory nothing is appended.
void AppendNewSessionTicket(TicketSealer& sealer, TicketSession session, provider::Sha2 digest,
                            provider::Bytes resumption_master_secret, uint8_t number,
                            std::string& messages);

}  // namespace genkan::tls
