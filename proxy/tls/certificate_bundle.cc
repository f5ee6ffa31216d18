#include "proxy/tls/certificate_bundle.h"

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <utility>

#include "proxy/base/text.h"

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
  if (!key || key->public_key().empty()) {
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

BundlePtr CertificateBundle::Apart() const {
  std::shared_ptr<CertificateBundle> bundle(new CertificateBundle());
  bundle->chain_ = chain_;
  bundle->chain_.front() = leaf().Apart();
  bundle->key_ = key_->Apart();
  bundle->intermediates_.reset(sk_X509_dup(intermediates_.get()));
  bundle->long_chain_ = long_chain_;
  if (!long_chain_.empty()) {
    bundle->long_chain_.front() = bundle->chain_.front();
    bundle->long_intermediates_.reset(sk_X509_dup(long_intermediates_.get()));
  }
  bundle->staple_ = staple_;
  return bundle;
}

std::string CertificateBundle::fingerprint() const {
  std::string hashes;
  for (const auto* chain : {&chain_, &long_chain_}) {
    for (const CertificatePtr& certificate : *chain) hashes += certificate->sha256();
  }
  return Sha256(hashes + key_->sha256());
}

namespace {

void AppendPem(std::string& text, std::string_view label, std::string_view der) {
  constexpr size_t kLine = 64;
  std::string body = Base64Encode(AsBytes(der));
  text += fmt::format("-----BEGIN {}-----\n", label);
  for (size_t at = 0; at < body.size(); at += kLine) text.append(body, at, kLine).append("\n");
  text += fmt::format("-----END {}-----\n", label);
  OPENSSL_cleanse(body.data(), body.size());
}

// PKCS#8; "" where it cannot be written.
std::string KeyToPem(const PrivateKey& key) {
  // Cleared when it is freed.
  std::unique_ptr<BIO, int (*)(BIO*)> out(BIO_new(BIO_s_secmem()), BIO_free);
  if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                            nullptr) != 1)
    return {};
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out.get(), &bytes);
  return std::string(bytes, static_cast<size_t>(size));
}

// Not SEC 1 or PKCS#1, which have labels of their own.
bool IsPkcs8(std::string_view der) {
  // SEQUENCE, length, INTEGER of the version, then another SEQUENCE: the algorithm.
  const size_t head = der.size() < 2                        ? 0
                      : static_cast<uint8_t>(der[1]) < 0x80 ? 2
                                                            : 2 + (der[1] & 0x7f);
  return head != 0 && der.size() > head + 3 && der[head] == 0x02 && der[head + 1] == 1 &&
         der[head + 3] == 0x30;
}

}  // namespace

std::string ToPem(const CertificateBundle& bundle) {
  const ErrorQueueGuard guard;
  std::string text;
  // As it was read, without decoding it.
  if (IsPkcs8(bundle.key().der())) {
    AppendPem(text, "PRIVATE KEY", bundle.key().der());
  } else {
    text = KeyToPem(bundle.key());
    if (text.empty()) return {};
  }
  for (const CertificatePtr& certificate : bundle.chain())
    AppendPem(text, "CERTIFICATE", certificate->der());
  return text;
}

}  // namespace genkan::tls
