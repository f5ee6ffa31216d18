#include "proxy/http/h2_flood_guard.h"

#include <gtest/gtest.h>

namespace genkan::http {
namespace {

H2FrameHeader Frame(H2FrameType type, uint8_t flags = 0, uint32_t length = 8) {
  return {length, type, flags, 0};
}

// How many of these go through before the guard says no.
int Allowed(H2FloodGuard& guard, const H2FrameHeader& frame, int at_most = 20'000) {
  int seen = 0;
  while (seen < at_most && guard.See(frame)) ++seen;
  return seen;
}

TEST(H2FloodGuard, CountsEachKindInItsWindow) {
  struct Case {
    H2FrameHeader frame;
    int count;
    int seconds;
  };
  const Case table[] = {
      {Frame(H2FrameType::kSettings), 14, 60},
      {Frame(H2FrameType::kPing), 60, 60},
      {Frame(H2FrameType::kPriority), 120, 60},
      {Frame(H2FrameType::kWindowUpdate), 10'000, 10},
      {Frame(static_cast<H2FrameType>(0x42)), 10'000, 10},
      {Frame(H2FrameType::kData, 0, 0), 100, 60},
  };
  for (const auto& one : table) {
    SCOPED_TRACE(static_cast<int>(one.frame.type));
    ManualClock clock;
    H2FloodGuard guard(clock);
    EXPECT_EQ(Allowed(guard, one.frame), one.count);
    clock.Advance(Seconds(one.seconds - 1));
    EXPECT_FALSE(guard.See(one.frame));
    clock.Advance(Seconds(1));
    EXPECT_EQ(Allowed(guard, one.frame), one.count);
  }
}

TEST(H2FloodGuard, MovingBytesForgiveControlFramesButNotEmptyData) {
  ManualClock clock;
  H2FloodGuard guard(clock);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(guard.See(Frame(H2FrameType::kPing)));
    ASSERT_TRUE(guard.See(Frame(H2FrameType::kData, 0, 0)));
    guard.Moved();
  }
  EXPECT_FALSE(guard.See(Frame(H2FrameType::kData, 0, 0)));
  EXPECT_FALSE(guard.SeeEmptyData());
}

TEST(H2FloodGuard, BodiesAndTheirEndsAreNotCounted) {
  ManualClock clock;
  H2FloodGuard guard(clock);
  EXPECT_EQ(Allowed(guard, Frame(H2FrameType::kData)), 20'000);
  EXPECT_EQ(Allowed(guard, Frame(H2FrameType::kData, H2FrameHeader::kEndStream, 0)), 20'000);
  EXPECT_EQ(Allowed(guard, Frame(H2FrameType::kHeaders)), 20'000);
}

TEST(H2FloodGuard, ResetsComeFromABucket) {
  ManualClock clock;
  H2FloodGuard guard(clock);
  EXPECT_EQ(Allowed(guard, Frame(H2FrameType::kRstStream)), 1000);
  guard.Moved();
  EXPECT_FALSE(guard.SeeFault());
  clock.Advance(Seconds(2));
  for (int i = 0; i < 66; ++i) ASSERT_TRUE(guard.SeeFault());
  EXPECT_FALSE(guard.SeeFault());
  clock.Advance(Seconds(3600));
  EXPECT_EQ(Allowed(guard, Frame(H2FrameType::kRstStream)), 1000);
}

}  // namespace
}  // namespace genkan::http
