#include "proxy/control/cert_manager.h"

#include <algorithm>
#include <map>
#include <set>

#include "proxy/base/log.h"
#include "proxy/control/cert_entry.h"
#include "proxy/control/cert_leaves.h"
#include "proxy/control/last_good.h"
#include "proxy/control/swap_rules.h"
#include "proxy/event/file_watcher.h"
#include "proxy/event/timer.h"
#include "proxy/tls/trust_store.h"

namespace genkan::control {
namespace {

constexpr Millis kRetry{5'000};        // of what may be half-written
constexpr Millis kStapleWait{10'000};  // of a swap for its first staple
constexpr Millis kPendingLook{1'000};
constexpr auto kMustStapleLimit = std::chrono::hours(1);
constexpr Millis kHour{3'600'000};
constexpr int kHoursOfDay = 24;
constexpr auto kTicketLife = std::chrono::hours(12);
constexpr size_t kMaxBarred = 1024;

// One entry of a site's `certificates`, with what it gave.
struct Source {
  std::string site;
  size_t site_index = 0;
  config::CertificateSource config;
  std::vector<std::string> watch;
  std::vector<std::unique_ptr<CertEntry>> entries;
  bool needs_reading = true, is_reload = false, is_forced = false;
  bool needs_retry = false;  // soon, without an event

  bool IsSameAs(const std::string& other_site, const config::CertificateSource& other) const {
    return site == other_site && config.path == other.path &&
           config.certificate == other.certificate && config.key == other.key &&
           config.chain == other.chain;
  }
};

class Manager final : public CertManager {
 public:
  explicit Manager(CertManagerOptions options);
  ~Manager() override { alive_.reset(); }

  void Apply(server::SnapshotPtr snapshot, std::function<void()> ready) override;
  void AddWatcher(std::unique_ptr<CertificateWatcher> watcher) override;
  void ReadAgain(bool force) override;
  void Refresh() override { leaves_.Refresh(); }
  std::vector<CertificateStatus> Status() const override;

 private:
  // Reading.
  bool LoadContext(bool again);
  void OnFiles(const std::vector<std::string>& paths);
  void WatchFiles();
  void ReadFlagged();
  void Read(Source& source);
  void TakeReading(Source& source, std::vector<FoundCertificate> found);
  CertEntry* EntryOf(Source& source, const FoundCertificate& found);
  bool StartFromLastGood(const Source& source, CertEntry& entry, const FoundCertificate& found);
  SwapInput InputOf(const Source& source, const tls::BundlePtr& in_service, const tls::Chain& chain,
                    const FoundCertificate& found) const;
  void DropUnmatched(Source& source, const std::set<const CertEntry*>& matched, bool has_good);
  // Deciding.
  void Consider(const Source& source, CertEntry& entry, FoundCertificate found);
  void Refuse(CertEntry& entry, const std::string& reason);
  bool WaitsForStaple(const CertEntry& entry, const FoundCertificate& candidate) const;
  void CheckPending(CertEntry& entry);
  void PutInService(CertEntry& entry, FoundCertificate found, const std::string& objection,
                    bool is_forced);
  // Telling.
  void ScheduleUpdate();
  void Update();
  void Publish();
  void KeepLeaves();
  bool IsReadyAwaited() const;
  void CallReady();
  std::vector<std::string> UncoveredBy(const CertEntry& entry) const;
  std::vector<CertFinding> Findings(const CertEntry& entry) const;
  void LogFindings(CertEntry& entry, std::string_view only_event);
  void Tick();
  void StartTick();

  bool IsOcspEnabled() const { return config().ocsp.enabled && leaves_.HasWatchers(); }
  const config::Config& config() const { return *snapshot_->config; }
  template <class Function>
  void ForEach(Function function) const {
    for (const auto& source : sources_) {
      for (const auto& entry : source->entries) function(*source, *entry);
    }
  }

  CertManagerOptions options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  server::SnapshotPtr snapshot_;
  std::vector<std::unique_ptr<Source>> sources_;  // in the snapshot's order

  CertificateContext context_;
  std::string trust_store_;
  std::vector<std::string> pool_;
  bool has_context_ = false, is_pool_dirty_ = false;

  bool is_update_scheduled_ = false, was_published_ = false;
  std::vector<std::pair<uint32_t, tls::BundlePtr>> published_;
  std::map<std::string, WallTime> barred_;  // SHA-256 -> until when a ticket of it may live
  std::set<std::string> published_barred_;
  std::set<CertEntry*> fresh_;  // their findings are to be told
  std::function<void()> ready_;
  MonotonicTime next_hour_{};
  int hours_ = 0;

  CertLeaves leaves_;
  LastGood last_good_;
  event::FileWatcher watcher_;
  std::vector<std::string> watched_;
  event::Timer retry_, pending_, wait_, tick_;
};

Manager::Manager(CertManagerOptions options)
    : options_(std::move(options)),
      leaves_({options_.loop, options_.fetcher, options_.state, options_.clock,
               [this] { ScheduleUpdate(); }}),
      last_good_(options_.loop, options_.state),
      watcher_(options_.loop, [this](const std::vector<std::string>& paths) { OnFiles(paths); }),
      retry_(options_.loop,
             [this] {
               for (auto& source : sources_) source->needs_reading |= source->needs_retry;
               ScheduleUpdate();
             }),
      pending_(options_.loop, [this] { ScheduleUpdate(); }),
      wait_(options_.loop, [this] { CallReady(); }),
      tick_(options_.loop, [this] { Tick(); }) {}

void Manager::AddWatcher(std::unique_ptr<CertificateWatcher> watcher) {
  leaves_.AddWatcher(std::move(watcher));
}

void Manager::Apply(server::SnapshotPtr snapshot, std::function<void()> ready) {
  const bool is_first = !snapshot_;
  snapshot_ = std::move(snapshot);
  auto before = std::move(sources_);
  sources_.clear();
  for (size_t i = 0; i < snapshot_->sites.size(); ++i) {
    const server::SiteSpec& site = snapshot_->sites[i];
    for (const config::CertificateSource& wanted : site.config.certificates) {
      auto same = std::find_if(before.begin(), before.end(), [&](const auto& source) {
        return source && source->IsSameAs(site.name, wanted);
      });
      if (same != before.end()) {
        sources_.push_back(std::move(*same));
      } else {
        sources_.push_back(std::make_unique<Source>());
        sources_.back()->site = site.name;
        sources_.back()->config = wanted;
      }
      sources_.back()->site_index = i;
    }
  }
  for (const auto& source : before) {
    if (!source) continue;
    for (const auto& entry : source->entries) fresh_.erase(entry.get());
  }
  if (LoadContext(false)) {
    for (auto& source : sources_) source->needs_reading = true;
  }
  was_published_ = false;  // site indices and names may be others
  Update();
  if (is_first) {
    ready_ = std::move(ready);
    if (!IsReadyAwaited()) {
      CallReady();
    } else {
      wait_.Start(config().ocsp.first_response_wait);
    }
  } else if (ready) {
    ready();
  }
}

void Manager::ReadAgain(bool force) {
  if (!snapshot_) return;
  LoadContext(true);
  for (auto& source : sources_) {
    source->needs_reading = source->is_reload = true;
    source->is_forced = force;
  }
  Update();
}

// Roots and the further pool; true where they are others than before.
bool Manager::LoadContext(bool again) {
  const config::Certificates& wanted = config().certificates;
  if (has_context_ && !again && !is_pool_dirty_ && wanted.trust_store == trust_store_ &&
      wanted.pool == pool_)
    return false;
  if (!has_context_ || again || wanted.trust_store != trust_store_) {
    auto roots = tls::LoadTrustStore(wanted.trust_store);
    if (roots) {
      context_.roots = *std::move(roots);
    } else {
      LOG_ERROR("trust_store", "error=\"{}\" going on with {} roots", roots.error().detail,
                context_.roots.size());
    }
  }
  std::vector<std::string> problems;
  context_.pool = ReadExtraPool(wanted.pool, options_.files, problems);
  for (const std::string& problem : problems) LOG_WARN("certificate_pool", "error=\"{}\"", problem);
  trust_store_ = wanted.trust_store;
  pool_ = wanted.pool;
  has_context_ = true;
  is_pool_dirty_ = false;
  return true;
}

void Manager::OnFiles(const std::vector<std::string>& paths) {
  auto contains = [&](const std::vector<std::string>& list) {
    return std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
      return std::find(list.begin(), list.end(), path) != list.end();
    });
  };
  if (contains(pool_)) {
    is_pool_dirty_ = true;
    for (auto& source : sources_) source->needs_reading = true;
  }
  for (auto& source : sources_) source->needs_reading |= contains(source->watch);
  ScheduleUpdate();
}

// Before the reading, so that no change falls between the two.
void Manager::WatchFiles() {
  std::vector<std::string> paths = pool_;
  for (auto& source : sources_) {
    if (source->needs_reading) source->watch = WatchPathsOf(source->config, options_.files);
    paths.insert(paths.end(), source->watch.begin(), source->watch.end());
  }
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  if (paths == watched_) return;
  watched_ = paths;
  watcher_.Watch(paths);
}

void Manager::ReadFlagged() {
  bool needs_retry = false;
  for (auto& source : sources_) {
    if (source->needs_reading) Read(*source);
    needs_retry |= source->needs_retry;
  }
  if (!needs_retry) {
    retry_.Cancel();
  } else if (!retry_.is_running()) {
    retry_.Start(kRetry);
  }
}

void Manager::Read(Source& source) {
  context_.now = options_.clock.Wall();
  SourceReading reading = ReadSource(source.config, options_.files, context_);
  source.needs_retry =
      std::any_of(reading.certificates.begin(), reading.certificates.end(),
                  [](const FoundCertificate& found) { return found.may_be_half_written; });
  TakeReading(source, std::move(reading.certificates));
  source.needs_reading = source.is_reload = source.is_forced = false;
}

void Manager::TakeReading(Source& source, std::vector<FoundCertificate> found) {
  std::set<const CertEntry*> matched;
  bool has_good = false;
  for (FoundCertificate& one : found) {
    // A directory that is gone says nothing of which of its certificates: of all.
    bool is_named = std::any_of(source.entries.begin(), source.entries.end(),
                                [&](const auto& entry) { return entry->name == one.name; });
    if (!one.bundle && !is_named && !source.entries.empty() && found.size() == 1) {
      for (auto& entry : source.entries) {
        matched.insert(entry.get());
        Refuse(*entry, one.error);
      }
      continue;
    }
    CertEntry* entry = EntryOf(source, one);
    matched.insert(entry);
    has_good |= one.bundle != nullptr;
    if (StartFromLastGood(source, *entry, one)) continue;
    if (one.bundle) {
      Consider(source, *entry, std::move(one));
    } else {
      if (!entry->in_service) entry->files = one.files;
      Refuse(*entry, one.error);
    }
  }
  DropUnmatched(source, matched, has_good);
}

CertEntry* Manager::EntryOf(Source& source, const FoundCertificate& found) {
  for (auto& entry : source.entries) {
    if (entry->name == found.name) return entry.get();
  }
  source.entries.push_back(std::make_unique<CertEntry>());
  source.entries.back()->site = source.site;
  source.entries.back()->name = found.name;
  source.entries.back()->last_good_name = LastGood::NameOf(source.site, source.config, found.name);
  return source.entries.back().get();
}

// At a start the files win, unless there is nothing of use in them or the rules of a swap would
// refuse them against what was in service last. `genkan reload --force` takes them all the same.
bool Manager::StartFromLastGood(const Source& source, CertEntry& entry,
                                const FoundCertificate& found) {
  if (entry.in_service || source.is_forced || !config().certificates.keep_last_good) return false;
  if (std::exchange(entry.is_last_good_tried, true)) return false;
  auto last = last_good_.Load(entry.last_good_name, context_);
  if (!last) return false;
  std::string reason = found.error;
  if (found.bundle) {
    if (ShaOf(found.bundle) == ShaOf(last->bundle)) return false;
    SwapDecision decision = DecideSwap(InputOf(source, last->bundle, last->chain, found));
    if (decision.kind != SwapDecision::Kind::kRefuse) return false;
    reason = decision.reason;
  }
  LOG_ERROR("cert_last_good", "site={} name={} starting from the last good certificate", entry.site,
            entry.name);
  last->files = found.files;
  leaves_.Watch(ViewOf(entry, last->bundle, last->issuer));
  PutInService(entry, *std::move(last), "", false);
  Refuse(entry, reason);
  return true;
}

// What the files no longer have goes on being served until a reload says that this is meant, or
// something else of the same source and kind of key has taken its place.
void Manager::DropUnmatched(Source& source, const std::set<const CertEntry*>& matched,
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
      Refuse(*entry, "its files are gone; what was read before is served until a reload");
      return false;
    }
    if (entry->in_service) LOG_INFO("cert_removed", "site={} name={}", entry->site, entry->name);
    fresh_.erase(entry.get());
    return true;
  });
}

