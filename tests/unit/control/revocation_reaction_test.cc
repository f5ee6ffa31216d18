#include "proxy/control/revocation_reaction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "proxy/event/blocking_pool.h"
#include "tests/support/log_lines.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Issued;
using ::testing::Pair;
using ::testing::SizeIs;
using testing::TestCa;

// Notes what it is to run; the test says how it ended.
class ScriptedHooks final : public HookRunner {
 public:
  void Run(HookRequest request, Done done) override {
    requests.push_back(std::move(request));
    waiting.push_back(std::move(done));
  }
  void End(int exit_code) {
    HookOutcome outcome;
    outcome.exit_code = exit_code;
    auto done = std::move(waiting.front());
    waiting.erase(waiting.begin());
    done(outcome);
  }
  std::vector<HookRequest> requests;
  std::vector<Done> waiting;
};

class Reaction : public ::testing::Test {
 protected:
  Reaction() {
    settings_.on_revoked = {"renew", "--name", "{lineage}", "x{lineage}", "{name}"};
    reaction_.Configure(settings_);
    Serve(1);
  }
  void Serve(uint64_t serial) {
    entry_.site = "a.test";
    entry_.name = "lineage-a";
    const std::string before = ShaOf(entry_.in_service);
    entry_.in_service = ca_.BundleOf(ca_.LeafWith({.names = {"a.test"}, .serial = serial}));
    reaction_.Drop(before);
  }
  void Look(const LeafState& state) { reaction_.Look(entry_, state); }
  LeafState Revoked() const {
    LeafState state;
    state.revocation = "revoked";
    state.why = "ocsp: keyCompromise";
    state.since = clock_.Wall() - std::chrono::hours(2);
    return state;
  }
  static LeafState Renew(bool is_overdue) {
    LeafState state;
    state.must_renew = true;
    state.is_overdue = is_overdue;
    state.renewal.why = "the authority asks";
    state.renewal.url = "https://ca.test/why";
    return state;
  }

  TestCa ca_;
  testing::LogLines log_;
  ManualClock clock_;
  event::EventLoop loop_;
  event::BlockingPool pool_{1};
  Fetcher fetcher_{loop_, pool_};
  ScriptedHooks hooks_;
  config::Revocation settings_;
  testing::TempDir dir_;
  std::unique_ptr<StateDir> state_ = std::move(StateDir::Open(dir_ / "state").value());
  RevocationReaction reaction_{{loop_, clock_, hooks_, fetcher_, *state_}};
  CertEntry entry_;
};

TEST_F(Reaction, ARevocationIsToldOnceAndTheHookRunsOnce) {
  Look(LeafState{});
  EXPECT_THAT(hooks_.requests, IsEmpty());
  for (int i = 0; i < 3; ++i) Look(Revoked());
  ASSERT_THAT(hooks_.requests, SizeIs(1));
  EXPECT_EQ(log_.Count(LogLevel::kError, "certificate_revoked"), 1u);
  EXPECT_THAT(log_.Text(), HasSubstr("site=a.test name=lineage-a"));
  EXPECT_EQ(reaction_.HookOf("lineage-a"), "running");
  hooks_.End(0);
  EXPECT_EQ(reaction_.HookOf("lineage-a"), "ran");
  clock_.Advance(std::chrono::hours(48));
  Look(Revoked());
  EXPECT_THAT(hooks_.requests, SizeIs(1));
}

TEST_F(Reaction, TheHooksArgumentsAreWholeAndItsEnvironmentSaysWhy) {
  Look(Revoked());
  ASSERT_THAT(hooks_.requests, SizeIs(1));
  EXPECT_THAT(hooks_.requests[0].argv,
              ElementsAre("renew", "--name", "lineage-a", "x{lineage}", "a.test"));
  const auto& environment = hooks_.requests[0].environment;
  EXPECT_THAT(environment, Contains(Pair("GENKAN_STATE", "revoked")));
  EXPECT_THAT(environment, Contains(Pair("GENKAN_WHY", "ocsp: keyCompromise")));
  EXPECT_THAT(environment, ::testing::Not(Contains(Pair("GENKAN_DRILL", "1"))));
}

TEST_F(Reaction, AHookThatFailsIsTriedAgainAfterAnHourThenTwo) {
  Look(Revoked());
  hooks_.End(1);
  EXPECT_EQ(reaction_.HookOf("lineage-a"), "failed: exit 1");
  clock_.Advance(std::chrono::minutes(59));
  reaction_.Look(entry_, LeafState{});
  Look(Revoked());
  EXPECT_THAT(hooks_.requests, SizeIs(1)) << "not before its hour, whatever comes";
  clock_.Advance(std::chrono::minutes(1));
  reaction_.Look(entry_, LeafState{});
  Look(Revoked());
  ASSERT_THAT(hooks_.requests, SizeIs(2));
}

