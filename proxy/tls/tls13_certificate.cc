#include "proxy/tls/tls13_certificate.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <optional>

#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"
#include "proxy/tls/wire_reader.h"
#include "proxy/tls/wire_writer.h"

namespace genkan::tls {
namespace {

using namespace std::string_view_literals;
using provider::Sha2;
using EvpPkeyCtxPtr = OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

enum class KeyKind { kP256, kP384, kRsa };

struct Scheme {
  uint16_t number;
  KeyKind kind;
  Sha2 digest;
  const EVP_MD* (*evp_digest)();
};

// Those of RFC 8446 4.2.3 that sign in TLS 1.3; a curve has its one hash.
constexpr Scheme kSchemes[] = {
    {0x0403, KeyKind::kP256, Sha2::kSha256, &EVP_sha256},
    {0x0503, KeyKind::kP384, Sha2::kSha384, &EVP_sha384},
    {0x0804, KeyKind::kRsa, Sha2::kSha256, &EVP_sha256},
    {0x0805, KeyKind::kRsa, Sha2::kSha384, &EVP_sha384},
    {0x0806, KeyKind::kRsa, Sha2::kSha512, &EVP_sha512},
};

const Scheme* FindScheme(unsigned number) {
  const auto* found = std::find_if(std::begin(kSchemes), std::end(kSchemes),
                                   [&](const Scheme& scheme) { return scheme.number == number; });
  return found == std::end(kSchemes) ? nullptr : found;
}

// From the SubjectPublicKeyInfo, whose front says it all (RFC 5480 2, RFC 8017 A.1).
std::optional<KeyKind> KindOf(const PrivateKey& key) {
  constexpr auto kP256 =
      "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48"
      "\xce\x3d\x03\x01\x07\x03\x42\x00\x04"sv;
  constexpr auto kP384 =
      "\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04"
      "\x00\x22\x03\x62\x00\x04"sv;
  constexpr auto kRsa = "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82"sv;
  constexpr int kLeastRsaBits = 2048;
  const std::string_view info = key.public_key();
  if (info.starts_with(kP256)) return KeyKind::kP256;
  if (info.starts_with(kP384)) return KeyKind::kP384;
  if (info.size() > 4 && info.substr(4).starts_with(kRsa) && key.get() != nullptr &&
      EVP_PKEY_get_bits(key.get()) >= kLeastRsaBits)
    return KeyKind::kRsa;
  return std::nullopt;
}

std::vector<uint16_t> AskForSchemes() {
  const SslCtxPtr server_context(SSL_CTX_new(TLS_server_method()));
  const SslCtxPtr client_context(SSL_CTX_new(TLS_client_method()));
  std::vector<uint16_t> schemes;
  if (!server_context || !client_context) return schemes;
  SSL_CTX_set_security_level(client_context.get(), 0);
  SSL_CTX_set_security_level(server_context.get(), 2);
  // Before a certificate is chosen both lists have been compared; more is not needed.
  SSL_CTX_set_cert_cb(
      server_context.get(),
      [](SSL* ssl, void* result) {
        auto& found = *static_cast<std::vector<uint16_t>*>(result);
        unsigned char signature = 0, hash = 0;
        const int count =
            SSL_get_shared_sigalgs(ssl, 0, nullptr, nullptr, nullptr, nullptr, nullptr);
        for (int i = 0; i < count; ++i) {
          SSL_get_shared_sigalgs(ssl, i, nullptr, nullptr, nullptr, &signature, &hash);
          found.push_back(static_cast<uint16_t>(hash << 8 | signature));
        }
        return 0;
      },
      &schemes);
  const SslPtr server(SSL_new(server_context.get())), client(SSL_new(client_context.get()));
  BIO *server_end = nullptr, *client_end = nullptr;
  if (!server || !client || BIO_new_bio_pair(&server_end, 0, &client_end, 0) != 1) return schemes;
  SSL_set_bio(server.get(), server_end, server_end);
  SSL_set_bio(client.get(), client_end, client_end);
  SSL_connect(client.get());
  SSL_accept(server.get());
  return schemes;
}

}  // namespace

std::span<const uint16_t> ConfiguredSchemes() {
  static const std::vector<uint16_t>& schemes = *new std::vector<uint16_t>([] {
    const ErrorQueueGuard guard;
    return AskForSchemes();
  }());
  return schemes;
}

uint16_t ChooseScheme(std::string_view signatures, std::span<const uint16_t> allowed,
                      const PrivateKey& key) {
  const auto kind = KindOf(key);
  WireReader outer(signatures);
  WireReader list(outer.Vector(2));
  if (!kind || !outer.is_done()) return 0;
  while (!list.is_empty()) {
    const Scheme* scheme = FindScheme(list.Int(2));
    if (list.has_failed()) return 0;
    if (scheme != nullptr && scheme->kind == *kind &&
        std::find(allowed.begin(), allowed.end(), scheme->number) != allowed.end())
      return scheme->number;
  }
  return 0;
}

void AppendCertificate(const std::vector<CertificatePtr>& chain, std::string_view staple,
                       std::string& messages) {
  constexpr size_t kStatusHeader = 4 + 4;  // the extension's, and its body's
  constexpr size_t kEntry = 3 + 2;
  size_t list = staple.empty() ? 0 : kStatusHeader + staple.size();
  for (const CertificatePtr& one : chain) list += kEntry + one->der().size();
  messages.reserve(messages.size() + 4 + 1 + 3 + list);
  AppendInt(messages, SSL3_MT_CERTIFICATE, 1);
  AppendInt(messages, 1 + 3 + list, 3);
  AppendInt(messages, 0, 1);  // certificate_request_context
  AppendInt(messages, list, 3);
  for (const CertificatePtr& one : chain) {
    AppendVector(messages, 3, one->der());
    if (staple.empty()) {
      AppendInt(messages, 0, 2);
      continue;
    }
    AppendInt(messages, kStatusHeader + staple.size(), 2);
    AppendInt(messages, TLSEXT_TYPE_status_request, 2);
    AppendInt(messages, 4 + staple.size(), 2);
    AppendInt(messages, TLSEXT_STATUSTYPE_ocsp, 1);
    AppendVector(messages, 3, staple);
    staple = {};  // of the leaf alone
  }
}

bool AppendCertificateVerify(const PrivateKey& key, uint16_t number, provider::Bytes transcript,
                             std::string& messages) {
  const Scheme* scheme = FindScheme(number);
  const EvpPkeyCtxPtr context(
      key.get() == nullptr ? nullptr : EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (scheme == nullptr || !context || EVP_PKEY_sign_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_signature_md(context.get(), scheme->evp_digest()) != 1)
    return false;
  if (scheme->kind == KeyKind::kRsa &&
      (EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) != 1 ||
       EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_DIGEST) != 1))
    return false;
  static const std::string kFront =
      std::string(64, ' ') + std::string("TLS 1.3, server CertificateVerify\0"sv);
  std::array<unsigned char, provider::kMaxDigest> hash;
  provider::Sha2Hash content(scheme->digest);
  content.Update(AsBytes(kFront));
  content.Update(transcript);
  content.Finish(hash.data());
  std::string signature(static_cast<size_t>(EVP_PKEY_get_size(key.get())), '\0');
  size_t size = signature.size();
  if (EVP_PKEY_sign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                    hash.data(), provider::DigestSize(scheme->digest)) != 1)
    return false;
  AppendInt(messages, SSL3_MT_CERTIFICATE_VERIFY, 1);
  AppendInt(messages, 2 + 2 + size, 3);
  AppendInt(messages, number, 2);
  AppendVector(messages, 2, std::string_view(signature).substr(0, size));
  return true;
}

}  // namespace genkan::tls
