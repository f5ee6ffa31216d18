#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_certificate_env.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/log_lines.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_ari_watch;

namespace {

using testing::FakeCertificateEnv;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModuleUnderTest;
using ::testing::SizeIs;

constexpr Millis kHour{3'600'000};

class AriWatch : public ::testing::Test {
 protected:
  AriWatch() {
    certificate_.name = "a.test";
    certificate_.sha256_hex = "ab12";
  }
  void Begin() {
    watcher_->OnBundle(env_, certificate_, [this] { ++releases_; });
  }
  // Through the directory, up to this answer.
  void BeginWith(const std::string& body, int status = 200, const std::string& retry_after = "") {
    Begin();
    env_.Answer("directory http://ari.test/info");
    ASSERT_THAT(env_.fetches, SizeIs(1));
    env_.Answer(body, status, retry_after);
  }

  FakeCertificateEnv env_;
  CertificateView certificate_;
  ModuleUnderTest module_{genkan_module_ari_watch, nullptr};
  std::unique_ptr<CertificateWatcher> watcher_ = module_.MakeWatcher();
  int releases_ = 0;
};

TEST_F(AriWatch, AnAuthorityThatNobodyKnowsIsNotAsked) {
  env_.ari_directory = "";
  Begin();
  EXPECT_EQ(releases_, 1);
  EXPECT_THAT(env_.fetches, IsEmpty());
  EXPECT_THAT(env_.reports, IsEmpty());
}

TEST_F(AriWatch, AsksTheDirectoryThenForTheCertificate) {
  Begin();
  EXPECT_EQ(releases_, 1) << "no swap waits for it";
  ASSERT_THAT(env_.fetches, SizeIs(1));
  EXPECT_EQ(env_.fetches[0].request.url, "http://ari.test/directory");
  env_.Answer("directory http://ari.test/info");
  ASSERT_THAT(env_.fetches, SizeIs(1));
  EXPECT_EQ(env_.fetches[0].request.url, "http://ari.test/info/id.ab12");
  env_.Answer("window 864000 1036800 https://ari.test/why");
  ASSERT_THAT(env_.reports, SizeIs(1));
  EXPECT_THAT(env_.reports[0], HasSubstr("ari keep the authority asks for a renewal between"));
  EXPECT_EQ(env_.last_report.url, "https://ari.test/why");
  EXPECT_GE(env_.last_report.since, env_.kStart + Seconds(864'000)) << "the moment";
  EXPECT_LT(env_.last_report.since, env_.kStart + Seconds(1'036'800));
  EXPECT_EQ(env_.timer, 6 * kHour) << "without Retry-After";
}

TEST_F(AriWatch, OneDirectoryIsFetchedOnceForAll) {
  Begin();
  certificate_.sha256_hex = "cd34";
  Begin();
  ASSERT_THAT(env_.fetches, SizeIs(1));
  env_.Answer("directory http://ari.test/info/");
  ASSERT_THAT(env_.fetches, SizeIs(2));
  EXPECT_EQ(env_.fetches[0].request.url, "http://ari.test/info/id.ab12");
  EXPECT_EQ(env_.fetches[1].request.url, "http://ari.test/info/id.cd34");
  env_.Answer("window 864000 1036800");
  env_.Answer("window 864000 1036800");
  env_.time += std::chrono::hours(7);
  watcher_->OnTimer(env_, certificate_);
  ASSERT_THAT(env_.fetches, SizeIs(1));
  EXPECT_EQ(env_.fetches[0].request.url, "http://ari.test/info/id.cd34") << "it is remembered";
}

TEST_F(AriWatch, RetryAfterIsHeldBetweenAMinuteAndADay) {
  BeginWith("window 8640000 10368000", 200, "1");
  EXPECT_EQ(env_.timer, Millis(60'000));
  env_.time += std::chrono::minutes(1);
  watcher_->OnTimer(env_, certificate_);
  env_.Answer("window 8640000 10368000", 200, "7200");
  EXPECT_EQ(env_.timer, 2 * kHour);
  env_.time += std::chrono::hours(2);
  watcher_->OnTimer(env_, certificate_);
  env_.Answer("window 8640000 10368000", 200, "9000000");
  EXPECT_EQ(env_.timer, 24 * kHour);
}

TEST_F(AriWatch, AWindowInThePastIsOverdueAtOnce) {
  BeginWith("window -7200 -3600 https://ari.test/incident");
  ASSERT_THAT(env_.reports, SizeIs(1));
  EXPECT_THAT(env_.reports[0], HasSubstr("ari overdue"));
  EXPECT_EQ(env_.last_report.url, "https://ari.test/incident");
}

TEST_F(AriWatch, TheDrawnMomentCallsForTheRenewalAndTheWindowsEndMakesItOverdue) {
  BeginWith("window 3600 7200", 200, "86400");
  const WallTime moment = env_.last_report.since;
  EXPECT_EQ(env_.timer, std::chrono::ceil<Millis>(moment - env_.time)) << "before the next poll";
  env_.time = moment;
  watcher_->OnTimer(env_, certificate_);
  EXPECT_EQ(env_.last_report.state, "renew");
  EXPECT_EQ(env_.timer, std::chrono::ceil<Millis>(env_.kStart + Seconds(7'200) - moment));
  env_.time = env_.kStart + Seconds(7'200);
  watcher_->OnTimer(env_, certificate_);
  EXPECT_EQ(env_.last_report.state, "overdue");
  EXPECT_THAT(env_.fetches, IsEmpty());
}

TEST_F(AriWatch, MomentsAreSpreadOverTheWindow) {
  double sum = 0;
  for (int i = 0; i < 200; ++i) {
    certificate_.sha256_hex = std::to_string(i);
    Begin();
    if (i == 0) env_.Answer("directory http://ari.test/info");
    env_.Answer("window 1000 2000");
    const double at = std::chrono::duration<double>(env_.last_report.since - env_.kStart).count();
    EXPECT_GE(at, 1000);
    EXPECT_LE(at, 2000);
    sum += at;
  }
  EXPECT_NEAR(sum / 200, 1500, 150);
}

TEST_F(AriWatch, TheMomentIsDrawnOnceAWindowAlsoOverARestart) {
  BeginWith("window 3600000 7200000");
  const WallTime moment = env_.last_report.since;
  watcher_->OnRefresh(env_, certificate_);
  env_.Answer("window 3600000 7200000");
  EXPECT_EQ(env_.last_report.since, moment);

  FakeCertificateEnv after;
  after.state = env_.state;
  ModuleUnderTest module(genkan_module_ari_watch, nullptr);
  auto watcher = module.MakeWatcher();
  watcher->OnBundle(after, certificate_, [] {});
  EXPECT_THAT(after.fetches, IsEmpty()) << "the next question is not due";
  ASSERT_THAT(after.reports, SizeIs(1));
  EXPECT_LT(moment - after.last_report.since, Seconds(1));
  EXPECT_EQ(after.timer, 6 * kHour);
}

TEST_F(AriWatch, AnotherWindowDrawsAgain) {
  BeginWith("window 3600000 7200000");
  watcher_->OnRefresh(env_, certificate_);
  env_.Answer("window -20 -10");
  EXPECT_EQ(env_.last_report.state, "overdue");
  EXPECT_LE(env_.last_report.since, env_.time - Seconds(10));
}

TEST_F(AriWatch, ADirectoryWithoutRenewalInfoIsQuietForADay) {
  testing::LogLines log;
  Begin();
  env_.Answer("directory ");
  EXPECT_THAT(env_.fetches, IsEmpty());
  EXPECT_THAT(env_.reports, IsEmpty());
  EXPECT_EQ(env_.timer, 24 * kHour);
  EXPECT_EQ(log.Count(LogLevel::kWarn, "ari_failed"), 0u);
}

TEST_F(AriWatch, FailuresAreRetriedAfterAMinuteDoublingToSixHours) {
  testing::LogLines log;
  Begin();
  env_.Answer("directory http://ari.test/info");
  int64_t minutes[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360};
  for (int64_t wait : minutes) {
    env_.Answer("", 500);
    EXPECT_EQ(env_.timer, Millis(wait * 60'000));
    // Not the directory's life, which ends in between.
    watcher_->OnRefresh(env_, certificate_);
  }
  EXPECT_EQ(log.Count(LogLevel::kWarn, "ari_failed"), 1u);
  EXPECT_THAT(env_.reports, IsEmpty()) << "trouble with ARI says nothing of the certificate";
  env_.Answer("window 1000 2000");
  EXPECT_EQ(log.Count(LogLevel::kInfo, "ari_recovered"), 1u);
}

TEST_F(AriWatch, AThousandCertificatesWithOneTroubleAreOneLine) {
  testing::LogLines log;
  Begin();
  env_.Answer("directory http://ari.test/info");
  for (int i = 0; i < 1000; ++i) {
    env_.Answer("", 500);
    certificate_.sha256_hex = std::to_string(i);
    Begin();
  }
  EXPECT_EQ(log.Count(LogLevel::kWarn, "ari_failed"), 1u) << log.Text();
}

TEST_F(AriWatch, ABusyAuthorityIsAskedWhenItSays) {
  BeginWith("", 429, "1800");
  EXPECT_EQ(env_.timer, Millis(1'800'000));
}

TEST_F(AriWatch, NonsenseIsAFailure) {
  BeginWith("<html>");
  EXPECT_EQ(env_.timer, Millis(60'000));
  EXPECT_THAT(env_.reports, IsEmpty());
}

TEST_F(AriWatch, ADirectoryThatFailsIsAskedAgainByAllWhoWait) {
  Begin();
  certificate_.sha256_hex = "cd34";
  Begin();
  env_.Answer("no", 503);
  EXPECT_EQ(env_.timer, Millis(60'000));
  env_.time += std::chrono::minutes(1);
  watcher_->OnTimer(env_, certificate_);
  ASSERT_THAT(env_.fetches, SizeIs(1));
  EXPECT_EQ(env_.fetches[0].request.url, "http://ari.test/directory");
}

TEST_F(AriWatch, AnAnswerForWhatIsGoneIsDropped) {
  Begin();
  watcher_->OnGone(env_, "ab12");
  env_.Answer("directory http://ari.test/info");
  EXPECT_THAT(env_.fetches, IsEmpty());
  Begin();
  watcher_.reset();
  env_.Answer("window -20 -10");
  EXPECT_THAT(env_.reports, IsEmpty());
}

}  // namespace
}  // namespace genkan
