// The raw fields of a ClientHello, and what they mean: shared by our own parser and by OpenSSL's callback, so that
// both choose alike. Any thread.
#pragma once

#include <string_view>

#include "proxy/base/result.h"
#include "proxy/tls/client_hello.h"

namespace genkan::tls {

// Bodies of extensions; a null data() where the extension is absent.
struct HelloFields {
  std::string_view suites;            // 2 bytes each
  std::string_view server_name;       // RFC 6066 3
  std::string_view alpn;              // RFC 7301 3.1
  std::string_view signatures;        // RFC 8446 4.2.3
  std::string_view versions;          // RFC 8446 4.2.1
  std::string_view authorities;       // RFC 8446 4.2.4
  std::string_view heartbeat;         // RFC 6520
  std::string_view encrypt_then_mac;  // RFC 7366
};

// Fails where an extension breaks its own grammar.
Result<ClientHello> InterpretHello(const HelloFields& fields);

}  // namespace genkan::tls