SwapInput Manager::InputOf(const Source& source, const tls::BundlePtr& in_service,
                           const tls::Chain& chain, const FoundCertificate& found) const {
  SwapInput input;
  input.in_service = SideOf(in_service, chain, leaves_.StateOf(ShaOf(in_service)));
  input.candidate = SideOf(found.bundle, found.chain, leaves_.StateOf(ShaOf(found.bundle)));
  input.site_names = snapshot_->sites[source.site_index].config.names;
  input.now = options_.clock.Wall();
  input.serves_incomplete = config().certificates.incomplete_at_swap == "serve";
  input.may_be_half_written = found.may_be_half_written;
  input.is_forced = source.is_forced;
  return input;
}

void Manager::Consider(const Source& source, CertEntry& entry, FoundCertificate found) {
  SwapInput input = InputOf(source, entry.in_service, entry.chain, found);
  SwapDecision decision = DecideSwap(input);
  const std::string problem = found.error;
  switch (decision.kind) {
    case SwapDecision::Kind::kRefuse:
      return Refuse(entry, decision.reason);
    case SwapDecision::Kind::kNothingToDo:
      entry.pending.reset();
      entry.files = std::move(found.files);
      entry.chain = std::move(found.chain);
      if (found.issuer) entry.issuer = found.issuer;
      break;
    case SwapDecision::Kind::kTake:
    case SwapDecision::Kind::kTakeWithError: {
      if (!entry.in_service && input.candidate.chain_state == ChainState::kIncomplete &&
          !source.is_forced && config().certificates.incomplete_at_start == "refuse") {
        return Refuse(entry, "its chain is incomplete (the certificate of " +
                                 found.chain.missing_issuer +
                                 " is missing), and incomplete_at_start is \"refuse\"");
      }
      entry.refusal.clear();
      bool is_waiting = entry.pending && ShaOf(entry.pending->bundle) == ShaOf(found.bundle);
      bool is_same_leaf = entry.in_service && ShaOf(entry.in_service) == ShaOf(found.bundle);
      leaves_.Watch(ViewOf(entry, found.bundle, found.issuer));
      if (!entry.in_service || is_same_leaf) {
        PutInService(entry, std::move(found), decision.reason, source.is_forced);
        break;
      }
      entry.pending = std::move(found);
      entry.pending_objection = decision.reason;
      entry.pending_is_forced = source.is_forced;
      if (!is_waiting) entry.pending_since = options_.loop.now();
      CheckPending(entry);
      break;
    }
  }
  // Taken or not, the operator is told of the file that cannot be read.
  if (!problem.empty()) {
    Refuse(entry, problem);
  } else if (decision.kind == SwapDecision::Kind::kNothingToDo) {
    entry.refusal.clear();
  }
}

