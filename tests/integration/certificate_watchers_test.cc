// The certificate modules come and go with the configuration: a reload that switches one off takes
// its word back, and one that switches it on again begins with what is on disk.
#include "proxy/control/certificate_watchers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/http_service.h"
#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::CertificateSites;
using genkan::testing::CrlOptions;
using genkan::testing::Eventually;
using genkan::testing::Issued;
using genkan::testing::MakeCrl;
using genkan::testing::MakeOcspResponse;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Watchers : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(authority_.Listen(net::Address::Parse("127.0.0.1:0").value()));
    const std::string url = "http://" + authority_.address().ToString();
    CertificateOptions options = sites_.Leaf({"a.test"}, 0).options;
    options.ocsp_urls = {url + "/ocsp"};
    options.crl_urls = {url + "/list"};
    options.serial = 0x77;
    leaf_ = sites_.ca.LeafWith(options);
    sites_.WriteLineage(sites_.dir / "a", leaf_);
    sites_.AddSite({"a.test"}, {sites_.dir / "a"});
    sites_.Start();
    watchers_ = std::make_unique<CertificateWatchers>(*sites_.manager);
  }
  void TearDown() override { sites_.manager.reset(); }  // before the modules of its watchers

  ServiceResponse Answer(const ServiceRequest& request) {
    ServiceResponse response;
    const std::string& path = request.head.target;
    asked_.push_back(path);
    if (path == "/ocsp") {
      response.body = MakeOcspResponse(*leaf_, sites_.ca.intermediate());
    } else if (path == "/list") {
      const WallTime now = sites_.clock->Wall();
      CrlOptions list;
      list.revoked = {{"77", now - std::chrono::hours(2), 1}};
      list.this_update = now - std::chrono::hours(1);
      list.next_update = now + std::chrono::hours(9);
      response.body = MakeCrl(sites_.ca.intermediate(), list);
    } else {
      response.status = 404;
    }
    return response;
  }
  void Configure(bool ocsp, bool crl, bool ari = false) {
    sites_.config.ocsp.enabled = ocsp;
    sites_.config.revocation.crl = crl;
    sites_.config.revocation.ari = ari;
    sites_.manager->Apply(sites_.MakeSnapshot(), {});
    EXPECT_THAT(watchers_->Configure(sites_.config), IsEmpty());
  }
  bool Until(const std::function<bool()>& condition) {
    return Eventually(sites_.loop, condition, Millis(60'000));
  }
  std::string Revocation() const { return sites_.StatusOf("a.test").revocation; }
  bool IsStapled() const { return sites_.Served("a.test")->staple() != nullptr; }

  CertificateSites sites_;
  std::vector<std::string> asked_;
  HttpService authority_{sites_.loop,
                         [this](const ServiceRequest& request) { return Answer(request); }};
  Issued leaf_;
  std::unique_ptr<CertificateWatchers> watchers_;
};

TEST_F(Watchers, AReloadSwitchesTheListOffAndOn) {
  Configure(false, true);
  EXPECT_TRUE(Until([&] { return Revocation() == "revoked"; }));
  EXPECT_EQ(sites_.barred.size(), 1u);

  Configure(false, false);
  EXPECT_TRUE(Until([&] { return Revocation() == "unknown"; })) << "nobody says so any more";
  EXPECT_EQ(sites_.barred.size(), 1u) << "its sessions were given up for good";

  Configure(false, true);
  EXPECT_TRUE(Until([&] { return Revocation() == "revoked"; }));
  EXPECT_THAT(asked_, ElementsAre("/list")) << "the list on disk is good for hours";
}

TEST_F(Watchers, AReloadSwitchesStaplingOffAndOn) {
  Configure(true, false);
  EXPECT_TRUE(Until([&] { return IsStapled(); }));
  Configure(false, false);
  EXPECT_TRUE(Until([&] { return !IsStapled(); }));
  EXPECT_EQ(Revocation(), "unknown");
  Configure(true, false);
  EXPECT_TRUE(Until([&] { return IsStapled() && Revocation() == "good"; }));
  EXPECT_THAT(asked_, ElementsAre("/ocsp"));
}

TEST_F(Watchers, WhatTheOthersSayStays) {
  Configure(true, true);
  EXPECT_TRUE(Until([&] { return Revocation() == "revoked"; }));
  Configure(true, false);
  EXPECT_TRUE(Until([&] { return Revocation() == "good" && IsStapled(); }))
      << "the responder has another opinion";
  EXPECT_EQ(sites_.StatusOf("a.test").revocation_source, "ocsp");
}

TEST_F(Watchers, TheSameSettingsChangeNothing) {
  Configure(true, true);
  EXPECT_TRUE(Until([&] { return Revocation() == "revoked" && asked_.size() == 2; }));
  Configure(true, true);
  sites_.Pass(Millis(50));
  EXPECT_EQ(asked_.size(), 2u);
  EXPECT_EQ(sites_.Logged("certificate_watcher"), 0u);
}

TEST_F(Watchers, OtherAuthoritiesForRenewalsAreAskedFromTheReloadOn) {
  Configure(false, false, true);
  sites_.Pass(Millis(50));
  EXPECT_THAT(asked_, IsEmpty()) << "nobody knows whom to ask";
  config::AriAuthority authority;
  authority.issuer = "genkan tests";
  authority.directory = "http://" + authority_.address().ToString() + "/directory";
  sites_.config.revocation.authorities = {authority};
  Configure(false, false, true);
  EXPECT_TRUE(Until([&] { return !asked_.empty(); }));
  EXPECT_EQ(asked_.front(), "/directory");
}

}  // namespace
}  // namespace genkan::control
