#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/fake_certificate_env.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/log_lines.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_ocsp_stapling;

namespace {

using ::testing::ElementsAre;
using testing::FakeCertificateEnv;
using ::testing::IsEmpty;
using testing::ModuleUnderTest;

constexpr Millis kDay{86'400'000};

class OcspStapling : public ::testing::Test {
 protected:
  OcspStapling() {
    certificate_.name = "a.test";
    certificate_.sha256_hex = "ab12";
    certificate_.leaf_der = "leaf";
    certificate_.issuer_der = "issuer";
    certificate_.ocsp_urls = {"http://ocsp.test/1", "http://ocsp.test/2"};
    certificate_.not_before = env_.time - kDay;
    certificate_.not_after = env_.time + 60 * kDay;
  }
  void Begin() {
    watcher_->OnBundle(env_, certificate_, [this] { ++releases_; });
  }

  FakeCertificateEnv env_;
  CertificateView certificate_;
  ModuleUnderTest module_{genkan_module_ocsp_stapling, nullptr};
  std::unique_ptr<CertificateWatcher> watcher_ = module_.MakeWatcher();
  int releases_ = 0;
};

TEST_F(OcspStapling, WithoutAResponderThereIsNothingToDo) {
  certificate_.ocsp_urls.clear();
  Begin();
  EXPECT_EQ(releases_, 1);
  EXPECT_THAT(env_.fetches, IsEmpty());
  EXPECT_THAT(env_.reports, IsEmpty());
}

TEST_F(OcspStapling, SwitchedOffItAsksNobody) {
  auto options = testing::ModuleOptions("enabled = false");
  ModuleUnderTest module(genkan_module_ocsp_stapling, options.get());
  ASSERT_THAT(module.errors, IsEmpty());
  auto watcher = module.MakeWatcher();
  watcher->OnBundle(env_, certificate_, [this] { ++releases_; });
  EXPECT_EQ(releases_, 1);
  EXPECT_THAT(env_.fetches, IsEmpty());
}

TEST_F(OcspStapling, AsksByPostAndStaplesAGoodAnswer) {
  Begin();
  ASSERT_EQ(env_.fetches.size(), 1u);
  const FetchRequest& request = env_.fetches[0].request;
  EXPECT_EQ(request.url, "http://ocsp.test/1");
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.body, "request");
  EXPECT_EQ(request.max_bytes, 64u * 1024);
  EXPECT_EQ(request.timeout, Millis(10'000));
  EXPECT_EQ(releases_, 0) << "the swap waits for the first answer";
  env_.Answer("good 1");
  EXPECT_EQ(releases_, 1);
  EXPECT_THAT(env_.staples, ElementsAre("good 1"));
  EXPECT_THAT(env_.reports, ElementsAre("ocsp good"));
  EXPECT_EQ(env_.state["ocsp/ab12"], "good 1");
}

TEST_F(OcspStapling, RefreshesAtHalfOfTheValidityGiveOrTakeATenth) {
  Begin();
  env_.Answer("good");
  ASSERT_TRUE(env_.timer);
  // 7 days and an hour, of which an hour has passed.
  auto half = (7 * kDay + Millis(3'600'000)) / 2;
  EXPECT_GE(*env_.timer, half * 9 / 10 - Millis(3'600'001));
  EXPECT_LE(*env_.timer, half * 11 / 10);
}

TEST_F(OcspStapling, NeverRefreshesMoreOftenThanEveryFiveMinutes) {
  env_.this_update = env_.time - Millis(60'000);
  env_.next_update = env_.time + Millis(60'000);
  Begin();
  env_.Answer("good");
  EXPECT_EQ(env_.timer, Millis(300'000));
}

TEST_F(OcspStapling, TheCertificatesEndBoundsTheSchedule) {
  certificate_.not_after = env_.time + Millis(7'200'000);
  Begin();
  env_.Answer("good");
  EXPECT_LT(*env_.timer, Millis(7'200'000));
}

TEST_F(OcspStapling, AStoredAnswerIsStapledAtOnceAndNobodyIsAsked) {
  env_.state["ocsp/ab12"] = "good stored";
  Begin();
  EXPECT_EQ(releases_, 1);
  EXPECT_THAT(env_.staples, ElementsAre("good stored"));
  EXPECT_THAT(env_.fetches, IsEmpty());
  EXPECT_TRUE(env_.timer);
}

TEST_F(OcspStapling, AStoredAnswerPastHalfOfItsLifeIsStapledAndReplaced) {
  env_.state["ocsp/ab12"] = "good stored";
  env_.this_update = env_.time - 5 * kDay;
  env_.next_update = env_.time + kDay;
  Begin();
  EXPECT_EQ(releases_, 1);
  ASSERT_EQ(env_.fetches.size(), 1u);
  env_.this_update = env_.time;
  env_.next_update = env_.time + 6 * kDay;
  env_.Answer("good new");
  EXPECT_THAT(env_.staples, ElementsAre("good stored", "good new"));
}

TEST_F(OcspStapling, AStoredAnswerThatDoesNotVerifyIsNotUsed) {
  env_.state["ocsp/ab12"] = "forged";
  Begin();
  EXPECT_THAT(env_.staples, IsEmpty());
  EXPECT_EQ(env_.fetches.size(), 1u);
}

TEST_F(OcspStapling, FailuresAreRetriedAfterAMinuteDoublingToAnHourAtTheNextResponder) {
  Begin();
  int64_t minutes[] = {1, 2, 4, 8, 16, 32, 60, 60};
  for (size_t i = 0; i < std::size(minutes); ++i) {
    ASSERT_EQ(env_.fetches.size(), 1u);
    std::string url = i % 2 == 0 ? "http://ocsp.test/1" : "http://ocsp.test/2";
    if (i % 4 >= 2) url += "/request";  // each by POST, then each by GET
    EXPECT_EQ(env_.fetches[0].request.url, url);
    env_.Answer(Result<FetchResponse>(genkan::Fail(ErrorCode::kTimeout, "timeout")));
    EXPECT_EQ(env_.timer, Millis(minutes[i] * 60'000)) << i;
    watcher_->OnTimer(env_, certificate_);
  }
  EXPECT_EQ(releases_, 1) << "nobody waits for a responder that is down";
  EXPECT_EQ(env_.reports.front(), "ocsp unknown timeout");
}

TEST_F(OcspStapling, AfterPostItAsksByGetAndStaysWithWhatWorked) {
  certificate_.ocsp_urls = {"http://ocsp.test"};
  Begin();
  EXPECT_EQ(env_.fetches[0].request.method, "POST");
  env_.Answer("", 405);
  watcher_->OnTimer(env_, certificate_);
  ASSERT_EQ(env_.fetches.size(), 1u);
  EXPECT_EQ(env_.fetches[0].request.method, "GET");
  EXPECT_EQ(env_.fetches[0].request.url, "http://ocsp.test/request");
  EXPECT_EQ(env_.fetches[0].request.body, "");
  env_.Answer("good");
  EXPECT_THAT(env_.staples, ElementsAre("good"));
  watcher_->OnTimer(env_, certificate_);
  ASSERT_EQ(env_.fetches.size(), 1u);
  EXPECT_EQ(env_.fetches[0].request.method, "GET");
}

TEST_F(OcspStapling, ACauseIsToldOnceUntilItRecovers) {
  testing::LogLines log;
  Begin();
  for (const char* why :
       {"no route after 1 ms", "no route after 20 ms", "timeout", "no route after 3 ms"}) {
    env_.Answer(Result<FetchResponse>(genkan::Fail(ErrorCode::kIo, "{}", why)));
    watcher_->OnTimer(env_, certificate_);
  }
  // Two responders, each with two causes at most: the first has no route, the second has both.
  EXPECT_EQ(log.Count(LogLevel::kWarn, "ocsp_failed"), 3u) << log.Text();
  env_.Answer("good");
  EXPECT_EQ(log.Count(LogLevel::kInfo, "ocsp_recovered"), 1u);
}

TEST_F(OcspStapling, AThousandCertificatesWithOneTroubleAreOneLine) {
  testing::LogLines log;
  for (int i = 0; i < 1000; ++i) {
    certificate_.sha256_hex = std::to_string(i);
    Begin();
    env_.Answer(Result<FetchResponse>(genkan::Fail(ErrorCode::kIo, "refused")));
  }
  EXPECT_EQ(log.Count(LogLevel::kWarn, "ocsp_failed"), 1u);
}

TEST_F(OcspStapling, ADayOfScheduleIsAsExpected) {
  env_.this_update = env_.time;
  env_.next_update = env_.time + Millis(4 * 3'600'000);
  Begin();
  env_.Answer("good");
  const WallTime end = env_.time + kDay;
  int asked = 0;
  while (true) {
    ASSERT_TRUE(env_.timer);
    EXPECT_GE(*env_.timer, Millis(108 * 60'000));
    EXPECT_LE(*env_.timer, Millis(132 * 60'000));
    env_.time += *env_.timer;
    if (env_.time > end) break;
    watcher_->OnTimer(env_, certificate_);
    ASSERT_EQ(env_.fetches.size(), 1u);
    env_.this_update = env_.time;
    env_.next_update = env_.time + Millis(4 * 3'600'000);
    env_.Answer("good");
    ++asked;
  }
  EXPECT_GE(asked, 10);
  EXPECT_LE(asked, 13);
}

TEST_F(OcspStapling, ThroughDaysOfOutageItKeepsTheStapleWhileItIsGoodAndRecovers) {
  testing::LogLines log;
  env_.this_update = env_.time;
  env_.next_update = env_.time + 3 * kDay;
  Begin();
  env_.Answer("good");
  const WallTime expiry = env_.next_update;
  const WallTime end = env_.time + 10 * kDay;
  while (env_.time < end) {
    env_.time += *env_.timer;
    watcher_->OnTimer(env_, certificate_);
    ASSERT_EQ(env_.fetches.size(), 1u);
    const size_t before = env_.reports.size();
    env_.Answer(Result<FetchResponse>(genkan::Fail(ErrorCode::kIo, "refused")));
    EXPECT_LE(*env_.timer, Millis(3'600'000));
    const bool is_told_unknown = env_.reports.size() > before;
    EXPECT_EQ(is_told_unknown, env_.time >= expiry);
  }
  EXPECT_THAT(env_.staples, ElementsAre("good")) << "whoever staples looks at its end";
  EXPECT_LE(log.Count(LogLevel::kWarn, "ocsp_failed"), 2u) << "one a responder";
  const WallTime back = env_.time;
  env_.time += *env_.timer;
  watcher_->OnTimer(env_, certificate_);
  env_.this_update = env_.time;
  env_.next_update = env_.time + kDay;
  env_.Answer("good again");
  EXPECT_LE(env_.time - back, Millis(3'600'000));
  EXPECT_THAT(env_.staples, ElementsAre("good", "good again"));
  EXPECT_EQ(env_.last_report.state, "good");
}

TEST_F(OcspStapling, AThousandCertificatesAreSpread) {
  std::set<int64_t> times;
  for (int i = 0; i < 1000; ++i) {
    certificate_.sha256_hex = std::to_string(i);
    Begin();
    env_.Answer("good");
    times.insert(env_.timer->count() / 1000);
  }
  EXPECT_GT(times.size(), 900u);
  EXPECT_GT(*times.rbegin() - *times.begin(), 50'000) << "seconds, of a week's validity";
}

TEST_F(OcspStapling, NothingButGoodIsEverStapled) {
  for (const char* body : {"unknown", "forged", ""}) {
    FakeCertificateEnv env;
    ModuleUnderTest module(genkan_module_ocsp_stapling, nullptr);
    auto watcher = module.MakeWatcher();
    watcher->OnBundle(env, certificate_, [] {});
    env.Answer(body);
    EXPECT_THAT(env.staples, IsEmpty()) << body;
    EXPECT_EQ(env.timer, Millis(60'000)) << body;
    EXPECT_EQ(env.state["ocsp/ab12"], "") << body;
  }
  Begin();
  env_.Answer("good", 500);
  EXPECT_THAT(env_.staples, IsEmpty());
}

TEST_F(OcspStapling, ATroubledResponderLeavesTheLastGoodAnswerInService) {
  Begin();
  env_.Answer("good");
  watcher_->OnTimer(env_, certificate_);
  env_.Answer("unknown");
  EXPECT_THAT(env_.staples, ElementsAre("good"));
  EXPECT_THAT(env_.reports, ElementsAre("ocsp good"));
  EXPECT_EQ(env_.state["ocsp/ab12"], "good");
}

TEST_F(OcspStapling, AnOlderAnswerDoesNotReplaceANewerOne) {
  Begin();
  env_.Answer("good new");
  env_.this_update -= kDay;
  watcher_->OnTimer(env_, certificate_);
  env_.Answer("good old");
  EXPECT_THAT(env_.staples, ElementsAre("good new"));
}

TEST_F(OcspStapling, RevokedTakesTheStapleAwayAndIsRemembered) {
  Begin();
  env_.Answer("good");
  watcher_->OnTimer(env_, certificate_);
  env_.Answer("revoked");
  EXPECT_THAT(env_.staples, ElementsAre("good", ""));
  EXPECT_THAT(env_.reports, ElementsAre("ocsp good", "ocsp revoked keyCompromise"));
  EXPECT_EQ(env_.state["ocsp/ab12"], "revoked") << "a restart must not staple the good one again";

  FakeCertificateEnv after;
  after.state = env_.state;
  ModuleUnderTest module(genkan_module_ocsp_stapling, nullptr);
  auto watcher = module.MakeWatcher();
  watcher->OnBundle(after, certificate_, [] {});
  EXPECT_THAT(after.reports, ElementsAre("ocsp revoked keyCompromise"));
  EXPECT_EQ(after.fetches.size(), 1u) << "and is asked about again";
}

TEST_F(OcspStapling, AMustStapleLeafIsHeldUntilThereIsOne) {
  certificate_.has_must_staple = true;
  Begin();
  env_.Answer("unknown");
  EXPECT_EQ(releases_, 0);
  watcher_->OnTimer(env_, certificate_);
  env_.Answer("good");
  EXPECT_EQ(releases_, 1);
}

TEST_F(OcspStapling, AsksOnceAtATime) {
  Begin();
  watcher_->OnRefresh(env_, certificate_);
  Begin();
  EXPECT_EQ(env_.fetches.size(), 1u);
  EXPECT_EQ(releases_, 1) << "whoever waited before need not wait any more";
  env_.Answer("good");
  EXPECT_EQ(releases_, 2);
}

TEST_F(OcspStapling, AnAnswerForACertificateThatIsGoneIsDropped) {
  Begin();
  watcher_->OnGone(env_, "ab12");
  env_.Answer("good");
  EXPECT_THAT(env_.staples, IsEmpty());
}

TEST_F(OcspStapling, AnAnswerAfterTheWatcherIsGoneIsDropped) {
  Begin();
  watcher_.reset();
  env_.Answer("good");
  EXPECT_THAT(env_.staples, IsEmpty());
}

TEST_F(OcspStapling, WithoutAnIssuerItSaysUnknownAndDoesNotHoldTheSwap) {
  env_.makes_requests = false;
  Begin();
  EXPECT_EQ(releases_, 1);
  EXPECT_THAT(env_.reports, ElementsAre("ocsp unknown no issuer"));
  EXPECT_EQ(env_.timer, Millis(60'000));
}

}  // namespace
}  // namespace genkan
