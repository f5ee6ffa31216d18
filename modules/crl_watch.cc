// Looks each certificate in service up in its authority's revocation list: where no responder is
// named any more (Let's Encrypt since August 2025), the list is what says the truth. Control
// thread; the list itself is fetched, kept and read elsewhere (CertificateEnv::CheckCrl), once for
// all certificates whose list it is.
#include <algorithm>
#include <map>
#include <random>

#include "proxy/module/api.h"

namespace {
using namespace genkan;

constexpr Millis kLeastPause = std::chrono::minutes(5);
constexpr Millis kLongestPause = std::chrono::hours(24 * 7);
constexpr Millis kFirstRetry = std::chrono::minutes(1);
constexpr Millis kLongestRetry = std::chrono::hours(1);
constexpr auto kSource = "crl";

struct Options {
  void Read(ConfigReader&) {}
};

class CrlWatch final : public CertificateWatcher {
 public:
  explicit CrlWatch(const Options&) : alive_(std::make_shared<bool>(true)) {}

  void OnBundle(CertificateEnv& env, const CertificateView& certificate,
                std::function<void()> release) override {
    // A list may have a hundred megabytes: no swap waits for it.
    release();
    if (ListOf(certificate) == nullptr) return;
    entries_.try_emplace(certificate.sha256_hex);
    Ask(env, certificate, false);
  }

  void OnTimer(CertificateEnv& env, const CertificateView& certificate) override {
    Ask(env, certificate, false);
  }

  void OnRefresh(CertificateEnv& env, const CertificateView& certificate) override {
    Ask(env, certificate, true);
  }

  void OnGone(CertificateEnv&, std::string_view sha256_hex) override {
    entries_.erase(std::string(sha256_hex));
    troubles_.Recover(sha256_hex);
  }

 private:
  struct Entry {
    bool is_asking = false, is_refresh_wanted = false;
    uint32_t failures = 0;  // since the last list that was new enough
  };

  // LDAP is not for us.
  static const std::string* ListOf(const CertificateView& certificate) {
    for (const std::string& url : certificate.crl_urls) {
      if (url.starts_with("http://") || url.starts_with("https://")) return &url;
    }
    return nullptr;
  }

  void Ask(CertificateEnv& env, const CertificateView& certificate, bool is_refresh) {
    auto found = entries_.find(certificate.sha256_hex);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if (entry.is_asking) {
      entry.is_refresh_wanted |= is_refresh;
      return;
    }
    entry.is_asking = true;
    std::weak_ptr<bool> alive = alive_;
    env.CheckCrl(certificate, *ListOf(certificate), is_refresh,
                 [this, alive, &env, certificate](Result<CrlResult> result) {
                   if (alive.lock()) OnChecked(env, certificate, result);
                 });
  }

  void OnChecked(CertificateEnv& env, const CertificateView& certificate,
                 const Result<CrlResult>& result) {
    auto found = entries_.find(certificate.sha256_hex);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    entry.is_asking = false;
    if (!result) {
      env.Report(certificate, {kSource, "unknown", result.error().detail});
      OnTrouble(env, certificate, entry, result.error().detail);
    } else {
      env.Report(certificate, result->is_revoked ? StateReport{kSource, "revoked", result->reason,
                                                               result->revoked_at}
                                                 : StateReport{kSource, "good"});
      if (!result->trouble.empty()) {
        OnTrouble(env, certificate, entry, result->trouble);
      } else {
        OnNewEnough(env, certificate, entry, *result);
      }
    }
    if (std::exchange(entry.is_refresh_wanted, false)) Ask(env, certificate, true);
  }

  void OnNewEnough(CertificateEnv& env, const CertificateView& certificate, Entry& entry,
                   const CrlResult& result) {
    entry.failures = 0;
    if (troubles_.Recover(certificate.sha256_hex))
      LOG_INFO("crl_recovered", "certificate={} url={}", certificate.name, *ListOf(certificate));
    // A little later than the list is due, and not all of its certificates at once.
    std::uniform_real_distribution<double> spread(1.0, 1.02);
    auto delay = std::chrono::duration_cast<Millis>(
        std::chrono::duration<double, std::milli>(result.due - env.now()) * spread(random_));
    env.CallAgain(certificate, std::clamp(delay, kLeastPause, kLongestPause));
  }

  // The list at hand goes on counting until it expires.
  void OnTrouble(CertificateEnv& env, const CertificateView& certificate, Entry& entry,
                 const std::string& why) {
    Millis delay = std::min(kLongestRetry, kFirstRetry * (1 << std::min(entry.failures, 6u)));
    ++entry.failures;
    const std::string& url = *ListOf(certificate);
    const LogLevel level = troubles_.IsNews(certificate.sha256_hex, url, why, env.now())
                               ? LogLevel::kWarn
                               : LogLevel::kDebug;
    GENKAN_LOG(level, "crl_failed", "certificate={} url={} error=\"{}\" retry_s={}",
               certificate.name, url, EscapeControl(why), delay.count() / 1000);
    env.CallAgain(certificate, delay);
  }

  std::shared_ptr<bool> alive_;           // answers that come after us see that we are gone
  std::map<std::string, Entry> entries_;  // by SHA-256 of the leaf
  TroubleLog troubles_;
  std::minstd_rand random_{std::random_device{}()};
};
}  // namespace

GENKAN_MODULE(crl_watch, CrlWatch, Options);
