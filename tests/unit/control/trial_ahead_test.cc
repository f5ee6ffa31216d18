// A renewed certificate has its trial while its files settle, and what is decided is what was read
// afterwards.
#include "proxy/control/trial_ahead.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateSites;
using genkan::testing::Eventually;
using genkan::testing::Issued;
using genkan::testing::KeyThatLies;
using genkan::testing::TestCa;
using ::testing::HasSubstr;

class TrialAheadTest : public ::testing::Test {
 protected:
  tls::BundlePtr Bundle(const Issued& leaf) {
    return tls::CertificateBundle::Make({leaf.certificate, ca_.intermediate().certificate},
                                        leaf.key)
        .value();
  }
  std::optional<TrialAhead::Outcome> Find(const tls::BundlePtr& bundle, const std::string& name,
                                          const tls::TlsPolicy& policy = {}) {
    return trials_.Find(bundle->fingerprint(), policy, name, profiles_);
  }

  TestCa ca_{"Ahead"};
  event::EventLoop loop_;
  event::BlockingPool pool_{1};
  TrialAhead trials_{{loop_, &pool_, SystemClock()}};
  TrialAhead::Profiles profiles_ = {
      tls::TrustProfile::Make(tls::ModernProfile({ca_.root().certificate})).value()};
};

TEST_F(TrialAheadTest, KnowsTheOutcomeOfTheVeryQuestionAlone) {
  const auto bundle = Bundle(ca_.Leaf({"a.test"})), other = Bundle(ca_.Leaf({"b.test"}));
  trials_.Begin({bundle, {}, "a.test"}, profiles_);
  ASSERT_TRUE(Eventually(loop_, [&] { return Find(bundle, "a.test").has_value(); }));

  EXPECT_EQ(Find(bundle, "a.test")->failure, "");
  EXPECT_EQ(Find(bundle, "a.test")->bundle, bundle);
  EXPECT_FALSE(Find(other, "a.test"));
  EXPECT_FALSE(Find(bundle, "b.test"));
  tls::TlsPolicy modern;
  modern.profile = tls::Profile::kModern;
  EXPECT_FALSE(Find(bundle, "a.test", modern));
  profiles_.clear();
  EXPECT_FALSE(Find(bundle, "a.test"));
}

TEST_F(TrialAheadTest, SaysWhyNobodyGetsThrough) {
  Issued leaf = ca_.Leaf({"a.test"});
  leaf.key = KeyThatLies(*leaf.key);
  const auto bundle = Bundle(leaf);
  trials_.Begin({bundle, {}, "a.test"}, profiles_);
  ASSERT_TRUE(Eventually(loop_, [&] { return Find(bundle, "a.test").has_value(); }));
  EXPECT_THAT(Find(bundle, "a.test")->failure, HasSubstr("TLS 1.3"));
}

TEST_F(TrialAheadTest, WithoutHelpersNothingIsTriedAhead) {
  TrialAhead alone({loop_, nullptr, SystemClock()});
  const auto bundle = Bundle(ca_.Leaf({"a.test"}));
  alone.Begin({bundle, {}, "a.test"}, profiles_);
  EXPECT_FALSE(alone.Find(bundle->fingerprint(), {}, "a.test", profiles_));
}

TEST(TriedAhead, ARenewalThatTheWatcherFindsIsTakenOrRefusedAsEver) {
  CertificateSites sites;
  const Issued first = sites.Leaf({"a.test"});
  Issued lies = sites.Leaf({"a.test"}, 1);
  lies.key = KeyThatLies(*lies.key);
  const Issued good = sites.Leaf({"a.test"}, 2);
  sites.WriteLineage(sites.dir / "a", first);
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();

  sites.WriteLineage(sites.dir / "a", lies);
  ASSERT_TRUE(Eventually(sites.loop, [&] { return !sites.Refusal("a.test").empty(); }));
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("no handshake succeeds"));
  EXPECT_TRUE(sites.Serves("a.test", first));

  sites.WriteLineage(sites.dir / "a", good);
  ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("a.test", good); }));
  EXPECT_EQ(sites.StatusOf("a.test").proof, "proved");
}

TEST(TriedAhead, WhatTheFilesHaveInTheEndCounts) {
  CertificateSites sites;
  sites.WriteLineage(sites.dir / "a", sites.Leaf({"a.test"}));
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();
  const Issued passing = sites.Leaf({"a.test"}, 1), last = sites.Leaf({"a.test"}, 2);
  sites.WriteLineage(sites.dir / "a", passing);
  sites.Pass(Millis(120));  // between the early look and the end of the debounce, mostly
  sites.WriteLineage(sites.dir / "a", last);
  ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("a.test", last); }));
  sites.Pass(Millis(400));
  EXPECT_TRUE(sites.Serves("a.test", last));
}

}  // namespace
}  // namespace genkan::control