void Manager::Refuse(CertEntry& entry, const std::string& reason) {
  if (entry.refusal == reason) return;
  entry.refusal = reason;
  entry.refused_at = options_.clock.Wall();
  if (entry.in_service || entry.pending) {
    LOG_WARN("cert_refused", "site={} name={} reason=\"{}\"", entry.site, entry.name, reason);
  } else {
    LOG_ERROR("cert_missing", "site={} name={} reason=\"{}\"", entry.site, entry.name, reason);
  }
}

bool Manager::WaitsForStaple(const CertEntry& entry, const FoundCertificate& candidate) const {
  if (!IsOcspEnabled() || candidate.bundle->leaf().ocsp_urls().empty()) return false;
  const std::string sha = ShaOf(candidate.bundle);
  if (leaves_.StapleOf(sha)) return false;
  const WallTime now = options_.clock.Wall();
  const tls::Certificate& old = entry.in_service->leaf();
  if (old.not_after() <= now || leaves_.StateOf(old.sha256_hex()).revocation == "revoked")
    return false;
  if (candidate.bundle->leaf().has_must_staple()) return old.not_after() - now >= kMustStapleLimit;
  return !leaves_.IsReleased(sha) && options_.loop.now() - entry.pending_since < kStapleWait;
}

void Manager::CheckPending(CertEntry& entry) {
  const std::string sha = ShaOf(entry.pending->bundle);
  if (leaves_.StateOf(sha).revocation == "revoked" && !entry.pending_is_forced &&
      leaves_.StateOf(ShaOf(entry.in_service)).revocation != "revoked") {
    entry.pending.reset();
    return Refuse(entry, "it is revoked");
  }
  if (WaitsForStaple(entry, *entry.pending)) {
    if (!pending_.is_running()) pending_.Start(kPendingLook);
    return;
  }
  FoundCertificate found = *std::move(entry.pending);
  entry.pending.reset();
  PutInService(entry, std::move(found), entry.pending_objection, entry.pending_is_forced);
}

