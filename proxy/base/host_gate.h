// How much of one kind is let in, over all threads: so many a second for a host, so many under way
// at once. Never by source address: whoever asks for a host may come from anywhere. Thread-safe;
// shared by what asks.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"

namespace genkan {

class HostGate {
 public:
  struct Limits {
    size_t per_second = 20;  // for a host
    size_t under_way = 64;   // for all
    size_t hosts = 1024;     // known at a time; all further ones share one count
  };
  HostGate() = default;
  explicit HostGate(const Limits& limits) : limits_(limits) {}

  // False: too many. True: Leave() must follow.
  bool Enter(std::string_view host, MonotonicTime now);
  void Leave();

 private:
  void Forget(MonotonicTime now);

  const Limits limits_;
  std::mutex mutex_;
  std::map<std::string, std::deque<MonotonicTime>, std::less<>> recent_;  // within the last second
  size_t under_way_ = 0;
};

}  // namespace genkan
