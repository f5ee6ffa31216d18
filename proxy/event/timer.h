// A one-shot timer. A member of what it serves, on one loop's thread; destroyed = never fires again.
// Moving the deadline later costs nothing: the event stays where it is and is armed again when it fires
// too early. So a timeout that is pushed back with each request costs no heap operation a request.
#pragma once

#include <event2/event_struct.h>

#include <functional>

#include "proxy/event/event_loop.h"

namespace genkan::event {

class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> on_fire);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Fires once, `delay` from the loop's now (at once when negative). Replaces an earlier deadline.
  void Start(Millis delay);
  void Cancel();
  bool is_running() const { return is_running_; }
  MonotonicTime deadline() const { return deadline_; }

 private:
  static void OnEvent(int fd, short what, void* self) noexcept;
  void Fire();
  void Arm(MonotonicTime at);

  EventLoop& loop_;
  std::function<void()> on_fire_;
  ::event event_;
  bool is_running_ = false;
  bool is_armed_ = false;
  MonotonicTime armed_for_{};
  MonotonicTime deadline_{};
};

}  // namespace genkan::event
