// Asks each certificate's authority when it wants it renewed (ACME Renewal Information, RFC 9773):
// no account is needed, and it does not matter who renews. An authority that must revoke says so
// here first, by a window that has begun or is past already. Control thread.
#include <algorithm>
#include <map>
#include <random>

#include "proxy/module/api.h"

namespace {
using namespace genkan;

constexpr Millis kLeastPoll = std::chrono::minutes(1);  // Retry-After is held to these two
constexpr Millis kLongestPoll = std::chrono::hours(24);
constexpr Millis kUsualPoll = std::chrono::hours(6);  // where there is none (RFC 9773 4.3.2)
constexpr Millis kFirstRetry = std::chrono::minutes(1);
constexpr Millis kLongestRetry = std::chrono::hours(6);
constexpr auto kDirectoryLife = std::chrono::hours(24);
constexpr auto kSource = "ari";
constexpr std::string_view kFolder = "ari";

struct Options {
  void Read(ConfigReader&) {}
};

int64_t SecondsOf(WallTime time) {
  return std::chrono::duration_cast<Seconds>(time.time_since_epoch()).count();
}

class AriWatch final : public CertificateWatcher {
 public:
  explicit AriWatch(const Options&) : alive_(std::make_shared<bool>(true)) {}

  void OnBundle(CertificateEnv& env, const CertificateView& certificate,
                std::function<void()> release) override {
    release();
    const std::string directory = env.AriDirectory(certificate);
    if (directory.empty()) return;
    Entry& entry = entries_[certificate.sha256_hex];
    entry.directory = directory;
    Load(env, certificate, entry);
    OnTimer(env, certificate);
  }

  void OnTimer(CertificateEnv& env, const CertificateView& certificate) override {
    auto found = entries_.find(certificate.sha256_hex);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if (entry.info) Tell(env, certificate, entry);
    if (env.now() >= entry.next_poll) {
      Ask(env, certificate, entry);
    } else {
      Schedule(env, certificate, entry);
    }
  }

  void OnRefresh(CertificateEnv& env, const CertificateView& certificate) override {
    auto found = entries_.find(certificate.sha256_hex);
    if (found != entries_.end()) Ask(env, certificate, found->second);
  }

  void OnGone(CertificateEnv&, std::string_view sha256_hex) override {
    entries_.erase(std::string(sha256_hex));
    troubles_.Recover(sha256_hex);
  }

 private:
  struct Entry {
    std::string directory;
    std::optional<RenewalInfo> info;
    WallTime moment{};  // drawn inside the window, once
    WallTime next_poll{};
    bool is_asking = false;
    uint32_t failures = 0;
  };
  struct Directory {
    std::string renewal_url;  // "" = it offers none
    WallTime until{};
    bool is_asking = false;
    std::vector<CertificateView> waiting;
  };

  // ---- what was heard last, over restarts: otherwise each would draw another moment, and ask
  // again

