// A named pool of origins, one a worker: balancing, keep-alive connections, queue, retries where
// RFC 9110 allows them. Worker's thread; owned by the WorkerSnapshot. The counters that hold over
// all workers are in ClusterShared.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proxy/base/metrics.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/http/codec.h"
#include "proxy/upstream/upstream_request.h"

namespace genkan::upstream {

struct ServerSpec {
  std::string address;  // "127.0.0.1:8080", "app.internal:8080", "unix:/run/app.sock"
  uint32_t weight = 1;
  bool backup = false;
};
enum class Balance { kRoundRobin, kLeastConnections, kConsistentHash };
enum class ProxyProtocolOut { kOff, kV1, kV2 };

struct ClusterSpec {
  std::string name;
  std::vector<ServerSpec> servers;
  Balance balance = Balance::kRoundRobin;
  bool tls = false;
  bool tls_verify = true;
  std::string tls_name;
  std::string trust_store = "system";
  ProxyProtocolOut proxy_protocol = ProxyProtocolOut::kOff;
  uint32_t max_connections = 100;  // per server, over all workers
  uint32_t queue = 1000;
  Millis queue_timeout{10'000}, connect_timeout{5'000}, response_timeout{60'000},
      idle_timeout{4'000};
  Millis write_timeout{30'000}, stream_idle_timeout{3'600'000};
  std::string health_path;  // "" = no active check
  Millis health_interval{5'000};
  http::CodecLimits limits;
};

// Shared by the workers' clusters of one pool: connection counts and health. Lives over reloads
// that leave the pool as it is. Thread-safe (atomics).
class ClusterShared {
 public:
  explicit ClusterShared(ClusterSpec spec);
  const ClusterSpec& spec() const { return spec_; }
  struct ServerState {
    std::atomic<uint32_t> connections{0};
    std::atomic<uint32_t> requests{0};  // under way
    std::atomic<uint64_t> requests_total{0}, failures_total{0};
    std::atomic<bool> is_healthy{true};        // by the active check
    std::atomic<int64_t> ejected_until{0};     // steady clock, ms; passive check
    std::atomic<uint32_t> failures_in_row{0};  // connections that did not come to stand
    std::atomic<uint32_t> ejections{0};        // since it last took a connection
    bool is_ejected(MonotonicTime now) const;
    bool is_up(MonotonicTime now) const {
      return is_healthy.load(std::memory_order_relaxed) && !is_ejected(now);
    }
  };
  ServerState& server(size_t index) { return states_[index]; }
  const ServerState& server(size_t index) const { return states_[index]; }
  size_t server_count() const { return states_.size(); }
  // Requests of all workers that wait for a connection.
  uint32_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

  // ---- for the workers' clusters

  // One of max_connections; false when all are taken.
  bool TakeSlot(size_t server);
  void ReleaseSlot(size_t server);
  // A connection stands, or did not come to stand. Three failures in a row eject the server for 5
  // s, doubling to 60 s; never the last one that is up.
  void ReportConnected(size_t server);
  void ReportConnectFailure(size_t server, MonotonicTime now);
  void AddWaiting(int by) {
    waiting_.fetch_add(static_cast<uint32_t>(by), std::memory_order_relaxed);
  }

  // A slot that one worker gives up may be what a request in another waits for. `wake` runs on
  // `loop` after another member's Wake; several wakes become one. Leave on the loop's thread;
  // nothing runs after it.
  struct Member;
  std::shared_ptr<Member> Join(event::EventLoop& loop, std::function<void()> wake);
  void Leave(const std::shared_ptr<Member>& member);
  void Wake(const std::shared_ptr<Member>& from);
  uint32_t member_count() const { return member_count_.load(std::memory_order_relaxed); }

 private:
  ClusterSpec spec_;
  std::vector<ServerState> states_;
  std::atomic<uint32_t> waiting_{0};
  std::atomic<uint32_t> member_count_{0};
  std::mutex mutex_;
  std::vector<std::shared_ptr<Member>> members_;  // guarded by mutex_
};

struct ClusterOptions {
  // Asks the servers for health_path; one worker does it for all.
  bool checks_health = true;
};

// Not destroyed from within a handler's call: its frames are on the stack then (Retire what holds
// the snapshot). Requests that outlive it hear nothing more.
class Cluster {
 public:
  static Result<std::unique_ptr<Cluster>> Make(event::EventLoop& loop, event::BlockingPool& pool,
                                               std::shared_ptr<ClusterShared> shared,
                                               const ClusterOptions& options = {});
  virtual ~Cluster() = default;

  // Sends the head (already prepared for the upstream). `end`: no body follows. The handler
  // outlives the request.
  virtual std::unique_ptr<UpstreamRequest> Start(http::RequestHead&& head, bool end,
                                                 const StartOptions& options,
                                                 UpstreamHandler& handler) = 0;
  // Closes idle connections; requests under way go on. For a snapshot that is being let go.
  virtual void Drain() = 0;
  virtual size_t idle_connections() const = 0;
  virtual size_t active_requests() const = 0;
  const ClusterShared& shared() const { return *shared_; }

 protected:
  explicit Cluster(std::shared_ptr<ClusterShared> shared) : shared_(std::move(shared)) {}
  std::shared_ptr<ClusterShared> shared_;
};

}  // namespace genkan::upstream
