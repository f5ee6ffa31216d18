// Tokens of the challenge path: those that somebody of ours put up (`genkan preflight`), and for
// each that was asked for or is watched, by whom it was asked and what answered. Bounded.
// Thread-safe; shared by the workers and the control thread.
#pragma once

#include <atomic>
#include <deque>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"

namespace genkan::server {

inline constexpr std::string_view kChallengePrefix = "/.well-known/acme-challenge/";
// RFC 8555 8.3: base64url, at most 128 letters.
bool IsChallengeToken(std::string_view text);
// What `genkan preflight` sends as User-Agent, so that its requests are known on whatever path a
// redirect sends them.
std::string PreflightAgent(std::string_view token);

// One request, and what became of it.
struct ChallengeHit {
  WallTime time;
  std::string host, client, target, site;
  bool is_tls = false;
  int status = 0;
  std::string
      answered_by;       // "acme_challenge:webroot:/var/www/acme", "url_filter"; "" = the upstream
  std::string module;    // the instance's name where a module answered
  std::string upstream;  // its address where it was asked
  std::string reason;    // why it is no better answer
};

struct ChallengeRecord {
  std::string token;
  bool is_watched = false;
  uint64_t count = 0;             // hits in all
  std::deque<ChallengeHit> hits;  // the last ones
};

class ChallengeBoard {
 public:
  static constexpr size_t kMostTokens = 64, kMostHits = 32, kMostWatched = 16;

  // Watches the token until then, and answers it with `answer` unless that is empty. False: too
  // many are watched.
  bool Put(std::string_view token, std::string answer, MonotonicTime until);
  void Drop(std::string_view token);
  // "": nobody put it up.
  std::string Answer(std::string_view token, MonotonicTime now);

  // Whether requests on other paths matter.
  bool is_watching() const { return watched_.load(std::memory_order_relaxed) > 0; }
  // The token that a request is about, by its path or, where some token is watched, its User-Agent;
  // "" for all others. Cheap for those.
  std::string TokenOf(std::string_view path, std::string_view user_agent) const;
  // Kept where the token is watched or was answered: strangers cannot push others out by asking.
  void Note(std::string_view token, ChallengeHit hit, MonotonicTime now);
  // Empty where nothing is known of it.
  ChallengeRecord Find(std::string_view token, MonotonicTime now);
  // The newest first.
  std::vector<ChallengeRecord> Recent(MonotonicTime now);

 private:
  struct Entry {
    ChallengeRecord record;
    std::string answer;
    MonotonicTime until{};
  };
  using Entries = std::list<Entry>;
  Entries::iterator Locate(std::string_view token);
  void Expire(MonotonicTime now);
  void Count();

  mutable std::mutex mutex_;
  Entries entries_;  // the newest first
  std::atomic<size_t> watched_{0};
};

}  // namespace genkan::server
