#include "proxy/event/event_loop.h"

#include <event2/event.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/check.h"

namespace genkan::event {
namespace {

std::chrono::nanoseconds ThreadCpuTime() {
  timespec spent{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return std::chrono::seconds(spent.tv_sec) + std::chrono::nanoseconds(spent.tv_nsec);
}

}  // namespace

EventLoop::EventLoop() {
  event_config* config = event_config_new();
  GENKAN_CHECK(config != nullptr);
  // Changes of interest within one turn become one epoll_ctl, or none. No descriptor is ever dup'ed
  // here.
  event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
  // The loop is one thread's; Post has a lock of its own.
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  base_ = event_base_new_with_config(config);
  event_config_free(config);
  GENKAN_CHECK(base_ != nullptr);
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  GENKAN_CHECK(wake_fd_ >= 0);
  wake_event_ = event_new(base_, wake_fd_, EV_READ | EV_PERSIST, &EventLoop::OnWake, this);
  GENKAN_CHECK(wake_event_ != nullptr && event_add(wake_event_, nullptr) == 0);
  thread_ = pthread_self();
}

EventLoop::~EventLoop() {
  // What was deferred or posted may own objects whose watchers live in this base.
  RunDeferred();
  {
    std::lock_guard lock(mutex_);
    posted_.clear();
  }
  event_free(wake_event_);
  close(wake_fd_);
  event_base_free(base_);
}

void EventLoop::Run() {
  thread_ = pthread_self();
  stop_ = false;
  // The kernel may lengthen a sleep by its slack of 50 µs, half of what a rest is.
  if (pace_.is_set()) prctl(PR_SET_TIMERSLACK, 5000UL, 0UL, 0UL, 0UL);
  while (!stop_) RunOnce(true);
}

void EventLoop::RunOnce(bool may_wait) {
  thread_ = pthread_self();
  is_now_known_ = false;
  RunDeferred();
  is_now_known_ = false;
  if (may_wait && pace_.is_set()) Rest();
  // EVLOOP_NONBLOCK alone goes on for as long as anything is ready: for good, with a writable
  // socket.
  event_base_loop(base_, may_wait ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
  RunDeferred();
}

void EventLoop::Rest() {
  auto rest = pace_.Rest(std::chrono::steady_clock::now(), ThreadCpuTime);
  if (rest <= rest.zero()) return;
  timespec time{0, rest.count()};
  nanosleep(&time, nullptr);  // a signal that cuts it short does no harm
}

void EventLoop::Stop() {
  Post([this] { stop_ = true; });
}

void EventLoop::Post(std::function<void()> work) {
  bool was_empty;
  {
    std::lock_guard lock(mutex_);
    was_empty = posted_.empty();
    posted_.push_back(std::move(work));
  }
  if (was_empty) {
    uint64_t one = 1;
    [[maybe_unused]] ssize_t written = write(wake_fd_, &one, sizeof(one));
  }
}

void EventLoop::Defer(std::function<void()> work) { deferred_.push_back(std::move(work)); }

bool EventLoop::IsInLoopThread() const { return pthread_equal(thread_, pthread_self()) != 0; }

void EventLoop::OnWake(int fd, short, void* self) noexcept {
  uint64_t count = 0;
  [[maybe_unused]] ssize_t got = read(fd, &count, sizeof(count));
  static_cast<EventLoop*>(self)->RunPosted();
}

void EventLoop::RunPosted() {
  std::vector<std::function<void()>> work;
  {
    std::lock_guard lock(mutex_);
    work.swap(posted_);
  }
  for (auto& item : work) item();
}

void EventLoop::RunDeferred() {
  // Deferred work may defer more; the rounds are bounded only by what it does, as in any loop.
  while (!deferred_.empty() || !retired_.empty()) {
    std::vector<std::function<void()>> work;
    work.swap(deferred_);
    for (auto& item : work) item();
    std::vector<std::shared_ptr<void>> dead;
    dead.swap(retired_);
  }
}

}  // namespace genkan::event
