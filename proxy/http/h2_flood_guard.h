// Counts what costs us work and moves nothing (RFC 9113 10.5): resets in a token bucket, control
// frames for as long as neither HEADERS nor DATA move, empty DATA always. One connection's; its
// worker's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "proxy/base/clock.h"
#include "proxy/http/h2_frame_scanner.h"

namespace genkan::http {

class H2FloodGuard {
 public:
  // `clock` outlives the guard. It is read for the frames that are counted, not for each one.
  explicit H2FloodGuard(const Clock& clock);

  // Each false: too many, the connection is to end with ENHANCE_YOUR_CALM.
  // The client's next frame.
  [[nodiscard]] bool See(const H2FrameHeader& frame);
  // A DATA frame without data that does not end its stream; See knows those that are not padded.
  [[nodiscard]] bool SeeEmptyData();
  // A stream that was reset by us for the client's fault; See knows those that the client resets.
  [[nodiscard]] bool SeeFault();

  // A head or body bytes went either way on a stream that lives.
  void Moved();

 private:
  enum Kind { kSettings, kPing, kPriority, kWindowUpdate, kOther, kEmptyData, kKinds };
  struct Limit {
    uint32_t count;
    Seconds window;
  };
  struct Counter {
    MonotonicTime since;
    uint32_t count = 0;
  };
  static Limit LimitOf(Kind kind);
  static bool IsCounted(const H2FrameHeader& frame, Kind& kind);
  bool Count(Kind kind);

  const Clock& clock_;
  std::array<Counter, kKinds> counters_;
  double reset_tokens_;
  MonotonicTime refilled_;
};

}  // namespace genkan::http
