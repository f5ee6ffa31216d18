// Whether a request that failed at one server may be sent to another (RFC 9110 9.2.2, RFC
// 9112 9.3.1). Pure.
#pragma once

#include "proxy/base/result.h"

namespace genkan::upstream {

// Tries behind the first one.
inline constexpr int kMaxRetries = 2;

// How far a try had come when it failed.
struct FailedTry {
  ErrorCode code = ErrorCode::kClosed;
  bool was_connected = false;
  bool was_reused = false;      // the connection had served another request before
  bool has_sent = false;        // the kernel took a byte of it
  bool has_received = false;    // a byte of an answer came
  bool has_body_begun = false;  // bytes of the request's body are gone from our hands
  bool is_idempotent = false;
  int tries = 1;  // with this one
};

enum class Retry {
  kNo,
  kElsewhere,  // on a server that was not tried yet
  kAnywhere,   // on a new connection, also to the same server: only the old connection was at fault
};

Retry DecideRetry(const FailedTry& attempt);

}  // namespace genkan::upstream
