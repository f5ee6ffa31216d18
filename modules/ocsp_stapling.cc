// Asks the authority's responder about each certificate in service and hands good answers on to be
// stapled. The last answer is on disk, so that the first handshake after a start is stapled
// although the responder may be down. Control thread.
#include <algorithm>
#include <map>
#include <random>

#include "proxy/module/api.h"

namespace {
using namespace genkan;

// Refreshed at half of the validity, give or take a tenth of that, but not more often than this.
constexpr Millis kLeastRefresh = std::chrono::minutes(5);
constexpr Millis kFirstRetry = std::chrono::minutes(1);
constexpr Millis kLongestRetry = std::chrono::hours(1);
constexpr std::string_view kFolder = "ocsp";
constexpr size_t kLongestGet = 1024;

struct Options {
  bool enabled = true;
  void Read(ConfigReader& config) { config.Read("enabled", enabled); }
};

class OcspStapling final : public CertificateWatcher {
 public:
  explicit OcspStapling(const Options& options)
      : options_(options), alive_(std::make_shared<bool>(true)) {}

  void OnBundle(CertificateEnv& env, const CertificateView& certificate,
                std::function<void()> release) override {
    // Let's Encrypt's certificates name no responder since 2025: nothing to do, nothing to say.
    if (!options_.enabled || certificate.ocsp_urls.empty()) return release();
    Entry& entry = entries_[certificate.sha256_hex];
    if (entry.release) entry.Release();
    entry.release = std::move(release);
    UseStored(env, certificate, entry);
    if (entry.is_good && env.now() < DueTime(entry)) {
      env.CallAgain(certificate, RefreshDelay(env, entry));
    } else {
      Ask(env, certificate, entry);
    }
  }

  void OnTimer(CertificateEnv& env, const CertificateView& certificate) override {
    OnRefresh(env, certificate);
  }

  void OnRefresh(CertificateEnv& env, const CertificateView& certificate) override {
    auto found = entries_.find(certificate.sha256_hex);
    if (found != entries_.end()) Ask(env, certificate, found->second);
  }

  void OnGone(CertificateEnv&, std::string_view sha256_hex) override {
    auto found = entries_.find(std::string(sha256_hex));
    if (found == entries_.end()) return;
    found->second.Release();
    troubles_.Recover(sha256_hex);
    entries_.erase(found);
  }

 private:
  struct Entry {
    bool is_asking = false, is_good = false;
    WallTime this_update, end;  // of the answer in service; end: also the certificate's
    uint32_t failures = 0;      // since the last answer that could be used
    uint32_t route = 0;  // each responder by POST, then each by GET; the one that answers is kept
    std::function<void()> release;

    void Release() {
      if (auto call = std::exchange(release, nullptr)) call();
    }
  };

  void UseStored(CertificateEnv& env, const CertificateView& certificate, Entry& entry) {
    std::string stored = env.LoadState(kFolder, certificate.sha256_hex);
    if (stored.empty()) return;
    auto result = env.VerifyOcsp(certificate, stored);
    if (!result) {
      LOG_INFO("ocsp_stored_unusable", "certificate={} error={}", certificate.name,
               result.error().detail);
      return;
    }
    if (result->state == OcspResult::State::kGood) {
      TakeGood(env, certificate, entry, *result, stored);
    } else if (result->state == OcspResult::State::kRevoked) {
      TakeRevoked(env, certificate, entry, *result);
    }
  }

  void Ask(CertificateEnv& env, const CertificateView& certificate, Entry& entry) {
    if (entry.is_asking) return;
    auto body = env.MakeOcspRequest(certificate);
    if (!body) return OnFailure(env, certificate, entry, body.error().detail);
    FetchRequest request;
    request.url = UrlFor(certificate, entry);
    request.headers = {"Accept: application/ocsp-response"};
    const std::string get_url = env.OcspGetUrl(request.url, *body);
    if (IsGet(certificate, entry) && get_url.size() <= kLongestGet) {
      request.url = get_url;
    } else {
      request.method = "POST";
      request.body = *std::move(body);
      request.headers.emplace_back("Content-Type: application/ocsp-request");
    }
    request.timeout = Seconds(10);
    request.max_bytes = 64 * 1024;
    entry.is_asking = true;
    std::weak_ptr<bool> alive = alive_;
    env.Fetch(std::move(request), [this, alive, &env, certificate](Result<FetchResponse> response) {
      // A reload may have put another watcher in our place.
      if (alive.lock()) OnFetched(env, certificate, std::move(response));
    });
  }

