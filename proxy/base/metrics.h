// Metric cells: one writer (a worker), any number of readers. Relaxed loads and stores, no locked
// instruction on the hot path. Readers add the workers' cells up.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace genkan {

class Cell {
 public:
  void Add(uint64_t by = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  void Subtract(uint64_t by = 1) noexcept { Add(~by + 1); }
  void Set(uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// A histogram of durations in microseconds with fixed bounds (upper, inclusive).
class DurationCells {
 public:
  static constexpr std::array<uint64_t, 12> kBoundsMicros = {
      500,     1'000,   2'500,     5'000,     10'000,    25'000,
      100'000, 250'000, 1'000'000, 2'500'000, 10'000'000, 60'000'000};
  void Observe(uint64_t micros) noexcept {
    size_t i = 0;
    while (i < kBoundsMicros.size() && micros > kBoundsMicros[i]) ++i;
    buckets_[i].Add();
    sum_.Add(micros);
  }
  uint64_t bucket(size_t i) const noexcept { return buckets_[i].value(); }
  uint64_t sum_micros() const noexcept { return sum_.value(); }

 private:
  std::array<Cell, kBoundsMicros.size() + 1> buckets_;
  Cell sum_;
};

}  // namespace genkan
