#include "proxy/control/worker_team.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "proxy/base/log.h"

namespace genkan::control {
namespace {

// Shared with workers that may answer when nobody waits any more.
class Takings {
 public:
  explicit Takings(size_t missing) : missing_(missing) {}
  void Take() {
    {
      std::lock_guard lock(mutex_);
      --missing_;
    }
    all_.notify_one();
  }
  // How many are missing still.
  size_t Wait(Millis longest) {
    std::unique_lock lock(mutex_);
    all_.wait_for(lock, longest, [this] { return missing_ == 0; });
    return missing_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_;
  size_t missing_;  // guarded by mutex_
};

}  // namespace

WorkerTeam::~WorkerTeam() {
  for (auto& worker : workers_) worker->Stop();
  workers_.clear();
}

void WorkerTeam::Add() {
  workers_.push_back(server::Worker::Make(next_index_++, shared_));
  server::Worker& worker = *workers_.back();
  if (keys_ != nullptr) worker.ApplyTicketKeys(keys_);
  worker.Start();
}

void WorkerTeam::Start(size_t count) {
  for (size_ = 0; size_ < count; ++size_) Add();
}

void WorkerTeam::ApplyTicketKeys(const tls::TicketKeysPtr& keys) {
  keys_ = keys;
  for (auto& worker : workers_) worker->ApplyTicketKeys(keys);
}

void WorkerTeam::ApplyCertStore(tls::CertStorePtr store,
                                std::shared_ptr<const std::vector<std::string>> revoked) {
  store_ = std::move(store);
  revoked_ = std::move(revoked);
  if (holds_store_) return;
  for (auto& worker : workers_) worker->ApplyCertStore(store_, revoked_);
}

void WorkerTeam::ApplySnapshot(const server::SnapshotPtr& snapshot, Sockets sockets,
                               const server::DrainTimes& surplus) {
  holds_store_ = false;
  const size_t before = size_, now = sockets.size();
  if (now > before) {
    // In front of those that still leave since another reload.
    for (size_t i = before; i < now; ++i) Add();
    std::rotate(workers_.begin() + static_cast<ptrdiff_t>(before),
                workers_.end() - static_cast<ptrdiff_t>(now - before), workers_.end());
  }
  size_ = now;
  if (now != before)
    LOG_INFO("workers_changed", "before={} now={} leaving={}", before, now, leaving());
  sockets.resize(workers_.size());
  // The store's sites are the snapshot's: a worker takes both in one turn.
  for (size_t i = 0; i < workers_.size(); ++i)
    workers_[i]->ApplySnapshot(snapshot, std::move(sockets[i]), store_, revoked_);
  for (size_t i = now; i < before; ++i) {
    server::Worker* worker = workers_[i].get();
    worker->Drain(surplus, [this, worker] { loop_.Post([this, worker] { Remove(worker); }); });
  }
}

void WorkerTeam::Await(Millis longest) {
  auto takings = std::make_shared<Takings>(workers_.size());
  // What they were told was posted: this comes after it.
  for (auto& worker : workers_) worker->loop().Post([takings] { takings->Take(); });
  if (size_t missing = takings->Wait(longest); missing > 0)
    LOG_WARN("worker_late", "answered={} workers={}", workers_.size() - missing, workers_.size());
}

void WorkerTeam::Remove(const server::Worker* worker) {
  // All are going, and are counted.
  if (drained_ != nullptr) return;
  auto found = std::find_if(workers_.begin(), workers_.end(),
                            [&](const auto& one) { return one.get() == worker; });
  if (found == workers_.end()) return;
  gone_.Add((*found)->metrics());
  gone_.ForgetPresent();
  LOG_INFO("worker_left", "worker={}", worker->index());
  workers_.erase(found);
  // Its answer may be missing.
  question_.reset();
}

bool WorkerTeam::AreAlive() {
  if (question_ != nullptr && question_->answered.load() < question_->asked) {
    // One that is slow keeps its question: asking again would only add to its queue.
    LOG_WARN("worker_late", "answered={} workers={}", question_->answered.load(), question_->asked);
    return false;
  }
  question_ = std::make_shared<Question>();
  question_->asked = workers_.size();
  for (auto& worker : workers_)
    worker->loop().Post([question = question_] { question->answered.fetch_add(1); });
  return true;
}

void WorkerTeam::Drain(const server::DrainTimes& times, std::function<void()> done) {
  undrained_ = workers_.size();
  drained_ = std::move(done);
  for (auto& worker : workers_) {
    worker->Drain(times, [this] {
      loop_.Post([this] {
        if (--undrained_ == 0) drained_();
      });
    });
  }
}

TrafficTotals WorkerTeam::traffic() const {
  TrafficTotals totals = gone_;
  for (const auto& worker : workers_) totals.Add(worker->metrics());
  return totals;
}

}  // namespace genkan::control
