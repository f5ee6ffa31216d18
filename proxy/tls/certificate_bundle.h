// A leaf with its key, its chain and, perhaps, an OCSP staple. Immutable: a new staple makes a new
// bundle, so a staple can never meet another certificate. Thread-safe. Shared by CertStore and by
// each handshake in progress.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/tls/certificate.h"

namespace genkan::tls {

struct Staple {
  // What fits the extension of a certificate in TLS 1.3 (RFC 8446 4.4.2.1).
  static constexpr size_t kMost = 0xffff - 8;

  std::string der;  // the whole OCSPResponse
  WallTime this_update;
  WallTime next_update;  // never serve it at or after this
};

class CertificateBundle;
using BundlePtr = std::shared_ptr<const CertificateBundle>;

class CertificateBundle {
 public:
  // `chain`: leaf first. Fails where the key is not the leaf's. `long_chain`: of the same leaf, for
  // some clients (client_chain.h); empty: there is one chain for all.
  static Result<BundlePtr> Make(std::vector<CertificatePtr> chain, PrivateKeyPtr key,
                                std::vector<CertificatePtr> long_chain = {});
  // The same with another staple (nullptr: none).
  BundlePtr WithStaple(std::shared_ptr<const Staple> staple) const;
  // The same with leaf and key parsed anew by whoever uses it: what a trial decodes goes with it.
  BundlePtr Apart() const;
  ~CertificateBundle();

  const Certificate& leaf() const { return *chain_.front(); }
  const CertificatePtr& leaf_ptr() const { return chain_.front(); }
  const std::vector<CertificatePtr>& chain() const { return chain_; }
  const std::vector<CertificatePtr>& long_chain() const { return long_chain_; }
  const PrivateKey& key() const { return *key_; }
  // SHA-256 (32 bytes) over the chain and the key: equal ones serve alike.
  std::string fingerprint() const;
  const std::shared_ptr<const Staple>& staple() const { return staple_; }
  // The chain without its leaf, as SSL_use_cert_and_key takes it. Owned by the bundle.
  STACK_OF(X509) * intermediates() const { return intermediates_.get(); }
  STACK_OF(X509) * long_intermediates() const { return long_intermediates_.get(); }

 private:
  struct StackDeleter {
    void operator()(STACK_OF(X509) * stack) const noexcept { sk_X509_free(stack); }
  };
  CertificateBundle() = default;

  using Stack = std::unique_ptr<STACK_OF(X509), StackDeleter>;
  static Stack IntermediatesOf(const std::vector<CertificatePtr>& chain);

  std::vector<CertificatePtr> chain_, long_chain_;
  PrivateKeyPtr key_;
  std::shared_ptr<const Staple> staple_;
  Stack intermediates_, long_intermediates_;
};

// The key, unencrypted, then the chain, as ReadPool takes it back. "" where the key cannot be
// written.
std::string ToPem(const CertificateBundle& bundle);

}  // namespace genkan::tls
