#include "proxy/control/cert_entry.h"

#include <algorithm>
#include <chrono>

namespace genkan::control {
namespace {

using std::chrono::hours;

constexpr auto kDay = hours(24);

// A third of the life left, half of one below ten days: certbot and its like have renewed by then.
bool IsLate(const tls::Certificate& leaf, WallTime now) {
  auto life = leaf.not_after() - leaf.not_before();
  auto left = leaf.not_after() - now;
  return life < 10 * kDay ? left < life / 2 : left < life / 3;
}

// Three days, and of a certificate that lives for a few days a quarter.
bool IsVeryLate(const tls::Certificate& leaf, WallTime now) {
  auto life = leaf.not_after() - leaf.not_before();
  return leaf.not_after() - now < std::min<WallTime::duration>(3 * kDay, life / 4);
}

std::string InWords(WallTime::duration left) {
  auto whole = std::chrono::duration_cast<hours>(left).count();
  if (whole >= 48) return fmt::format("{} days", whole / 24);
  if (whole >= 2) return fmt::format("{} hours", whole);
  return fmt::format("{} minutes", std::chrono::duration_cast<std::chrono::minutes>(left).count());
}

void FindDates(const tls::Certificate& leaf, WallTime now, std::vector<CertFinding>& findings) {
  if (leaf.not_after() <= now) {
    findings.push_back({LogLevel::kError, "cert_expired",
                        "expired on " + FormatIso8601(leaf.not_after()),
                        FindingCode::kLeafExpired});
  } else if (leaf.not_before() > now) {
    findings.push_back({LogLevel::kError, "cert_not_yet_valid",
                        "not valid before " + FormatIso8601(leaf.not_before()),
                        FindingCode::kLeafNotYetValid});
  } else if (IsLate(leaf, now)) {
    findings.push_back(
        {IsVeryLate(leaf, now) ? LogLevel::kError : LogLevel::kWarn, "cert_expires",
         fmt::format("expires in {}, on {}, and was not renewed", InWords(leaf.not_after() - now),
                     FormatIso8601(leaf.not_after())),
         FindingCode::kLeafExpiresSoon});
  }
}

}  // namespace

FindingCode CodeOfMissing(std::string_view refusal) {
  const bool is_mismatch = refusal.find("does not match") != std::string_view::npos;
  return is_mismatch ? FindingCode::kKeyMismatch : FindingCode::kCertificateMissing;
}

std::string ShaOf(const tls::BundlePtr& bundle) {
  return bundle ? bundle->leaf().sha256_hex() : std::string();
}

CertificateView ViewOf(const CertEntry& entry, const tls::BundlePtr& bundle,
                       const tls::CertificatePtr& issuer) {
  const tls::Certificate& leaf = bundle->leaf();
  CertificateView view;
  view.name = entry.name;
  view.site = entry.site;
  view.sha256_hex = leaf.sha256_hex();
  view.leaf_der = leaf.der();
  if (issuer) view.issuer_der = issuer->der();
  view.serial_hex = leaf.serial_hex();
  view.not_before = leaf.not_before();
  view.not_after = leaf.not_after();
  view.names = leaf.names();
  view.ocsp_urls = leaf.ocsp_urls();
  view.crl_urls = leaf.crl_urls();
  view.has_must_staple = leaf.has_must_staple();
  return view;
}

SwapSide SideOf(const tls::BundlePtr& bundle, const tls::Chain& chain, const LeafState& state) {
  SwapSide side;
  if (!bundle) return side;
  side.leaf = bundle->leaf_ptr();
  side.chain = bundle->chain();
  side.chain_state = StateOf(chain);
  side.is_revoked = state.revocation == "revoked";
  side.must_renew = state.must_renew;
  return side;
}

std::vector<CertFinding> FindingsOf(const CertEntry& entry, const CertLeaves& leaves, WallTime now,
                                    bool is_ocsp_enabled,
                                    const std::vector<std::string>& uncovered) {
  std::vector<CertFinding> findings;
  if (!entry.in_service) {
    findings.push_back(
        {LogLevel::kError, "cert_missing",
         "not in service: " + (entry.refusal.empty() ? std::string("no files") : entry.refusal),
         CodeOfMissing(entry.refusal)});
    return findings;
  }
  const tls::Certificate& leaf = entry.in_service->leaf();
  const std::string sha = leaf.sha256_hex();
  FindDates(leaf, now, findings);
  for (const std::string& name : uncovered)
    findings.push_back(
        {LogLevel::kWarn, "cert_names", "does not cover " + name, FindingCode::kNameMismatch});
  ChainState state = StateOf(entry.chain);
  if (state == ChainState::kIncomplete) {
    std::string text =
        "the chain is incomplete: the certificate of " + entry.chain.missing_issuer + " is missing";
    if (!entry.chain.missing_urls.empty()) text += "; it is at " + entry.chain.missing_urls.front();
    findings.push_back({LogLevel::kError, "cert_incomplete", std::move(text),
                        FindingCode::kChainMissingIntermediate});
  } else if (state == ChainState::kUnknownRoot) {
    findings.push_back({LogLevel::kInfo, "cert_private_root",
                        "issued below a root that no trust store here has: " +
                            entry.chain.missing_issuer + "; name it in trust_store",
                        FindingCode::kRootNotTrusted});
  }
  LeafState known = leaves.StateOf(sha);
  if (known.revocation == "revoked")
    findings.push_back(
        {LogLevel::kError, "cert_revoked", "revoked (" + known.why + ")", FindingCode::kRevoked});
  if (leaf.has_must_staple() && !leaves.StapleOf(sha)) {
    const char* why = leaf.ocsp_urls().empty() ? "and names no OCSP responder"
                      : !is_ocsp_enabled       ? "and [ocsp] enabled is false"
                                               : "and there is no good OCSP response yet";
    const FindingCode code = leaf.ocsp_urls().empty() ? FindingCode::kMustStapleWithoutResponder
                             : !is_ocsp_enabled       ? FindingCode::kMustStapleOcspOff
                                                      : FindingCode::kMustStapleWithoutStaple;
    findings.push_back(
        {LogLevel::kError, "cert_must_staple", fmt::format("is must-staple, {}", why), code});
  }
  return findings;
}

CertificateStatus StatusOf(const CertEntry& entry, const CertLeaves& leaves, bool is_ocsp_enabled,
                           const std::vector<CertFinding>& findings) {
  CertificateStatus status;
  status.site = entry.site;
  status.name = entry.name;
  status.files = entry.files;
  status.swaps = entry.swaps;
  status.last_refusal = entry.refusal;
  if (!entry.refusal.empty()) status.last_refusal_at = entry.refused_at;
  status.refusals = entry.refusals;
  status.refused_last = entry.last_refusal.reason;
  status.refused_last_at = entry.last_refusal.at;
  for (const CertFinding& finding : findings) {
    status.findings.push_back(finding.text);
    status.finding_codes.emplace_back(ToString(finding.code));
  }
  if (!entry.in_service) return status;
  const tls::Certificate& leaf = entry.in_service->leaf();
  const std::string sha = leaf.sha256_hex();
  status.is_in_service = true;
  status.names = leaf.names();
  status.serial = leaf.serial_hex();
  status.subject = leaf.subject();
  status.issuer = leaf.issuer();
  status.sha256 = sha;
  status.not_before = leaf.not_before();
  status.not_after = leaf.not_after();
  status.since = entry.since;
  status.is_chain_complete = entry.chain.is_complete;
  for (const auto& one : entry.in_service->chain()) status.chain.push_back(one->subject());
  for (const auto& dropped : entry.chain.dropped)
    status.dropped.push_back(
        fmt::format("{}: {}", dropped.certificate->subject(), ToString(dropped.reason)));
  status.missing_issuer = entry.chain.missing_issuer;
  if (auto staple = leaves.StapleOf(sha)) {
    status.staple = "good until " + FormatIso8601(staple->next_update);
    status.staple_next_update = staple->next_update;
  } else if (leaf.ocsp_urls().empty()) {
    status.staple = "not offered by the CA";
  } else if (!is_ocsp_enabled || !leaves.HasWatchers()) {
    status.staple = "none";
  } else {
    status.staple = leaves.IsReleased(sha) ? "none" : "waiting";
  }
  LeafState state = leaves.StateOf(sha);
  status.revocation = state.revocation;
  status.revocation_why = state.why;
  return status;
}

std::string DescribeChain(const std::vector<tls::CertificatePtr>& chain) {
  std::string text;
  for (const auto& one : chain) {
    if (!text.empty()) text += " < ";
    text += one->subject();
  }
  return text;
}

}  // namespace genkan::control