  void Load(CertificateEnv& env, const CertificateView& certificate, Entry& entry) {
    const std::string stored = env.LoadState(kFolder, certificate.sha256_hex);
    const auto lines = Split(stored, '\n');
    if (lines.size() < 5) return;
    WallTime times[4];
    for (size_t i = 0; i < 4; ++i) {
      const auto seconds = ParseDecimal(lines[i]);
      if (!seconds || *seconds > 7'000'000'000) return;
      times[i] = WallTime(Seconds(static_cast<int64_t>(*seconds)));
    }
    entry.info = RenewalInfo{times[0], times[1], std::string(lines[4])};
    entry.moment = times[2];
    // A clock that was set back must not silence us.
    entry.next_poll = std::min<WallTime>(times[3], env.now() + kLongestPoll);
  }

  void Save(CertificateEnv& env, const CertificateView& certificate, const Entry& entry) {
    std::string text;
    for (WallTime time :
         {entry.info->window_start, entry.info->window_end, entry.moment, entry.next_poll})
      text += std::to_string(SecondsOf(time)) + "\n";
    env.SaveState(kFolder, certificate.sha256_hex, text + entry.info->explanation_url + "\n");
  }

  // ---- asking: the directory, then renewalInfo

  void Ask(CertificateEnv& env, const CertificateView& certificate, Entry& entry) {
    if (entry.is_asking) return;
    entry.is_asking = true;
    Directory& directory = directories_[entry.directory];
    if (env.now() < directory.until) return AskInfo(env, certificate, entry, directory);
    directory.waiting.push_back(certificate);
    if (std::exchange(directory.is_asking, true)) return;
    FetchRequest request;
    request.url = entry.directory;
    std::weak_ptr<bool> alive = alive_;
    env.Fetch(std::move(request),
              [this, alive, &env, url = entry.directory](Result<FetchResponse> response) {
                if (alive.lock()) OnDirectory(env, url, std::move(response));
              });
  }

  void OnDirectory(CertificateEnv& env, const std::string& url, Result<FetchResponse> response) {
    Directory& directory = directories_[url];
    directory.is_asking = false;
    std::string trouble;
    if (!response || response->status != 200) {
      trouble = response ? "status " + std::to_string(response->status) : response.error().detail;
    } else if (auto read = env.ReadAcmeDirectory(response->body); !read) {
      trouble = read.error().detail;
    } else {
      directory.renewal_url = *std::move(read);
      directory.until = env.now() + kDirectoryLife;
    }
    for (const CertificateView& certificate : std::exchange(directory.waiting, {})) {
      auto found = entries_.find(certificate.sha256_hex);
      if (found == entries_.end()) continue;
      if (trouble.empty()) {
        AskInfo(env, certificate, found->second, directory);
      } else {
        OnTrouble(env, certificate, found->second, url, trouble, std::nullopt);
      }
    }
  }

  void AskInfo(CertificateEnv& env, const CertificateView& certificate, Entry& entry,
               const Directory& directory) {
    if (directory.renewal_url.empty()) {
      LOG_DEBUG("ari_not_offered", "certificate={} directory={}", certificate.name,
                entry.directory);
      entry.is_asking = false;
      entry.next_poll = env.now() + kLongestPoll;
      return Schedule(env, certificate, entry);
    }
    auto id = env.AriCertId(certificate);
    if (!id) {
      return OnTrouble(env, certificate, entry, entry.directory, id.error().detail, kLongestPoll);
    }
    FetchRequest request;
    const std::string url =
        directory.renewal_url + (directory.renewal_url.ends_with('/') ? "" : "/") + *id;
    request.url = url;
    std::weak_ptr<bool> alive = alive_;
    env.Fetch(std::move(request),
              [this, alive, &env, certificate, url](Result<FetchResponse> response) {
                if (alive.lock()) OnInfo(env, certificate, url, std::move(response));
              });
  }

  void OnInfo(CertificateEnv& env, const CertificateView& certificate, const std::string& url,
              Result<FetchResponse> response) {
    auto found = entries_.find(certificate.sha256_hex);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if (!response) return OnTrouble(env, certificate, entry, url, response.error().detail, {});
    const auto wanted = env.RetryAfter(*response);
    if (response->status != 200) {
      return OnTrouble(env, certificate, entry, url, "status " + std::to_string(response->status),
                       wanted);
    }
    auto info = env.ReadRenewalInfo(response->body);
    if (!info) return OnTrouble(env, certificate, entry, url, info.error().detail, wanted);
    entry.is_asking = false;
    entry.failures = 0;
    if (troubles_.Recover(certificate.sha256_hex))
      LOG_INFO("ari_recovered", "certificate={} url={}", certificate.name, url);
    Take(entry, *std::move(info), certificate);
    entry.next_poll = env.now() + std::clamp(wanted.value_or(kUsualPoll), kLeastPoll, kLongestPoll);
    Save(env, certificate, entry);
    Tell(env, certificate, entry);
    Schedule(env, certificate, entry);
  }

  void OnTrouble(CertificateEnv& env, const CertificateView& certificate, Entry& entry,
                 const std::string& url, const std::string& why, std::optional<Millis> wanted) {
    Millis delay = std::min(kLongestRetry, kFirstRetry * (1 << std::min(entry.failures, 9u)));
    if (wanted) delay = std::clamp(*wanted, kLeastPoll, kLongestPoll);
    // By the authority, not by the address, which is each certificate's own.
    const LogLevel level = troubles_.IsNews(certificate.sha256_hex, entry.directory, why, env.now())
                               ? LogLevel::kWarn
                               : LogLevel::kDebug;
    GENKAN_LOG(level, "ari_failed", "certificate={} url={} error=\"{}\" retry_s={}",
               certificate.name, url, EscapeControl(why), delay.count() / 1000);
    ++entry.failures;
    entry.is_asking = false;
    entry.next_poll = env.now() + delay;
    Schedule(env, certificate, entry);
  }

  // ---- what it means

  // RFC 9773 4.2: a moment drawn evenly, so that not all come at once; another one only where the
  // window is another.
  void Take(Entry& entry, RenewalInfo info, const CertificateView& certificate) {
    const bool is_same = entry.info && entry.info->window_start == info.window_start &&
                         entry.info->window_end == info.window_end;
    if (!is_same) {
      std::uniform_real_distribution<double> draw(0.0, 1.0);
      entry.moment = info.window_start + std::chrono::duration_cast<WallTime::duration>(
                                             (info.window_end - info.window_start) * draw(random_));
      LOG_INFO("ari_window", "certificate={} start={} end={} moment={} explanation={}",
               certificate.name, FormatIso8601(info.window_start), FormatIso8601(info.window_end),
               FormatIso8601(entry.moment), info.explanation_url);
    }
    entry.info = std::move(info);
  }

  void Tell(CertificateEnv& env, const CertificateView& certificate, const Entry& entry) {
    const WallTime now = env.now();
    const char* state = now >= entry.info->window_end ? "overdue"
                        : now >= entry.moment         ? "renew"
                                                      : "keep";
    env.Report(certificate, {kSource, state,
                             "the authority asks for a renewal between " +
                                 FormatIso8601(entry.info->window_start) + " and " +
                                 FormatIso8601(entry.info->window_end),
                             entry.moment, entry.info->explanation_url});
  }

  // When something is to be done or told next.
  void Schedule(CertificateEnv& env, const CertificateView& certificate, const Entry& entry) {
    const WallTime now = env.now();
    WallTime next = entry.next_poll;
    if (entry.info) {
      for (WallTime time : {entry.moment, entry.info->window_end}) {
        if (time > now) next = std::min(next, time);
      }
    }
    env.CallAgain(certificate, std::max(Millis(1'000), std::chrono::ceil<Millis>(next - now)));
  }

  std::shared_ptr<bool> alive_;                   // answers that come after us see that we are gone
  std::map<std::string, Entry> entries_;          // by SHA-256 of the leaf
  std::map<std::string, Directory> directories_;  // by URL
  TroubleLog troubles_;
  std::minstd_rand random_{std::random_device{}()};
};
}  // namespace

GENKAN_MODULE(ari_watch, AriWatch, Options);
