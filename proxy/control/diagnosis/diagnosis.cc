#include "proxy/control/diagnosis/diagnosis.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "proxy/base/text.h"
#include "proxy/tls/chain_builder.h"

namespace genkan::control {
namespace {

using tls::CertificatePtr;
using tls::DropReason;

constexpr auto kDay = std::chrono::hours(24);
constexpr size_t kManyCertificates = 10;

// Roots whose cross-signs are still found in files, and that today's stores have thrown away.
struct ExpiredRoot {
  std::string_view common_name;
  int64_t expired_at;
};
constexpr ExpiredRoot kExpiredRoots[] = {
    {"DST Root CA X3", 1633010475},             // 2021-09-30
    {"AddTrust External CA Root", 1590835718},  // 2020-05-30
};

// "CN=DST Root CA X3,O=…": its common name.
std::string_view CommonNameOf(std::string_view name) {
  const size_t at = name.starts_with("CN=") ? 0 : name.find(",CN=");
  if (at == std::string_view::npos) return {};
  name.remove_prefix(at + (at == 0 ? 3 : 4));
  return name.substr(0, name.find(','));
}

bool IsIntermediate(const CertificatePtr& one) { return one->is_ca() && !one->is_self_signed(); }

class Look {
 public:
  Look(const Served& served, const std::vector<CertificatePtr>& roots,
       const std::vector<ClientKind>& clients, WallTime now)
      : served_(served), roots_(roots), clients_(clients), now_(now) {
    const size_t count = std::min(served.sent.size(), Diagnostician::kMaxCertificates);
    sent_.assign(served.sent.begin(), served.sent.begin() + static_cast<ptrdiff_t>(count));
  }

