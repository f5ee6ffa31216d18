#include "proxy/control/cert_swapper.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/tls/rehearsal.h"

namespace genkan::control {
namespace {

constexpr Millis kStapleWait{10'000};  // of a swap for its first staple
constexpr Millis kPendingLook{1'000};
constexpr auto kMustStapleLimit = std::chrono::hours(1);

// The way out of a refusal.
constexpr std::string_view kForceHint = "genkan reload --force takes it all the same";
constexpr std::string_view kRenewHint = "it has to be issued anew; force does not help";
constexpr std::string_view kFilesHint = "read again at every change of the files, and every 5 s";

void LogInService(const CertEntry& entry, bool is_swap, const std::string& objection,
                  bool is_forced) {
  const tls::Certificate& leaf = entry.in_service->leaf();
  const char* event = is_swap ? "cert_swapped" : "cert_in_service";
  LOG_INFO(event, "site={} name={} serial={} not_after={} chain=\"{}\"", entry.site, entry.name,
           leaf.serial_hex(), FormatIso8601(leaf.not_after()),
           DescribeChain(entry.in_service->chain()));
  if (!objection.empty()) {
    LOG_ERROR("cert_taken_anyway", "site={} name={} reason=\"{}\" because=\"{}\"", entry.site,
              entry.name, objection,
              is_forced ? "force"
                        : "the one in service is revoked, to be renewed now, or ends within a day");
  }
  for (const auto& dropped : entry.chain.dropped) {
    LOG_INFO("cert_dropped", "site={} name={} subject=\"{}\" serial={} reason={}", entry.site,
             entry.name, dropped.certificate->subject(), dropped.certificate->serial_hex(),
             ToString(dropped.reason));
  }
}

// By a client that has to take it.
bool IsRefused(const std::vector<tls::ChainProof>& proofs) {
  return std::any_of(proofs.begin(), proofs.end(), [](const tls::ChainProof& proof) {
    return proof.profile->is_required() && !proof.verdict.is_accepted;
  });
}

}  // namespace

CertSwapper::CertSwapper(Options options)
    : options_(std::move(options)),
      last_good_(options_.loop, options_.state),
      pending_(options_.loop, [this] { options_.on_due(); }) {}

void CertSwapper::TakeReading(CertSource& source, std::vector<FoundCertificate> found,
                              const CertificateContext& context) {
  std::set<const CertEntry*> matched;
  bool has_good = false;
  for (FoundCertificate& one : found) {
    // A directory that is gone says nothing of which of its certificates: of all.
    bool is_named = std::any_of(source.entries.begin(), source.entries.end(),
                                [&](const auto& entry) { return entry->name == one.name; });
    if (!one.bundle && !is_named && !source.entries.empty() && found.size() == 1) {
      for (auto& entry : source.entries) {
        matched.insert(entry.get());
        Refuse(*entry, one.error, kFilesHint);
      }
      continue;
    }
    CertEntry* entry = EntryOf(source, one);
    matched.insert(entry);
    has_good |= one.bundle != nullptr;
    if (StartFromLastGood(source, *entry, one, context)) continue;
    if (one.bundle) {
      Consider(source, *entry, std::move(one), context);
    } else {
      if (!entry->in_service) entry->files = PathList(one.files);
      Refuse(*entry, one.error, kFilesHint);
    }
  }
  DropUnmatched(source, matched, has_good);
}

CertEntry* CertSwapper::EntryOf(CertSource& source, const FoundCertificate& found) {
  for (auto& entry : source.entries) {
    if (entry->name == found.name) return entry.get();
  }
  source.entries.push_back(std::make_unique<CertEntry>());
  source.entries.back()->source = &source;
  options_.index.Touch(*source.entries.back());
  source.entries.back()->site = source.site;
  source.entries.back()->name = found.name;
  source.entries.back()->last_good_name = LastGood::NameOf(source.site, source.config, found.name);
  return source.entries.back().get();
}

// At a start the files win, unless there is nothing of use in them or the rules of a swap would
// refuse them against what was in service last. `genkan reload --force` takes them all the same.
bool CertSwapper::StartFromLastGood(const CertSource& source, CertEntry& entry,
                                    const FoundCertificate& found,
                                    const CertificateContext& context) {
  if (entry.in_service || source.is_forced || !config().certificates.keep_last_good) return false;
  if (std::exchange(entry.is_last_good_tried, true)) return false;
  // Mostly nothing has changed since the last run; then it is not read a second time.
  if (found.bundle && found.is_last_good.value_or(false)) return false;
  auto last = last_good_.Load(entry.last_good_name, context);
  if (!last) return false;
  std::string reason = found.error;
  if (found.bundle) {
    if (ShaOf(found.bundle) == ShaOf(last->bundle)) return false;
    SwapDecision decision = DecideSwap(InputOf(source, last->bundle, last->chain, found));
    if (decision.kind != SwapDecision::Kind::kRefuse) return false;
    reason = decision.reason;
  }
  const bool can_be_forced = found.bundle != nullptr;
  ServeLastGood(entry, *std::move(last), found.files, reason,
                can_be_forced ? kForceHint : kFilesHint);
  ProveLater(entry);
  return true;
}

void CertSwapper::LookAtLastGood(const CertSource& source, FoundCertificate& found) {
  if (!found.bundle || !config().certificates.keep_last_good) return;
  found.is_last_good =
      last_good_.Holds(LastGood::NameOf(source.site, source.config, found.name), *found.bundle);
}

void CertSwapper::ServeLastGood(CertEntry& entry, FoundCertificate last,
                                const std::vector<std::string>& files, const std::string& reason,
                                std::string_view hint) {
  LOG_ERROR("cert_last_good",
            "site={} name={} serial={} not_after={} reason=\"{}\" starting from the last good "
            "certificate, kept in state_dir",
            entry.site, entry.name, last.bundle->leaf().serial_hex(),
            FormatIso8601(last.bundle->leaf().not_after()), reason);
  last.files = files;
  Watch(entry, last);
  PutInService(entry, std::move(last), "", false);
  Refuse(entry, reason, hint);
}

// What the files no longer have goes on being served until a reload says that this is meant, or
// something else of the same source and kind of key has taken its place.
void CertSwapper::DropUnmatched(CertSource& source, const std::set<const CertEntry*>& matched,
                                bool has_good) {
  std::erase_if(source.entries, [&](const std::unique_ptr<CertEntry>& entry) {
    if (matched.contains(entry.get())) return false;
    bool is_replaced =
        has_good && !IsGlob(source.config) && entry->in_service &&
        std::any_of(source.entries.begin(), source.entries.end(), [&](const auto& other) {
          return other && matched.contains(other.get()) && other->in_service &&
                 other->in_service->leaf().is_ecdsa() == entry->in_service->leaf().is_ecdsa();
        });
    if (entry->in_service && !is_replaced && !(source.is_reload && has_good)) {
      Refuse(*entry, "its files are gone; what was read before is served until a reload",
             "genkan reload drops it where another certificate of its entry is good");
      return false;
    }
    if (entry->in_service) LOG_INFO("cert_removed", "site={} name={}", entry->site, entry->name);
    Forget(entry.get());
    return true;
  });
}

SwapInput CertSwapper::InputOf(const CertSource& source, const tls::BundlePtr& in_service,
                               const tls::Chain& chain, const FoundCertificate& found) const {
  SwapInput input;
  input.in_service = SideOf(in_service, chain, options_.leaves.StateOf(ShaOf(in_service)));
  input.candidate = SideOf(found.bundle, found.chain, options_.leaves.StateOf(ShaOf(found.bundle)));
  input.site_names = snapshot_->sites[source.site_index].config.names;
  input.now = options_.clock.Wall();
  input.serves_incomplete = config().certificates.incomplete_at_swap == "serve";
  input.may_be_half_written = found.may_be_half_written;
  input.is_forced = source.is_forced;
  return input;
}

// Handshakes in memory: what each kind of client says to the candidate, and where it is no, what it
// says to the one in service.
void CertSwapper::Try(const CertSource& source, const CertEntry& entry, FoundCertificate& candidate,
                      const CertificateContext& context, SwapInput& input) const {
  const server::SiteSpec& site = snapshot_->sites[source.site_index];
  if (auto known = options_.trials.Find(candidate.bundle->fingerprint(), site.tls_policy, site.name,
                                        context.profiles)) {
    candidate.bundle = std::move(known->bundle);
    input.handshake_failure = std::move(known->failure);
  } else {
    input.handshake_failure = tls::Rehearse(candidate.bundle, site.tls_policy, site.name,
                                            context.profiles, options_.clock)
                                  .failure;
  }
  candidate.is_tried = true;
  if (!candidate.is_judged) ProveFound(candidate, context);
  // Many clients mostly have one reason.
  std::vector<std::pair<std::string, std::string>> lost;  // reason, clients
  for (const tls::ChainProof& proof : candidate.proofs) {
    if (proof.verdict.is_accepted || !proof.profile->Prove(entry.in_service->chain(), input.now))
      continue;
    const std::string reason = proof.verdict.subject + ": " + proof.verdict.reason;
    auto same = std::find_if(lost.begin(), lost.end(),
                             [&](const auto& one) { return one.first == reason; });
    if (same == lost.end()) {
      lost.emplace_back(reason, proof.profile->client());
    } else {
      same->second += ", " + proof.profile->client();
    }
  }
  for (const auto& [reason, clients] : lost)
    input.lost_clients.push_back(fmt::format("{} ({})", clients, reason));
}

void CertSwapper::TryAhead(const CertSource& source, const std::vector<FoundCertificate>& found,
                           const CertificateContext& context) {
  const server::SiteSpec& site = snapshot_->sites[source.site_index];
  for (const FoundCertificate& one : found) {
    if (!one.bundle) continue;
    const auto entry = std::find_if(source.entries.begin(), source.entries.end(),
                                    [&](const auto& other) { return other->name == one.name; });
    // What nothing serves yet needs no trial, and what serves has had its own.
    if (entry == source.entries.end() || !(*entry)->in_service ||
        (*entry)->fingerprint == one.bundle->fingerprint())
      continue;
    options_.trials.Begin({one.bundle, site.tls_policy, site.name}, context.profiles);
  }
}

void CertSwapper::Consider(const CertSource& source, CertEntry& entry, FoundCertificate found,
                           const CertificateContext& context) {
  SwapInput input = InputOf(source, entry.in_service, entry.chain, found);
  SwapDecision decision = DecideSwap(input);
  if (decision.takes() && entry.in_service) {
    Try(source, entry, found, context, input);
    decision = DecideSwap(input);
  }
  const std::string problem = found.error;
  switch (decision.kind) {
    case SwapDecision::Kind::kRefuse:
      return Refuse(entry, decision.reason, decision.can_be_forced ? kForceHint : kRenewHint);
    case SwapDecision::Kind::kNothingToDo:
      DropPending(entry);
      entry.files = PathList(found.files);
      entry.chain = std::move(found.chain);
      entry.is_judged = found.is_judged;
      if (found.is_judged) {
        entry.proofs = Share(std::move(found.proofs));
      } else {
        ProveLater(entry);
      }
      if (found.issuer) entry.issuer = found.issuer;
      if (problem.empty()) entry.refusal.clear();
      break;
    case SwapDecision::Kind::kTake:
    case SwapDecision::Kind::kTakeWithError:
      if (!entry.in_service && StateOf(found.chain) == ChainState::kIncomplete &&
          !source.is_forced && config().certificates.incomplete_at_start == "refuse") {
        return Refuse(entry,
                      "its chain is incomplete (the certificate of " + found.chain.missing_issuer +
                          " is missing), and incomplete_at_start is \"refuse\"",
                      kForceHint);
      }
      Take(source, entry, std::move(found), decision);
      break;
  }
  // Taken or not, the operator is told of the file that cannot be read.
  if (!problem.empty()) Refuse(entry, problem, kFilesHint);
}

void CertSwapper::Take(const CertSource& source, CertEntry& entry, FoundCertificate found,
                       const SwapDecision& decision) {
  if (!entry.in_service && found.bundle->fingerprint() == entry.broken)
    return Refuse(entry, entry.last_refusal.reason, kRenewHint);
  entry.refusal.clear();
  const std::string sha = ShaOf(found.bundle);
  const bool is_waiting = entry.pending && ShaOf(entry.pending->bundle) == sha;
  const bool is_same_leaf = entry.in_service && ShaOf(entry.in_service) == sha;
  Watch(entry, found);
  if (!entry.in_service || is_same_leaf) {
    PutInService(entry, std::move(found), decision.reason, source.is_forced);
    return ProveLater(entry);
  }
  entry.pending = std::make_unique<FoundCertificate>(std::move(found));
  waiting_.insert(&entry);
  options_.index.Touch(entry);
  entry.pending_objection = decision.reason;
  entry.pending_is_forced = source.is_forced;
  if (!is_waiting) entry.pending_since = options_.loop.now();
  CheckPending(entry);
}

void CertSwapper::Refuse(CertEntry& entry, const std::string& reason, std::string_view hint) {
  if (entry.refusal == reason) return;
  entry.refusal = reason;
  entry.refused_at = options_.clock.Wall();
  ++entry.refusals;
  entry.last_refusal = {reason, entry.refused_at};
  if (entry.in_service || entry.pending) {
    LOG_WARN("cert_refused", "site={} name={} reason=\"{}\" serving={} hint=\"{}\"", entry.site,
             entry.name, reason,
             entry.in_service ? entry.in_service->leaf().serial_hex() : "nothing", hint);
  } else {
    LOG_ERROR("cert_missing", "site={} name={} code={} reason=\"{}\" hint=\"{}\"", entry.site,
              entry.name, ToString(CodeOfMissing(reason)), reason, hint);
  }
}

bool CertSwapper::WaitsForStaple(const CertEntry& entry, const FoundCertificate& candidate) const {
  if (!(config().ocsp.enabled && options_.leaves.HasWatchers()) ||
      candidate.bundle->leaf().ocsp_urls().empty())
    return false;
  const std::string sha = ShaOf(candidate.bundle);
  if (options_.leaves.StapleOf(sha)) return false;
  const WallTime now = options_.clock.Wall();
  const tls::Certificate& old = entry.in_service->leaf();
  if (old.not_after() <= now || options_.leaves.StateOf(old.sha256_hex()).revocation == "revoked")
    return false;
  if (candidate.bundle->leaf().has_must_staple()) return old.not_after() - now >= kMustStapleLimit;
  return !options_.leaves.IsReleased(sha) &&
         options_.loop.now() - entry.pending_since < kStapleWait;
}

void CertSwapper::CheckPending(CertEntry& entry) {
  const std::string sha = ShaOf(entry.pending->bundle);
  if (options_.leaves.StateOf(sha).revocation == "revoked" && !entry.pending_is_forced &&
      options_.leaves.StateOf(ShaOf(entry.in_service)).revocation != "revoked") {
    DropPending(entry);
    return Refuse(entry, "it is revoked", kForceHint);
  }
  if (WaitsForStaple(entry, *entry.pending)) {
    if (!pending_.is_running()) pending_.Start(kPendingLook);
    return;
  }
  FoundCertificate found = *std::move(entry.pending);
  DropPending(entry);
  PutInService(entry, std::move(found), entry.pending_objection, entry.pending_is_forced);
  ProveLater(entry);
}

void CertSwapper::PutInService(CertEntry& entry, FoundCertificate found,
                               const std::string& objection, bool is_forced) {
  tls::BundlePtr before = std::exchange(entry.in_service, found.bundle);
  entry.chain = std::move(found.chain);
  entry.proofs = Share(std::move(found.proofs));
  entry.is_judged = found.is_judged;
  entry.issuer = std::move(found.issuer);
  entry.files = PathList(found.files);
  entry.since = options_.clock.Wall();
  entry.is_last_good = found.is_last_good.value_or(false);
  entry.is_expiry_told = false;
  StopProving(entry);
  entry.fingerprint = entry.in_service->fingerprint();
  entry.is_proved = found.is_tried;
  if (found.is_tried) options_.prover.MarkProved(entry.fingerprint);
  LogInService(entry, before != nullptr, objection, is_forced);
  if (before) {
    ++entry.swaps;
    // Whoever forces a certificate out does not want its sessions to come back.
    if (is_forced && before->leaf().sha256() != entry.in_service->leaf().sha256())
      options_.bar(before->leaf().sha256());
  }
  fresh_.insert(&entry);
  options_.index.Touch(entry);
  SaveLastGood(entry);
}

void CertSwapper::Watch(const CertEntry& entry, const FoundCertificate& found) {
  options_.index.Note(ShaOf(found.bundle));
  options_.leaves.Watch(entry.name, entry.site, found.bundle->leaf_ptr(), found.issuer);
}

void CertSwapper::DropPending(CertEntry& entry) {
  entry.pending.reset();
  waiting_.erase(&entry);
  options_.index.Touch(entry);
}

void CertSwapper::Forget(CertEntry* entry) {
  fresh_.erase(entry);
  waiting_.erase(entry);
  StopProving(*entry);
  options_.index.Forget(*entry);
}

// What is on its way for it is not of what it serves now.
void CertSwapper::StopProving(CertEntry& entry) {
  const auto found = proving_.find(entry.fingerprint);
  if (found == proving_.end()) return;
  std::erase(found->second, &entry);
  if (found->second.empty()) proving_.erase(found);
}

std::shared_ptr<const std::vector<tls::ChainProof>> CertSwapper::Share(
    std::vector<tls::ChainProof> proofs) {
  if (last_proofs_ == nullptr || *last_proofs_ != proofs)
    last_proofs_ = std::make_shared<const std::vector<tls::ChainProof>>(std::move(proofs));
  return last_proofs_;
}

// Good is what has been tried.
void CertSwapper::SaveLastGood(const CertEntry& entry) {
  if (config().certificates.keep_last_good && entry.is_proved && !entry.is_last_good)
    last_good_.Save(entry.last_good_name, entry.in_service);
}

// What serves without a trial: proved by an earlier run, or tried while it serves. What clients say
// to its chain is found out there too, where many were read at once.
void CertSwapper::ProveLater(CertEntry& entry) {
  const bool has_trial = !entry.is_proved && !options_.prover.IsProved(entry.fingerprint);
  if (!entry.is_proved && !has_trial) {
    entry.is_proved = true;
    SaveLastGood(entry);
  }
  if (!has_trial && entry.is_judged) return;
  std::vector<CertEntry*>& same = proving_[entry.fingerprint];
  if (std::find(same.begin(), same.end(), &entry) != same.end()) return;
  same.push_back(&entry);
  const server::SiteSpec& site = snapshot_->sites[entry.source->site_index];
  options_.prover.Prove({entry.in_service, site.tls_policy, site.name, has_trial});
}

CertSwapper::Proved CertSwapper::TakeProof(const std::string& fingerprint,
                                           const ProofResult& result,
                                           const CertificateContext& context) {
  Proved proved;
  const auto found = proving_.find(fingerprint);
  if (found == proving_.end()) return proved;
  // A copy: one that is done with, or goes out of service, leaves the list.
  for (CertEntry* entry : std::vector<CertEntry*>(found->second)) {
    if (result.rehearsed && !entry->is_proved) {
      if (!result.rehearsed->failure.empty()) {
        proved.has_changed = true;
        TakeOutOfService(*entry, result.rehearsed->failure, context);
        continue;
      }
      entry->is_proved = true;
      SaveLastGood(*entry);
    }
    if (!entry->is_judged) {
      entry->proofs = Share(result.proofs);
      entry->is_judged = true;
      if (IsRefused(*entry->proofs)) proved.not_verified.push_back(entry);
    }
    // Otherwise it came later, with a task of its own.
    if (entry->is_proved) StopProving(*entry);
  }
  return proved;
}

// It matched by its public half and dates, and still nobody gets through with it.
void CertSwapper::TakeOutOfService(CertEntry& entry, const std::string& failure,
                                   const CertificateContext& context) {
  const std::string reason = "no handshake succeeds with it: " + failure;
  StopProving(entry);
  entry.broken = std::exchange(entry.fingerprint, {});
  entry.in_service.reset();
  entry.is_judged = false;
  fresh_.erase(&entry);
  options_.index.Touch(entry);
  auto last = config().certificates.keep_last_good ? last_good_.Load(entry.last_good_name, context)
                                                   : std::nullopt;
  if (!last || last->bundle->fingerprint() == entry.broken)
    return Refuse(entry, reason, kRenewHint);
  ServeLastGood(entry, *std::move(last), entry.files.All(), reason, kRenewHint);
  ProveLater(entry);
}

// What waits: its staple may be there, or the time over.
void CertSwapper::CheckPending() {
  pending_.Cancel();
  for (CertEntry* entry : std::set<CertEntry*>(waiting_)) CheckPending(*entry);
}

}  // namespace genkan::control
