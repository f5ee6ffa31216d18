#include "proxy/http/h2_flood_guard.h"

#include <algorithm>

namespace genkan::http {
namespace {

// As in libnghttp2's own bucket (CVE-2023-44487); no honest client resets that much.
constexpr double kResetBurst = 1000;
constexpr double kResetsPerSecond = 33;

}  // namespace

H2FloodGuard::H2FloodGuard(const Clock& clock)
    : clock_(clock), reset_tokens_(kResetBurst), refilled_(clock.Now()) {}

H2FloodGuard::Limit H2FloodGuard::LimitOf(Kind kind) {
  switch (kind) {
    case kSettings:
      return {14, Seconds(60)};
    case kPing:
      return {60, Seconds(60)};
    case kPriority:
      return {120, Seconds(60)};
    case kWindowUpdate:
      return {10'000, Seconds(10)};
    case kEmptyData:
      return {100, Seconds(60)};
    default:
      return {10'000, Seconds(10)};
  }
}

bool H2FloodGuard::IsCounted(const H2FrameHeader& frame, Kind& kind) {
  switch (frame.type) {
    case H2FrameType::kHeaders:
    case H2FrameType::kContinuation:
      return false;
    case H2FrameType::kData:
      kind = kEmptyData;
      return frame.length == 0 && !frame.has(H2FrameHeader::kEndStream);
    case H2FrameType::kSettings:
      kind = frame.has(H2FrameHeader::kAck) ? kOther : kSettings;
      break;
    case H2FrameType::kPing:
      kind = kPing;
      break;
    case H2FrameType::kPriority:
      kind = kPriority;
      break;
    case H2FrameType::kWindowUpdate:
      kind = kWindowUpdate;
      break;
    default:
      kind = kOther;
      break;
  }
  return true;
}

bool H2FloodGuard::Count(Kind kind) {
  Limit limit = LimitOf(kind);
  Counter& counter = counters_[kind];
  MonotonicTime now = clock_.Now();
  if (counter.count == 0 || now - counter.since >= limit.window) counter = {now, 0};
  return ++counter.count <= limit.count;
}

bool H2FloodGuard::See(const H2FrameHeader& frame) {
  if (frame.type == H2FrameType::kRstStream && !SeeFault()) return false;
  Kind kind = kOther;
  return !IsCounted(frame, kind) || Count(kind);
}

bool H2FloodGuard::SeeEmptyData() { return Count(kEmptyData); }

bool H2FloodGuard::SeeFault() {
  MonotonicTime now = clock_.Now();
  double seconds = std::chrono::duration<double>(now - refilled_).count();
  reset_tokens_ = std::min(kResetBurst, reset_tokens_ + seconds * kResetsPerSecond);
  refilled_ = now;
  if (reset_tokens_ < 1) return false;
  reset_tokens_ -= 1;
  return true;
}

void H2FloodGuard::Moved() {
  for (int kind = 0; kind < kEmptyData; ++kind) counters_[static_cast<size_t>(kind)].count = 0;
}

}  // namespace genkan::http
