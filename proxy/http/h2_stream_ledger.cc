#include "proxy/http/h2_stream_ledger.h"

namespace genkan::http {

void H2StreamLedger::Open(uint32_t stream) {
  // RFC 9113 5.1.1: the first use of a number closes all idle ones below it.
  uint32_t first_skipped = highest_ == 0 ? 1 : highest_ + 2;
  if (stream - first_skipped >= 2 * kRemembered) {
    states_.fill(State::kSkipped);
  } else {
    for (uint32_t skipped = first_skipped; skipped < stream; skipped += 2) {
      at(skipped) = State::kSkipped;
    }
  }
  highest_ = stream;
  at(stream) = State::kOpen;
}

H2StreamLedger::Verdict H2StreamLedger::See(const H2FrameHeader& frame) {
  bool is_headers = frame.type == H2FrameType::kHeaders;
  bool is_data = frame.type == H2FrameType::kData;
  bool is_reset = frame.type == H2FrameType::kRstStream;
  if (!is_headers && !is_data && !is_reset) return Verdict::kFine;
  if (frame.stream % 2 == 0) return Verdict::kFine;
  if (frame.stream > highest_) {
    if (!is_headers) return Verdict::kFine;
    Open(frame.stream);
  } else if (!remembers(frame.stream)) {
    return Verdict::kFine;
  }
  State& state = at(frame.stream);
  if (is_reset) {
    if (state == State::kOpen) state = State::kEnded;
    return Verdict::kFine;
  }
  if (state == State::kSkipped) return is_headers ? Verdict::kGoesBack : Verdict::kStreamClosed;
  if (state == State::kEnded) return Verdict::kStreamClosed;
  if (frame.has(H2FrameHeader::kEndStream)) state = State::kEnded;
  return Verdict::kFine;
}

}  // namespace genkan::http