void Manager::PutInService(CertEntry& entry, FoundCertificate found, const std::string& objection,
                           bool is_forced) {
  tls::BundlePtr before = std::exchange(entry.in_service, found.bundle);
  entry.chain = std::move(found.chain);
  entry.issuer = std::move(found.issuer);
  entry.files = std::move(found.files);
  entry.since = options_.clock.Wall();
  entry.is_expiry_told = false;
  const tls::Certificate& leaf = entry.in_service->leaf();
  const char* event = before ? "cert_swapped" : "cert_in_service";
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
  if (before) {
    ++entry.swaps;
    // Whoever forces a certificate out does not want its sessions to come back.
    if (is_forced && before->leaf().sha256() != leaf.sha256())
      barred_[before->leaf().sha256()] = options_.clock.Wall() + kTicketLife;
  }
  fresh_.insert(&entry);
  if (config().certificates.keep_last_good) last_good_.Save(entry.last_good_name, entry.in_service);
}

void Manager::ScheduleUpdate() {
  if (is_update_scheduled_) return;
  is_update_scheduled_ = true;
  std::weak_ptr<bool> alive = alive_;
  options_.loop.Defer([this, alive] {
    if (alive.lock() && is_update_scheduled_) Update();
  });
}

void Manager::Update() {
  is_update_scheduled_ = false;
  if (!snapshot_) return;
  if (is_pool_dirty_) LoadContext(false);
  WatchFiles();
  ReadFlagged();
  pending_.Cancel();
  ForEach([this](const Source&, CertEntry& entry) {
    if (entry.pending) CheckPending(entry);
  });
  KeepLeaves();
  Publish();
  for (CertEntry* entry : std::exchange(fresh_, {})) LogFindings(*entry, "");
  StartTick();
  // What was reported meanwhile has been looked at, except by whoever waits for the start.
  if (ready_ && !IsReadyAwaited()) CallReady();
}

