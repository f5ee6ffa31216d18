// Time, as a thing that tests can hold still. Monotonic time is for timers and timeouts, wall time for
// certificates and logs. Implementations are thread-safe; ManualClock is for one thread at a time.
#pragma once

#include <chrono>
#include <string>

namespace genkan {

using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
using MonotonicTime = std::chrono::steady_clock::time_point;
using WallTime = std::chrono::system_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime Now() const = 0;
  virtual WallTime Wall() const = 0;
};

// The machine's clocks.
const Clock& SystemClock();

class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = WallTime(Seconds(1'800'000'000))) : wall_(start) {}
  MonotonicTime Now() const override { return now_; }
  WallTime Wall() const override { return wall_; }
  void Advance(std::chrono::nanoseconds by) {
    now_ += std::chrono::duration_cast<MonotonicTime::duration>(by);
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }

 private:
  MonotonicTime now_{};
  WallTime wall_;
};

// 2026-11-22T03:04:05Z
std::string FormatIso8601(WallTime time);
// Sun, 22 Nov 2026 03:04:05 GMT (RFC 9110 5.6.7)
std::string FormatHttpDate(WallTime time);

}  // namespace genkan
