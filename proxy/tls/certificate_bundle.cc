#include "proxy/tls/certificate_bundle.h"

#include <utility>

namespace genkan::tls {

CertificateBundle::~CertificateBundle() = default;

Result<BundlePtr> CertificateBundle::Make(std::vector<CertificatePtr> chain, PrivateKeyPtr key) {
  if (chain.empty()) return Fail(ErrorCode::kInvalid, "no certificate");
  for (const CertificatePtr& certificate : chain) {
    if (!certificate) return Fail(ErrorCode::kInternal, "a gap in the chain");
  }
  const Certificate& leaf = *chain.front();
  if (!key || key->get() == nullptr) {
    return Fail(ErrorCode::kInvalid, "no private key for {}", leaf.subject());
  }
  if (leaf.public_key().empty() || leaf.public_key() != key->public_key()) {
    return Fail(ErrorCode::kInvalid, "the private key does not match the certificate {}",
                leaf.subject());
  }
  const ErrorQueueGuard guard;
  std::shared_ptr<CertificateBundle> bundle(new CertificateBundle());
  bundle->intermediates_.reset(sk_X509_new_reserve(nullptr, static_cast<int>(chain.size())));
  if (!bundle->intermediates_) return Fail(ErrorCode::kInternal, "no memory for the chain");
  for (size_t i = 1; i < chain.size(); ++i) {
    sk_X509_push(bundle->intermediates_.get(), chain[i]->x509());
  }
  bundle->chain_ = std::move(chain);
  bundle->key_ = std::move(key);
  return BundlePtr(std::move(bundle));
}

BundlePtr CertificateBundle::WithStaple(std::shared_ptr<const Staple> staple) const {
  std::shared_ptr<CertificateBundle> bundle(new CertificateBundle());
  bundle->chain_ = chain_;
  bundle->key_ = key_;
  bundle->intermediates_.reset(sk_X509_dup(intermediates_.get()));
  bundle->staple_ = std::move(staple);
  return bundle;
}

}  // namespace genkan::tls
