// So many lines of one kind a minute, so that what a peer causes fills no log; the next line that
// may be written says how many were left out. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

#include "proxy/base/clock.h"

namespace genkan {

class LineBudget {
 public:
  explicit LineBudget(uint32_t per_minute) : per_minute_(per_minute) {}

  // Nothing: not this one. Otherwise how many were left out since the last.
  std::optional<uint64_t> Take(MonotonicTime now) {
    std::lock_guard lock(mutex_);
    if (!has_begun_ || now - minute_ >= std::chrono::minutes(1)) {
      has_begun_ = true;
      minute_ = now;
      written_ = 0;
    }
    if (written_ >= per_minute_) {
      ++left_out_;
      return std::nullopt;
    }
    ++written_;
    return std::exchange(left_out_, 0);
  }

 private:
  const uint32_t per_minute_;
  std::mutex mutex_;
  bool has_begun_ = false;
  MonotonicTime minute_{};
  uint32_t written_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace genkan
