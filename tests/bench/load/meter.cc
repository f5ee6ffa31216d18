#include "tests/bench/load/meter.h"

#include <time.h>

#include <algorithm>

namespace bench {
namespace {

std::chrono::nanoseconds Span(double seconds) {
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9));
}

}  // namespace

CpuTime::CpuTime(const std::vector<int>& pids) {
  for (int pid : pids) {
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) == 0) clocks_.push_back(clock);
  }
}

uint64_t CpuTime::Nanoseconds() const {
  uint64_t total = 0;
  for (clockid_t clock : clocks_) {
    timespec time{};
    clock_gettime(clock, &time);
    total +=
        static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
  }
  return total;
}

Meter::Meter(const std::vector<int>& pids, double settle, double seconds, double slice)
    : cpu_(pids),
      begin_(Clock::now() + Span(settle)),
      end_(begin_ + Span(seconds)),
      slice_began_(begin_),
      slice_(Span(slice)) {}

void Meter::AddLatency(Time since, Time now) {
  if (!has_begun_) return;
  auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now - since).count();
  latencies_.push_back(static_cast<uint32_t>(std::max<int64_t>(micros, 0)));
}

void Meter::Fail(const std::string& why) {
  if (failures_++ == 0) first_failure_ = why;
}

bool Meter::Tick(Time now) {
  if (!has_begun_) {
    if (now < begin_) return true;
    has_begun_ = true;
    units_ = 0;
    slice_began_ = now;
    cpu_began_ = cpu_.Nanoseconds();
    return true;
  }
  if (now - slice_began_ < slice_ && now < end_) return true;
  uint64_t cpu = cpu_.Nanoseconds();
  slices_.push_back(
      {units_, std::chrono::duration<double>(now - slice_began_).count(), cpu - cpu_began_});
  units_ = 0;
  slice_began_ = now;
  cpu_began_ = cpu;
  return now < end_;
}

std::string Meter::Report() const {
  std::vector<uint32_t> sorted = latencies_;
  std::sort(sorted.begin(), sorted.end());
  auto percentile = [&](double share) -> uint32_t {
    if (sorted.empty()) return 0;
    return sorted[static_cast<size_t>(static_cast<double>(sorted.size() - 1) * share)];
  };
  std::string text = "{\"slices\": [";
  for (const Slice& slice : slices_) {
    if (&slice != &slices_.front()) text += ", ";
    text += "[" + std::to_string(slice.units) + ", " + std::to_string(slice.seconds) + ", " +
            std::to_string(slice.cpu) + "]";
  }
  text += "], \"p50_us\": " + std::to_string(percentile(0.5)) +
          ", \"p99_us\": " + std::to_string(percentile(0.99)) +
          ", \"failures\": " + std::to_string(failures_) + ", \"first_failure\": \"";
  for (char c : first_failure_) text += c == '"' || c == '\\' || c < ' ' ? '\'' : c;
  return text + "\"}";
}

}  // namespace bench
