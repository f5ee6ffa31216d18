#include "proxy/event/blocking_pool.h"

#include <csignal>

namespace genkan::event {

BlockingPool::BlockingPool(size_t threads, size_t most_queued) : most_queued_(most_queued) {
  // Signals belong to the control loop: block them while the threads inherit the mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { RunThread(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

BlockingPool::~BlockingPool() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
    queue_.clear();
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

bool BlockingPool::Submit(std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (is_stopping_ || queue_.size() >= most_queued_) return false;
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return true;
}

void BlockingPool::RunThread() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return is_stopping_ || !queue_.empty(); });
      if (is_stopping_) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

}  // namespace genkan::event
