#include "proxy/control/swap_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::Issued;
using genkan::testing::TestCa;
using Kind = SwapDecision::Kind;
using std::chrono::hours;

constexpr int kDay = 24;

// Hours from now.
struct Dates {
  int begin = -30 * kDay, end = 60 * kDay;
};

struct Row {
  const char* what;
  Dates old_dates, new_dates;
  std::vector<std::string> old_names, new_names;
  ChainState old_chain = ChainState::kComplete, new_chain = ChainState::kComplete;
  bool is_revoked = false, must_renew = false, is_forced = false, serves_incomplete = false;
  bool is_new_revoked = false;
  const char* handshake_failure = "";
  std::vector<std::string> lost_clients;
  Kind expected = Kind::kTake;
  const char* reason = "";
};

class SwapRules : public ::testing::Test {
 protected:
  tls::CertificatePtr Leaf(const std::vector<std::string>& names, Dates dates) {
    CertificateOptions options;
    options.names = names.empty() ? std::vector<std::string>{"a.test", "www.a.test"} : names;
    options.not_before = now_ + hours(dates.begin);
    options.not_after = now_ + hours(dates.end);
    return ca_.LeafWith(options).certificate;
  }
  SwapSide Side(tls::CertificatePtr leaf, ChainState state) {
    SwapSide side;
    side.chain = {leaf, ca_.intermediate().certificate};
    side.leaf = std::move(leaf);
    side.chain_state = state;
    return side;
  }

  TestCa ca_{"Rules"};
  WallTime now_ = SystemClock().Wall();
};

TEST_F(SwapRules, Table) {
  const Dates fresh{0, 90 * kDay};
  const Row rows[] = {
      {.what = "renewed", .new_dates = fresh},
      {.what = "expired",
       .new_dates = {-90 * kDay, -1},
       .expected = Kind::kRefuse,
       .reason = "expired"},
      {.what = "expired, forced",
       .new_dates = {-90 * kDay, -1},
       .is_forced = true,
       .expected = Kind::kRefuse,
       .reason = "expired"},
      {.what = "expired for a revoked one",
       .new_dates = {-90 * kDay, -1},
       .is_revoked = true,
       .expected = Kind::kRefuse,
       .reason = "expired"},
      {.what = "begins tomorrow",
       .new_dates = {kDay, 90 * kDay},
       .expected = Kind::kRefuse,
       .reason = "not yet valid"},
      {.what = "begins in a minute, by another clock", .new_dates = {0, 90 * kDay}},
      {.what = "older",
       .new_dates = {-60 * kDay, 30 * kDay},
       .expected = Kind::kRefuse,
       .reason = "older"},
      {.what = "begins earlier, ends later", .new_dates = {-60 * kDay, 90 * kDay}},
      {.what = "begins later, ends earlier (short-lived now)", .new_dates = {0, 6 * kDay}},
      {.what = "older, forced",
       .new_dates = {-60 * kDay, 30 * kDay},
       .is_forced = true,
       .expected = Kind::kTakeWithError,
       .reason = "older"},
      {.what = "older, for a revoked one",
       .new_dates = {-60 * kDay, 30 * kDay},
       .is_revoked = true,
       .expected = Kind::kTakeWithError,
       .reason = "older"},
      {.what = "older, for one to be renewed now",
       .new_dates = {-60 * kDay, 30 * kDay},
       .must_renew = true,
       .expected = Kind::kTakeWithError,
       .reason = "older"},
      {.what = "a name lost",
       .new_dates = fresh,
       .new_names = {"a.test"},
       .expected = Kind::kRefuse,
       .reason = "does not cover www.a.test"},
      {.what = "a name lost with a day to go",
       .old_dates = {-30 * kDay, 23},
       .new_dates = fresh,
       .new_names = {"a.test"},
       .expected = Kind::kTakeWithError,
       .reason = "www.a.test"},
      {.what = "a name lost that was never there",
       .new_dates = fresh,
       .old_names = {"a.test"},
       .new_names = {"a.test", "other.test"}},
      {.what = "a name more", .new_dates = fresh, .new_names = {"a.test", "www.a.test", "b.test"}},
      {.what = "a wildcard for a name", .new_dates = fresh, .new_names = {"a.test", "*.a.test"}},
      {.what = "chain lost",
       .new_dates = fresh,
       .new_chain = ChainState::kIncomplete,
       .expected = Kind::kRefuse,
       .reason = "incomplete"},
      {.what = "chain lost, served all the same",
       .new_dates = fresh,
       .new_chain = ChainState::kIncomplete,
       .serves_incomplete = true},
      {.what = "chain as bad as before",
       .new_dates = fresh,
       .old_chain = ChainState::kIncomplete,
       .new_chain = ChainState::kIncomplete},
      {.what = "another, private root",
       .new_dates = fresh,
       .new_chain = ChainState::kUnknownRoot,
       .expected = Kind::kRefuse,
       .reason = "no trust store"},
      {.what = "private root as before",
       .new_dates = fresh,
       .old_chain = ChainState::kUnknownRoot,
       .new_chain = ChainState::kUnknownRoot},
      {.what = "revoked",
       .new_dates = fresh,
       .is_new_revoked = true,
       .expected = Kind::kRefuse,
       .reason = "revoked"},
      {.what = "anything for an expired one",
       .old_dates = {-90 * kDay, -1},
       .new_dates = {-100 * kDay, -0 + 1},
       .new_chain = ChainState::kIncomplete,
       .expected = Kind::kTakeWithError,
       .reason = "incomplete"},
      {.what = "no handshake",
       .new_dates = fresh,
       .handshake_failure = "bad signature",
       .expected = Kind::kRefuse,
       .reason = "no handshake succeeds with it: bad signature"},
      {.what = "no handshake, forced, for a revoked one",
       .new_dates = fresh,
       .is_revoked = true,
       .is_forced = true,
       .handshake_failure = "bad signature",
       .expected = Kind::kRefuse,
       .reason = "bad signature"},
      {.what = "clients lost",
       .new_dates = fresh,
       .lost_clients = {"Android (no root)", "OpenSSL 1.0 (no path)"},
       .expected = Kind::kRefuse,
       .reason = "clients that take the one in service: Android (no root); OpenSSL 1.0 (no path)"},
      {.what = "clients lost with a day to go",
       .old_dates = {-30 * kDay, 23},
       .new_dates = fresh,
       .lost_clients = {"Android (no root)"},
       .expected = Kind::kTakeWithError,
       .reason = "Android"},
      {.what = "clients lost to an incomplete chain, served all the same",
       .new_dates = fresh,
       .new_chain = ChainState::kIncomplete,
       .serves_incomplete = true,
       .lost_clients = {"all (no path)"}},
  };
  for (const Row& row : rows) {
    SwapInput input;
    input.now = now_;
    input.site_names = {"a.test", "www.a.test"};
    input.in_service = Side(Leaf(row.old_names, row.old_dates), row.old_chain);
    input.candidate = Side(Leaf(row.new_names, row.new_dates), row.new_chain);
    input.in_service.is_revoked = row.is_revoked;
    input.in_service.must_renew = row.must_renew;
    input.candidate.is_revoked = row.is_new_revoked;
    input.is_forced = row.is_forced;
    input.serves_incomplete = row.serves_incomplete;
    input.handshake_failure = row.handshake_failure;
    input.lost_clients = row.lost_clients;

    SwapDecision decision = DecideSwap(input);

    EXPECT_EQ(decision.kind, row.expected) << row.what << ": " << decision.reason;
    EXPECT_THAT(decision.reason, ::testing::HasSubstr(row.reason)) << row.what;
  }
}

