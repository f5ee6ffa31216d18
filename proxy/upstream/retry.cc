#include "proxy/upstream/retry.h"

namespace genkan::upstream {

Retry DecideRetry(const FailedTry& attempt) {
  if (attempt.tries > kMaxRetries) return Retry::kNo;
  // What was never connected was never asked.
  if (!attempt.was_connected) return Retry::kElsewhere;
  // An answer has begun, or we have nothing left to send it again from.
  if (attempt.has_received || attempt.has_body_begun) return Retry::kNo;
  // Too slow once is too slow twice, and an answer that breaks the rules is an answer.
  bool was_cut = attempt.code == ErrorCode::kClosed || attempt.code == ErrorCode::kIo;
  if (!was_cut) return Retry::kNo;
  // Sent and unanswered: the server may have done it (RFC 9110 9.2.2).
  if (attempt.has_sent && !attempt.is_idempotent) return Retry::kNo;
  // A server closes an idle connection whenever it likes; that says nothing about the server.
  return attempt.was_reused || !attempt.has_sent ? Retry::kAnywhere : Retry::kElsewhere;
}

}  // namespace genkan::upstream
