// One thread's event loop: an event_base, work posted from other threads, and work deferred to the
// end of this turn. Owned by the thread's main object (Supervisor, Worker). Only Post and Stop may
// be called from other threads. Watchers and timers belong to the loop's thread and must be gone
// before the loop is.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/event/turn_pace.h"

struct event_base;
struct event;

namespace genkan::event {

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs turns until Stop. One turn: wait, the events of one batch, then what was deferred.
  void Run();
  // Below a second, before Run: the turns of a busy loop begin this far apart (turn_pace.h). At
  // first zero: as soon as there is work.
  void SetPace(std::chrono::microseconds spacing) { pace_ = TurnPace(spacing); }
  // One turn; waits for an event when `may_wait`. For tests and for draining.
  void RunOnce(bool may_wait = false);
  // Thread-safe. Run returns after the current turn.
  void Stop();

  // Thread-safe: `work` runs on the loop's thread in a later turn. Work posted after the loop has
  // ended is dropped.
  void Post(std::function<void()> work);
  // Runs `work` after this batch of events, before the loop waits again. Loop's thread only.
  void Defer(std::function<void()> work);
  // Destroys `dead` after this batch, when no frame of it is on the stack. Shutdown() is called on
  // it now: it must cancel its watchers so that nothing calls it any more.
  template <class T>
  void Retire(std::unique_ptr<T> dead) {
    dead->Shutdown();
    retired_.push_back(std::shared_ptr<void>(std::move(dead)));
  }

  // The time of this turn's first event: cheap, good enough for timeouts.
  MonotonicTime now() const {
    if (!is_now_known_) {
      now_ = std::chrono::steady_clock::now();
      is_now_known_ = true;
    }
    return now_;
  }
  bool IsInLoopThread() const;

  event_base* base() { return base_; }

 private:
  static void OnWake(int fd, short what, void* self) noexcept;
  void Rest();
  void RunPosted();
  void RunDeferred();

  event_base* base_;
  ::event* wake_event_ = nullptr;
  int wake_fd_ = -1;
  bool stop_ = false;
  TurnPace pace_;
  unsigned long thread_ = 0;
  // The clock is read at the first question of a turn: before the wait it would be too early.
  mutable MonotonicTime now_;
  mutable bool is_now_known_ = false;
  std::vector<std::function<void()>> deferred_;
  std::vector<std::shared_ptr<void>> retired_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // guarded by mutex_
};

}  // namespace genkan::event