void Manager::KeepLeaves() {
  std::set<std::string> kept;
  ForEach([&](const Source&, const CertEntry& entry) {
    if (entry.in_service) kept.insert(ShaOf(entry.in_service));
    if (entry.pending) kept.insert(ShaOf(entry.pending->bundle));
  });
  leaves_.Keep(kept);
}

void Manager::Publish() {
  const WallTime now = options_.clock.Wall();
  std::vector<tls::CertStore::SiteEntry> sites(snapshot_->sites.size());
  bool has_default = false;
  for (size_t i = 0; i < sites.size(); ++i) {
    sites[i].site = static_cast<uint32_t>(i);
    sites[i].names = snapshot_->sites[i].config.names;
    sites[i].is_default = snapshot_->sites[i].config.is_default;
    has_default |= sites[i].is_default;
  }
  if (!has_default && !sites.empty()) sites.front().is_default = true;
  std::vector<std::pair<uint32_t, tls::BundlePtr>> bundles;
  ForEach([&](const Source& source, CertEntry& entry) {
    if (!entry.in_service) return;
    const std::string sha = ShaOf(entry.in_service);
    auto staple = leaves_.StapleOf(sha);
    if (entry.in_service->staple() != staple)
      entry.in_service = entry.in_service->WithStaple(std::move(staple));
    if (leaves_.StateOf(sha).revocation == "revoked")
      barred_[entry.in_service->leaf().sha256()] =
          entry.in_service->leaf().not_after() + kTicketLife;
    sites[source.site_index].bundles.push_back(entry.in_service);
    bundles.emplace_back(static_cast<uint32_t>(source.site_index), entry.in_service);
  });
  std::erase_if(barred_, [&](const auto& item) { return item.second <= now; });
  while (barred_.size() > kMaxBarred) barred_.erase(barred_.begin());
  std::set<std::string> barred;
  for (const auto& [sha, until] : barred_) barred.insert(sha);
  if (was_published_ && bundles == published_ && barred == published_barred_) return;
  was_published_ = true;
  published_ = std::move(bundles);
  published_barred_ = barred;
  options_.publish(std::make_shared<const tls::CertStore>(std::move(sites)),
                   std::make_shared<const std::vector<std::string>>(barred.begin(), barred.end()));
}

