#include "proxy/tls/trust_profile.h"

#include <algorithm>
#include <set>
#include <utility>

#include "proxy/tls/pem.h"

namespace genkan::tls {
namespace {

constexpr size_t kMaxRoots = 4096;
constexpr size_t kMaxRootBytes = 8 << 20;

using X509StackPtr =
    std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;

// One question to a profile.
struct Question {
  const TrustProfileOptions& options;
  const std::vector<CertificatePtr>& sent;
  const X509* leaf;
  const std::unordered_map<const X509*, CertificatePtr>& roots;
  X509_STORE_CTX_verify_fn verify;  // OpenSSL's own
  WallTime now;

  // Null for what neither was sent nor is a root.
  const Certificate* Find(const X509* x509) const {
    if (x509 == leaf) return sent.front().get();
    for (size_t i = 1; i < sent.size(); ++i) {
      if (x509 == sent[i]->x509()) return sent[i].get();
    }
    const auto root = roots.find(x509);
    return root == roots.end() ? nullptr : root->second.get();
  }
};

// Whether OpenSSL's last step, signatures and dates, has nothing left to find in the path: each
// signature has verified before (by hash), each key may sign certificates, and all are in their
// time. The last of the path is a trust anchor, whose own signature nobody looks at.
bool IsKnownToVerify(X509_STORE_CTX* context, const Question& question) {
  STACK_OF(X509)* path = X509_STORE_CTX_get0_chain(context);
  const int count = sk_X509_num(path);
  if (count < 2) return false;
  for (int i = 0; i < count; ++i) {
    const Certificate* one = question.Find(sk_X509_value(path, i));
    // Half-open, and without the second in which OpenSSL may round otherwise.
    if (one == nullptr || question.now <= one->not_before() + Seconds(1) ||
        question.now >= one->not_after() - Seconds(1))
      return false;
    if (i + 1 == count) return one->is_self_signed();
    X509* above = sk_X509_value(path, i + 1);
    const Certificate* issuer = question.Find(above);
    if (issuer == nullptr || (X509_get_key_usage(above) & KU_KEY_CERT_SIGN) == 0 ||
        !one->IsKnownSignedBy(*issuer))
      return false;
  }
  return false;
}

// The same bytes are mostly known already: profiles share their roots.
Result<CertificatePtr> RootOf(const std::string& der) {
  if (auto root = Certificate::FromDer(der)) return root;
  // Also reads what `openssl x509 -addtrust` appends.
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509Ptr x509(d2i_X509_AUX(nullptr, &at, static_cast<long>(der.size())));
  if (!x509) return Fail(ErrorCode::kInvalid, "no certificate");
  return Certificate::FromX509(std::move(x509));
}

// Most of a proof's time goes into signatures that were checked when the chain was built, or for
// the profile before, or for another leaf of the same authority.
int VerifyPath(X509_STORE_CTX* context) {
  const auto* question = static_cast<const Question*>(X509_STORE_CTX_get_app_data(context));
  return IsKnownToVerify(context, *question) ? 1 : question->verify(context);
}

}  // namespace

TrustProfileOptions ModernProfile(std::vector<CertificatePtr> roots) {
  return {.name = "modern", .roots = std::move(roots), .is_required = true, .security_level = 1};
}
TrustProfileOptions OpenSsl10Profile(std::vector<CertificatePtr> roots) {
  return {.name = "openssl_1_0", .roots = std::move(roots), .follows_sent_chain = true};
}
TrustProfileOptions OldAndroidProfile(std::vector<CertificatePtr> roots) {
  return {.name = "old_android", .roots = std::move(roots), .ignores_root_dates = true};
}
TrustProfileOptions GnuTls2020Profile(std::vector<CertificatePtr> roots) {
  return {.name = "gnutls_2020", .roots = std::move(roots), .follows_sent_chain = true};
}

TrustProfile::~TrustProfile() = default;

Result<TrustProfilePtr> TrustProfile::Make(TrustProfileOptions options) {
  const ErrorQueueGuard guard;
  std::shared_ptr<TrustProfile> profile(new TrustProfile());
  profile->store_.reset(X509_STORE_new());
  if (!profile->store_) return Fail(ErrorCode::kInternal, "no memory for a trust store");
  for (const CertificatePtr& root : options.roots) {
    // The same one twice is fine.
    if (X509_STORE_add_cert(profile->store_.get(), root->x509()) != 1) {
      return Fail(ErrorCode::kTls, "{}: {}: {}", options.name, root->subject(),
                  TakeOpensslErrors());
    }
  }
  profile->options_ = std::move(options);
  for (const CertificatePtr& root : profile->options_.roots)
    profile->by_x509_.emplace(root->x509(), root);
  return TrustProfilePtr(std::move(profile));
}

// Called at every error with is_good 0.
int TrustProfile::OnVerify(int is_good, X509_STORE_CTX* context) {
  const auto* question = static_cast<const Question*>(X509_STORE_CTX_get_app_data(context));
  if (is_good != 0 || !question->options.ignores_root_dates) return is_good;
  const int error = X509_STORE_CTX_get_error(context);
  if (error != X509_V_ERR_CERT_HAS_EXPIRED && error != X509_V_ERR_CERT_NOT_YET_VALID) return 0;
  X509* current = X509_STORE_CTX_get_current_cert(context);
  const auto& roots = question->options.roots;
  return std::any_of(roots.begin(), roots.end(), [current](const CertificatePtr& root) {
    return X509_cmp(root->x509(), current) == 0;
  });
}

Result<TrustVerdict> TrustProfile::Judge(const std::vector<CertificatePtr>& chain, WallTime now,
                                         X509* leaf) const {
  const ErrorQueueGuard guard;
  if (chain.empty()) return Fail(ErrorCode::kInvalid, "{}: an empty chain", name());
  const X509StackPtr sent(sk_X509_new_null());
  const X509StoreCtxPtr context(X509_STORE_CTX_new());
  if (!sent || !context) return Fail(ErrorCode::kInternal, "no memory for a proof");
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(sent.get(), chain[i]->x509());
  const X509Ptr borrowed = leaf == nullptr ? chain[0]->Borrow() : nullptr;
  if (leaf == nullptr) leaf = borrowed.get();
  if (X509_STORE_CTX_init(context.get(), store_.get(), leaf, sent.get()) != 1) {
    return Fail(ErrorCode::kInternal, "{}: {}", name(), TakeOpensslErrors());
  }
  Question question{options_, chain, leaf, by_x509_, X509_STORE_CTX_get_verify(context.get()), now};
  X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
  X509_STORE_CTX_set_app_data(context.get(), &question);
  X509_STORE_CTX_set_verify(context.get(), VerifyPath);
  X509_STORE_CTX_set_verify_cb(context.get(), OnVerify);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, std::chrono::system_clock::to_time_t(now));
  X509_VERIFY_PARAM_set_auth_level(param, options_.security_level);
  if (options_.follows_sent_chain) {
    X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_TRUSTED_FIRST);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_ALT_CHAINS);
  }
  TrustVerdict verdict;
  verdict.is_accepted = X509_verify_cert(context.get()) == 1;
  if (verdict.is_accepted) return verdict;
  verdict.code = X509_STORE_CTX_get_error(context.get());
  verdict.reason = X509_verify_cert_error_string(verdict.code);
  verdict.subject = chain[0]->subject();
  if (const X509* current = X509_STORE_CTX_get_current_cert(context.get()); current != nullptr) {
    // What OpenSSL looks at was given to it here; a copy of it costs more than the verdict.
    if (const Certificate* known = question.Find(current)) verdict.subject = known->subject();
  }
  return verdict;
}

