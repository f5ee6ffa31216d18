#include "proxy/event/timer.h"

#include <event2/event.h>

#include <algorithm>

namespace genkan::event {

Timer::Timer(EventLoop& loop, std::function<void()> on_fire)
    : loop_(loop), on_fire_(std::move(on_fire)) {
  evtimer_assign(&event_, loop.base(), &Timer::OnEvent, this);
}

Timer::~Timer() { event_del(&event_); }

void Timer::Start(Millis delay) {
  deadline_ = loop_.now() + std::max(delay, Millis(0));
  is_running_ = true;
  if (!is_armed_ || armed_for_ > deadline_) Arm(deadline_);
}

void Timer::Cancel() { is_running_ = false; }

void Timer::Arm(MonotonicTime at) {
  auto left = std::max(std::chrono::duration_cast<std::chrono::microseconds>(
                           at - std::chrono::steady_clock::now()),
                       std::chrono::microseconds(0));
  timeval wait{static_cast<time_t>(left.count() / 1'000'000),
               static_cast<suseconds_t>(left.count() % 1'000'000)};
  event_add(&event_, &wait);
  is_armed_ = true;
  armed_for_ = at;
}

void Timer::OnEvent(int, short, void* self) noexcept { static_cast<Timer*>(self)->Fire(); }

void Timer::Fire() {
  is_armed_ = false;
  if (!is_running_) return;
  if (deadline_ > std::chrono::steady_clock::now()) {
    Arm(deadline_);
    return;
  }
  is_running_ = false;
  on_fire_();
}

}  // namespace genkan::event
