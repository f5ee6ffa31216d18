#include "proxy/control/cert_manager.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/config/ari_file.h"
#include "proxy/control/cert_entry.h"
#include "proxy/control/cert_index.h"
#include "proxy/control/cert_leaves.h"
#include "proxy/control/cert_publisher.h"
#include "proxy/control/cert_reader.h"
#include "proxy/control/cert_swapper.h"
#include "proxy/control/revocation_drill.h"
#include "proxy/control/revocation_reaction.h"
#include "proxy/event/timer.h"

namespace genkan::control {
namespace {

constexpr Millis kHour{3'600'000};
constexpr int kHoursOfDay = 24;
// Of what state_dir remembers of others than those in service, where some of them are in trouble.
constexpr auto kUnusedStateLife = std::chrono::hours(24 * 30);

// Wires the reader, the swapper and the publisher, and tells what a person should know.
class Manager final : public CertManager {
 public:
  explicit Manager(CertManagerOptions options);
  ~Manager() override { alive_.reset(); }

  void Apply(server::SnapshotPtr snapshot, std::function<void()> ready) override;
  size_t AddWatcher(std::unique_ptr<CertificateWatcher> watcher) override {
    return leaves_.AddWatcher(std::move(watcher));
  }
  void RemoveWatcher(size_t number) override { leaves_.RemoveWatcher(number); }
  void ReadAgain(bool force) override;
  void Refresh() override { leaves_.Refresh(); }
  std::vector<CertificateStatus> Status() const override;
  genkan::Status StartDrill(const std::string& site) override {
    if (!snapshot_) return Fail(ErrorCode::kBusy, "it is still starting");
    return drill_.Start(*snapshot_, site);
  }
  const DrillReport& Drill() const override { return drill_.report(); }
  const BarredLeaves& Barred() const override { return publisher_.barred(); }
  void RestoreBarred(BarredLeaves barred) override { publisher_.Restore(std::move(barred)); }
  uint64_t reads() const override { return reader_.reads(); }
  uint64_t looks() const override { return index_.looks(); }
  uint64_t trials() const override { return prover_.trials(); }

 private:
  std::vector<tls::BundlePtr> ProvedBundles() const;
  void TakeSources();
  // `next`: where in `before` it probably is; then of the one after it.
  void TakeSource(CertSources& before, size_t& next, size_t site_index, bool is_standby,
                  const config::CertificateSource& wanted);
  void ScheduleUpdate();
  void Update();
  void ForgetLeaves(const std::vector<std::string>& gone);
  bool IsAllWell() const;
  void SweepState(WallTime before);
  void AwaitStaples();
  bool IsReadyAwaited();
  void OnProof(const std::string& fingerprint, const ProofResult& result);
  void CallReady();
  std::vector<std::string> UncoveredBy(const CertEntry& entry) const;
  std::vector<CertFinding> Findings(const CertEntry& entry) const;
  // A start, a swap and once a day tell all; what is wrong with a chain is told every hour.
  enum class Telling { kAll, kHourly, kExpired, kNotVerified };
  static bool IsTold(const CertFinding& finding, Telling telling);
  void LogFindings(CertEntry& entry, Telling telling);
  void Tick();
  void StartTick(const CertIndex::Changes& changes);

  bool IsOcspEnabled() const { return config().ocsp.enabled && leaves_.HasWatchers(); }
  const config::Config& config() const { return *snapshot_->config; }

  CertManagerOptions options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  server::SnapshotPtr snapshot_;
  CertSources sources_;
  CertIndex index_{sources_};
  bool is_update_scheduled_ = false;
  std::function<void()> ready_;
  std::vector<std::string> awaited_;  // leaves whose first staple the start waits for
  MonotonicTime next_hour_{};
  WallTime next_expiry_ = WallTime::max();  // of what is in service: not later than the first
  int hours_ = 0;
  bool is_sweep_wanted_ = false;  // at a start and a reload, and once a day

