// What the connections and exchanges of one worker share: its loop, its state in force, the table of connections, the
// work that is due at the end of a turn, and exchanges to use again. Worker's thread; owned by the Worker.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proxy/server/worker.h"
#include "proxy/server/worker_snapshot.h"

namespace genkan::server {

class DownstreamConnection;
class ServerExchange;

// Finds an exchange again, or sees that it is gone: for answers that come from other threads.
struct ExchangeHandle {
  uint32_t slot = 0;
  uint64_t generation = 0;  // 0: none
};

// Where other threads leave work for a worker that may be gone by then. Thread-safe.
struct Mailbox {
  std::mutex mutex;
  event::EventLoop* loop = nullptr;  // guarded by mutex; nullptr: the worker is gone
};

class WorkerCore {
 public:
  WorkerCore(uint32_t index, event::EventLoop& loop, WorkerShared& shared);
  ~WorkerCore();
  WorkerCore(const WorkerCore&) = delete;
  WorkerCore& operator=(const WorkerCore&) = delete;

  uint32_t index() const { return index_; }
  event::EventLoop& loop() { return loop_; }
  WorkerShared& shared() { return shared_; }
  WorkerMetrics& metrics() { return metrics_; }
  const WorkerMetrics& metrics() const { return metrics_; }
  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }

  const tls::CertStorePtr& cert_store() const { return cert_store_; }
  const std::shared_ptr<const std::vector<std::string>>& revoked_leaves() const { return revoked_; }
  const tls::TicketKeysPtr& ticket_keys() const { return ticket_keys_; }
  void SetCertStore(tls::CertStorePtr store,
                    std::shared_ptr<const std::vector<std::string>> revoked) {
    cert_store_ = std::move(store);
    revoked_ = std::move(revoked);
  }
  void SetTicketKeys(tls::TicketKeysPtr keys) { ticket_keys_ = std::move(keys); }
  bool is_draining() const { return is_draining_; }
  Millis drain_idle() const { return drain_idle_; }
  void set_draining(Millis idle) {
    is_draining_ = true;
    drain_idle_ = idle;
  }

  // --- connections
  uint64_t NextConnectionNumber() { return ++last_connection_; }
  DownstreamConnection& Adopt(std::unique_ptr<DownstreamConnection> connection);
  // Shuts it down now, destroys it after this batch of events.
  void Remove(DownstreamConnection& connection);
  size_t connection_count() const { return connections_.size(); }
  // `visit` may remove the connection that it is given.
  template <class Visit>
  void ForEachConnection(Visit visit) {
    for (size_t i = connections_.size(); i-- > 0;) visit(*connections_[i]);
  }
  // Called when a connection is gone.
  std::function<void()> on_removed;

  // --- the end of a turn: each connection that was marked is flushed once, with one write
  void MarkDirty(DownstreamConnection& connection);

  // --- exchanges
  std::unique_ptr<ServerExchange> TakeExchange();
  void GiveBack(std::unique_ptr<ServerExchange> exchange);
  ExchangeHandle Register(ServerExchange& exchange);
  void Unregister(ExchangeHandle handle);
  ServerExchange* Find(ExchangeHandle handle) const;

 private:
  struct Slot {
    ServerExchange* exchange = nullptr;
    uint64_t generation = 0;
  };
  void FlushDirty();

  const uint32_t index_;
  event::EventLoop& loop_;
  WorkerShared& shared_;
  WorkerMetrics metrics_;
  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  tls::CertStorePtr cert_store_;
  std::shared_ptr<const std::vector<std::string>> revoked_;
  tls::TicketKeysPtr ticket_keys_;
  bool is_draining_ = false;
  Millis drain_idle_{0};

  uint64_t last_connection_ = 0;
  std::vector<std::unique_ptr<DownstreamConnection>> connections_;
  std::vector<DownstreamConnection*> dirty_, flushing_;
  bool is_flush_scheduled_ = false;

  std::vector<std::unique_ptr<ServerExchange>> spare_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  uint64_t last_generation_ = 0;
};

}  // namespace genkan::server
