#include "proxy/upstream/retry.h"

#include <gtest/gtest.h>

#include <vector>

#include "proxy/upstream/cluster.h"
#include "proxy/upstream/health_check.h"

namespace genkan::upstream {
namespace {

TEST(Retry, FollowsTheTable) {
  struct Row {
    const char* what;
    FailedTry failed;
    Retry expected;
  };
  using E = ErrorCode;
  //                                       code        conn   reused sent   recv   body   idem tries
  for (const auto& row : std::vector<Row>{
           {"refused",
            {E::kClosed, false, false, false, false, false, false, 1},
            Retry::kElsewhere},
           {"connect timeout",
            {E::kTimeout, false, false, false, false, false, false, 2},
            Retry::kElsewhere},
           {"third refusal", {E::kClosed, false, false, false, false, false, true, 3}, Retry::kNo},
           {"TLS refused",
            {E::kTls, false, false, false, false, false, false, 1},
            Retry::kElsewhere},
           {"idle close, GET",
            {E::kClosed, true, true, true, false, false, true, 1},
            Retry::kAnywhere},
           {"idle close, POST sent",
            {E::kClosed, true, true, true, false, false, false, 1},
            Retry::kNo},
           {"idle close, POST unsent",
            {E::kClosed, true, true, false, false, false, false, 1},
            Retry::kAnywhere},
           {"idle close, PUT with body",
            {E::kClosed, true, true, true, false, true, true, 1},
            Retry::kNo},
           {"new connection cut, GET",
            {E::kClosed, true, false, true, false, false, true, 1},
            Retry::kElsewhere},
           {"reset, GET", {E::kIo, true, false, true, false, false, true, 1}, Retry::kElsewhere},
           {"half a head, GET", {E::kInvalid, true, true, true, true, false, true, 1}, Retry::kNo},
           {"cut behind a byte, GET",
            {E::kClosed, true, true, true, true, false, true, 1},
            Retry::kNo},
           {"no response in time, GET",
            {E::kTimeout, true, false, true, false, false, true, 1},
            Retry::kNo},
           {"broken head, GET",
            {E::kInvalid, true, false, true, false, false, true, 1},
            Retry::kNo}}) {
    EXPECT_EQ(DecideRetry(row.failed), row.expected) << row.what;
  }
}

TEST(HealthState, TwoFailuresDownOneSuccessUp) {
  HealthState state;
  EXPECT_TRUE(state.Report(false));
  EXPECT_TRUE(state.Report(true));
  EXPECT_TRUE(state.Report(false));
  EXPECT_FALSE(state.Report(false));
  EXPECT_FALSE(state.Report(false));
  EXPECT_TRUE(state.Report(true));
}

class Ejection : public ::testing::Test {
 protected:
  static ClusterSpec Spec() {
    ClusterSpec spec;
    spec.servers = {{"127.0.0.1:1", 1, false}, {"127.0.0.1:2", 1, false}};
    return spec;
  }
  void FailTimes(size_t server, int times) {
    for (int i = 0; i < times; ++i) shared.ReportConnectFailure(server, now);
  }
  // Whole seconds until it is up again, found by looking.
  int SecondsUntilUp(size_t server) {
    int seconds = 0;
    while (shared.server(server).is_ejected(now + Seconds(seconds))) ++seconds;
    return seconds;
  }
  ClusterShared shared{Spec()};
  MonotonicTime now = MonotonicTime(std::chrono::hours(1));
};

TEST_F(Ejection, ThreeFailuresInARowForFiveSecondsThenDoubling) {
  FailTimes(0, 2);
  shared.ReportConnected(0);
  FailTimes(0, 2);
  EXPECT_TRUE(shared.server(0).is_up(now)) << "not in a row";
  FailTimes(0, 1);
  EXPECT_FALSE(shared.server(0).is_up(now));
  for (int expected : {5, 10, 20, 40, 60, 60}) {
    EXPECT_EQ(SecondsUntilUp(0), expected);
    FailTimes(0, 5);
    EXPECT_EQ(SecondsUntilUp(0), expected) << "what fails while it is out prolongs nothing";
    now += Seconds(expected);
    EXPECT_TRUE(shared.server(0).is_up(now));
    FailTimes(0, 1);
  }
  now += Seconds(60);
  shared.ReportConnected(0);
  FailTimes(0, 3);
  EXPECT_EQ(SecondsUntilUp(0), 5) << "from the beginning";
}

TEST_F(Ejection, NeverTheLastOne) {
  FailTimes(0, 3);
  FailTimes(1, 30);
  EXPECT_FALSE(shared.server(0).is_up(now));
  EXPECT_TRUE(shared.server(1).is_up(now));
  EXPECT_EQ(shared.server(1).failures_total.load(), 30u);
}

TEST_F(Ejection, SlotsAreTakenUpToTheLimit) {
  ClusterSpec spec = Spec();
  spec.max_connections = 2;
  ClusterShared limited(spec);
  EXPECT_TRUE(limited.TakeSlot(0));
  EXPECT_TRUE(limited.TakeSlot(0));
  EXPECT_FALSE(limited.TakeSlot(0));
  EXPECT_TRUE(limited.TakeSlot(1));
  limited.ReleaseSlot(0);
  EXPECT_TRUE(limited.TakeSlot(0));
}

}  // namespace
}  // namespace genkan::upstream
