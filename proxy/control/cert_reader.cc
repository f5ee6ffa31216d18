#include "proxy/control/cert_reader.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/tls/trust_profiles.h"
#include "proxy/tls/trust_store.h"

namespace genkan::control {
namespace {

constexpr Millis kRetry{5'000};    // of what may be half-written
constexpr size_t kFewSources = 8;  // read by this thread alone
constexpr size_t kMostHelpers = 4;

std::string TrustDigest(const config::Certificates& wanted, const std::vector<std::string>& store,
                        const tls::TrustProfileTexts& profiles) {
  std::string hashes = tls::Sha256(wanted.trust_store) + tls::Sha256(wanted.trust_profiles);
  for (const std::string& text : store) hashes += tls::Sha256(text);
  hashes += tls::Sha256("profiles");
  for (const auto& [name, text] : profiles) hashes += tls::Sha256(name) + tls::Sha256(text);
  return tls::Sha256(hashes);
}

}  // namespace

// One reading of some sources. Shared with the helpers: one that starts after everything is read
// finds nothing left, and the reader perhaps gone.
struct CertReader::Work {
  Work(const Options& options, const CertificateContext& the_context,
       const std::vector<CertSource*>& wanted)
      : context(the_context),
        files(options.files),
        view(options.view),
        on_first_found(options.on_first_found),
        sources(wanted.begin(), wanted.end()),
        readings(wanted.size()),
        watches(wanted.size()),
        is_read(wanted.size()) {
    for (const CertSource* source : sources) is_first.push_back(source->entries.empty());
  }

  // False where somebody has taken the last one.
  bool ReadNext() {
    const size_t i = next++;
    if (i >= sources.size()) return false;
    Read(i);
    is_read[i].store(true, std::memory_order_release);
    is_read[i].notify_one();
    return true;
  }
  // By the thread that started it.
  SourceReading Await(size_t i) {
    while (!is_read[i].load(std::memory_order_acquire)) {
      if (!ReadNext()) is_read[i].wait(false, std::memory_order_acquire);
    }
    return std::move(readings[i]);
  }
  void Read(size_t i) {
    const CertSource& source = *sources[i];
    std::vector<std::string> paths = WatchPathsOf(source.config, files);
    if (paths != source.watch) {
      watches[i].emplace();
      for (std::string& path : paths) {
        event::FileState state = view.State(path);
        watches[i]->push_back({std::move(path), std::move(state)});
      }
    }
    readings[i] = ReadSource(source.config, files, context);
    if (!is_first[i] || !on_first_found) return;
    for (FoundCertificate& found : readings[i].certificates) on_first_found(source, found);
  }

