#include "proxy/base/host_gate.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/base/line_budget.h"

namespace genkan {
namespace {

TEST(HostGate, LetsSoManyASecondInForAHost) {
  HostGate gate({.per_second = 3, .under_way = 100, .hosts = 10});
  MonotonicTime now{};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(gate.Enter("a.test", now)) << i;
  EXPECT_FALSE(gate.Enter("a.test", now + Millis(999)));
  EXPECT_TRUE(gate.Enter("b.test", now)) << "another host has its own count";
  EXPECT_TRUE(gate.Enter("a.test", now + Millis(1000)));
}

TEST(HostGate, WhatIsRefusedDoesNotCount) {
  HostGate gate({.per_second = 1, .under_way = 100, .hosts = 10});
  MonotonicTime now{};
  EXPECT_TRUE(gate.Enter("a.test", now));
  for (int i = 1; i < 10; ++i) EXPECT_FALSE(gate.Enter("a.test", now + Millis(100 * i)));
  EXPECT_TRUE(gate.Enter("a.test", now + Millis(1000)));
}

TEST(HostGate, LetsSoManyInAtOnce) {
  HostGate gate({.per_second = 100, .under_way = 2, .hosts = 10});
  MonotonicTime now{};
  EXPECT_TRUE(gate.Enter("a.test", now));
  EXPECT_TRUE(gate.Enter("b.test", now));
  EXPECT_FALSE(gate.Enter("c.test", now));
  gate.Leave();
  EXPECT_TRUE(gate.Enter("c.test", now));
}

TEST(HostGate, ManyInventedHostsShareOneCount) {
  HostGate gate({.per_second = 2, .under_way = 1000, .hosts = 5});
  MonotonicTime now{};
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(gate.Enter("h" + std::to_string(i), now)) << i;
  int let_in = 0;
  for (int i = 5; i < 50; ++i) let_in += gate.Enter("h" + std::to_string(i), now) ? 1 : 0;
  EXPECT_LE(let_in, 2);
  EXPECT_TRUE(gate.Enter("h0", now)) << "those that were there first keep theirs";
  EXPECT_TRUE(gate.Enter("new", now + Seconds(2))) << "and are forgotten when they are silent";
}

TEST(LineBudget, CountsWhatItLeavesOut) {
  LineBudget budget(2);
  MonotonicTime now{};
  EXPECT_EQ(budget.Take(now), 0u);
  EXPECT_EQ(budget.Take(now + Seconds(1)), 0u);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(budget.Take(now + Seconds(2)));
  EXPECT_EQ(budget.Take(now + Seconds(60)), 5u);
  EXPECT_EQ(budget.Take(now + Seconds(60)), 0u);
  EXPECT_FALSE(budget.Take(now + Seconds(61)));
}

}  // namespace
}  // namespace genkan
