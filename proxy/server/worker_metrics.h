// The cells of one worker: written by it alone, read by the control thread (base/metrics.h).
#pragma once

#include <array>

#include "proxy/base/metrics.h"

namespace genkan::server {

struct WorkerMetrics {
  Cell connections_accepted, connections_open, connections_refused;  // refused: over a limit
  Cell handshakes_tls12, handshakes_tls13, handshakes_other, handshakes_resumed, handshakes_failed;
  Cell handshakes_stapled;
  Cell requests_h1, requests_h2, requests_open;
  std::array<Cell, 6> responses;  // by status / 100; [0] = none (reset before a response)
  Cell bytes_in, bytes_out;       // bodies
  Cell challenges_answered, challenges_refused;
  Cell tls_alpn_passed, tls_alpn_refused;  // refused: also by who would answer
  Cell upstream_errors;
  Cell bad_messages;
  DurationCells request_duration, upstream_head_duration;
  Cell snapshots_alive;
  Cell loop_lag_micros;           // the longest turn of the last seconds
};

}  // namespace genkan::server
