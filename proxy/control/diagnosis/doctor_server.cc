// A running server: its addresses, the handshakes with it, and what is known of its certificates.
#include <fmt/core.h>

#include <algorithm>
#include <future>
#include <thread>

#include "proxy/control/diagnosis/doctor.h"
#include "proxy/tls/ocsp.h"
#include "proxy/tls/server_probe.h"
#include "proxy/upstream/endpoint.h"

namespace genkan::control {
namespace {

using tls::ProbeKey;
using tls::ProbeOutcome;
using tls::ProbeResult;

constexpr size_t kMaxAddresses = 4;

Millis Left(MonotonicTime deadline) {
  const auto left = std::chrono::duration_cast<Millis>(deadline - SystemClock().Now());
  return std::max(left, Millis(0));
}

// getaddrinfo knows no deadline: it is left behind in a thread of its own when it takes too long.
Result<upstream::Addresses> Resolve(const upstream::ResolveFunction& resolve,
                                    const std::string& host, uint16_t port,
                                    MonotonicTime deadline) {
  auto promise = std::make_shared<std::promise<Result<upstream::Addresses>>>();
  auto answer = promise->get_future();
  std::thread([promise, resolve, host, port] { promise->set_value(resolve(host, port)); }).detach();
  if (answer.wait_for(Left(deadline)) != std::future_status::ready)
    return Fail(ErrorCode::kTimeout, "no answer from DNS in time");
  return answer.get();
}

std::string_view InWords(ProbeOutcome outcome) {
  switch (outcome) {
    case ProbeOutcome::kHandshake:
      return "answers";
    case ProbeOutcome::kRefused:
      return "connection refused";
    case ProbeOutcome::kUnreachable:
      return "unreachable";
    case ProbeOutcome::kTimeout:
      return "no answer in time";
    case ProbeOutcome::kClosed:
      return "hangs up";
    case ProbeOutcome::kNotTls:
      return "no TLS";
    case ProbeOutcome::kAlert:
      return "alert";
    case ProbeOutcome::kTooLarge:
      return "too many certificates";
    case ProbeOutcome::kBadSignature:
      return "the key is not the certificate's";
    case ProbeOutcome::kBadTls:
      return "bad TLS";
    case ProbeOutcome::kNoCertificate:
      return "no certificate";
  }
  return "";
}

FindingCode CodeOf(ProbeOutcome outcome) {
  switch (outcome) {
    case ProbeOutcome::kRefused:
      return FindingCode::kServerRefused;
    case ProbeOutcome::kUnreachable:
      return FindingCode::kServerUnreachable;
    case ProbeOutcome::kTimeout:
      return FindingCode::kServerTimeout;
    case ProbeOutcome::kNotTls:
      return FindingCode::kServerNotTls;
    case ProbeOutcome::kAlert:
      return FindingCode::kServerAlert;
    case ProbeOutcome::kClosed:
      return FindingCode::kServerHungUp;
    case ProbeOutcome::kTooLarge:
      return FindingCode::kChainTooLong;
    case ProbeOutcome::kBadSignature:
      return FindingCode::kKeyMismatch;
    case ProbeOutcome::kNoCertificate:
      return FindingCode::kServerNoCertificate;
    default:
      return FindingCode::kServerBadTls;
  }
}

std::string KeyOf(const tls::Certificate& leaf) {
  return leaf.is_rsa() ? "rsa" : leaf.is_ecdsa() ? "ecdsa" : "other";
}

class ServerExamination {
 public:
  ServerExamination(const ServerTarget& target, const std::string& as_asked,
                    const Diagnostician& diagnostician, const DoctorOptions& options)
      : target_(target),
        diagnostician_(diagnostician),
        options_(options),
        now_(SystemClock().Wall()),
        deadline_(SystemClock().Now() + options.budget) {
    seen_.target = as_asked;
    seen_.kind = TargetKind::kServer;
    seen_.host = target.host;
    seen_.port = target.port;
    asked_ = HostPort(seen_);
  }

