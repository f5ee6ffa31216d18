// Spaces the turns of a busy loop, as network cards space their interrupts. A worker that keeps up
// with its peers wakes for every few bytes of theirs: each wake costs a system call and a switch,
// and what it then writes leaves in small records and segments. While its thread computes for more
// than half of the time, turns begin `spacing` apart, so that one wake finds the work of several. A
// loop with little to do is never held up: who waits alone gets the first turn there is. Pure: the
// caller brings the times. One thread.
#pragma once

#include <chrono>

#include "proxy/base/clock.h"

namespace genkan::event {

class TurnPace {
 public:
  using Nanos = std::chrono::nanoseconds;

  // How often a thread's CPU time is asked for; that is a system call.
  static constexpr Nanos kWindow{5'000'000};
  // Sleeping for less costs more than it saves.
  static constexpr Nanos kShortest{10'000};

  // Zero: turns are not spaced.
  explicit TurnPace(Nanos spacing = {}) : spacing_(spacing) {}

  // Asked where is_set(). Before a wait for events, at `now`: how long to sleep first, at most the
  // spacing. `cpu_time()` gives the thread's CPU time so far.
  template <class CpuTime>
  Nanos Rest(MonotonicTime now, CpuTime cpu_time) {
    if (now - window_began_ >= kWindow) Measure(now, cpu_time());
    Nanos since = now - wait_began_;
    Nanos rest = is_busy_ && since + kShortest < spacing_ ? spacing_ - since : Nanos{};
    wait_began_ = now + rest;
    return rest;
  }

  bool is_set() const { return spacing_ != Nanos{}; }
  bool is_busy() const { return is_busy_; }

 private:
  // On above a half; off below a third, for the spacing itself saves a part.
  void Measure(MonotonicTime now, Nanos cpu) {
    Nanos elapsed = now - window_began_;
    Nanos computed = cpu - cpu_before_;
    is_busy_ = is_busy_ ? computed * 3 > elapsed : computed * 2 > elapsed;
    window_began_ = now;
    cpu_before_ = cpu;
  }

  Nanos spacing_;
  MonotonicTime window_began_{}, wait_began_{};
  Nanos cpu_before_{};
  bool is_busy_ = false;
};

}  // namespace genkan::event
