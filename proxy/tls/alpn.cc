#include "proxy/tls/alpn.h"

#include <openssl/ssl.h>

#include "proxy/base/text.h"
#include "proxy/tls/wire_writer.h"

namespace genkan::tls {

std::string WireProtocols(const std::vector<std::string>& names) {
  std::string wire;
  for (const auto& name : names) {
    AppendVector(wire, 1, name);
    // A client that is told to speak HTTP/1.0 may offer that alone (`curl --http1.0` does), and who
    // serves HTTP/1.1 serves it too.
    if (name == "http/1.1") AppendVector(wire, 1, "http/1.0");
  }
  return wire;
}

std::string_view SelectProtocol(std::string_view ours, std::string_view offered) {
  unsigned char* selected = nullptr;
  unsigned char length = 0;
  if (ours.empty() ||
      SSL_select_next_proto(&selected, &length, AsBytes(ours).data(),
                            static_cast<unsigned>(ours.size()), AsBytes(offered).data(),
                            static_cast<unsigned>(offered.size())) != OPENSSL_NPN_NEGOTIATED)
    return {};
  return AsText({selected, length});
}

}  // namespace genkan::tls
