// A named pool of origins, one a worker: balancing, keep-alive connections, queue, retries where RFC 9110 allows them.
// Worker's thread; owned by the WorkerSnapshot. The counters that hold over all workers are in ClusterShared.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
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
  Millis queue_timeout{10'000}, connect_timeout{5'000}, response_timeout{60'000}, idle_timeout{4'000};
  Millis write_timeout{30'000}, stream_idle_timeout{3'600'000};
  std::string health_path;  // "" = no active check
  Millis health_interval{5'000};
  http::CodecLimits limits;
};

// Shared by the workers' clusters of one pool: connection counts and health. Lives over reloads that leave the pool as
// it is. Thread-safe (atomics).
class ClusterShared {
 public:
  explicit ClusterShared(ClusterSpec spec);
  const ClusterSpec& spec() const { return spec_; }
  struct ServerState {
    std::atomic<uint32_t> connections{0};
    std::atomic<uint32_t> requests{0};          // under way
    std::atomic<uint64_t> requests_total{0}, failures_total{0};
    std::atomic<bool> is_healthy{true};
    std::atomic<int64_t> ejected_until{0};      // steady clock, ms; passive check
  };
  ServerState& server(size_t index) { return states_[index]; }
  const ServerState& server(size_t index) const { return states_[index]; }

 private:
  ClusterSpec spec_;
  std::vector<ServerState> states_;
};

class Cluster {
 public:
  static Result<std::unique_ptr<Cluster>> Make(event::EventLoop& loop, event::BlockingPool& pool,
                                               std::shared_ptr<ClusterShared> shared);
  virtual ~Cluster() = default;

  // Sends the head (already prepared for the upstream). `end`: no body follows. The handler outlives the request.
  virtual std::unique_ptr<UpstreamRequest> Start(http::RequestHead head, bool end, const StartOptions& options,
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