  void OnFetched(CertificateEnv& env, const CertificateView& certificate,
                 Result<FetchResponse> response) {
    auto found = entries_.find(certificate.sha256_hex);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    entry.is_asking = false;
    if (!response) return OnFailure(env, certificate, entry, response.error().detail);
    if (response->status != 200)
      return OnFailure(env, certificate, entry, "status " + std::to_string(response->status));
    auto result = env.VerifyOcsp(certificate, response->body);
    if (!result) return OnFailure(env, certificate, entry, result.error().detail);
    switch (result->state) {
      case OcspResult::State::kGood:
        if (entry.is_good && result->this_update < entry.this_update)
          return OnFailure(env, certificate, entry, "older than the answer in service");
        env.SaveState(kFolder, certificate.sha256_hex, response->body);
        TakeGood(env, certificate, entry, *result, response->body);
        break;
      case OcspResult::State::kRevoked:
        // Stored too: after a restart the last good answer must not come back.
        env.SaveState(kFolder, certificate.sha256_hex, response->body);
        TakeRevoked(env, certificate, entry, *result);
        break;
      case OcspResult::State::kUnknown:
        return OnFailure(env, certificate, entry, "the responder does not know the certificate");
    }
    entry.failures = 0;
    if (troubles_.Recover(certificate.sha256_hex))
      LOG_INFO("ocsp_recovered", "certificate={} url={}", certificate.name,
               UrlFor(certificate, entry));
    env.CallAgain(certificate, RefreshDelay(env, entry));
  }

  void TakeGood(CertificateEnv& env, const CertificateView& certificate, Entry& entry,
                const OcspResult& result, std::string_view response) {
    SetTimes(certificate, entry, result);
    entry.is_good = true;
    env.AttachStaple(certificate, response);
    env.Report(certificate, {"ocsp", "good"});
    LOG_INFO("ocsp_stapled", "certificate={} this_update={} until={}", certificate.name,
             FormatIso8601(result.this_update), FormatIso8601(entry.end));
    entry.Release();
  }

  void TakeRevoked(CertificateEnv& env, const CertificateView& certificate, Entry& entry,
                   const OcspResult& result) {
    SetTimes(certificate, entry, result);
    entry.is_good = false;
    env.AttachStaple(certificate, "");
    env.Report(certificate, {"ocsp", "revoked", result.reason, result.revoked_at});
    entry.Release();
  }

  // The last good answer stays in service until it expires; whoever staples looks at that.
  void OnFailure(CertificateEnv& env, const CertificateView& certificate, Entry& entry,
                 const std::string& why) {
    Millis delay = std::min(kLongestRetry, kFirstRetry * (1 << std::min(entry.failures, 6u)));
    const std::string& url = UrlFor(certificate, entry);
    const LogLevel level = troubles_.IsNews(certificate.sha256_hex, url, why, env.now())
                               ? LogLevel::kWarn
                               : LogLevel::kDebug;
    GENKAN_LOG(level, "ocsp_failed", "certificate={} url={} error=\"{}\" retry_s={}",
               certificate.name, url, EscapeControl(why), delay.count() / 1000);
    ++entry.route;
    ++entry.failures;
    if (!entry.is_good || entry.end <= env.now()) {
      entry.is_good = false;
      env.Report(certificate, {"ocsp", "unknown", why});
    }
    env.CallAgain(certificate, delay);
    // A must-staple leaf is no use without a staple; how long that is worth waiting for is not ours
    // to say.
    if (!certificate.has_must_staple) entry.Release();
  }

  static const std::string& UrlFor(const CertificateView& certificate, const Entry& entry) {
    return certificate.ocsp_urls[entry.route % certificate.ocsp_urls.size()];
  }
  static bool IsGet(const CertificateView& certificate, const Entry& entry) {
    return entry.route / certificate.ocsp_urls.size() % 2 == 1;
  }

  static void SetTimes(const CertificateView& certificate, Entry& entry, const OcspResult& result) {
    entry.this_update = result.this_update;
    entry.end = std::min(result.next_update, certificate.not_after);
  }

  static WallTime DueTime(const Entry& entry) {
    return entry.this_update + (entry.end - entry.this_update) / 2;
  }

  Millis RefreshDelay(CertificateEnv& env, const Entry& entry) {
    // Spread, so that a fleet that started together does not ask together.
    std::uniform_real_distribution<double> spread(0.9, 1.1);
    auto half = std::chrono::duration<double, std::milli>(entry.end - entry.this_update) / 2 *
                spread(random_);
    auto due = entry.this_update + std::chrono::duration_cast<Millis>(half);
    auto delay = std::chrono::duration_cast<Millis>(due - env.now());
    return std::clamp<Millis>(delay, kLeastRefresh, std::chrono::hours(24 * 7));
  }

  const Options& options_;
  std::shared_ptr<bool> alive_;           // answers that come after us see that we are gone
  std::map<std::string, Entry> entries_;  // by SHA-256 of the leaf
  TroubleLog troubles_;
  std::minstd_rand random_{std::random_device{}()};
};
}  // namespace

GENKAN_MODULE(ocsp_stapling, OcspStapling, Options);