Status TrustProfile::Prove(const std::vector<CertificatePtr>& chain, WallTime now) const {
  const auto verdict = Judge(chain, now);
  if (!verdict) return PassOn(verdict);
  if (verdict->is_accepted) return {};
  return Fail(ErrorCode::kTls, "{}: {}: {}", name(), verdict->subject, verdict->reason);
}

std::function<int(const std::vector<CertificatePtr>&)> ScoreBy(
    std::vector<TrustProfilePtr> profiles, WallTime now) {
  return [profiles = std::move(profiles), now](const std::vector<CertificatePtr>& chain) {
    int accepted = 0;
    const X509Ptr leaf = chain.empty() ? nullptr : chain.front()->Borrow();
    for (const TrustProfilePtr& profile : profiles) {
      if (const auto verdict = profile->Judge(chain, now, leaf.get());
          verdict && verdict->is_accepted) {
        ++accepted;
      } else if (profile->is_required()) {
        return 0;
      }
    }
    return accepted;
  };
}

Result<RootFile> ReadRoots(std::string_view pem) {
  const ErrorQueueGuard guard;
  if (pem.size() > kMaxRootBytes) {
    return Fail(ErrorCode::kTooLarge, "{} bytes of roots are more than {}", pem.size(),
                kMaxRootBytes);
  }
  RootFile file;
  std::set<std::string> seen;
  bool has_too_many = false;
  ScanPem(
      pem,
      [&](const PemBlock& block) {
        if (!block.label.ends_with("CERTIFICATE")) return;
        std::string der;
        auto root = DecodePemBody(block.base64, der)
                        ? RootOf(der)
                        : Result<CertificatePtr>(Fail(ErrorCode::kInvalid, "no certificate"));
        if (!root) {
          ++file.broken;
        } else if (!seen.insert((*root)->sha256()).second) {
          return;
        } else if (file.roots.size() < kMaxRoots) {
          file.roots.push_back(std::move(*root));
        } else {
          has_too_many = true;
        }
      },
      [&](const std::string&) { ++file.broken; });
  if (has_too_many) return Fail(ErrorCode::kTooLarge, "more than {} roots", kMaxRoots);
  return file;
}

}  // namespace genkan::tls