  Diagnosis Run() {
    if (sent_.empty()) return {};
    Build();
    for (const ClientKind& client : clients_)
      diagnosis_.verdicts.push_back(Judge(client, sent_, now_));
    LookAtLeaf();
    LookAtChain();
    LookAtRevocation();
    std::stable_sort(diagnosis_.findings.begin(), diagnosis_.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
    return std::move(diagnosis_);
  }

 private:
  const tls::Certificate& leaf() const { return *sent_.front(); }

  Finding& Add(FindingCode code, const tls::Certificate& at) {
    Finding finding;
    finding.code = code;
    finding.severity = SeverityOf(code);
    finding.facts.host = Printable(served_.host);
    finding.facts.subject = Printable(at.subject());
    finding.facts.issuer = Printable(at.issuer());
    diagnosis_.findings.push_back(std::move(finding));
    return diagnosis_.findings.back();
  }
  bool Has(FindingCode code) const {
    return std::any_of(diagnosis_.findings.begin(), diagnosis_.findings.end(),
                       [code](const Finding& finding) { return finding.code == code; });
  }

  // All clients fail with this code, whatever the chain.
  void FailEverybody(Finding& finding, int code) const {
    for (const ClientKind& client : clients_) {
      auto messages = MessagesOf(client.id, code, sent_.size(), finding.facts.host);
      if (!messages.empty()) finding.clients.push_back({client.id, std::move(messages)});
    }
  }
  // Those that refuse the chain as it was sent; the leaf's own dates are another finding.
  void FailThoseThatRefuse(Finding& finding) const {
    const bool is_leaf_out_of_date = leaf().not_after() <= now_ || leaf().not_before() > now_;
    for (const ClientVerdict& verdict : diagnosis_.verdicts) {
      const bool is_about_leaf = is_leaf_out_of_date && verdict.subject == leaf().subject() &&
                                 (verdict.code == X509_V_ERR_CERT_HAS_EXPIRED ||
                                  verdict.code == X509_V_ERR_CERT_NOT_YET_VALID);
      if (verdict.is_accepted || verdict.is_fetched || is_about_leaf) continue;
      finding.clients.push_back({verdict.client, MessagesOf(verdict.client, verdict.code,
                                                            sent_.size(), finding.facts.host)});
    }
  }
  // What is in the way of those alone that take the order as it comes. Where it is in nobody's
  // way, it is waste.
  void FailThoseWhoWantOrder(Finding& finding) const {
    finding.severity = Severity::kNote;
    for (const ClientVerdict& verdict : diagnosis_.verdicts) {
      if (verdict.client != "strict_order" || verdict.is_accepted) continue;
      finding.severity = Severity::kWillBreak;
      finding.clients.push_back({verdict.client, MessagesOf(verdict.client, verdict.code,
                                                            sent_.size(), finding.facts.host)});
    }
  }

  void Build() {
    tls::ChainInput input;
    input.leaf = sent_.front();
    input.pool.assign(sent_.begin() + 1, sent_.end());
    input.roots = roots_;
    input.now = now_;
    built_ = tls::ChainBuilder::Build(input);
    diagnosis_.chain = built_.certificates;
    diagnosis_.is_chain_complete = built_.is_complete;
  }

  void LookAtLeaf() {
    if (leaf().not_after() <= now_) {
      Finding& finding = Add(FindingCode::kLeafExpired, leaf());
      finding.facts.when = leaf().not_after();
      FailEverybody(finding, X509_V_ERR_CERT_HAS_EXPIRED);
    } else if (leaf().not_before() > now_) {
      Finding& finding = Add(FindingCode::kLeafNotYetValid, leaf());
      finding.facts.when = leaf().not_before();
      FailEverybody(finding, X509_V_ERR_CERT_NOT_YET_VALID);
    } else if (IsNearItsEnd(leaf(), now_)) {
      Add(FindingCode::kLeafExpiresSoon, leaf()).facts.when = leaf().not_after();
    }
    if (!served_.host.empty() && !leaf().Covers(served_.host)) {
      Finding& finding = Add(FindingCode::kNameMismatch, leaf());
      finding.facts.names = NamesOf(leaf());
      FailEverybody(finding, kCodeHostMismatch);
    } else if (!served_.host.empty() && !leaf().is_ca() &&
               X509_get_ext_by_NID(leaf().x509(), NID_subject_alt_name, -1) < 0) {
      // OpenSSL still looks at the subject then; what is newer does not (RFC 9525 2).
      Finding& finding = Add(FindingCode::kNameNotInSan, leaf());
      finding.clients.push_back(
          {"modern", MessagesOf("modern", kCodeHostMismatch, sent_.size(), finding.facts.host)});
    }
  }

  void LookAtChain() {
    if (served_.sent.size() > kManyCertificates)
      Add(FindingCode::kChainTooLong, leaf()).facts.detail = std::to_string(served_.sent.size());
    LookAtDropped();
    LookAtEnds();
    if (!built_.is_complete) LookAtMissing();
    LookAtOrder();
    LookAtTrust();
  }

  // Each kind of certificate that should not be sent: the first of it stands for all.
  void LookAtDropped() {
    for (const tls::DroppedCertificate& one : built_.dropped) {
      const tls::Certificate& at = *one.certificate;
      if (one.reason == DropReason::kDuplicate) {
        if (!Has(FindingCode::kChainDuplicate))
          FailThoseWhoWantOrder(Add(FindingCode::kChainDuplicate, at));
      } else if (at.is_self_signed() && one.reason == DropReason::kRoot) {
        if (!Has(FindingCode::kChainRootSent)) Add(FindingCode::kChainRootSent, at);
      } else if (one.reason == DropReason::kUnrelated) {
        // Below a link that is missing nobody can tell who is a stranger.
        if (built_.is_complete && !Has(FindingCode::kChainUnrelated))
          FailThoseWhoWantOrder(Add(FindingCode::kChainUnrelated, at));
      } else {
        LookAtExpired(one.certificate, one.reason);
      }
    }
    const auto again = [this](const CertificatePtr& one) { return one->der() == leaf().der(); };
    if (!Has(FindingCode::kChainDuplicate) && std::any_of(sent_.begin() + 1, sent_.end(), again))
      FailThoseWhoWantOrder(Add(FindingCode::kChainDuplicate, leaf()));
  }

  // Another certificate of the same authority that is a trusted root itself: `one` is a cross-sign.
  bool IsTrustedAuthority(const tls::Certificate& one) const {
    return std::any_of(roots_.begin(), roots_.end(), [&](const CertificatePtr& root) {
      return root->subject_der() == one.subject_der() && root->public_key() == one.public_key() &&
             root->is_self_signed() && root->not_after() > now_;
    });
  }

  // When the root above this cross-sign expired; nothing where it has not, or is not known.
  std::optional<WallTime> EndOfIssuer(const tls::Certificate& one) const {
    const auto is_it = [&](const CertificatePtr& root) {
      return root->subject_der() == one.issuer_der() && root->is_self_signed() &&
             root->not_after() <= now_ && IsIssuerOf(*root, one);
    };
    const auto look = [&](const std::vector<CertificatePtr>& list) -> std::optional<WallTime> {
      const auto found = std::find_if(list.begin(), list.end(), is_it);
      return found == list.end() ? std::nullopt : std::optional((*found)->not_after());
    };
    for (const auto* list : {&roots_, &sent_}) {
      if (const auto end = look(*list)) return end;
    }
    // What old clients still hold.
    for (const ClientKind& client : clients_) {
      if (const auto end = look(client.profile->roots())) return end;
    }
    const std::string issuer = one.issuer();
    for (const ExpiredRoot& root : kExpiredRoots) {
      if (CommonNameOf(issuer) == root.common_name) return WallTime(Seconds(root.expired_at));
    }
    return std::nullopt;
  }

  void LookAtExpired(const CertificatePtr& one, DropReason reason) {
    if (!IsIntermediate(one)) return;
    const bool is_expired = one->not_after() <= now_;
    const auto end_of_issuer = EndOfIssuer(*one);
    if (IsTrustedAuthority(*one) && (is_expired || end_of_issuer)) {
      if (Has(FindingCode::kChainExpiredCrossSign)) return;
      Finding& finding = Add(FindingCode::kChainExpiredCrossSign, *one);
      finding.facts.when = is_expired ? one->not_after() : *end_of_issuer;
      FailThoseThatRefuse(finding);
    } else if (is_expired && !Has(FindingCode::kChainExpiredIntermediate)) {
      Finding& finding = Add(FindingCode::kChainExpiredIntermediate, *one);
      finding.facts.when = one->not_after();
      // Beside a way that is good it is in the way of a few only.
      if (built_.is_complete) finding.severity = Severity::kWillBreak;
      FailThoseThatRefuse(finding);
    } else if (reason == DropReason::kExpiredRoot && !Has(FindingCode::kChainExpiredIntermediate) &&
               end_of_issuer) {
      Finding& finding = Add(FindingCode::kChainExpiredCrossSign, *one);
      finding.facts.when = *end_of_issuer;
      FailThoseThatRefuse(finding);
    }
  }

  void LookAtEnds() {
    for (size_t i = 1; i < built_.certificates.size(); ++i) {
      const tls::Certificate& one = *built_.certificates[i];
      if (EndsTooSoon(one, leaf(), now_))
        Add(FindingCode::kChainIntermediateExpiresSoon, one).facts.when = one.not_after();
      // A cross-sign that is on the way which was found, because the store has only its issuer.
      if (const auto end = EndOfIssuer(one); end && IsTrustedAuthority(one)) {
        if (Has(FindingCode::kChainExpiredCrossSign)) continue;
        Finding& finding = Add(FindingCode::kChainExpiredCrossSign, one);
        finding.facts.when = *end;
        FailThoseThatRefuse(finding);
      }
    }
  }

  void LookAtMissing() {
    if (leaf().is_self_signed()) return;  // LookAtTrust says it
    const tls::Certificate& last = *built_.certificates.back();
    // It is there, but its time is over; that was said.
    const bool is_expired_there =
        std::any_of(sent_.begin() + 1, sent_.end(), [&](const CertificatePtr& one) {
          return one->subject_der() == last.issuer_der() && one->not_after() <= now_;
        });
    if (is_expired_there &&
        (Has(FindingCode::kChainExpiredIntermediate) || Has(FindingCode::kChainExpiredCrossSign))) {
      return;
    }
    // A root that no store has names no URL where its certificate could be fetched.
    if (built_.certificates.size() > 1 && (built_.missing_urls.empty() || roots_.empty())) return;
    Finding& finding = Add(FindingCode::kChainMissingIntermediate, last);
    if (!built_.missing_urls.empty()) finding.facts.url = Printable(built_.missing_urls.front());
    FailThoseThatRefuse(finding);
  }

  void LookAtOrder() {
    std::set<std::string_view> missing, ignored;
    for (const CertificatePtr& one : built_.certificates) missing.insert(one->sha256());
    missing.erase(leaf().sha256());
    // What should not be there at all has a finding of its own.
    for (const tls::DroppedCertificate& one : built_.dropped) {
      const bool is_part = one.reason == DropReason::kOtherPath || one.reason == DropReason::kRoot;
      if (!is_part && !missing.contains(one.certificate->sha256()))
        ignored.insert(one.certificate->sha256());
    }
    std::set<std::string_view> seen = {leaf().sha256()};
    const tls::Certificate* before = &leaf();
    for (size_t i = 1; i < sent_.size() && !missing.empty(); ++i) {
      const tls::Certificate& one = *sent_[i];
      if (ignored.contains(one.sha256()) || !seen.insert(one.sha256()).second) continue;
      if (!IsIssuerOf(one, *before)) {
        Finding& finding = Add(FindingCode::kChainOrder, *before);
        FailThoseWhoWantOrder(finding);
        finding.severity = SeverityOf(FindingCode::kChainOrder);
        return;
      }
      missing.erase(one.sha256());
      before = &one;
    }
  }

  // What a client of today says to the best that can be made of it.
  void LookAtTrust() {
    if (leaf().is_self_signed()) {
      if (IsAnchor(leaf())) return;
      Finding& finding = Add(FindingCode::kSelfSigned, leaf());
      FailEverybody(finding, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
      return;
    }
    if (Has(FindingCode::kLeafExpired) || Has(FindingCode::kLeafNotYetValid) ||
        Has(FindingCode::kChainMissingIntermediate) ||
        (Has(FindingCode::kChainExpiredIntermediate) && !built_.is_complete)) {
      return;
    }
    for (const ClientVerdict& verdict : diagnosis_.verdicts) {
      if (verdict.client != "no_aia" || verdict.is_accepted) continue;
      if (Has(FindingCode::kChainExpiredCrossSign) && verdict.code == X509_V_ERR_CERT_HAS_EXPIRED)
        continue;
      const bool is_about_root = verdict.code == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
                                 verdict.code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
                                 verdict.code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
      Finding& finding = Add(
          is_about_root ? FindingCode::kRootNotTrusted : FindingCode::kChainNotVerified, leaf());
      finding.facts.issuer = Printable(built_.certificates.back()->issuer());
      finding.facts.detail = Printable(verdict.subject + ": " + verdict.reason);
      FailThoseThatRefuse(finding);
    }
  }

  bool IsAnchor(const tls::Certificate& one) const {
    return std::any_of(roots_.begin(), roots_.end(),
                       [&](const CertificatePtr& root) { return root->der() == one.der(); });
  }

  void LookAtRevocation() {
    if (served_.revocation && served_.revocation->is_revoked) {
      Finding& finding = Add(FindingCode::kRevoked, leaf());
      finding.facts.when = served_.revocation->since;
      finding.facts.detail =
          Printable((served_.revocation->reason.empty() ? std::string("no reason given")
                                                        : served_.revocation->reason) +
                    ", " + served_.revocation->source);
      FailEverybody(finding, kCodeRevoked);
    }
    if (!served_.staple_problem.empty()) {
      Finding& finding = Add(FindingCode::kStapleInvalid, leaf());
      finding.facts.detail = Printable(served_.staple_problem);
    }
    if (!leaf().has_must_staple()) return;
    if (leaf().ocsp_urls().empty()) {
      Finding& finding = Add(FindingCode::kMustStapleWithoutResponder, leaf());
      FailEverybody(finding, kCodeNoStaple);
    } else if (served_.is_staple_expected && !served_.has_good_staple) {
      Finding& finding = Add(FindingCode::kMustStapleWithoutStaple, leaf());
      FailEverybody(finding, kCodeNoStaple);
    }
  }

  const Served& served_;
  const std::vector<CertificatePtr>& roots_;
  const std::vector<ClientKind>& clients_;
  const WallTime now_;
  std::vector<CertificatePtr> sent_;
  tls::Chain built_;
  Diagnosis diagnosis_;
};

}  // namespace

bool IsNearItsEnd(const tls::Certificate& leaf, WallTime now) {
  const auto life = leaf.not_after() - leaf.not_before();
  const auto left = leaf.not_after() - now;
  return left <= (life < 10 * kDay ? life / 2 : life / 3);
}

bool EndsTooSoon(const tls::Certificate& intermediate, const tls::Certificate& leaf, WallTime now) {
  constexpr auto kNotice = 14 * kDay;
  return intermediate.not_after() < leaf.not_after() && intermediate.not_after() <= now + kNotice &&
         intermediate.not_after() > now;
}

tls::CertificatePtr IssuerIn(const Diagnosis& diagnosis, const std::vector<CertificatePtr>& roots) {
  if (diagnosis.chain.size() > 1) return diagnosis.chain[1];
  if (diagnosis.chain.empty()) return nullptr;
  const tls::Certificate& leaf = *diagnosis.chain.front();
  for (const CertificatePtr& root : roots)
    if (IsIssuerOf(*root, leaf)) return root;
  return nullptr;
}

bool IsVerified(const Diagnosis& diagnosis) {
  return std::any_of(diagnosis.verdicts.begin(), diagnosis.verdicts.end(),
                     [](const ClientVerdict& verdict) { return verdict.is_accepted; });
}

std::string NamesOf(const tls::Certificate& leaf) {
  constexpr size_t kMost = 8;
  std::string text;
  for (size_t i = 0; i < leaf.names().size() && i < kMost; ++i)
    text += (i == 0 ? "" : ", ") + Printable(leaf.names()[i]);
  if (leaf.names().size() > kMost)
    text += fmt::format(", … ({} more)", leaf.names().size() - kMost);
  return text;
}

Result<Diagnostician> Diagnostician::Make(std::vector<CertificatePtr> roots,
                                          const std::string& profiles) {
  Diagnostician made;
  made.roots_ = std::move(roots);
  auto clients = MakeClients(made.roots_, profiles);
  if (!clients) return PassOn(clients);
  made.clients_ = *std::move(clients);
  return made;
}

Diagnosis Diagnostician::Diagnose(const Served& served, WallTime now) const {
  const tls::ErrorQueueGuard guard;
  return Look(served, roots_, clients_, now).Run();
}

}  // namespace genkan::control
