#include "proxy/control/crl_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/http_service.h"
#include "proxy/tls/digest.h"
#include "tests/support/eventually.h"
#include "tests/support/log_lines.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using testing::CertificateOptions;
using testing::CrlOptions;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::Issued;
using testing::MakeCrl;
using testing::TestCa;

constexpr auto kHour = std::chrono::hours(1);

class Lists : public ::testing::Test {
 protected:
  Lists() {
    EXPECT_TRUE(server_.Listen(net::Address::Parse("127.0.0.1:0").value()));
    url_ = "http://" + server_.address().ToString() + "/1.crl";
    leaf_ = MakeLeaf(0x77);
    Open();
  }

  void Open() {
    store_.reset();
    state_.reset();  // its lock
    state_ = std::move(StateDir::Open(dir_ / "state").value());
    store_ = std::make_unique<CrlStore>(CrlStore::Options{loop_, fetcher_, pool_, *state_, clock_});
  }

  Issued MakeLeaf(uint64_t serial) const {
    return ca_.LeafWith({.names = {"a.test"}, .crl_urls = {url_}, .serial = serial});
  }
  CertificateView ViewOf(const Issued& leaf) const {
    CertificateView view;
    view.name = "a.test";
    view.leaf_der = leaf.certificate->der();
    view.issuer_der = ca_.intermediate().certificate->der();
    return view;
  }
  void Serve(CrlOptions options = {}) {
    if (!options.this_update) options.this_update = clock_.Wall() - kHour;
    if (!options.next_update) options.next_update = clock_.Wall() + 9 * kHour;
    body_ = MakeCrl(ca_.intermediate(), options);
    etag_ = "\"" + tls::Sha256Hex(body_).substr(0, 8) + "\"";
  }
  Result<CrlResult> Check(bool is_refresh = false) { return Check(leaf_, is_refresh); }
  Result<CrlResult> Check(const Issued& leaf, bool is_refresh) {
    std::optional<Result<CrlResult>> answer;
    store_->Check(ViewOf(leaf), url_, is_refresh,
                  [&](Result<CrlResult> result) { answer = std::move(result); });
    EXPECT_TRUE(Eventually(
        loop_, [&] { return answer.has_value(); }, Millis(60'000)));
    return answer.value_or(Fail(ErrorCode::kTimeout, "no answer"));
  }
  std::string ListPath() const { return dir_ / ("state/crl/" + tls::Sha256Hex(url_)); }

  testing::TempDir dir_;
  testing::LogLines log_;
  TestCa ca_;
  ManualClock clock_;
  event::EventLoop loop_;
  event::BlockingPool pool_{2};
  Fetcher fetcher_{loop_, pool_};
  std::string body_, etag_, url_;
  int status_ = 200, requests_ = 0, not_modified_ = 0;
  HttpService server_{loop_, [this](const ServiceRequest& request) {
                        ++requests_;
                        ServiceResponse response;
                        response.status = status_;
                        response.body = body_;
                        if (etag_.empty()) return response;
                        response.headers = {{"etag", etag_}};
                        if (request.head.headers.Get("if-none-match") != etag_) return response;
                        ++not_modified_;
                        response.status = 304;
                        response.body.clear();
                        return response;
                      }};
  Issued leaf_;
  std::unique_ptr<StateDir> state_;
  std::unique_ptr<CrlStore> store_;
};

TEST_F(Lists, TheListIsFetchedKeptAndNotFetchedAgainBeforeHalfOfItsLife) {
  Serve();
  auto first = Check();
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_FALSE(first->is_revoked);
  EXPECT_EQ(first->trouble, "");
  EXPECT_EQ(testing::ReadFile(ListPath()), body_);
  // Half of ten hours, give or take a tenth of that.
  EXPECT_GE(first->due, clock_.Wall() - kHour + std::chrono::minutes(270));
  EXPECT_LE(first->due, clock_.Wall() - kHour + std::chrono::minutes(330));
  clock_.Advance(3 * kHour);
  ASSERT_TRUE(Check());
  EXPECT_EQ(requests_, 1);
  clock_.Advance(2 * kHour);
  ASSERT_TRUE(Check());
  EXPECT_EQ(requests_, 2);
}

TEST_F(Lists, RevokedWithReasonAndDate) {
  Serve({.revoked = {{"77", clock_.Wall() - 2 * kHour, 1}}});
  auto result = Check();
  ASSERT_TRUE(result) << result.error().detail;
  EXPECT_TRUE(result->is_revoked);
  EXPECT_EQ(result->reason, "keyCompromise");
  EXPECT_EQ(result->revoked_at, clock_.Wall() - 2 * kHour);
}

TEST_F(Lists, WhatHasNotChangedIsNotSentAgain) {
  Serve();
  ASSERT_TRUE(Check());
  auto again = Check(true);
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_EQ(requests_, 2);
  EXPECT_EQ(not_modified_, 1);
  EXPECT_EQ(again->trouble, "");
  // Past half of its life an unchanged list is asked about when half of the rest is over.
  clock_.Advance(5 * kHour);
  auto late = Check();
  ASSERT_TRUE(late);
  EXPECT_EQ(not_modified_, 2);
  EXPECT_EQ(late->due, clock_.Wall() + 2 * kHour);
}

TEST_F(Lists, ARestartFindsTheListAndAsksNobody) {
  Serve({.revoked = {{"77", clock_.Wall() - 2 * kHour, 1}}});
  ASSERT_TRUE(Check());
  Open();
  auto result = Check();
  ASSERT_TRUE(result) << result.error().detail;
  EXPECT_TRUE(result->is_revoked);
  EXPECT_EQ(requests_, 1);
  ASSERT_TRUE(Check(true));
  EXPECT_EQ(not_modified_, 1) << "its ETag is remembered";
}

TEST_F(Lists, WhileTheServerIsAwayTheListAtHandCountsUntilItExpires) {
  Serve();
  ASSERT_TRUE(Check());
  status_ = 500;
  etag_.clear();
  clock_.Advance(6 * kHour);
  auto result = Check();
  ASSERT_TRUE(result) << result.error().detail;
  EXPECT_THAT(result->trouble, HasSubstr("status 500"));
  clock_.Advance(4 * kHour);
  result = Check();
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().detail, HasSubstr("status 500"));
  status_ = 200;
  clock_.Advance(kHour);
  Serve();
  EXPECT_TRUE(Check());
}

TEST_F(Lists, WhatDoesNotProveToBeTheListIsNotTaken) {
  Serve();
  ASSERT_TRUE(Check());
  const std::string good = body_;
  const TestCa other("Other");
  struct {
    const char* what;
    std::string body;
  } cases[] = {
      {"not a CRL", "<html>"},
      {"another issuer", MakeCrl(other.intermediate(), {.this_update = clock_.Wall()})},
      {"bad signature", good.substr(0, good.size() - 1) + static_cast<char>(good.back() ^ 1)},
      {"another distribution point",
       MakeCrl(ca_.intermediate(),
               {.this_update = clock_.Wall(),
                .distribution_point = "critical,fullname:URI:http://crl.test/2.crl"})},
      {"expired", MakeCrl(ca_.intermediate(), {.this_update = clock_.Wall() - 9 * kHour,
                                               .next_update = clock_.Wall() - kHour})},
      {"future", MakeCrl(ca_.intermediate(), {.this_update = clock_.Wall() + kHour})},
      {"older", MakeCrl(ca_.intermediate(), {.this_update = clock_.Wall() - 2 * kHour,
                                             .next_update = clock_.Wall() + 99 * kHour})},
      {"not a CRL", ""},
  };
  etag_.clear();
  for (const auto& one : cases) {
    body_ = one.body;
    auto result = Check(true);
    ASSERT_TRUE(result) << one.what << ": " << result.error().detail;
    EXPECT_THAT(result->trouble, HasSubstr(one.what));
    EXPECT_EQ(testing::ReadFile(ListPath()), good) << one.what;
  }
}

TEST_F(Lists, ManyWhoAskAtOnceAreOneFetchAndOneReading) {
  const Issued other = MakeLeaf(0x78);
  Serve({.revoked = {{"78", clock_.Wall() - 2 * kHour, 4}}});
  int good = 0, revoked = 0;
  for (int i = 0; i < 500; ++i) {
    store_->Check(ViewOf(i % 2 == 0 ? leaf_ : other), url_, false, [&](Result<CrlResult> result) {
      ASSERT_TRUE(result) << result.error().detail;
      ++(result->is_revoked ? revoked : good);
    });
  }
  ASSERT_TRUE(Eventually(
      loop_, [&] { return good + revoked == 500; }, Millis(60'000)));
  EXPECT_EQ(good, 250);
  EXPECT_EQ(requests_, 1);
}

TEST_F(Lists, AListThatNeverCameIsAskedForAtMostOnceAMinute) {
  status_ = 404;
  EXPECT_FALSE(Check());
  EXPECT_FALSE(Check());
  EXPECT_EQ(requests_, 1);
  EXPECT_FALSE(Check(true)) << "unless a person asks";
  EXPECT_EQ(requests_, 2);
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_FALSE(Check());
  EXPECT_EQ(requests_, 3);
}

TEST_F(Lists, WithoutADiskItIsKeptInMemory) {
  store_.reset();
  state_.reset();
  state_ = std::move(StateDir::Open("/proc/no/state").value());
  ASSERT_FALSE(state_->is_writable());
  store_ = std::make_unique<CrlStore>(CrlStore::Options{loop_, fetcher_, pool_, *state_, clock_});
  Serve({.revoked = {{"77", clock_.Wall() - 2 * kHour, 1}}});
  ASSERT_TRUE(Check());
  status_ = 500;
  etag_.clear();
  auto again = Check(true);
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_TRUE(again->is_revoked);
}

TEST_F(Lists, ADamagedFileOnDiskIsFetchedAnew) {
  Serve();
  ASSERT_TRUE(Check());
  testing::ReplaceFile(ListPath(), "damaged");
  Open();
  EXPECT_FALSE(Check());
  clock_.Advance(std::chrono::minutes(1));
  auto result = Check();
  ASSERT_TRUE(result) << result.error().detail;
  EXPECT_EQ(testing::ReadFile(ListPath()), body_);
}

TEST_F(Lists, AListThatNobodyNamesAnyMoreIsForgotten) {
  Serve();
  ASSERT_TRUE(Check());
  EXPECT_THAT(store_->Keep({url_}), ::testing::ElementsAre(tls::Sha256Hex(url_)));
  ASSERT_TRUE(Check());
  EXPECT_EQ(requests_, 1) << "kept with what is known of it";
  EXPECT_THAT(store_->Keep({}), ::testing::IsEmpty());
  ASSERT_TRUE(Check());
  EXPECT_EQ(requests_, 1) << "forgotten, and found on the disk";
}

TEST_F(Lists, AListThatIsBeingAskedForIsNotForgotten) {
  Serve();
  std::optional<Result<CrlResult>> answer;
  store_->Check(ViewOf(leaf_), url_, false, [&](Result<CrlResult> result) { answer = result; });
  EXPECT_THAT(store_->Keep({}), ::testing::ElementsAre(tls::Sha256Hex(url_)));
  EXPECT_TRUE(Eventually(
      loop_, [&] { return answer.has_value(); }, Millis(60'000)));
  EXPECT_TRUE(*answer) << answer->error().detail;
}

TEST_F(Lists, ItsEndDropsWhoWaits) {
  Serve();
  store_->Check(ViewOf(leaf_), url_, false, [](Result<CrlResult>) { FAIL(); });
  store_.reset();
  for (int i = 0; i < 3; ++i) loop_.RunOnce();
}

}  // namespace
}  // namespace genkan::control
