// What a run measures: units of work, the CPU time that the measured processes spent on them, and
// latencies, cut into short slices so that a noisy neighbour spoils some of them and not the whole.
// One thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

// User and system time of processes, with all threads that they have or had.
class CpuTime {
 public:
  explicit CpuTime(const std::vector<int>& pids);
  uint64_t Nanoseconds() const;

 private:
  std::vector<clockid_t> clocks_;
};

class Meter {
 public:
  // Nothing counts before `settle` has passed.
  Meter(const std::vector<int>& pids, double settle, double seconds, double slice);

  void Add(double units) { units_ += units; }
  void AddLatency(Time since, Time now);
  void Fail(const std::string& why);
  // Closes slices that are over; false when the run is.
  bool Tick(Time now);
  Time end() const { return end_; }
  // One JSON object.
  std::string Report() const;
  bool has_failed() const { return failures_ > 0; }

 private:
  struct Slice {
    double units, seconds;
    uint64_t cpu;
  };

  CpuTime cpu_;
  Time begin_, end_, slice_began_;
  std::chrono::nanoseconds slice_;
  double units_ = 0;
  uint64_t cpu_began_ = 0;
  bool has_begun_ = false;
  std::vector<Slice> slices_;
  std::vector<uint32_t> latencies_;  // microseconds
  uint64_t failures_ = 0;
  std::string first_failure_;
};

// When the next unit begins: at once, or at a fixed rate whatever the answers do (an open loop).
// Then latency counts from the moment that was due, so that waiting in our own queue is not
// forgotten.
class Pace {
 public:
  explicit Pace(double rate) : rate_(rate), begin_(Clock::now()) {}

  bool is_open() const { return rate_ > 0; }
  // True: a unit begins now, `since` is when it was due.
  bool Take(Time now, Time& since) {
    if (!is_open()) {
      since = now;
      return true;
    }
    Time due = NextDue();
    if (due > now) return false;
    since = due;
    ++taken_;
    return true;
  }
  Time NextDue() const {
    return begin_ + std::chrono::nanoseconds(
                        static_cast<int64_t>(static_cast<double>(taken_) * 1e9 / rate_));
  }

 private:
  double rate_;
  Time begin_;
  uint64_t taken_ = 0;
};

}  // namespace bench
