// ParseClientHello on anything: no crash; what is whole is not refused when it comes in parts, nor when the records are
// cut anew; and where OpenSSL takes the same bytes for a ClientHello, both see the same name and protocols.
#include <openssl/err.h>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/client_hello.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::fuzz {
namespace {

bool AreEqual(const tls::ClientHello& a, const tls::ClientHello& b) {
  return a.server_name == b.server_name && a.alpn == b.alpn && a.offers_ecdsa == b.offers_ecdsa &&
         a.offers_rsa == b.offers_rsa && a.offers_tls13 == b.offers_tls13;
}

// The bytes of one extension as OpenSSL sees them.
struct Seen {
  bool is_called = false;
  std::string server_name, alpn;
};

std::string ExtensionOf(SSL* ssl, unsigned type) {
  const unsigned char* bytes = nullptr;
  size_t length = 0;
  if (SSL_client_hello_get0_ext(ssl, type, &bytes, &length) != 1) return {};
  return std::string(AsText({bytes, length}));
}

Seen AskOpenssl(std::string_view bytes) {
  static SSL_CTX* const context = [] {
    SSL_CTX* made = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_client_hello_cb(
        made,
        [](SSL* ssl, int*, void*) {
          Seen& seen = *static_cast<Seen*>(SSL_get_app_data(ssl));
          seen.is_called = true;
          seen.server_name = ExtensionOf(ssl, TLSEXT_TYPE_server_name);
          seen.alpn = ExtensionOf(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation);
          return SSL_CLIENT_HELLO_ERROR;
        },
        nullptr);
    return made;
  }();
  Seen seen;
  tls::SslPtr ssl(SSL_new(context));
  SSL_set_app_data(ssl.get(), &seen);
  BIO* in = BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()));
  SSL_set_bio(ssl.get(), in, BIO_new(BIO_s_mem()));
  SSL_accept(ssl.get());
  ERR_clear_error();
  return seen;
}

// The same handshake bytes in records of `size`.
std::string CutAnew(std::string_view records, size_t size) {
  std::string message, result;
  while (records.size() >= 5) {
    size_t length = static_cast<size_t>(static_cast<unsigned char>(records[3]) << 8 |
                                        static_cast<unsigned char>(records[4]));
    message.append(records.substr(5, length));
    if (records.size() < 5 + length) break;
    records.remove_prefix(5 + length);
    if (records.empty() || records[0] != 22) break;
  }
  for (size_t at = 0; at < message.size(); at += size) {
    std::string_view part = std::string_view(message).substr(at, size);
    result.append("\x16\x03\x03", 3);
    result.push_back(static_cast<char>(part.size() >> 8));
    result.push_back(static_cast<char>(part.size()));
    result.append(part);
  }
  return result;
}

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  std::string_view bytes = AsText({data, size});
  auto whole = tls::ParseClientHello(bytes);
  // A prefix is never refused where the whole is not, and never tells another story.
  size_t step = size / 64 + 1;
  for (size_t cut = 0; cut < size; cut += step) {
    auto part = tls::ParseClientHello(bytes.substr(0, cut));
    if (!whole) continue;
    GENKAN_CHECK(part.has_value());
    if (*part) GENKAN_CHECK(*whole && fuzz::AreEqual(**part, **whole));
  }
  if (!whole || !*whole) return 0;
  for (size_t piece : {size_t{1}, size_t{7}, size_t{16384}}) {
    std::string anew = fuzz::CutAnew(bytes, piece);
    if (anew.size() >= 16384) continue;
    auto again = tls::ParseClientHello(anew);
    GENKAN_CHECK(again && *again && fuzz::AreEqual(**again, **whole));
  }
  fuzz::Seen seen = fuzz::AskOpenssl(bytes);
  if (!seen.is_called) return 0;
  const tls::ClientHello& hello = **whole;
  // The name is the last part of the extension, but for its dot and its case.
  std::string name = ToLower(seen.server_name);
  if (!name.empty() && name.back() == '.') name.pop_back();
  GENKAN_CHECK(hello.server_name.empty() || name.find(hello.server_name) != std::string::npos);
  for (const auto& protocol : hello.alpn)
    GENKAN_CHECK(seen.alpn.find(protocol) != std::string::npos);
  GENKAN_CHECK(hello.alpn.empty() == seen.alpn.empty());
  return 0;
}
