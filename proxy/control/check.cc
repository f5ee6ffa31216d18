#include "proxy/control/check.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <set>

#include "proxy/control/diagnosis/diagnosis.h"
#include "proxy/control/issuer_fetcher.h"
#include "proxy/control/known_issuers.h"
#include "proxy/control/known_revocation.h"
#include "proxy/tls/trust_store.h"

namespace genkan::control {
namespace {

// A site's name may be a wildcard itself; "*" takes every host and asks nothing of a certificate.
bool IsCovered(const std::string& name, const tls::Certificate& leaf) {
  if (name == "*") return true;
  if (name.starts_with("*.")) {
    const auto& names = leaf.names();
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  return leaf.Covers(name);
}

class Checking {
 public:
  Checking(const config::Config& config, FileAccess& files, WallTime now, std::string state_dir)
      : config_(config), files_(files), state_dir_(std::move(state_dir)) {
    context_.now = now;
  }

  CheckReport Run() {
    LoadTrust();
    LoadPool();
    for (const config::Site& site : config_.sites) CheckSite(site);
    return std::move(report_);
  }

 private:
  Finding& Note(FindingCode code, Severity severity, std::string file, std::string detail) {
    Finding finding;
    finding.code = code;
    finding.severity = severity;
    finding.site = site_;
    finding.file = std::move(file);
    finding.facts.detail = std::move(detail);
    finding.text = CauseOf(code, finding.facts, Language::kEnglish);
    report_.findings.push_back(std::move(finding));
    return report_.findings.back();
  }

  void LoadTrust() {
    const std::string& store = config_.certificates.trust_store;
    auto roots = tls::LoadTrustStore(store);
    if (!roots) {
      Note(FindingCode::kTrustStoreUnreadable, Severity::kBroken, store, roots.error().detail);
    } else if (roots->empty()) {
      Note(FindingCode::kTrustStoreEmpty, Severity::kNote, store, "");
    } else {
      context_.roots = *std::move(roots);
    }
    const std::string& profiles = config_.certificates.trust_profiles;
    if (Status set = SetTrust(context_.roots, profiles, context_); !set)
      Note(FindingCode::kTrustStoreUnreadable, Severity::kBroken, profiles, set.error().detail);
    auto made = Diagnostician::Make(context_.roots, profiles);
    if (made) clients_ = *std::move(made);
  }

  void LoadPool() {
    std::vector<std::string> problems;
    context_.pool = ReadExtraPool(config_.certificates.pool, files_, problems);
    for (const std::string& problem : problems)
      Note(FindingCode::kPoolUnreadable, Severity::kWillBreak, "", problem);
  }

  void CheckSite(const config::Site& site) {
    site_ = site.names.empty() ? "" : site.names.front();
    std::vector<tls::CertificatePtr> leaves;
    for (const config::CertificateSource& source : site.certificates) {
      for (const FoundCertificate& found : Read(source)) {
        CheckFound(found, FileOf(source, found), Severity::kBroken);
        if (found.bundle) leaves.push_back(found.bundle->leaf_ptr());
      }
    }
    if (!leaves.empty()) CheckNames(site, leaves);
    if (!site.standby.empty()) {
      config::CertificateSource standby;
      standby.path = site.standby;
      // Not in service today, but it is what there is when the other one is revoked.
      for (const FoundCertificate& found : Read(standby))
        CheckFound(found, FileOf(standby, found), Severity::kWillBreak);
    }
    site_.clear();
  }

  // As the proxy does: what is missing may be known from an earlier fetch.
  std::vector<FoundCertificate> Read(const config::CertificateSource& source) {
    SourceReading reading = ReadSource(source, files_, context_);
    for (int i = 0; i < IssuerFetcher::kMaxHops && LearnIssuers(reading.certificates); ++i)
      reading = ReadSource(source, files_, context_);
    return std::move(reading.certificates);
  }

  bool LearnIssuers(const std::vector<FoundCertificate>& certificates) {
    if (!config_.certificates.aia || state_dir_.empty()) return false;
    const size_t before = context_.pool.size();
    for (const FoundCertificate& found : certificates) {
      if (!found.bundle || found.chain.is_complete || found.chain.missing_urls.empty()) continue;
      const tls::Certificate& last = *found.chain.certificates.back();
      for (tls::CertificatePtr& issuer : FindKnownIssuers(state_dir_, last, context_.now)) {
        const bool is_known = std::any_of(
            context_.pool.begin(), context_.pool.end(),
            [&](const tls::CertificatePtr& one) { return one->sha256() == issuer->sha256(); });
        if (!is_known) context_.pool.push_back(std::move(issuer));
      }
    }
    return context_.pool.size() > before;
  }

  void CheckNames(const config::Site& site, const std::vector<tls::CertificatePtr>& leaves) {
    for (const std::string& name : site.names) {
      const bool is_covered =
          std::any_of(leaves.begin(), leaves.end(),
                      [&](const tls::CertificatePtr& leaf) { return IsCovered(name, *leaf); });
      if (is_covered) continue;
      std::set<std::string> names;
      for (const tls::CertificatePtr& leaf : leaves)
        names.insert(leaf->names().begin(), leaf->names().end());
      Finding& finding = Note(FindingCode::kNameMismatch, Severity::kBroken, "", "");
      finding.facts.host = name;
      for (const std::string& one : names)
        finding.facts.names += (finding.facts.names.empty() ? "" : ", ") + one;
      Say(finding);
    }
  }

  // What the operator wrote; of a pattern, what it matched.
  static std::string FileOf(const config::CertificateSource& source,
                            const FoundCertificate& found) {
    if (source.path.empty()) return source.certificate;
    if (source.path.find_first_of("*?[") == std::string::npos || found.files.empty())
      return source.path;
    const std::string& first = found.files.front();
    return found.name == first ? first : first.substr(0, first.rfind('/'));
  }

  // `broken`: how bad it is when it cannot be used.
  void CheckFound(const FoundCertificate& found, const std::string& file, Severity broken) {
    CheckedCertificate checked;
    checked.site = site_;
    checked.name = found.name;
    checked.files = found.files;
    if (!found.bundle) {
      // Its own words: they name the files.
      Note(CodeOf(found.error), broken, file, "").text = found.error;
    } else {
      const tls::Certificate& leaf = found.bundle->leaf();
      checked.is_usable = true;
      checked.subject = leaf.subject();
      checked.serial = leaf.serial_hex();
      checked.names = leaf.names();
      checked.not_before = leaf.not_before();
      checked.not_after = leaf.not_after();
      checked.is_chain_complete = found.chain.is_complete;
      checked.missing_issuer = found.chain.missing_issuer;
      for (const auto& one : found.bundle->chain()) checked.chain.push_back(one->subject());
      for (const tls::DroppedCertificate& one : found.chain.dropped)
        checked.dropped.push_back(
            fmt::format("{}: {}", one.certificate->subject(), tls::ToString(one.reason)));
      // The proxy takes no new pair while one of its files is damaged.
      if (!found.error.empty())
        Note(FindingCode::kFileDamaged, Severity::kWillBreak, file, found.error);
      CheckDropped(found, file);
      CheckAsClients(found, file, broken, checked);
      CheckStaple(leaf, file, broken);
    }
    report_.certificates.push_back(std::move(checked));
  }

  static FindingCode CodeOf(std::string_view error) {
    const bool is_mismatch = error.find("does not match") != std::string_view::npos;
    return is_mismatch ? FindingCode::kKeyMismatch : FindingCode::kCertificateUnreadable;
  }

  void CheckDropped(const FoundCertificate& found, const std::string& file) {
    for (const tls::DroppedCertificate& one : found.chain.dropped) {
      if (one.reason == tls::DropReason::kDuplicate) continue;  // every lineage has them
      const bool is_expired = one.reason == tls::DropReason::kExpired;
      // Where it is what is missing, that the chain is not complete is the worse finding.
      Finding& finding = Note(
          is_expired ? FindingCode::kChainExpiredIntermediate : FindingCode::kCertificateDropped,
          Severity::kNote, file, std::string(tls::ToString(one.reason)));
      finding.facts.subject = Printable(one.certificate->subject());
      finding.facts.issuer = Printable(one.certificate->issuer());
      finding.facts.when = one.certificate->not_after();
      Say(finding);
    }
  }

  // What genkan would send, as each kind of client sees it.
  void CheckAsClients(const FoundCertificate& found, const std::string& file, Severity broken,
                      CheckedCertificate& checked) {
    if (!clients_) return;
    Served served;
    served.sent = found.bundle->chain();
    served.revocation = StoredRevocation(found);
    Diagnosis diagnosis = clients_->Diagnose(served, context_.now);
    checked.verdicts = std::move(diagnosis.verdicts);
    for (Finding& finding : diagnosis.findings) {
      finding.site = site_;
      finding.file = file;
      finding.severity = std::min(finding.severity, broken);
      // Who has an authority of their own knows; who is told by genkan can say so to the clients.
      if (finding.code == FindingCode::kRootNotTrusted || finding.code == FindingCode::kSelfSigned)
        finding.severity = Severity::kNote;
      Say(finding);
      report_.findings.push_back(std::move(finding));
    }
  }

  // What the running proxy was told and stored; nobody is asked here.
  std::optional<RevocationFacts> StoredRevocation(const FoundCertificate& found) {
    if (state_dir_.empty() || !found.issuer) return std::nullopt;
    const auto known =
        FindKnownRevocation(state_dir_, found.bundle->leaf(), *found.issuer, context_.now);
    if (!known) return std::nullopt;
    return RevocationFacts{true, known->source, known->reason, known->since};
  }

  // Cause, who is hit, and what to do about it here.
  static void Say(Finding& finding) {
    finding.text = CauseOf(finding.code, finding.facts, Language::kEnglish);
    std::string clients;
    for (const ClientFailure& one : finding.clients)
      clients += (clients.empty() ? "" : ", ") + one.client;
    if (!clients.empty()) finding.text += fmt::format(" Refused by: {}.", clients);
    const std::string_view advice = AdviceFor(finding.code);
    if (!advice.empty()) finding.text += fmt::format(" {}", advice);
    if (!finding.facts.url.empty())
      finding.text += fmt::format(" The certificate names {}.", finding.facts.url);
  }

  static std::string_view AdviceFor(FindingCode code) {
    switch (code) {
      case FindingCode::kChainMissingIntermediate:
      case FindingCode::kChainExpiredIntermediate:
        return "Put the intermediate beside the leaf (chain.pem, fullchain.pem) or into "
               "[certificates] pool.";
      case FindingCode::kRootNotTrusted:
        return "Name a root of your own in [certificates] trust_store, so that genkan can verify "
               "too.";
      case FindingCode::kLeafExpired:
      case FindingCode::kChainIntermediateExpiresSoon:
        return "Renew it.";
      case FindingCode::kRevoked:
        return "Renew it with a new key.";
      case FindingCode::kNameMismatch:
        return "Ask for a certificate with that name too.";
      default:
        return {};
    }
  }

  void CheckStaple(const tls::Certificate& leaf, const std::string& file, Severity broken) {
    if (!leaf.has_must_staple() || leaf.ocsp_urls().empty() || config_.ocsp.enabled) return;
    Finding& finding = Note(FindingCode::kMustStapleOcspOff, broken, file, "");
    finding.facts.subject = Printable(leaf.subject());
    Say(finding);
  }

  const config::Config& config_;
  FileAccess& files_;
  const std::string state_dir_;
  CertificateContext context_;
  std::optional<Diagnostician> clients_;
  CheckReport report_;
  std::string site_;
};

}  // namespace

namespace {

Finding AboutConfig(FindingCode code, const std::string& line) {
  Finding finding;
  finding.code = code;
  finding.severity = SeverityOf(code);
  finding.facts.detail = line;
  finding.text = line;
  return finding;
}

}  // namespace

CheckReport ReportOf(const std::vector<std::string>& config_errors) {
  CheckReport report;
  for (const std::string& line : config_errors)
    report.findings.push_back(AboutConfig(FindingCode::kConfigError, line));
  return report;
}

void AddWarnings(CheckReport& report, const std::vector<std::string>& config_warnings) {
  for (const std::string& line : config_warnings)
    report.findings.push_back(AboutConfig(FindingCode::kConfigWarning, line));
}

CheckReport CheckCertificates(const config::Config& config, FileAccess& files, WallTime now,
                              const std::string& state_dir) {
  return Checking(config, files, now, state_dir).Run();
}

}  // namespace genkan::control
