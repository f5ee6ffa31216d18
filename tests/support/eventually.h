// Runs an event loop until a condition holds, instead of sleeping.
#pragma once

#include <chrono>

#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"

namespace genkan::testing {

// False when `condition` did not become true within `longest`, which is only waited for by a test that fails: a busy
// machine under a sanitizer is fifty times slower than this one.
template <class Condition>
bool Eventually(event::EventLoop& loop, Condition condition, Millis longest = Millis(60'000)) {
  auto deadline = std::chrono::steady_clock::now() + longest;
  // The loop waits for events; this one lets it look at the condition from time to time.
  event::Timer wake(loop, [] {});
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    wake.Start(Millis(10));
    loop.RunOnce(true);
  }
  return true;
}

}  // namespace genkan::testing
