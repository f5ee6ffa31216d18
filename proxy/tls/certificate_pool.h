// What an operator handed over, read into one unordered pool: PEM (CRLF, BOM, blank lines, text
// between blocks), DER, PKCS#7, PKCS#12. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/tls/certificate.h"

namespace genkan::tls {

struct CertificatePool {
  std::vector<CertificatePtr> certificates;
  std::vector<PrivateKeyPtr> keys;
  // What could not be read although it looked like a block: "chain.pem: block 2: bad base64".
  // Half-written files show here (a BEGIN without its END).
  std::vector<std::string> problems;

  void Merge(CertificatePool&& other);
};

// Everything in `bytes`. `name` is for messages. At most 64 certificates and 64 keys are kept, from
// at most 1 MiB; more is a problem. Blocks of other kinds (parameters, requests, CRLs) are passed
// over. Without a password an encrypted key is a problem; nobody is ever asked for one.
inline constexpr size_t kMaxPoolBytes = 1 << 20;
// kLater: a plain private key whose public half is in sight is decoded when it is first used, so a
// broken one shows only then.
enum class KeyReading { kNow, kLater };
CertificatePool ReadPool(std::string_view bytes, std::string_view name,
                         std::string_view password = {}, KeyReading keys = KeyReading::kNow);

// The pool's certificate for `key`; of several (an old and a renewed one) one that is valid now,
// then the one that began last. Null where none matches.
CertificatePtr FindLeaf(const CertificatePool& pool, const PrivateKey& key, WallTime now);

}  // namespace genkan::tls
