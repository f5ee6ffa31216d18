// One worker: a thread with its own loop, listening sockets, pools and metric cells. The control thread makes it, tells
// it things (all the Apply… and Drain calls are thread-safe: they Post), and joins it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/base/host_gate.h"
#include "proxy/base/line_budget.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/net/fd.h"
#include "proxy/server/access_log.h"
#include "proxy/server/address_limiter.h"
#include "proxy/server/challenge_board.h"
#include "proxy/server/snapshot.h"
#include "proxy/server/worker_metrics.h"
#include "proxy/tls/cert_store.h"
#include "proxy/tls/ticket_keys.h"

namespace genkan::server {

// What all workers share. Outlives them.
struct WorkerShared {
  event::BlockingPool& blocking;
  AccessLog& access_log;          // thread-safe
  AddressLimiter& addresses;      // sharded, thread-safe
  const Clock& clock;
  // Client connections of all workers, against limits.connections.
  std::atomic<uint32_t> connections{0};
  // For what burns the processor (passwords' hashes): a single thread with a short queue, so that guesses by the thousand
  // neither fill the machine nor keep files and names waiting.
  event::BlockingPool computing{1, 256};
  ChallengeBoard challenges;
  // Validations by tls-alpn-01.
  HostGate tls_alpn_gate;
  LineBudget tls_alpn_lines{10};
};

// Sockets for a listener of the snapshot; each worker gets its own (SO_REUSEPORT).
struct ListenerSocket {
  uint32_t listener_id = 0;
  net::Fd fd;
};

// How long a drain waits, and for what.
struct DrainTimes {
  Millis deadline;  // then the rest is cut
  Millis endless;   // for what never ends by itself: tunnels, event streams
  // For a request on a connection that rests. No longer than the connection's own idle timeout, which is what a client
  // has to expect anyway: where nothing waits for our end, it is the deadline, and no request meets our close.
  Millis idle;
};

class Worker {
 public:
  static std::unique_ptr<Worker> Make(uint32_t index, WorkerShared& shared);
  virtual ~Worker() = default;  // stops and joins

  virtual void Start() = 0;
  // The first one makes it serve. Sockets of listeners that are new; those of listeners that are gone are closed after
  // what waits in their queue was accepted, their connections drained.
  // `store`: whose sites are the snapshot's, taken in the same turn; null: the one before stays.
  virtual void ApplySnapshot(SnapshotPtr snapshot, std::vector<ListenerSocket> new_sockets, tls::CertStorePtr store = {},
                             std::shared_ptr<const std::vector<std::string>> revoked_leaves = {}) = 0;
  virtual void ApplyCertStore(tls::CertStorePtr store,
                              std::shared_ptr<const std::vector<std::string>> revoked_leaves) = 0;
  virtual void ApplyTicketKeys(tls::TicketKeysPtr keys) = 0;
  // GOAWAY, Connection: close, no more accepts; `done` is called on the worker's thread when the last connection is
  // gone or the deadline has passed.
  virtual void Drain(const DrainTimes& times, std::function<void()> done) = 0;
  virtual void Stop() = 0;

  virtual const WorkerMetrics& metrics() const = 0;  // readable from any thread
  virtual event::EventLoop& loop() = 0;
  uint32_t index() const { return index_; }

 protected:
  explicit Worker(uint32_t index) : index_(index) {}
  uint32_t index_;
};

}  // namespace genkan::server
