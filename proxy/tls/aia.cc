#include "proxy/tls/aia.h"

#include <algorithm>

#include "proxy/base/text.h"
#include "proxy/tls/certificate_pool.h"

namespace genkan::tls {
namespace {

constexpr size_t kMaxUrl = 2048;
constexpr size_t kMaxSteps = 8;
constexpr std::string_view kScheme = "http://";

bool HasSigned(const Certificate& issuer, const Certificate& subject) {
  if (!issuer.is_ca() || issuer.subject_der() != subject.issuer_der()) return false;
  const X509Ptr x509 = subject.Borrow();
  if (X509_check_issued(issuer.x509(), x509.get()) != X509_V_OK) return false;
  EVP_PKEY* key = X509_get0_pubkey(issuer.x509());
  return key != nullptr && X509_verify(x509.get(), key) == 1;
}

}  // namespace

bool IsAiaUrl(std::string_view url) {
  if (url.size() <= kScheme.size() || url.size() > kMaxUrl) return false;
  if (ToLower(url.substr(0, kScheme.size())) != kScheme) return false;
  if (std::any_of(url.begin(), url.end(), [](char c) { return c < 0x21 || c > 0x7e; }))
    return false;
  const std::string_view rest = url.substr(kScheme.size());
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  return !authority.empty() && authority.find('@') == authority.npos;
}

Result<std::vector<CertificatePtr>> AcceptIssuers(const Certificate& subject,
                                                  std::string_view bytes, WallTime now) {
  const ErrorQueueGuard guard;
  if (bytes.size() > kMaxAiaBytes)
    return Fail(ErrorCode::kTooLarge, "more than {} bytes", kMaxAiaBytes);
  const CertificatePool pool = ReadPool(bytes, "the answer");
  if (pool.certificates.empty())
    return Fail(ErrorCode::kInvalid, "{}",
                pool.problems.empty() ? "no certificate in it" : pool.problems.front());
  std::vector<CertificatePtr> accepted;
  const Certificate* last = &subject;
  while (accepted.size() < kMaxSteps && !last->is_self_signed()) {
    const auto issuer = std::find_if(
        pool.certificates.begin(), pool.certificates.end(), [&](const CertificatePtr& one) {
          return one->not_before() <= now && now < one->not_after() && HasSigned(*one, *last);
        });
    if (issuer == pool.certificates.end()) break;
    const bool is_known = std::find(accepted.begin(), accepted.end(), *issuer) != accepted.end();
    if (is_known) break;  // cross-signs in a circle
    accepted.push_back(*issuer);
    last = issuer->get();
  }
  if (accepted.empty())
    return Fail(ErrorCode::kInvalid, "what it gave ({}) did not sign {}, or is not valid now",
                pool.certificates.front()->subject(), subject.subject());
  return accepted;
}

}  // namespace genkan::tls
