#include "proxy/control/cert_entry.h"

#include <algorithm>
#include <chrono>

namespace genkan::control {
namespace {

using std::chrono::hours;

constexpr auto kDay = hours(24);

const std::vector<tls::ChainProof>& ProofsOf(const CertEntry& entry) {
  static const std::vector<tls::ChainProof>& none =
      *std::make_unique<std::vector<tls::ChainProof>>().release();
  return entry.proofs ? *entry.proofs : none;
}

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
    findings.push_back({LogLevel::kError, "cert_expired", FindingCode::kLeafExpired,
                        "expired on " + FormatIso8601(leaf.not_after())});
  } else if (leaf.not_before() > now) {
    findings.push_back({LogLevel::kError, "cert_not_yet_valid", FindingCode::kLeafNotYetValid,
                        "not valid before " + FormatIso8601(leaf.not_before())});
  } else if (IsLate(leaf, now)) {
    findings.push_back(
        {IsVeryLate(leaf, now) ? LogLevel::kError : LogLevel::kWarn, "cert_expires",
         FindingCode::kLeafExpiresSoon,
         fmt::format("expires in {}, on {}, and was not renewed", InWords(leaf.not_after() - now),
                     FormatIso8601(leaf.not_after()))});
  }
}

// Incomplete, below a root that nobody has, or refused by who is to take it all the same.
void FindChain(const CertEntry& entry, const FindingFrame& frame,
               std::vector<CertFinding>& findings) {
  const tls::Chain& chain = entry.chain;
  const tls::Certificate& leaf = entry.in_service->leaf();
  const ChainState state = StateOf(chain);
  if (state == ChainState::kIncomplete) {
    // An intermediate's issuer is mostly a root; as long as it is on its way nobody is alarmed.
    if (frame.is_issuer_under_way && chain.certificates.size() > 1) return;
    std::string text =
        "the chain is incomplete: the certificate of " + chain.missing_issuer + " is missing";
    if (!frame.issuer_state.empty()) {
      text += "; " + frame.issuer_state;
    } else if (!chain.missing_urls.empty()) {
      text += "; it is at " + chain.missing_urls.front();
    }
    findings.push_back({LogLevel::kError, "cert_incomplete", FindingCode::kChainMissingIntermediate,
                        std::move(text)});
    return;
  }
  if (!chain.is_root_trusted) {
    if (leaf.is_self_signed()) return;
    findings.push_back({LogLevel::kInfo, "cert_private_root", FindingCode::kRootNotTrusted,
                        "issued below a root that no trust store here has: " +
                            (chain.root ? chain.root->subject() : chain.missing_issuer) +
                            "; name it in trust_store"});
    return;
  }
  if (leaf.not_after() <= frame.now || leaf.not_before() > frame.now) return;  // said already
  for (const tls::ChainProof& proof : ProofsOf(entry)) {
    if (proof.verdict.is_accepted || !proof.profile->is_required()) continue;
    findings.push_back({LogLevel::kError, "cert_not_verified", FindingCode::kChainNotVerified,
                        fmt::format("{} refuse it: {}: {}", proof.profile->client(),
                                    proof.verdict.subject, proof.verdict.reason)});
  }
}

