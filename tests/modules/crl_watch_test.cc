#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_certificate_env.h"
#include "tests/support/fake_exchange.h"
#include "tests/support/log_lines.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_crl_watch;

namespace {

using ::testing::ElementsAre;
using testing::FakeCertificateEnv;
using ::testing::IsEmpty;
using testing::ModuleUnderTest;
using ::testing::SizeIs;

constexpr Millis kHour{3'600'000};

class CrlWatch : public ::testing::Test {
 protected:
  CrlWatch() {
    certificate_.name = "a.test";
    certificate_.sha256_hex = "ab12";
    certificate_.crl_urls = {"ldap://crl.test/1", "http://crl.test/1", "http://crl.test/2"};
  }
  void Begin() {
    watcher_->OnBundle(env_, certificate_, [this] { ++releases_; });
  }
  CrlResult Good() const {
    CrlResult result;
    result.this_update = env_.time - kHour;
    result.next_update = env_.time + 9 * kHour;
    result.due = env_.time + 4 * kHour;
    return result;
  }

  FakeCertificateEnv env_;
  CertificateView certificate_;
  ModuleUnderTest module_{genkan_module_crl_watch, nullptr};
  std::unique_ptr<CertificateWatcher> watcher_ = module_.MakeWatcher();
  int releases_ = 0;
};

TEST_F(CrlWatch, WithoutAListThereIsNothingToDo) {
  certificate_.crl_urls = {"ldap://crl.test/1"};
  Begin();
  EXPECT_EQ(releases_, 1);
  EXPECT_THAT(env_.crl_questions, IsEmpty());
  EXPECT_FALSE(env_.timer);
}

TEST_F(CrlWatch, AsksTheFirstListOverHttpAndHoldsNoSwap) {
  Begin();
  EXPECT_EQ(releases_, 1);
  ASSERT_THAT(env_.crl_questions, SizeIs(1));
  EXPECT_EQ(env_.crl_questions[0].url, "http://crl.test/1");
  EXPECT_FALSE(env_.crl_questions[0].is_refresh);
  env_.AnswerCrl(Good());
  EXPECT_THAT(env_.reports, ElementsAre("crl good"));
}

TEST_F(CrlWatch, ComesBackWhenTheListIsDue) {
  Begin();
  env_.AnswerCrl(Good());
  ASSERT_TRUE(env_.timer);
  EXPECT_GE(*env_.timer, 4 * kHour);
  EXPECT_LE(*env_.timer, 4 * kHour * 102 / 100);
  watcher_->OnTimer(env_, certificate_);
  EXPECT_THAT(env_.crl_questions, SizeIs(1));
}

TEST_F(CrlWatch, NeverMoreOftenThanEveryFiveMinutes) {
  Begin();
  CrlResult result = Good();
  result.due = env_.time;
  env_.AnswerCrl(result);
  EXPECT_EQ(env_.timer, Millis(300'000));
}

TEST_F(CrlWatch, RevokedIsReportedWithReasonAndDate) {
  Begin();
  CrlResult result = Good();
  result.is_revoked = true;
  result.reason = "keyCompromise";
  result.revoked_at = env_.time - kHour;
  env_.AnswerCrl(result);
  EXPECT_THAT(env_.reports, ElementsAre("crl revoked keyCompromise"));
  EXPECT_EQ(env_.last_report.since, env_.time - kHour);
  EXPECT_TRUE(env_.timer) << "it is looked up again: a hold may be lifted";
}

TEST_F(CrlWatch, FailuresAreRetriedAfterAMinuteDoublingToAnHour) {
  testing::LogLines log;
  Begin();
  int64_t minutes[] = {1, 2, 4, 8, 16, 32, 60, 60};
  for (int64_t wait : minutes) {
    env_.AnswerCrl(genkan::Fail(ErrorCode::kTimeout, "timeout"));
    EXPECT_EQ(env_.timer, Millis(wait * 60'000));
    watcher_->OnTimer(env_, certificate_);
  }
  EXPECT_EQ(env_.reports.back(), "crl unknown timeout");
  EXPECT_EQ(log.Count(LogLevel::kWarn, "crl_failed"), 1u);
  env_.AnswerCrl(Good());
  EXPECT_EQ(env_.reports.back(), "crl good");
  EXPECT_EQ(log.Count(LogLevel::kInfo, "crl_recovered"), 1u);
}

TEST_F(CrlWatch, TheListAtHandCountsWhileTheServerIsAway) {
  Begin();
  CrlResult result = Good();
  result.trouble = "status 500";
  env_.AnswerCrl(result);
  EXPECT_THAT(env_.reports, ElementsAre("crl good"));
  EXPECT_EQ(env_.timer, Millis(60'000));
}

TEST_F(CrlWatch, ARefreshWantsANewerListAlsoBesideAQuestionUnderWay) {
  Begin();
  watcher_->OnRefresh(env_, certificate_);
  EXPECT_THAT(env_.crl_questions, SizeIs(1));
  env_.AnswerCrl(Good());
  ASSERT_THAT(env_.crl_questions, SizeIs(1));
  EXPECT_TRUE(env_.crl_questions[0].is_refresh);
  env_.AnswerCrl(Good());
  watcher_->OnRefresh(env_, certificate_);
  ASSERT_THAT(env_.crl_questions, SizeIs(1));
  EXPECT_TRUE(env_.crl_questions[0].is_refresh);
}

TEST_F(CrlWatch, AnAnswerForWhatIsGoneIsDropped) {
  Begin();
  watcher_->OnGone(env_, "ab12");
  env_.AnswerCrl(Good());
  EXPECT_THAT(env_.reports, IsEmpty());
  Begin();
  watcher_.reset();
  env_.AnswerCrl(Good());
  EXPECT_THAT(env_.reports, IsEmpty());
}

}  // namespace
}  // namespace genkan