TEST_F(Reaction, ARenewedCertificateThatIsRevokedTooWaitsForItsHour) {
  Look(Revoked());
  hooks_.End(0);
  Serve(2);
  Look(Revoked());
  EXPECT_THAT(hooks_.requests, SizeIs(1));
  EXPECT_EQ(log_.Count(LogLevel::kError, "certificate_revoked"), 2u);
  clock_.Advance(std::chrono::hours(1));
  Serve(3);
  Look(Revoked());
  EXPECT_THAT(hooks_.requests, SizeIs(2));
}

TEST_F(Reaction, ARestartCallsNobodyAgainForTheSameCertificate) {
  Look(Revoked());
  hooks_.End(0);
  clock_.Advance(std::chrono::hours(3));
  RevocationReaction after({loop_, clock_, hooks_, fetcher_, *state_});
  after.Configure(settings_);
  after.Look(entry_, Revoked());
  EXPECT_THAT(hooks_.requests, SizeIs(1));
  EXPECT_EQ(after.HookOf("lineage-a"), "ran");
  EXPECT_EQ(log_.Count(LogLevel::kError, "certificate_revoked"), 2u) << "but it is told again";
  Serve(2);
  after.Look(entry_, Revoked());
  EXPECT_THAT(hooks_.requests, SizeIs(2)) << "another certificate, and the hour is over";
}

TEST_F(Reaction, ARenewalInItsWindowIsAWarningAndPastItAnError) {
  Look(Renew(false));
  EXPECT_EQ(log_.Count(LogLevel::kWarn, "certificate_renew"), 1u);
  ASSERT_THAT(hooks_.requests, SizeIs(1));
  hooks_.End(0);
  Look(Renew(true));
  EXPECT_EQ(log_.Count(LogLevel::kError, "certificate_renew_now"), 1u);
  EXPECT_THAT(log_.Text(), HasSubstr("explanation=https://ca.test/why"));
  EXPECT_THAT(hooks_.requests, SizeIs(1)) << "within the hour";
  Look(Renew(false));
  EXPECT_THAT(hooks_.requests, SizeIs(1));
}

TEST_F(Reaction, AHoldThatIsLiftedIsToldAndOwesNothing) {
  Look(Revoked());
  hooks_.End(1);
  Look(LeafState{});
  EXPECT_EQ(log_.Count(LogLevel::kInfo, "certificate_good_again"), 1u);
  clock_.Advance(std::chrono::hours(2));
  Look(LeafState{});
  EXPECT_THAT(hooks_.requests, SizeIs(1));
}

TEST_F(Reaction, WithoutAHookItIsToldAllTheSame) {
  reaction_.Configure({});
  Look(Revoked());
  EXPECT_THAT(hooks_.requests, IsEmpty());
  EXPECT_EQ(log_.Count(LogLevel::kError, "certificate_revoked"), 1u);
}

TEST_F(Reaction, ADrillsHookIsMarkedAndNotCounted) {
  AlarmReport report;
  report.alarm = Alarm::kRevoked;
  report.site = "a.test";
  report.name = "lineage-a";
  report.is_drill = true;
  std::string failure = "?";
  reaction_.RunHook(report, [&](std::string why, std::string) { failure = std::move(why); });
  ASSERT_THAT(hooks_.requests, SizeIs(1));
  EXPECT_THAT(hooks_.requests[0].environment, Contains(Pair("GENKAN_DRILL", "1")));
  hooks_.End(0);
  EXPECT_EQ(failure, "");
  Look(Revoked());
  EXPECT_THAT(hooks_.requests, SizeIs(2)) << "the rehearsal does not use up the hour";
}

TEST(RevocationHook, ThePostHasItAllAsJson) {
  AlarmReport report;
  report.alarm = Alarm::kOverdue;
  report.site = "a.test";
  report.name = "caf\xe9";
  report.explanation_url = "https://ca.test/why";
  auto json = nlohmann::json::parse(PostBodyOf(report));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["state"], "overdue");
  EXPECT_EQ(json["site"], "a.test");
  EXPECT_EQ(json["drill"], false);
  EXPECT_EQ(json["explanation"], "https://ca.test/why");
}

}  // namespace
}  // namespace genkan::control
