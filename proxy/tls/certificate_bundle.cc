#include "proxy/tls/certificate_bundle.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <utility>

namespace genkan::tls {

CertificateBundle::~CertificateBundle() = default;

CertificateBundle::Stack CertificateBundle::IntermediatesOf(
    const std::vector<CertificatePtr>& chain) {
  Stack stack(sk_X509_new_reserve(nullptr, static_cast<int>(chain.size())));
  for (size_t i = 1; stack && i < chain.size(); ++i) sk_X509_push(stack.get(), chain[i]->x509());
  return stack;
}

Result<BundlePtr> CertificateBundle::Make(std::vector<CertificatePtr> chain, PrivateKeyPtr key,
                                          std::vector<CertificatePtr> long_chain) {
  if (chain.empty()) return Fail(ErrorCode::kInvalid, "no certificate");
  for (const auto* list : {&chain, &long_chain}) {
    for (const CertificatePtr& certificate : *list) {
      if (!certificate) return Fail(ErrorCode::kInternal, "a gap in the chain");
    }
  }
  if (!long_chain.empty() && long_chain.front() != chain.front())
    return Fail(ErrorCode::kInternal, "the long chain is of another leaf");
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
  bundle->intermediates_ = IntermediatesOf(chain);
  if (!long_chain.empty()) bundle->long_intermediates_ = IntermediatesOf(long_chain);
  if (!bundle->intermediates_ || (!long_chain.empty() && !bundle->long_intermediates_))
    return Fail(ErrorCode::kInternal, "no memory for the chain");
  bundle->chain_ = std::move(chain);
  bundle->long_chain_ = std::move(long_chain);
  bundle->key_ = std::move(key);
  return BundlePtr(std::move(bundle));
}

BundlePtr CertificateBundle::WithStaple(std::shared_ptr<const Staple> staple) const {
  std::shared_ptr<CertificateBundle> bundle(new CertificateBundle());
  bundle->chain_ = chain_;
  bundle->long_chain_ = long_chain_;
  bundle->key_ = key_;
  bundle->intermediates_ = IntermediatesOf(chain_);
  if (!long_chain_.empty()) bundle->long_intermediates_ = IntermediatesOf(long_chain_);
  bundle->staple_ = std::move(staple);
  return bundle;
}

std::string ToPem(const CertificateBundle& bundle) {
  const ErrorQueueGuard guard;
  // Cleared when it is freed.
  std::unique_ptr<BIO, int (*)(BIO*)> out(BIO_new(BIO_s_secmem()), BIO_free);
  if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), bundle.key().get(), nullptr, nullptr, 0,
                                            nullptr, nullptr) != 1)
    return {};
  for (const CertificatePtr& certificate : bundle.chain()) {
    if (PEM_write_bio_X509(out.get(), certificate->x509()) != 1) return {};
  }
  char* bytes = nullptr;
  long size = BIO_get_mem_data(out.get(), &bytes);
  return std::string(bytes, static_cast<size_t>(size));
}

}  // namespace genkan::tls
