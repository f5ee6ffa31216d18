// Certificates from files to what is served, with the real stapling module and a responder on the
// same loop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/http_service.h"
#include "proxy/module/builtin.h"
#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::CertificateSites;
using genkan::testing::Eventually;
using genkan::testing::Issued;
using genkan::testing::MakeOcspResponse;
using genkan::testing::OcspOptions;
using ::testing::HasSubstr;

class Swap : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const ModuleEntry* entry : BuiltinModules()) {
      if (std::string_view(entry->name) == "ocsp_stapling") module_ = entry->make();
    }
    ASSERT_TRUE(module_);
    ASSERT_TRUE(module_->Configure(nullptr).empty());
    responder_ = std::make_unique<HttpService>(
        sites_.loop, [this](const ServiceRequest& request) { return Respond(request); });
    auto address = net::Address::Parse("127.0.0.1:0");
    ASSERT_TRUE(address);
    ASSERT_TRUE(responder_->Listen(*address));
    url_ = "http://" + responder_->address().ToString() + "/";
  }

  ServiceResponse Respond(const ServiceRequest&) {
    ++asked_;
    ServiceResponse response;
    response.content_type = "application/ocsp-response";
    if (const Issued* leaf = answers_for_)
      response.body = MakeOcspResponse(**leaf, sites_.ca.intermediate(), answer_);
    if (response.body.empty()) response.status = 503;
    return response;
  }

  Issued Leaf(int generation) {
    CertificateOptions options = sites_.Leaf({"a.test"}, generation).options;
    options.ocsp_urls = {url_};
    options.serial = 0;
    return sites_.ca.LeafWith(options);
  }
  void Start() {
    std::vector<std::unique_ptr<CertificateWatcher>> watchers;
    watchers.push_back(module_->MakeWatcher());
    sites_.Start(std::move(watchers));
  }

  std::unique_ptr<Module> module_;  // the watchers look at its options
  CertificateSites sites_;
  std::unique_ptr<HttpService> responder_;
  std::string url_;
  const Issued* answers_for_ = nullptr;
  OcspOptions answer_;
  int asked_ = 0;
};

TEST_F(Swap, TheStartWaitsForTheFirstStaple) {
  Issued leaf = Leaf(0);
  answers_for_ = &leaf;
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  Start();
  EXPECT_FALSE(sites_.is_ready);

  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.is_ready; }));
  EXPECT_TRUE(sites_.Served("a.test")->staple());
  EXPECT_EQ(sites_.StatusOf("a.test").revocation, "good");
}

TEST_F(Swap, ARestartStaplesFromTheDiskWhileTheResponderIsDown) {
  Issued leaf = Leaf(0);
  answers_for_ = &leaf;
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  Start();
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.is_ready; }));

  responder_.reset();
  sites_.publications = 0;
  Start();

  EXPECT_TRUE(sites_.is_ready) << "nothing to wait for";
  ASSERT_TRUE(sites_.Served("a.test"));
  EXPECT_TRUE(sites_.Served("a.test")->staple()) << "at the first handshake";
  EXPECT_EQ(sites_.publications, 1);
}

TEST_F(Swap, ARenewedCertificateServesWithItsStapleFromTheFirstMoment) {
  Issued first = Leaf(0), second = Leaf(1);
  answers_for_ = &first;
  sites_.WriteLineage(sites_.dir / "a", first);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  Start();
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.is_ready; }));

  answers_for_ = &second;
  sites_.WriteLineage(sites_.dir / "a", second);
  bool was_naked = false;
  EXPECT_TRUE(Eventually(sites_.loop, [&] {
    was_naked |= !sites_.Served("a.test")->staple();
    return sites_.Serves("a.test", second);
  }));
  EXPECT_FALSE(was_naked);
  EXPECT_TRUE(sites_.Served("a.test")->staple());
}

TEST_F(Swap, AResponderThatFailsHoldsNoSwapUp) {
  Issued first = Leaf(0), second = Leaf(1);
  answers_for_ = &first;
  sites_.WriteLineage(sites_.dir / "a", first);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  Start();
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.is_ready; }));

  answers_for_ = nullptr;
  sites_.WriteLineage(sites_.dir / "a", second);

  EXPECT_TRUE(Eventually(sites_.loop, [&] { return sites_.Serves("a.test", second); }));
  EXPECT_FALSE(sites_.Served("a.test")->staple());
  EXPECT_THAT(sites_.StatusOf("a.test").revocation_why, HasSubstr("503"));
}

TEST_F(Swap, ARevocationIsSeenAtARefresh) {
  Issued leaf = Leaf(0);
  answers_for_ = &leaf;
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  Start();
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.is_ready; }));

  answer_.state = V_OCSP_CERTSTATUS_REVOKED;
  answer_.reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE;
  sites_.manager->Refresh();

  ASSERT_TRUE(Eventually(sites_.loop, [&] { return !sites_.barred.empty(); }));
  EXPECT_FALSE(sites_.Served("a.test")->staple());
  EXPECT_EQ(sites_.StatusOf("a.test").revocation, "revoked");
  EXPECT_EQ(asked_, 2);
}

}  // namespace
}  // namespace genkan::control
