// Threads for what blocks: getaddrinfo, files, fetches. Shared by the process; owned by the Supervisor.
// Thread-safe. Work in the queue is dropped at destruction, work under way is waited for.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace genkan::event {

class BlockingPool {
 public:
  explicit BlockingPool(size_t threads = 4, size_t most_queued = 4096);
  ~BlockingPool();
  BlockingPool(const BlockingPool&) = delete;
  BlockingPool& operator=(const BlockingPool&) = delete;

  // False when more than the queue's bound is waiting: the caller must then do without.
  bool Submit(std::function<void()> work);

 private:
  void RunThread();

  const size_t most_queued_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;  // guarded by mutex_
  bool is_stopping_ = false;                 // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace genkan::event
