// The workers, all that is said to all of them, and their number, which a reload may change. Those
// that are too many accept nothing more and go when their connections have ended; until then they
// hear what the others hear. Control thread; owned by the Supervisor.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/control/status.h"
#include "proxy/event/event_loop.h"
#include "proxy/server/worker.h"

namespace genkan::control {

class WorkerTeam {
 public:
  // By worker.
  using Sockets = std::vector<std::vector<server::ListenerSocket>>;

  // `loop` is the control thread's.
  WorkerTeam(event::EventLoop& loop, server::WorkerShared& shared) : loop_(loop), shared_(shared) {}
  // Stops them and joins their threads.
  ~WorkerTeam();

  // How many accept, and how many are on their way out.
  size_t size() const { return size_; }
  size_t leaving() const { return workers_.size() - size_; }

  // Their threads, which do nothing yet but listen to what they are told.
  void Start(size_t count);
  void ApplyTicketKeys(const tls::TicketKeysPtr& keys);
  void ApplyCertStore(tls::CertStorePtr store,
                      std::shared_ptr<const std::vector<std::string>> revoked);
  // From now on ApplyCertStore only remembers: the next snapshot brings what belongs to it.
  void HoldCertStore() { holds_store_ = true; }
  // As many workers as there are entries in `sockets`, which are new ones; `surplus` is for those
  // that are too many.
  void ApplySnapshot(const server::SnapshotPtr& snapshot, Sockets sockets,
                     const server::DrainTimes& surplus);
  // Returns when all of them have taken what they were told, so that whoever reloads and then asks is
  // answered by what he wrote; one that is late for `longest` is told in the log and not waited for.
  void Await(Millis longest = Millis(1000));

  // Whether all have answered since it was asked last.
  bool AreAlive();
  // `done` is called on the control thread, once.
  void Drain(const server::DrainTimes& times, std::function<void()> done);
  // Also of those that are gone.
  TrafficTotals traffic() const;

 private:
  struct Question {
    size_t asked = 0;
    std::atomic<size_t> answered{0};
  };
  void Add();
  void Remove(const server::Worker* worker);

  event::EventLoop& loop_;
  server::WorkerShared& shared_;
  std::vector<std::unique_ptr<server::Worker>> workers_;  // those that leave behind the others
  size_t size_ = 0;
  uint32_t next_index_ = 0;  // never used again: connections' names in the log begin with it
  TrafficTotals gone_;

  tls::TicketKeysPtr keys_;
  tls::CertStorePtr store_;
  std::shared_ptr<const std::vector<std::string>> revoked_;
  bool holds_store_ = false;

  std::shared_ptr<Question> question_;  // of the watchdog, asked last
  size_t undrained_ = 0;
  std::function<void()> drained_;
};

}  // namespace genkan::control
