// What a ClientHello shows, for choosing a certificate and for telling acme-tls/1 apart before any handshake.
// The parser is a pure function over possibly fragmented records.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"

namespace genkan::tls {

struct ClientHello {
  std::string server_name;          // SNI in lower case without trailing dot; "" where there was none
  std::vector<std::string> alpn;    // protocol names in the client's order
  bool offers_ecdsa = false;        // signature_algorithms (or, before 1.2, suites) allow an ECDSA certificate
  bool offers_rsa = false;
  bool offers_tls13 = false;
  // For `chain = "by_client"` (client_chain.h).
  std::string authorities;  // the body of certificate_authorities; "" where there was none
  bool offers_chacha20 = false, has_heartbeat = false, has_encrypt_then_mac = false;
};

// The hello at the start of `bytes` (TLS records, at most 16 KiB): nothing yet = more bytes are needed; an error =
// this is no ClientHello.
Result<std::optional<ClientHello>> ParseClientHello(std::string_view bytes);

}  // namespace genkan::tls
