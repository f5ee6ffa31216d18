// Which stream numbers a client has used and which of them it has ended: what decides whether a
// frame on a stream that is gone is a fault (RFC 9113 5.1, 5.1.1). libnghttp2 ignores such frames.
// The ledger looks at the client's frames alone; a stream that we reset is still open here, because
// frames that were under way are no fault. A value; one thread at a time.
#pragma once

#include <array>
#include <cstdint>

#include "proxy/http/h2_frame_scanner.h"

namespace genkan::http {

class H2StreamLedger {
 public:
  enum class Verdict {
    kFine,          // or the session's own business: stream 0, idle and even numbers
    kStreamClosed,  // the client had ended or reset this stream: STREAM_CLOSED
    kGoesBack,      // a number that was passed over, opened too late: PROTOCOL_ERROR
  };
  // Judges the client's next frame and takes note of it.
  Verdict See(const H2FrameHeader& frame);

 private:
  enum class State : uint8_t { kSkipped, kOpen, kEnded };
  // Numbers further back than this are not judged any more; each costs one byte.
  static constexpr size_t kRemembered = 512;

  State& at(uint32_t stream) { return states_[(stream >> 1) % kRemembered]; }
  bool remembers(uint32_t stream) const { return highest_ - stream < 2 * kRemembered; }
  void Open(uint32_t stream);

  uint32_t highest_ = 0;
  std::array<State, kRemembered> states_{};
};

}  // namespace genkan::http
