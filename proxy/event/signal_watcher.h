// Calls back on the loop's thread when the process gets a signal. Lives on the control loop.
#pragma once

#include <functional>

#include "proxy/event/event_loop.h"

struct event;

namespace genkan::event {

class SignalWatcher {
 public:
  SignalWatcher(EventLoop& loop, int signal, std::function<void()> on_signal);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  static void OnEvent(int signal, short what, void* self) noexcept;

  std::function<void()> on_signal_;
  ::event* event_;
};

}  // namespace genkan::event