  CertificateContext context;
  FileAccess& files;
  event::FileView& view;
  const std::function<void(const CertSource&, FoundCertificate&)> on_first_found;
  // Each is another thread's business only until it is read.
  const std::vector<const CertSource*> sources;
  std::vector<bool> is_first;
  std::vector<SourceReading> readings;
  std::vector<std::optional<std::vector<event::WatchedPath>>> watches;
  std::vector<std::atomic<bool>> is_read;
  std::atomic<size_t> next = 0;
};

CertReader::CertReader(Options options)
    : options_(std::move(options)),
      watcher_(
          options_.loop, [this](const std::vector<std::string>& paths) { OnFiles(paths); }, {},
          options_.view),
      retry_(options_.loop,
             [this] {
               for (CertSource* source : retrying_) Flag(*source);
               options_.on_due();
             }),
      issuers_({options_.loop, options_.fetcher, options_.state, options_.clock,
                [this](const std::string& sha256) { OnIssuer(sha256); }}) {
  context_.keys = tls::KeyReading::kLater;
  watcher_.TellEarly([this](const std::vector<std::string>& paths) { LookAhead(paths); });
}

bool CertReader::LoadContext(const config::Certificates& wanted, bool again) {
  if (has_context_ && !again && !is_pool_dirty_ && wanted.trust_store == trust_store_ &&
      wanted.trust_profiles == trust_profiles_ && wanted.pool == pool_ && wanted.aia == uses_aia_)
    return false;
  if (!has_context_ || again || wanted.trust_store != trust_store_ ||
      wanted.trust_profiles != trust_profiles_)
    LoadTrust(wanted);
  std::vector<std::string> problems;
  extra_pool_ = ReadExtraPool(wanted.pool, options_.files, problems);
  uses_aia_ = wanted.aia;
  FillPool();
  for (const std::string& problem : problems) LOG_WARN("certificate_pool", "error=\"{}\"", problem);
  pool_ = wanted.pool;
  has_context_ = true;
  is_pool_dirty_ = false;
  return true;
}

void CertReader::LoadTrust(const config::Certificates& wanted) {
  auto texts = tls::ReadTrustStore(wanted.trust_store);
  auto profile_texts = tls::ReadTrustProfiles(wanted.trust_profiles);
  std::string digest =
      texts && profile_texts ? TrustDigest(wanted, *texts, *profile_texts) : std::string();
  // A reload mostly finds what it found before, and parsing it is half of the work.
  if (!digest.empty() && digest == trust_digest_) return;
  auto roots = texts ? tls::ParseTrustStore(wanted.trust_store, *texts)
                     : Result<std::vector<tls::CertificatePtr>>(PassOn(texts));
  const bool has_roots = roots.has_value();
  if (!roots)
    LOG_ERROR("trust_store", "error=\"{}\" going on with {} roots", roots.error().detail,
              context_.roots.size());
  std::vector<tls::CertificatePtr> trusted = roots ? *std::move(roots) : context_.roots;
  auto profiles = profile_texts
                      ? tls::ParseTrustProfiles(wanted.trust_profiles, *profile_texts, trusted)
                      : Result<std::vector<tls::TrustProfilePtr>>(PassOn(profile_texts));
  Status set = SetTrust(std::move(trusted), std::move(profiles), context_);
  trust_digest_ = has_roots && set ? std::move(digest) : std::string();
  if (!set)
    LOG_ERROR("trust_profiles", "error=\"{}\" going on without a proof", set.error().detail);
  // A private authority may also be behind what is asked over https (a hook, ARI).
  options_.fetcher.SetRoots(
      wanted.trust_store == "system"
          ? nullptr
          : std::make_shared<const std::vector<tls::CertificatePtr>>(context_.roots));
  trust_store_ = wanted.trust_store;
  trust_profiles_ = wanted.trust_profiles;
}

void CertReader::TakeSources() {
  flagged_.clear();
  retrying_.clear();
  by_path_.clear();
  for (auto& source : options_.sources) {
    if (source->needs_reading) flagged_.push_back(source.get());
    if (source->needs_retry) retrying_.insert(source.get());
    for (const std::string& path : source->watch) by_path_[path].push_back(source.get());
  }
  is_watch_dirty_ = is_wants_dirty_ = true;
}

void CertReader::Flag(CertSource& source) {
  if (!std::exchange(source.needs_reading, true)) flagged_.push_back(&source);
}

void CertReader::OnFiles(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (std::find(pool_.begin(), pool_.end(), path) != pool_.end()) {
      is_pool_dirty_ = true;
      for (auto& source : options_.sources) Flag(*source);
    }
    if (const auto users = by_path_.find(path); users != by_path_.end()) {
      for (CertSource* source : users->second) Flag(*source);
    }
  }
  options_.on_due();
}

// Nothing is decided, and nothing told of what cannot be read: it may be half-written.
void CertReader::LookAhead(const std::vector<std::string>& paths) {
  std::set<const CertSource*> sources;
  for (const std::string& path : paths) {
    const auto users = by_path_.find(path);
    if (users == by_path_.end()) continue;
    for (const CertSource* source : users->second) {
      // A pattern may be a thousand certificates.
      if (!IsGlob(source->config)) sources.insert(source);
    }
  }
  if (sources.size() >= kFewSources) return;
  context_.now = options_.clock.Wall();
  for (const CertSource* source : sources)
    options_.on_ahead(*source, ReadSource(source->config, options_.files, context_).certificates);
}

// With the state that each path had before the reading, so that no change falls between the two.
// None of a source whose paths are watched already.
void CertReader::WatchFiles(const std::vector<CertSource*>& wanted,
                            std::vector<std::optional<std::vector<event::WatchedPath>>> watches) {
  std::vector<event::WatchedPath> seen;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!watches[i]) continue;
    CertSource* source = wanted[i];
    std::vector<std::string> paths;
    for (event::WatchedPath& watch : *watches[i]) {
      paths.push_back(watch.path);
      seen.push_back(std::move(watch));
    }
    is_watch_dirty_ = true;
    for (const std::string& path : source->watch) {
      const auto users = by_path_.find(path);
      std::erase(users->second, source);
      if (users->second.empty()) by_path_.erase(users);
    }
    for (const std::string& path : paths) by_path_[path].push_back(source);
    source->watch = std::move(paths);
  }
  if (!std::exchange(is_watch_dirty_, false)) return;
  std::vector<std::string> paths = pool_;
  for (const auto& [path, users] : by_path_) paths.push_back(path);
  watcher_.Watch(paths, std::move(seen));
}

