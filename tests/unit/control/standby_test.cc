#include "proxy/control/standby.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using testing::CertificateSites;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::Issued;

// Lets a test report what it likes.
class Reporter final : public CertificateWatcher {
 public:
  struct Seen {
    CertificateEnv* env = nullptr;
    std::vector<CertificateView> views;
    void Report(const Issued& leaf, StateReport report) const {
      for (const CertificateView& view : views) {
        if (view.sha256_hex == leaf.certificate->sha256_hex()) env->Report(view, report);
      }
    }
  };
  explicit Reporter(Seen& seen) : seen_(seen) {}
  void OnBundle(CertificateEnv& env, const CertificateView& certificate,
                std::function<void()> release) override {
    seen_.env = &env;
    seen_.views.push_back(certificate);
    release();
  }

 private:
  Seen& seen_;
};

class Standby : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> standby_names) {
    first_ = sites_.Leaf({"a.test"}, 0);
    spare_ = sites_.Leaf(std::move(standby_names), 5);
    sites_.WriteLineage(sites_.dir / "a", first_);
    sites_.WriteLineage(sites_.dir / "spare", spare_);
    sites_.AddSite({"a.test"}, {sites_.dir / "a"});
    sites_.config.sites.back().standby = sites_.dir / "spare";
    std::vector<std::unique_ptr<CertificateWatcher>> watchers;
    watchers.push_back(std::make_unique<Reporter>(seen_));
    sites_.Start(std::move(watchers));
  }
  bool EventuallyServes(const Issued& leaf) {
    return Eventually(
        sites_.loop, [&] { return sites_.Serves("a.test", leaf); }, Millis(60'000));
  }
  CertificateStatus StatusOf(bool is_standby) const {
    for (auto& one : sites_.manager->Status()) {
      if (one.is_standby == is_standby) return one;
    }
    return {};
  }

  CertificateSites sites_;
  Reporter::Seen seen_;
  Issued first_, spare_;
};

TEST_F(Standby, WaitsWhileTheCertificateIsGood) {
  Start({"a.test"});
  EXPECT_TRUE(sites_.Serves("a.test", first_));
  EXPECT_TRUE(StatusOf(false).is_serving);
  EXPECT_FALSE(StatusOf(true).is_serving);
  EXPECT_TRUE(StatusOf(true).is_in_service) << "read and watched, so that it is ready";
}

TEST_F(Standby, TakesThePlaceOfARevokedCertificateUntilItIsRenewed) {
  Start({"a.test"});
  seen_.Report(first_, {"crl", "revoked", "keyCompromise"});
  ASSERT_TRUE(EventuallyServes(spare_));
  EXPECT_THAT(sites_.barred, ElementsAre(first_.certificate->sha256()));
  EXPECT_FALSE(StatusOf(false).is_serving);
  EXPECT_TRUE(StatusOf(true).is_serving);
  EXPECT_EQ(sites_.Logged("standby_serving"), 1u);
  EXPECT_EQ(sites_.Logged("certificate_revoked"), 1u);

  const Issued renewed = sites_.Leaf({"a.test"}, 1);
  sites_.WriteLineage(sites_.dir / "a", renewed);
  ASSERT_TRUE(EventuallyServes(renewed));
  EXPECT_EQ(sites_.Logged("standby_relieved"), 1u);
  EXPECT_FALSE(StatusOf(true).is_serving);
}

TEST_F(Standby, TakesThePlaceOfWhatMustBeRenewedNowButNotOfWhatIsInItsWindow) {
  Start({"a.test"});
  seen_.Report(first_, {"ari", "renew", "its moment has come"});
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.Logged("certificate_renew") == 1; }));
  EXPECT_TRUE(sites_.Serves("a.test", first_));
  seen_.Report(first_, {"ari", "overdue", "its window is past"});
  ASSERT_TRUE(EventuallyServes(spare_));
  EXPECT_THAT(sites_.barred, ElementsAre(first_.certificate->sha256()));
  seen_.Report(first_, {"ari", "keep", "another window"});
  EXPECT_TRUE(EventuallyServes(first_));
}

TEST_F(Standby, OneThatLacksANameCannotStandIn) {
  Start({"other.test"});
  seen_.Report(first_, {"crl", "revoked", "keyCompromise"});
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.Logged("standby_unusable") == 1; }));
  EXPECT_TRUE(sites_.Serves("a.test", first_)) << "revoked, but there is nothing better";
  EXPECT_THAT(StatusOf(false).findings, Contains(HasSubstr("does not cover a.test")));
}

TEST_F(Standby, OneThatIsRevokedItselfCannotStandIn) {
  Start({"a.test"});
  seen_.Report(spare_, {"crl", "revoked", ""});
  seen_.Report(first_, {"crl", "revoked", ""});
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.Logged("standby_unusable") == 1; }));
  EXPECT_TRUE(sites_.Serves("a.test", first_));
}

}  // namespace
}  // namespace genkan::control