  CertLeaves leaves_;
  RevocationReaction reaction_;
  RevocationDrill drill_;
  CertPublisher publisher_;
  CertProver prover_;
  TrialAhead trials_;
  CertSwapper swapper_;
  CertReader reader_;
  event::Timer wait_, tick_;
};

Manager::Manager(CertManagerOptions options)
    : options_(std::move(options)),
      leaves_({options_.loop, options_.fetcher, options_.pool, options_.state, options_.clock,
               [this](const std::string& sha256_hex) {
                 if (sha256_hex.empty()) {
                   index_.TouchAll();
                 } else {
                   index_.TouchLeaf(sha256_hex);
                 }
                 ScheduleUpdate();
               }}),
      reaction_({options_.loop, options_.clock, options_.hooks, options_.fetcher, options_.state}),
      drill_({options_.clock, leaves_, sources_, reaction_}),
      publisher_({options_.clock, leaves_, index_, options_.publish}),
      prover_({options_.loop, &options_.pool, options_.state, options_.clock,
               [this](const std::string& fingerprint, const ProofResult& result) {
                 OnProof(fingerprint, result);
               },
               [this] { return ProvedBundles(); }}),
      trials_({options_.loop, &options_.pool, options_.clock}),
      swapper_({options_.loop, options_.clock, leaves_, options_.state, prover_, trials_, index_,
                [this] { ScheduleUpdate(); },
                [this](const std::string& sha256) { publisher_.Bar(sha256); }}),
      reader_({options_.loop, options_.files, options_.view, options_.clock, sources_,
               &options_.pool, [this] { ScheduleUpdate(); },
               [this](CertSource& source, std::vector<FoundCertificate> found) {
                 swapper_.TakeReading(source, std::move(found), reader_.context());
               },
               [this](const CertSource& source, const std::vector<FoundCertificate>& found) {
                 swapper_.TryAhead(source, found, reader_.context());
               },
               [this](const CertSource& source, FoundCertificate& found) {
                 swapper_.LookAtLastGood(source, found);
               },
               options_.fetcher, options_.state}),
      wait_(options_.loop, [this] { CallReady(); }),
      tick_(options_.loop, [this] { Tick(); }) {}

void Manager::Apply(server::SnapshotPtr snapshot, std::function<void()> ready) {
  const bool is_first = !snapshot_;
  snapshot_ = std::move(snapshot);
  swapper_.Configure(snapshot_);
  leaves_.SetAriAuthorities(config::AllAriAuthorities(config().revocation));
  reaction_.Configure(config().revocation);
  TakeSources();
  reader_.TakeSources();
  if (reader_.LoadContext(config().certificates, false)) {
    for (auto& source : sources_) reader_.Flag(*source);
  }
  prover_.Load(reader_.context());
  publisher_.Renew();
  is_sweep_wanted_ = true;
  Update();
  if (is_first) {
    ready_ = std::move(ready);
    AwaitStaples();
    if (!IsReadyAwaited()) {
      CallReady();
    } else {
      wait_.Start(config().ocsp.first_response_wait);
    }
  } else if (ready) {
    ready();
  }
}

// Those of the snapshot; what was there before stays with its state.
void Manager::TakeSources() {
  CertSources before = std::exchange(sources_, {});
  size_t next = 0;
  for (size_t i = 0; i < snapshot_->sites.size(); ++i) {
    const server::SiteSpec& site = snapshot_->sites[i];
    for (const config::CertificateSource& wanted : site.config.certificates)
      TakeSource(before, next, i, false, wanted);
    if (!site.config.standby.empty()) {
      config::CertificateSource standby;
      standby.path = site.config.standby;
      TakeSource(before, next, i, true, standby);
    }
  }
  for (const auto& source : before) {
    if (!source) continue;
    for (const auto& entry : source->entries) swapper_.Forget(entry.get());
  }
  index_.Renew();
}

void Manager::TakeSource(CertSources& before, size_t& next, size_t site_index, bool is_standby,
                         const config::CertificateSource& wanted) {
  const std::string& site = snapshot_->sites[site_index].name;
  const auto is_same = [&](const auto& source) {
    return source && source->IsSameAs(site, is_standby, wanted);
  };
  // Most reloads leave the order as it was.
  auto same = next < before.size() && is_same(before[next])
                  ? before.begin() + static_cast<ptrdiff_t>(next)
                  : std::find_if(before.begin(), before.end(), is_same);
  if (same != before.end()) {
    next = static_cast<size_t>(same - before.begin()) + 1;
    sources_.push_back(std::move(*same));
  } else {
    sources_.push_back(std::make_unique<CertSource>());
    sources_.back()->site = site;
    sources_.back()->is_standby = is_standby;
    sources_.back()->config = wanted;
  }
  sources_.back()->site_index = site_index;
}

void Manager::ReadAgain(bool force) {
  if (!snapshot_) return;
  reader_.LoadContext(config().certificates, true);
  prover_.Load(reader_.context());
  for (auto& source : sources_) {
    reader_.Flag(*source);
    source->is_reload = true;
    source->is_forced = force;
  }
  Update();
}

std::vector<tls::BundlePtr> Manager::ProvedBundles() const {
  std::vector<tls::BundlePtr> bundles;
  ForEachEntry(sources_, [&](const CertSource&, const CertEntry& entry) {
    if (entry.in_service && entry.is_proved) bundles.push_back(entry.in_service);
  });
  return bundles;
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
  reader_.ReadFlagged(config().certificates);
  swapper_.CheckPending();
  const CertIndex::Changes changes = index_.Take();
  ForgetLeaves(changes.gone);
  for (const CertEntry* entry : changes.entries) {
    if (entry->in_service) reaction_.Look(*entry, leaves_.StateOf(ShaOf(entry->in_service)));
  }
  publisher_.Publish(*snapshot_, changes);
  for (CertEntry* entry : swapper_.TakeFresh()) LogFindings(*entry, Telling::kAll);
  if (is_sweep_wanted_ && IsAllWell()) SweepState(WallTime::max());
  StartTick(changes);
  // What was reported meanwhile has been looked at, except by whoever waits for the start.
  if (ready_ && !IsReadyAwaited()) CallReady();
}

void Manager::ForgetLeaves(const std::vector<std::string>& gone) {
  for (const std::string& sha256_hex : gone) {
    leaves_.Drop(sha256_hex);
    reaction_.Drop(sha256_hex);
  }
}

// What is configured serves, from its own files: then nobody will want anything else back soon.
bool Manager::IsAllWell() const {
  return std::all_of(sources_.begin(), sources_.end(), [](const auto& source) {
    return !source->entries.empty() && !source->needs_reading &&
           std::all_of(source->entries.begin(), source->entries.end(), [](const auto& entry) {
             return entry->in_service && entry->is_proved && !entry->pending &&
                    entry->refusal.empty();
           });
  });
}

void Manager::SweepState(WallTime before) {
  is_sweep_wanted_ = false;
  if (const size_t removed = leaves_.SweepState(before); removed != 0)
    LOG_INFO("state_swept", "files={} of certificates and lists that are not in use", removed);
}

// A trial in the background has ended.
void Manager::OnProof(const std::string& fingerprint, const ProofResult& result) {
  const auto proved = swapper_.TakeProof(fingerprint, result, reader_.context());
  for (CertEntry* entry : proved.not_verified) LogFindings(*entry, Telling::kNotVerified);
  if (proved.has_changed || (is_sweep_wanted_ && prover_.IsIdle())) ScheduleUpdate();
}

void Manager::AwaitStaples() {
  if (!IsOcspEnabled()) return;
  ForEachEntry(sources_, [&](const CertSource&, const CertEntry& entry) {
    if (entry.in_service && !entry.in_service->leaf().ocsp_urls().empty())
      awaited_.push_back(ShaOf(entry.in_service));
  });
}

// Each is asked for until it is there, not all of them each time.
bool Manager::IsReadyAwaited() {
  while (!awaited_.empty() && leaves_.IsReleased(awaited_.back())) awaited_.pop_back();
  return !awaited_.empty();
}

void Manager::CallReady() {
  wait_.Cancel();
  if (auto ready = std::exchange(ready_, nullptr)) ready();
}

// The site's names that none of its certificates covers; told with its first one.
std::vector<std::string> Manager::UncoveredBy(const CertEntry& entry) const {
  if (entry.source->is_standby) return {};
  std::vector<const tls::Certificate*> leaves;
  const CertEntry* first = nullptr;
  for (const CertSource* source : index_.OfSite(entry.source->site_index)) {
    if (source->is_standby) continue;
    for (const auto& other : source->entries) {
      if (!other->in_service) continue;
      if (first == nullptr) first = other.get();
      if (first != &entry) return {};
      leaves.push_back(&other->in_service->leaf());
    }
  }
  if (first != &entry) return {};
  std::vector<std::string> uncovered;
  for (const std::string& name : snapshot_->sites[entry.source->site_index].config.names) {
    if (std::none_of(leaves.begin(), leaves.end(),
                     [&](const tls::Certificate* leaf) { return CoversSiteName(*leaf, name); }))
      uncovered.push_back(name);
  }
  return uncovered;
}

std::vector<CertFinding> Manager::Findings(const CertEntry& entry) const {
  FindingFrame frame{options_.clock.Wall(), IsOcspEnabled(), UncoveredBy(entry), false, {}};
  if (!entry.chain.certificates.empty()) {
    const std::string last = entry.chain.certificates.back()->sha256_hex();
    frame.is_issuer_under_way = reader_.issuers().StateOf(last) == IssuerFetcher::State::kUnderWay;
    frame.issuer_state = reader_.issuers().Describe(last);
  }
  return FindingsOf(entry, leaves_, frame);
}

bool Manager::IsTold(const CertFinding& finding, Telling telling) {
  const std::string_view event = finding.event;
  const bool is_of_dates = event == "cert_expires" || event == "cert_expired";
  switch (telling) {
    case Telling::kAll:
      return true;
    case Telling::kHourly:
      return finding.level == LogLevel::kError && !is_of_dates;
    case Telling::kExpired:
      return event == "cert_expired";
    case Telling::kNotVerified:
      return event == "cert_not_verified";
  }
  return false;
}

void Manager::LogFindings(CertEntry& entry, Telling telling) {
  for (const CertFinding& finding : Findings(entry)) {
    std::string_view event = finding.event;
    if (!IsTold(finding, telling)) continue;
    if (event == "cert_private_root" && std::exchange(entry.is_unknown_root_told, true)) continue;
    if (event == "cert_expired") entry.is_expiry_told = true;
    GENKAN_LOG(finding.level, event, "site={} name={} code={} {}", entry.site, entry.name,
               ToString(finding.code), finding.text);
  }
}

// Every hour, and when the next certificate expires.
void Manager::Tick() {
  const WallTime now = options_.clock.Wall();
  const bool is_hourly = options_.loop.now() >= next_hour_;
  const bool is_daily = is_hourly && ++hours_ % kHoursOfDay == 0;
  if (is_hourly) next_hour_ = options_.loop.now() + kHour;
  if (is_daily) {
    // Not all was well for a day: what nobody has touched for long goes all the same.
    if (is_sweep_wanted_) SweepState(now - kUnusedStateLife);
    is_sweep_wanted_ = true;
  }
  ForEachEntry(sources_, [&](const CertSource&, CertEntry& entry) {
    if (is_daily) return LogFindings(entry, Telling::kAll);
    if (is_hourly) LogFindings(entry, Telling::kHourly);
    if (entry.in_service && entry.in_service->leaf().not_after() <= now && !entry.is_expiry_told)
      LogFindings(entry, Telling::kExpired);
  });
  for (auto& source : sources_) {
    // What was refused may be better than what is in service by now.
    if (std::any_of(source->entries.begin(), source->entries.end(),
                    [](const auto& entry) { return !entry->refusal.empty(); }))
      reader_.Flag(*source);
  }
  // What time alone changes: staples that end, a standby that has expired.
  index_.TouchAll();
  ScheduleUpdate();
}

void Manager::StartTick(const CertIndex::Changes& changes) {
  const WallTime now = options_.clock.Wall();
  if (next_hour_ == MonotonicTime{}) next_hour_ = options_.loop.now() + kHour;
  Millis delay = std::chrono::ceil<Millis>(next_hour_ - options_.loop.now());
  if (changes.is_all) next_expiry_ = WallTime::max();
  for (const CertEntry* entry : changes.entries) {
    if (entry->in_service && entry->in_service->leaf().not_after() > now)
      next_expiry_ = std::min(next_expiry_, entry->in_service->leaf().not_after());
  }
  if (next_expiry_ != WallTime::max()) {
    const auto left = std::chrono::duration_cast<Millis>(next_expiry_ - now);
    delay = std::min(delay, std::max(left + Millis(1'000), Millis(0)));
  }
  tick_.Start(delay);
}

std::vector<CertificateStatus> Manager::Status() const {
  std::vector<CertificateStatus> all;
  ForEachEntry(sources_, [&](const CertSource& source, const CertEntry& entry) {
    all.push_back(StatusOf(source, entry, leaves_, IsOcspEnabled(), Findings(entry)));
    all.back().hook = reaction_.HookOf(entry.name);
  });
  return all;
}

}  // namespace

std::unique_ptr<CertManager> CertManager::Make(CertManagerOptions options) {
  return std::make_unique<Manager>(std::move(options));
}

}  // namespace genkan::control