bool Manager::IsReadyAwaited() const {
  bool is_awaited = false;
  ForEach([&](const Source&, const CertEntry& entry) {
    if (!entry.in_service || entry.in_service->leaf().ocsp_urls().empty() || !IsOcspEnabled())
      return;
    is_awaited |= !leaves_.IsReleased(ShaOf(entry.in_service));
  });
  return is_awaited;
}

void Manager::CallReady() {
  wait_.Cancel();
  if (auto ready = std::exchange(ready_, nullptr)) ready();
}

// The site's names that none of its certificates covers; told with its first one.
std::vector<std::string> Manager::UncoveredBy(const CertEntry& entry) const {
  std::vector<const tls::Certificate*> leaves;
  const Source* of_entry = nullptr;
  const CertEntry* first = nullptr;
  ForEach([&](const Source& source, const CertEntry& other) {
    if (other.site != entry.site || !other.in_service) return;
    if (first == nullptr) first = &other;
    if (&other == &entry) of_entry = &source;
    leaves.push_back(&other.in_service->leaf());
  });
  if (first != &entry || of_entry == nullptr) return {};
  std::vector<std::string> uncovered;
  for (const std::string& name : snapshot_->sites[of_entry->site_index].config.names) {
    if (std::none_of(leaves.begin(), leaves.end(),
                     [&](const tls::Certificate* leaf) { return CoversSiteName(*leaf, name); }))
      uncovered.push_back(name);
  }
  return uncovered;
}

std::vector<CertFinding> Manager::Findings(const CertEntry& entry) const {
  return FindingsOf(entry, leaves_, options_.clock.Wall(), IsOcspEnabled(), UncoveredBy(entry));
}

// `only_event`: just that one; "" = all.
void Manager::LogFindings(CertEntry& entry, std::string_view only_event) {
  for (const CertFinding& finding : Findings(entry)) {
    std::string_view event = finding.event;
    if (!only_event.empty() && event != only_event) continue;
    if (event == "cert_private_root" && std::exchange(entry.is_unknown_root_told, true)) continue;
    if (event == "cert_expired") entry.is_expiry_told = true;
    GENKAN_LOG(finding.level, event, "site={} name={} {}", entry.site, entry.name, finding.text);
  }
}

// Every hour, and when the next certificate expires.
void Manager::Tick() {
  const WallTime now = options_.clock.Wall();
  const bool is_hourly = options_.loop.now() >= next_hour_;
  const bool is_daily = is_hourly && ++hours_ % kHoursOfDay == 0;
  if (is_hourly) next_hour_ = options_.loop.now() + kHour;
  ForEach([&](const Source&, CertEntry& entry) {
    if (is_daily) return LogFindings(entry, "");
    if (is_hourly) LogFindings(entry, "cert_incomplete");
    if (entry.in_service && entry.in_service->leaf().not_after() <= now && !entry.is_expiry_told)
      LogFindings(entry, "cert_expired");
  });
  for (auto& source : sources_) {
    // What was refused may be better than what is in service by now.
    source->needs_reading |= std::any_of(source->entries.begin(), source->entries.end(),
                                         [](const auto& entry) { return !entry->refusal.empty(); });
  }
  ScheduleUpdate();
}

void Manager::StartTick() {
  const WallTime now = options_.clock.Wall();
  if (next_hour_ == MonotonicTime{}) next_hour_ = options_.loop.now() + kHour;
  Millis delay = std::chrono::ceil<Millis>(next_hour_ - options_.loop.now());
  ForEach([&](const Source&, const CertEntry& entry) {
    if (!entry.in_service || entry.in_service->leaf().not_after() <= now) return;
    auto left = std::chrono::duration_cast<Millis>(entry.in_service->leaf().not_after() - now);
    delay = std::min(delay, left + Millis(1'000));
  });
  tick_.Start(delay);
}

std::vector<CertificateStatus> Manager::Status() const {
  std::vector<CertificateStatus> all;
  ForEach([&](const Source&, const CertEntry& entry) {
    all.push_back(StatusOf(entry, leaves_, IsOcspEnabled(), Findings(entry)));
  });
  return all;
}

}  // namespace

std::unique_ptr<CertManager> CertManager::Make(CertManagerOptions options) {
  return std::make_unique<Manager>(std::move(options));
}

}  // namespace genkan::control