void FindStaple(const CertEntry& entry, const CertLeaves& leaves, bool is_ocsp_enabled,
                std::vector<CertFinding>& findings) {
  const tls::Certificate& leaf = entry.in_service->leaf();
  if (!leaf.has_must_staple() || leaves.StapleOf(leaf.sha256_hex())) return;
  if (leaf.ocsp_urls().empty()) {
    findings.push_back({LogLevel::kError, "cert_must_staple",
                        FindingCode::kMustStapleWithoutResponder,
                        "is must-staple, and names no OCSP responder"});
  } else if (!is_ocsp_enabled) {
    findings.push_back({LogLevel::kError, "cert_must_staple", FindingCode::kMustStapleOcspOff,
                        "is must-staple, and [ocsp] enabled is false"});
  } else {
    findings.push_back({LogLevel::kError, "cert_must_staple", FindingCode::kMustStapleWithoutStaple,
                        "is must-staple, and there is no good OCSP response yet"});
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

SwapSide SideOf(const tls::BundlePtr& bundle, const tls::Chain& chain, const LeafState& state) {
  SwapSide side;
  if (!bundle) return side;
  side.leaf = bundle->leaf_ptr();
  side.chain = bundle->chain();
  side.long_chain = bundle->long_chain();
  side.chain_state = StateOf(chain);
  side.is_revoked = state.revocation == "revoked";
  side.must_renew = state.must_renew;
  return side;
}

std::vector<CertFinding> FindingsOf(const CertEntry& entry, const CertLeaves& leaves,
                                    const FindingFrame& frame) {
  std::vector<CertFinding> findings;
  if (!entry.in_service) {
    findings.push_back(
        {LogLevel::kError, "cert_missing", CodeOfMissing(entry.refusal),
         "not in service: " + (entry.refusal.empty() ? std::string("no files") : entry.refusal)});
    return findings;
  }
  FindDates(entry.in_service->leaf(), frame.now, findings);
  for (const std::string& name : frame.uncovered)
    findings.push_back(
        {LogLevel::kWarn, "cert_names", FindingCode::kNameMismatch, "does not cover " + name});
  FindChain(entry, frame, findings);
  LeafState known = leaves.StateOf(ShaOf(entry.in_service));
  if (known.revocation == "revoked")
    findings.push_back(
        {LogLevel::kError, "cert_revoked", FindingCode::kRevoked,
         "revoked (" + known.why + ")" +
             (known.since == WallTime{} ? "" : " since " + FormatIso8601(known.since))});
  if (known.must_renew) {
    findings.push_back(
        {known.is_overdue ? LogLevel::kError : LogLevel::kWarn, "cert_must_renew",
         FindingCode::kMustRenew,
         fmt::format("must be renewed now: {}{}", known.renewal.why,
                     known.renewal.url.empty() ? "" : "; see " + known.renewal.url)});
  }
  if (!entry.standby_problem.empty())
    findings.push_back({LogLevel::kError, "cert_standby", FindingCode::kStandbyUnusable,
                        "the standby certificate cannot stand in: " + entry.standby_problem});
  FindStaple(entry, leaves, frame.is_ocsp_enabled, findings);
  return findings;
}

CertificateStatus StatusOf(const CertSource& source, const CertEntry& entry,
                           const CertLeaves& leaves, bool is_ocsp_enabled,
                           const std::vector<CertFinding>& findings) {
  CertificateStatus status;
  status.site = entry.site;
  status.name = entry.name;
  status.files = entry.files.All();
  status.is_standby = source.is_standby;
  status.is_serving =
      entry.in_service && !entry.is_replaced && (!source.is_standby || entry.is_standing_in);
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
  status.proof = entry.is_proved ? "proved" : "proving";
  status.is_chain_complete = entry.chain.is_complete;
  for (const auto& one : entry.in_service->chain()) status.chain.push_back(one->subject());
  for (const auto& dropped : entry.chain.dropped)
    status.dropped.push_back(
        fmt::format("{}: {}", dropped.certificate->subject(), ToString(dropped.reason)));
  status.missing_issuer = entry.chain.missing_issuer;
  for (const auto& one : entry.in_service->long_chain())
    status.long_chain.push_back(one->subject());
  for (const tls::ChainProof& proof : ProofsOf(entry)) {
    status.clients.push_back(
        {proof.profile->name(), proof.profile->client(), proof.verdict.is_accepted,
         proof.is_by_long,
         proof.verdict.is_accepted ? "" : proof.verdict.subject + ": " + proof.verdict.reason});
  }
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
  status.revocation_source = state.source;
  status.revocation_since = state.since;
  status.renewal = state.renewal.state;
  status.renewal_why = state.renewal.why;
  status.renewal_moment = state.renewal.since;
  status.explanation_url = state.renewal.url;
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
