#include "proxy/event/turn_pace.h"

#include <gtest/gtest.h>

namespace genkan::event {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using Nanos = TurnPace::Nanos;

// A loop whose turns take `work` of the thread's time each and find the next event `idle` later.
class Loop {
 public:
  explicit Loop(microseconds spacing) : pace_(spacing) {}

  // Goes on for `time`; gives the number of turns, and adds up what it rested.
  int Run(Nanos time, Nanos work, Nanos idle) {
    int turns = 0;
    for (MonotonicTime end = now_ + time; now_ < end; ++turns) {
      Nanos rest = pace_.Rest(now_, [this] { return cpu_; });
      rested += rest;
      now_ += rest + idle + work;
      cpu_ += work;
    }
    return turns;
  }
  bool is_busy() const { return pace_.is_busy(); }

  Nanos rested{};

 private:
  TurnPace pace_;
  MonotonicTime now_{milliseconds(1'000)};
  Nanos cpu_{milliseconds(7)};
};

TEST(TurnPace, ALoopWithLittleToDoIsNeverHeldUp) {
  Loop loop(microseconds(100));
  loop.Run(milliseconds(100), microseconds(10), microseconds(15));
  EXPECT_EQ(loop.rested, Nanos{});
  loop.Run(milliseconds(100), microseconds(400), microseconds(600));
  EXPECT_EQ(loop.rested, Nanos{});
}

TEST(TurnPace, ABusyLoopsShortTurnsBeginTheSpacingApart) {
  Loop loop(microseconds(100));
  loop.Run(TurnPace::kWindow, microseconds(10), microseconds(1));
  loop.Run(milliseconds(1), microseconds(40), microseconds(1));
  ASSERT_TRUE(loop.is_busy());
  // 41 µs of each 100 stay busy enough.
  int turns = loop.Run(milliseconds(100), microseconds(40), microseconds(1));
  EXPECT_TRUE(loop.is_busy());
  EXPECT_NEAR(turns, 1000, 15);
}

TEST(TurnPace, LongTurnsFollowOneAnotherAtOnce) {
  Loop loop(microseconds(100));
  loop.Run(milliseconds(50), microseconds(300), microseconds(1));
  ASSERT_TRUE(loop.is_busy());
  EXPECT_EQ(loop.rested, Nanos{});
}

TEST(TurnPace, NothingIsWorthASleepThatIsShorterThanItsCost) {
  Loop loop(microseconds(100));
  loop.Run(milliseconds(50), microseconds(94), microseconds(0));
  ASSERT_TRUE(loop.is_busy());
  EXPECT_EQ(loop.rested, Nanos{});
}

TEST(TurnPace, WhenTheWorkEndsSoDoTheRests) {
  Loop loop(microseconds(100));
  loop.Run(milliseconds(20), microseconds(40), microseconds(1));
  ASSERT_TRUE(loop.is_busy());
  loop.Run(2 * TurnPace::kWindow, microseconds(10), microseconds(500));
  EXPECT_FALSE(loop.is_busy());
  loop.rested = {};
  loop.Run(milliseconds(50), microseconds(10), microseconds(50));
  EXPECT_EQ(loop.rested, Nanos{});
}

TEST(TurnPace, OfItselfItIsOff) { EXPECT_FALSE(TurnPace().is_set()); }

}  // namespace
}  // namespace genkan::event
