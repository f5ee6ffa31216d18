// Completes chains from the addresses in certificates (AIA): from memory, from state_dir/aia, or by
// a fetch that nobody waits for. Only what has signed the certificate that named the address is
// taken. Control thread; owned by the CertReader.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proxy/control/fetcher.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"
#include "proxy/tls/certificate.h"

namespace genkan::control {

class IssuerFetcher {
 public:
  struct Options {
    event::EventLoop& loop;
    Fetcher& fetcher;
    StateDir& state;
    const Clock& clock;
    // The issuer of this certificate (SHA-256, hex) came: known() has it.
    std::function<void(const std::string& sha256)> on_arrival;
  };

  explicit IssuerFetcher(Options options);
  ~IssuerFetcher() { alive_.reset(); }

  // The issuer of `last`, a configured or a verified certificate, is missing. True: it was on the
  // disk, and is known() now. Otherwise it is fetched, unless that is under way or failed just now.
  bool Want(const tls::CertificatePtr& last);
  // Those that are still wanted, by SHA-256 in hex; others are fetched no more.
  void Keep(const std::set<std::string>& wanted);

  // What came, each once.
  const std::vector<tls::CertificatePtr>& known() const { return known_; }

  enum class State { kNone, kUnderWay, kFailed };
  State StateOf(const std::string& sha256) const;
  // "it is being fetched from http://…", "fetching it from http://… failed: …"; "" of kNone.
  std::string Describe(const std::string& sha256) const;

  static constexpr int kMaxHops = 4;  // a fetched certificate's address leads on, so many times
  static constexpr size_t kMaxWanted = 256;
  static constexpr size_t kMaxKnown = 256;

 private:
  struct Wanted {
    tls::CertificatePtr certificate;
    std::vector<std::string> urls;
    size_t url = 0;  // the one that is tried
    bool is_under_way = false;
    std::string failure;
    Millis delay{0};  // before the next round
    MonotonicTime next{};
  };

  void Fetch(const std::string& sha256, Wanted& wanted);
  void OnFetched(const std::string& sha256, const std::string& url, Result<FetchResponse> response);
  Status Accept(const Wanted& wanted, std::string_view bytes);
  void OnFailed(const std::string& sha256, Wanted& wanted, const std::string& why);
  void StartTimer();
  void Retry();

  Options options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<std::string, Wanted> wanted_;
  std::vector<tls::CertificatePtr> known_;
  std::map<std::string, int> hops_;  // SHA-256 of what was fetched -> how many fetches led to it
  event::Timer retry_;
};

}  // namespace genkan::control