TEST_F(SwapRules, TheSameAgainIsNothingToDo) {
  SwapInput input;
  input.now = now_;
  input.in_service = input.candidate = Side(Leaf({}, {}), ChainState::kComplete);
  EXPECT_EQ(DecideSwap(input).kind, Kind::kNothingToDo);
  input.candidate.chain.push_back(ca_.root().certificate);
  EXPECT_EQ(DecideSwap(input).kind, Kind::kTake) << "the same leaf with another chain";
}

TEST_F(SwapRules, ForceIsTheWayOutOnlyWhereItHelps) {
  SwapInput input;
  input.now = now_;
  input.in_service = Side(Leaf({}, {}), ChainState::kComplete);
  input.candidate = Side(Leaf({}, {-60 * kDay, 30 * kDay}), ChainState::kComplete);
  EXPECT_TRUE(DecideSwap(input).can_be_forced) << "older";
  input.candidate = Side(Leaf({}, {-60 * kDay, -1}), ChainState::kComplete);
  EXPECT_FALSE(DecideSwap(input).can_be_forced) << "expired";
}

TEST_F(SwapRules, NothingInServiceTakesAnything) {
  SwapInput input;
  input.now = now_;
  input.candidate = Side(Leaf({}, {-90 * kDay, -1}), ChainState::kIncomplete);
  EXPECT_EQ(DecideSwap(input).kind, Kind::kTake);
}

TEST_F(SwapRules, AShorterChainOfHalfWrittenFilesWaits) {
  SwapInput input;
  input.now = now_;
  input.in_service = Side(Leaf({}, {}), ChainState::kUnknownRoot);
  input.candidate = Side(Leaf({}, {0, 90 * kDay}), ChainState::kUnknownRoot);
  input.candidate.chain.pop_back();
  EXPECT_EQ(DecideSwap(input).kind, Kind::kTake);
  input.may_be_half_written = true;
  EXPECT_EQ(DecideSwap(input).kind, Kind::kRefuse);
}

TEST_F(SwapRules, WildcardSitesNeedTheWildcardItself) {
  auto leaf = Leaf({"a.test", "*.a.test"}, {});
  EXPECT_TRUE(CoversSiteName(*leaf, "*.a.test"));
  EXPECT_TRUE(CoversSiteName(*leaf, "x.a.test"));
  EXPECT_TRUE(CoversSiteName(*leaf, "*"));
  EXPECT_FALSE(CoversSiteName(*leaf, "*.b.a.test"));
  EXPECT_FALSE(CoversSiteName(*Leaf({"a.test"}, {}), "*.a.test"));
}

TEST_F(SwapRules, StatesOfChains) {
  tls::Chain chain;
  chain.certificates = {Leaf({}, {})};
  EXPECT_EQ(StateOf(chain), ChainState::kIncomplete) << "a leaf alone";
  chain.certificates.push_back(ca_.intermediate().certificate);
  EXPECT_EQ(StateOf(chain), ChainState::kUnknownRoot);
  chain.missing_urls = {"http://ca.test/issuer.der"};
  EXPECT_EQ(StateOf(chain), ChainState::kIncomplete);
  chain.is_complete = true;
  EXPECT_EQ(StateOf(chain), ChainState::kComplete);
}

}  // namespace
}  // namespace genkan::control