void CertReader::ReadFlagged(const config::Certificates& wanted) {
  if (is_pool_dirty_) LoadContext(wanted, false);
  const std::vector<CertSource*> sources = std::exchange(flagged_, {});
  // In their order, while the helpers read on.
  const auto work = StartReading(sources);
  for (size_t i = 0; i < sources.size(); ++i) Take(*sources[i], work->Await(i));
  WatchFiles(sources, std::move(work->watches));
  if (std::exchange(is_wants_dirty_, false)) KeepWanted();
  if (retrying_.empty()) {
    retry_.Cancel();
  } else if (!retry_.is_running()) {
    retry_.Start(kRetry);
  }
}

std::shared_ptr<CertReader::Work> CertReader::StartReading(const std::vector<CertSource*>& wanted) {
  context_.now = options_.clock.Wall();
  reads_ += wanted.size();
  auto work = std::make_shared<Work>(options_, context_, wanted);
  const size_t helpers = wanted.size() < kFewSources || options_.pool == nullptr
                             ? 0
                             : std::min<size_t>(kMostHelpers, std::thread::hardware_concurrency());
  // Of many, what clients say to their chains is found out behind.
  work->context.proves_chains = helpers == 0;
  for (size_t i = 1; i < helpers; ++i) {
    options_.pool->Submit([work] {
      while (work->ReadNext()) continue;
    });
  }
  return work;
}

void CertReader::Take(CertSource& source, SourceReading reading) {
  // What is missing may be known from an earlier run.
  for (int i = 0; i < IssuerFetcher::kMaxHops && WantIssuers(source, reading.certificates); ++i)
    reading = ReadSource(source.config, options_.files, context_);
  source.needs_retry =
      std::any_of(reading.certificates.begin(), reading.certificates.end(),
                  [](const FoundCertificate& found) { return found.may_be_half_written; });
  if (source.needs_retry) {
    retrying_.insert(&source);
  } else {
    retrying_.erase(&source);
  }
  options_.on_reading(source, std::move(reading.certificates));
  source.needs_reading = source.is_reload = source.is_forced = false;
}

// Asks for what these chains lack. True where some of it was on the disk, for another reading.
bool CertReader::WantIssuers(CertSource& source, const std::vector<FoundCertificate>& found) {
  is_wants_dirty_ |= !source.wants.empty();
  source.wants.clear();
  if (!uses_aia_) return false;
  bool has_more = false;
  for (const FoundCertificate& one : found) {
    if (!one.bundle || one.chain.is_complete || one.chain.missing_urls.empty()) continue;
    const tls::CertificatePtr& last = one.chain.certificates.back();
    source.wants.insert(last->sha256_hex());
    is_wants_dirty_ = true;
    has_more |= issuers_.Want(last);
  }
  if (has_more) FillPool();
  return has_more;
}

void CertReader::OnIssuer(const std::string& sha256) {
  FillPool();
  for (auto& source : options_.sources) {
    if (source->wants.contains(sha256)) Flag(*source);
  }
  options_.on_due();
}

void CertReader::KeepWanted() {
  std::set<std::string> wanted;
  for (const auto& source : options_.sources)
    wanted.insert(source->wants.begin(), source->wants.end());
  issuers_.Keep(wanted);
}

void CertReader::FillPool() {
  context_.pool = extra_pool_;
  context_.pool.insert(context_.pool.end(), issuers_.known().begin(), issuers_.known().end());
}

}  // namespace genkan::control
