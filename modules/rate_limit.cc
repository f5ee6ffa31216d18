// So many requests of one client, for each site: 429 with Retry-After beyond that. A client is an
// IPv4 address or an IPv6 /64.
//
// One count for all workers, without a lock: a table of slots, each of them a bucket in a single
// word. The word is the time at which the bucket would be full again (GCRA, the leaky bucket as a
// meter), so a request is one compare-and-swap, and a bucket that is full again is as good as none:
// its slot may be given to another client. The table's size is fixed; whoever floods it with
// addresses pushes out those that are nearest to a full bucket.
#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "proxy/module/api.h"

namespace {
using namespace genkan;

using Nanos = int64_t;

Nanos NanosOf(MonotonicTime time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

// "10/s": that many, in so long.
struct Rate {
  uint64_t count = 10;
  Nanos period = 1'000'000'000;
};

bool ParseRate(std::string_view text, Rate& rate) {
  size_t slash = text.find('/');
  auto count = ParseDecimal(text.substr(0, slash));
  constexpr uint64_t kMost = 1'000'000;
  if (!count || *count > kMost) return false;
  rate.count = *count;
  if (slash == std::string_view::npos) return *count == 0;
  std::string_view unit = text.substr(slash + 1);
  constexpr std::array<std::pair<std::string_view, int64_t>, 4> kUnits = {
      {{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86'400}}};
  for (const auto& [name, seconds] : kUnits) {
    if (unit != name) continue;
    rate.period = seconds * 1'000'000'000;
    return true;
  }
  return false;
}

struct Options {
  std::string rate = "10/s";
  int64_t burst = 0, clients = 65'536;
  Rate parsed;

  void Read(ConfigReader& config) {
    config.Read("rate", rate);
    config.Read("burst", burst);
    config.Read("clients", clients);
    if (!ParseRate(rate, parsed)) {
      config.Fail("rate", "\"" + EscapeControl(rate) +
                              "\" is not N/s, N/m, N/h or N/d with N up to 1000000, nor 0");
    }
    if (burst < 0 || burst > 1'000'000) config.Fail("burst", "is not from 0 to 1000000");
    if (clients < 1024 || clients > 16'777'216)
      config.Fail("clients", "is not from 1024 to 16777216");
  }

  Nanos interval() const {
    return std::max<Nanos>(parsed.period / static_cast<Nanos>(parsed.count), 1);
  }
  // What a client that was quiet may ask at once.
  Nanos depth() const {
    return (burst != 0 ? burst : static_cast<Nanos>(parsed.count)) * interval();
  }
};

// Thread-safe, without locks.
class Buckets {
 public:
  explicit Buckets(const Options& options) {
    // Four to a set, and a set to a line of the cache.
    size_t sets = 1;
    while (sets * kWays < static_cast<size_t>(options.clients)) sets *= 2;
    if (options.parsed.count != 0) sets_ = std::vector<Set>(sets);
  }

  // Takes one from `client`'s bucket. 0: there was one. Otherwise how long until there is.
  Nanos Take(std::string_view client, Nanos now, Nanos interval, Nanos depth) {
    uint64_t key = std::max<uint64_t>(hash_(client), 1);
    std::atomic<Nanos>& full_at = Find(key, now);
    Nanos before = full_at.load(std::memory_order_relaxed);
    for (;;) {
      Nanos after = std::max(before, now) + interval;
      if (after - now > depth) return after - now - depth;
      if (full_at.compare_exchange_weak(before, after, std::memory_order_relaxed)) return 0;
    }
  }

 private:
  static constexpr size_t kWays = 4;
  struct Slot {
    std::atomic<uint64_t> key{0};  // a hash that nobody outside can foresee; 0: free
    std::atomic<Nanos> full_at{0};
  };
  struct alignas(64) Set {
    std::array<Slot, kWays> slots;
  };

  // Two workers that meet the same new client at once may give it two slots, of which the second is
  // never found again: one bucket too many, once.
  std::atomic<Nanos>& Find(uint64_t key, Nanos now) {
    Set& set = sets_[key % sets_.size()];
    for (;;) {
      Slot* victim = nullptr;
      uint64_t victims_key = 0;
      Nanos earliest = 0;
      for (Slot& slot : set.slots) {
        uint64_t owner = slot.key.load(std::memory_order_relaxed);
        if (owner == key) return slot.full_at;
        Nanos full_at = slot.full_at.load(std::memory_order_relaxed);
        if (victim != nullptr && full_at >= earliest) continue;
        victim = &slot;
        victims_key = owner;
        earliest = full_at;
      }
      if (!victim->key.compare_exchange_strong(victims_key, key, std::memory_order_relaxed))
        continue;
      // All four are busy: the newcomer begins with a full bucket, not with what the other one
      // owes.
      if (earliest > now) victim->full_at.store(now, std::memory_order_relaxed);
      return victim->full_at;
    }
  }

  KeyedHash hash_;
  std::vector<Set> sets_;
};

// The site and the client: 4 bytes of IPv4, 8 of an IPv6 network, nothing of a Unix socket.
std::string KeyOf(std::string_view site, std::string_view client) {
  std::string key(site);
  key += '\n';
  char text[INET6_ADDRSTRLEN] = {};
  if (client.size() >= sizeof(text)) return key;
  std::memcpy(text, client.data(), client.size());
  std::array<char, 16> bytes{};
  if (inet_pton(AF_INET, text, bytes.data()) == 1) return key.append(bytes.data(), 4);
  if (inet_pton(AF_INET6, text, bytes.data()) == 1) key.append(bytes.data(), 8);
  return key;
}

class RateLimit final : public ExchangeFilter {
 public:
  using Shared = Buckets;
  struct State : WorkerState {
    State(const Options&, Buckets& shared) : buckets(shared) {}
    Buckets& buckets;
  };
  RateLimit(const Options& options, State& state) : options_(options), state_(state) {}

  Verdict OnRequestHead(Exchange& exchange) override {
    Nanos wait = kNobody;
    if (options_.parsed.count != 0) {
      wait = state_.buckets.Take(KeyOf(exchange.site(), exchange.client_address()),
                                 NanosOf(exchange.now()), options_.interval(), options_.depth());
    }
    if (wait == 0) return Verdict::kContinue;
    constexpr Nanos kSecond = 1'000'000'000;
    http::Headers more;
    more.Add("Retry-After", std::to_string((wait + kSecond - 1) / kSecond));
    LOG_DEBUG("rate_limited", "x={} client={}", exchange.id(), exchange.client_address());
    exchange.ReplyStatusWith(429, more, "rate_limit");
    return Verdict::kStop;
  }

 private:
  // Where the rate is 0 nobody's turn comes; whoever asks may ask again in an hour whether that has
  // changed.
  static constexpr Nanos kNobody = 3'600'000'000'000;

  const Options& options_;
  State& state_;
};
}  // namespace

GENKAN_MODULE(rate_limit, RateLimit, Options);