  Examination Run() {
    if (FindAddresses() && Connect()) {
      LookAt(first_);
      AskForOtherKey();
      AskOtherAddresses();
      for (Pending& one : pending_) Judge(one);
    }
    std::stable_sort(seen_.findings.begin(), seen_.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
    return std::move(seen_);
  }

 private:
  // A chain that was seen and is still to be judged: handshakes come first, the budget is for them.
  struct Pending {
    ProbeResult probe;
  };

  void Add(FindingCode code, std::string detail) {
    seen_.findings.push_back(MakeFinding(code, asked_, std::move(detail)));
  }

  bool FindAddresses() {
    if (target_.is_address) {
      auto address = net::Address::ParseHost(target_.host, target_.port);
      if (address) addresses_.push_back(*address);
    } else {
      auto found = Resolve(options_.resolve, target_.host, target_.port, deadline_);
      if (!found) {
        Add(found.error().code == ErrorCode::kTimeout ? FindingCode::kServerTimeout
                                                      : FindingCode::kServerNotFound,
            found.error().detail);
        return false;
      }
      addresses_ = *std::move(found);
    }
    if (addresses_.size() > kMaxAddresses) {
      seen_.notes.push_back(
          fmt::format("{} more addresses were not looked at", addresses_.size() - kMaxAddresses));
      addresses_.resize(kMaxAddresses);
    }
    if (addresses_.empty()) Add(FindingCode::kServerNotFound, "no address");
    return !addresses_.empty();
  }

  ProbeResult Ask(const net::Address& address, ProbeKey key, MonotonicTime deadline) const {
    tls::ProbeOptions options;
    if (!target_.is_address) options.server_name = target_.host;
    options.deadline = std::min(deadline, deadline_);
    options.key = key;
    return tls::ProbeServer(address, options);
  }

  // The first address that answers. One that drops packets leaves time for the next.
  bool Connect() {
    ProbeResult worst;
    bool has_failed = false;
    for (size_t i = 0; i < addresses_.size(); ++i) {
      const auto share = Left(deadline_) / static_cast<int>(addresses_.size() - i);
      first_ = Ask(addresses_[i], ProbeKey::kAny, SystemClock().Now() + share);
      Note(addresses_[i], first_);
      if (first_.outcome == ProbeOutcome::kHandshake || !first_.certificates.empty()) {
        used_ = i;
        return true;
      }
      // What was furthest along says most: an alert more than a port that is shut.
      const bool is_further = !has_failed || worst.outcome == ProbeOutcome::kRefused ||
                              worst.outcome == ProbeOutcome::kUnreachable;
      if (is_further) worst = std::move(first_);
      has_failed = true;
    }
    Add(CodeOf(worst.outcome), worst.detail);
    return false;
  }

  void Note(const net::Address& address, const ProbeResult& probe) {
    std::string outcome(InWords(probe.outcome));
    if (probe.outcome != ProbeOutcome::kHandshake && !probe.detail.empty())
      outcome += ": " + probe.detail;
    seen_.addresses.push_back({address.ToString(), Printable(outcome)});
  }

  void LookAt(ProbeResult& probe) {
    seen_.is_seen = true;
    seen_.version = probe.version;
    seen_.cipher = probe.cipher;
    seen_.protocol = probe.protocol;
    if (probe.wants_client_certificate)
      seen_.notes.push_back("the server asks for a client certificate");
    // A server that insists on one ends the handshake after all was seen.
    if (probe.outcome != ProbeOutcome::kHandshake && !probe.wants_client_certificate)
      Add(CodeOf(probe.outcome), probe.detail);
    const bool is_old = probe.version == "TLSv1" || probe.version == "TLSv1.1";
    if (is_old) Add(FindingCode::kTlsVersionOld, probe.version);
    pending_.push_back({std::move(probe)});
  }

  // Big sites have two certificates, and the one that few clients see is the one that is forgotten.
  void AskForOtherKey() {
    const tls::Certificate& leaf = *pending_.front().probe.certificates.front();
    if (!leaf.is_rsa() && !leaf.is_ecdsa()) return;
    ProbeResult other = Ask(addresses_[used_], leaf.is_rsa() ? ProbeKey::kEcdsa : ProbeKey::kRsa,
                            SystemClock().Now() + Left(deadline_) / 2);
    if (other.certificates.empty()) return;
    if (other.certificates.front()->der() == leaf.der()) return;
    pending_.push_back({std::move(other)});
  }

  void AskOtherAddresses() {
    const std::string& leaf = pending_.front().probe.certificates.front()->sha256_hex();
    std::string differing;
    for (size_t i = used_ + 1; i < addresses_.size(); ++i) {
      const auto share = Left(deadline_) / static_cast<int>(addresses_.size() - i + 1);
      const ProbeResult other = Ask(addresses_[i], ProbeKey::kAny, SystemClock().Now() + share);
      Note(addresses_[i], other);
      if (other.certificates.empty()) continue;
      const tls::Certificate& theirs = *other.certificates.front();
      if (theirs.sha256_hex() == leaf) continue;
      differing += fmt::format("{}{} has serial {} until {}", differing.empty() ? "" : "; ",
                               addresses_[i].ToString(), theirs.serial_hex(),
                               FormatIso8601(theirs.not_after()));
    }
    if (!differing.empty()) Add(FindingCode::kServersDiffer, differing);
  }

  void Judge(Pending& one) {
    ProbeResult& probe = one.probe;
    SeenChain chain;
    chain.key = KeyOf(*probe.certificates.front());
    chain.sent = std::move(probe.certificates);
    chain.sent_count = probe.sent;
    Served served;
    served.host = target_.host;
    served.sent = chain.sent;
    Diagnosis diagnosis = diagnostician_.Diagnose(served, now_);
    if (const tls::CertificatePtr issuer = IssuerIn(diagnosis, diagnostician_.roots()))
      LookAtState(*issuer, probe, diagnosis, served, chain);
    else
      chain.revocation = "not known: the issuer's certificate is missing";
    served.is_staple_expected = true;
    diagnosis = diagnostician_.Diagnose(served, now_);
    chain.verdicts = std::move(diagnosis.verdicts);
    chain.right = std::move(diagnosis.chain);
    if (probe.broken > 0)
      seen_.notes.push_back(fmt::format("{} of the certificates cannot be read", probe.broken));
    for (Finding& finding : diagnosis.findings) Merge(std::move(finding));
    seen_.chains.push_back(std::move(chain));
  }

  // Both certificates of a server suffer from most mistakes alike: said once.
  void Merge(Finding finding) {
    const bool is_known =
        std::any_of(seen_.findings.begin(), seen_.findings.end(), [&](const Finding& other) {
          return other.code == finding.code && other.facts.subject == finding.facts.subject &&
                 other.facts.issuer == finding.facts.issuer;
        });
    if (!is_known) seen_.findings.push_back(std::move(finding));
  }

  void LookAtState(const tls::Certificate& issuer, const ProbeResult& probe,
                   const Diagnosis& diagnosis, Served& served, SeenChain& chain) {
    const tls::Certificate& leaf = *chain.sent.front();
    chain.staple = "none";
    if (!probe.staple.empty()) {
      auto staple = tls::VerifyOcsp(probe.staple, leaf, issuer, now_);
      if (!staple) {
        chain.staple = served.staple_problem = staple.error().detail;
      } else if (staple->state == tls::OcspState::kGood) {
        served.has_good_staple = true;
        chain.staple = "good until " + FormatIso8601(staple->staple.next_update);
        chain.revocation = "good (staple)";
        return;
      } else if (staple->state == tls::OcspState::kRevoked) {
        served.revocation = {true, "staple", staple->reason, staple->revoked_at};
        chain.staple = chain.revocation = "revoked (staple)";
        return;
      } else {
        chain.staple = served.staple_problem = "the responder does not know the certificate";
      }
    }
    if (!options_.asks_revocation) return;
    if (!IsVerified(diagnosis)) {
      chain.revocation = "not known: the chain is not verified, so its URLs are not asked";
      return;
    }
    RevocationAnswer answer = AskRevocation(leaf, issuer, now_, deadline_);
    served.revocation = answer.facts;
    chain.revocation = answer.text;
  }

  const ServerTarget& target_;
  const Diagnostician& diagnostician_;
  const DoctorOptions& options_;
  const WallTime now_;
  const MonotonicTime deadline_;
  std::string asked_;
  upstream::Addresses addresses_;
  size_t used_ = 0;
  ProbeResult first_;
  std::vector<Pending> pending_;
  Examination seen_;
};

}  // namespace

Examination Doctor::ExamineServer(const ServerTarget& target, const std::string& as_asked) const {
  return ServerExamination(target, as_asked, diagnostician_, options_).Run();
}

}  // namespace genkan::control
