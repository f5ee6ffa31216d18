// A team of real workers without listeners.
#include "proxy/control/worker_team.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>
#include <vector>

#include "proxy/config/validate.h"
#include "tests/support/eventually.h"
#include "tests/support/log_lines.h"

namespace genkan::control {
namespace {

using genkan::testing::Eventually;

constexpr server::DrainTimes kLong{Millis(60'000), Millis(60'000), Millis(60'000)};
constexpr Millis kLongest(60'000);  // for a worker to take a snapshot

class WorkerTeamTest : public ::testing::Test {
 protected:
  server::SnapshotPtr MakeSnapshot() {
    auto checked = config::LoadConfigText(
        "[[site]]\nnames = [\"a.test\"]\nupstream = \"http://127.0.0.1:1\"\n"
        "[[listener]]\naddress = \"127.0.0.1:0\"\n",
        "genkan.toml");
    return *server::BuildSnapshot(std::make_shared<config::Config>(std::move(checked->config)),
                                  [](std::string_view) { return nullptr; }, nullptr);
  }

  void Change(size_t workers, Millis longest = kLongest) {
    team_.ApplySnapshot(MakeSnapshot(), WorkerTeam::Sockets(workers), kLong);
    team_.Await(longest);
  }

  event::EventLoop loop_;
  event::BlockingPool blocking_;
  std::unique_ptr<server::AccessLog> access_log_ = *server::AccessLog::Open("off", "combined");
  server::AddressLimiter addresses_;
  server::WorkerShared shared_{blocking_, *access_log_, addresses_, SystemClock()};
  WorkerTeam team_{loop_, shared_};
};

TEST_F(WorkerTeamTest, GrowsAndShrinksAndThoseThatAreTooManyGo) {
  team_.Start(1);
  Change(1);
  EXPECT_EQ(team_.size(), 1u);
  Change(3);
  EXPECT_EQ(team_.size(), 3u);
  Change(1);
  EXPECT_EQ(team_.size(), 1u);
  // Those that leave and those that come do not get into each other's way.
  Change(2);
  EXPECT_EQ(team_.size(), 2u);
  EXPECT_TRUE(Eventually(loop_, [&] { return team_.leaving() == 0; }));
  EXPECT_EQ(team_.size(), 2u);
}

TEST_F(WorkerTeamTest, ASnapshotIsInForceInAllWorkersWhenItWasApplied) {
  team_.Start(3);
  std::weak_ptr<const server::Snapshot> before;
  for (int i = 0; i < 20; ++i) {
    server::SnapshotPtr snapshot = MakeSnapshot();
    std::weak_ptr<const server::Snapshot> now = snapshot;
    team_.ApplySnapshot(std::move(snapshot), WorkerTeam::Sockets(3), kLong);
    team_.Await(kLongest);
    // No worker goes by the one before, so nobody has it.
    EXPECT_TRUE(before.expired()) << "after " << i << " others";
    before = now;
  }
}

TEST_F(WorkerTeamTest, AWorkerThatIsLateHoldsUpNoReload) {
  team_.Start(2);
  std::promise<void> go_on;
  {
    // Its end keeps the worker busy that lets go of it last.
    server::SnapshotPtr real = MakeSnapshot();
    server::SnapshotPtr held(real.get(), [real, go = go_on.get_future().share()](const auto*) {
      go.wait();
    });
    team_.ApplySnapshot(std::move(held), WorkerTeam::Sockets(2), kLong);
    team_.Await(kLongest);
  }
  testing::LogLines log;
  Change(2, Millis(1));
  EXPECT_EQ(log.Count(LogLevel::kWarn, "worker_late"), 1u) << log.Text();
  go_on.set_value();
}

TEST_F(WorkerTeamTest, TheWatchdogHasItsAnswersOverAChange) {
  team_.Start(3);
  Change(3);
  EXPECT_TRUE(team_.AreAlive());
  Change(1);
  EXPECT_TRUE(Eventually(loop_, [&] { return team_.leaving() == 0; }));
  EXPECT_TRUE(Eventually(loop_, [&] { return team_.AreAlive(); }));
  EXPECT_TRUE(Eventually(loop_, [&] { return team_.AreAlive(); }));
}

TEST_F(WorkerTeamTest, ADrainWaitsForThoseThatLeaveToo) {
  team_.Start(3);
  Change(3);
  Change(2);
  int drained = 0;
  team_.Drain(kLong, [&] { ++drained; });
  EXPECT_TRUE(Eventually(loop_, [&] { return drained > 0; }));
  for (int i = 0; i < 5; ++i) loop_.RunOnce(false);
  EXPECT_EQ(drained, 1);
}

// A reload publishes the store of its snapshot, and a moment later the one with what it has read.
TEST_F(WorkerTeamTest, AStoreThatIsPublishedRightAfterASnapshotIsNotLost) {
  using Store = tls::CertStore;
  std::vector<std::weak_ptr<const Store>> earlier;
  team_.Start(1);
  constexpr int kReloads = 100;
  for (int i = 0; i < kReloads; ++i) {
    auto before = std::make_shared<const Store>(std::vector<Store::SiteEntry>(1));
    auto after = std::make_shared<const Store>(std::vector<Store::SiteEntry>(1));
    earlier.emplace_back(before);
    team_.HoldCertStore();
    team_.ApplyCertStore(std::move(before), nullptr);
    team_.ApplySnapshot(MakeSnapshot(), WorkerTeam::Sockets(1), kLong);
    team_.ApplyCertStore(std::move(after), nullptr);
    // Each worker has the last one in the end, and nobody any other.
    EXPECT_TRUE(Eventually(loop_, [&] {
      return std::all_of(earlier.begin(), earlier.end(),
                         [](const auto& store) { return store.expired(); });
    })) << "after reload "
        << i;
    if (HasFailure()) return;
  }
}

TEST(TrafficTotals, OfAWorkerThatIsGoneTheSumsStay) {
  server::WorkerMetrics metrics;
  metrics.requests_h1.Add(3);
  metrics.connections_open.Add(2);
  metrics.loop_lag_micros.Set(9);
  TrafficTotals totals;
  totals.Add(metrics);
  totals.ForgetPresent();
  EXPECT_EQ(totals.requests_h1, 3u);
  EXPECT_EQ(totals.connections_open, 0u);
  EXPECT_EQ(totals.loop_lag_micros, 0u);
}

}  // namespace
}  // namespace genkan::control
