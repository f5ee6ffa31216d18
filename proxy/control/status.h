// What the running proxy is doing, as one value: for `genkan status`, the status page and /metrics.
// Copies; any thread.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/metrics.h"
#include "proxy/control/cert_manager.h"
#include "proxy/control/supervisor.h"
#include "proxy/server/worker_metrics.h"

namespace genkan::control {

// DurationCells of all workers, added up.
struct DurationTotals {
  std::array<uint64_t, DurationCells::kBoundsMicros.size() + 1> buckets{};
  uint64_t sum_micros = 0;
  void Add(const DurationCells& cells);
  uint64_t count() const;
};

// WorkerMetrics of all workers, added up; the lag is the largest.
struct TrafficTotals {
  uint64_t connections_accepted = 0, connections_open = 0, connections_refused = 0;
  uint64_t handshakes_tls12 = 0, handshakes_tls13 = 0, handshakes_other = 0;
  uint64_t handshakes_resumed = 0, handshakes_failed = 0, handshakes_stapled = 0;
  uint64_t requests_h1 = 0, requests_h2 = 0, requests_open = 0;
  std::array<uint64_t, 6> responses{};
  uint64_t bytes_in = 0, bytes_out = 0;
  uint64_t challenges_answered = 0, challenges_refused = 0;
  uint64_t tls_alpn_passed = 0, tls_alpn_refused = 0;
  uint64_t upstream_errors = 0, bad_messages = 0;
  uint64_t snapshots_alive = 0;  // the most of one worker
  uint64_t loop_lag_micros = 0;
  DurationTotals request_duration, upstream_head_duration;
  void Add(const server::WorkerMetrics& metrics);
  // What is now, and not a sum: of a worker that is gone.
  void ForgetPresent();
};

struct UpstreamServerStatus {
  std::string address;
  bool is_up = true, is_backup = false;
  uint32_t connections = 0, requests = 0;
  uint64_t requests_total = 0, failures_total = 0;
};
struct UpstreamStatus {
  std::string name;
  uint32_t waiting = 0;
  std::vector<UpstreamServerStatus> servers;
};

struct RunStatus {
  int pid = 0;
  std::string version, state;  // "starting", "serving", "draining"
  WallTime now{}, started{}, configured{};
  uint64_t generation = 0;  // of the snapshot: 1, and one more with each reload
  size_t workers = 0, workers_leaving = 0;
  std::string state_dir;
  bool is_state_writable = false;
  std::vector<ListenerStatus> listeners;
  std::vector<CertificateStatus> certificates;
  uint64_t certificate_reads = 0;
  std::vector<UpstreamStatus> upstreams;
  TrafficTotals traffic;
};

std::vector<UpstreamStatus> UpstreamStatusOf(const server::Snapshot& snapshot, MonotonicTime now);

// The JSON of `genkan status --json`, schema 1: names are only ever added.
std::string StatusJson(const RunStatus& status);

// Whole days until then, rounded down; negative when it has passed.
int64_t DaysLeft(WallTime now, WallTime until);

}  // namespace genkan::control
