#include "proxy/control/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "proxy/control/known_issuers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::Issued;
using genkan::testing::TempDir;
using genkan::testing::TestCa;
using genkan::testing::WriteFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kDay = std::chrono::hours(24);

class Check : public ::testing::Test {
 protected:
  Check() { WriteFile(folder_ / "root.pem", ca_.root().pem()); }

  // A lineage "a.test" with these certificates in cert.pem.
  void Lineage(const std::string& certificates, const std::string& key) {
    WriteFile(folder_ / "live/a.test/cert.pem", certificates);
    WriteFile(folder_ / "live/a.test/privkey.pem", key);
  }
  void Complete() { WriteFile(folder_ / "live/a.test/chain.pem", ca_.intermediate().pem()); }

  CertificateOptions Options() const {
    CertificateOptions options;
    options.names = {"a.test", "www.a.test"};
    options.not_before = now_ - kDay;
    options.not_after = now_ + 89 * kDay;
    return options;
  }
  void Serve(const CertificateOptions& options) {
    const Issued leaf = ca_.LeafWith(options);
    Lineage(leaf.pem(), leaf.key_pem());
    Complete();
  }

  CheckReport Run(std::vector<std::string> names = {"a.test"}) {
    config::Config config = config_;
    config.certificates.trust_store = folder_ / "root.pem";
    config::Site site;
    site.names = std::move(names);
    config::CertificateSource source;
    source.path = folder_ / "live/a.test";
    site.certificates.push_back(source);
    site.standby = standby_;
    config.sites.push_back(site);
    return CheckCertificates(config, *files_, now_, state_dir_);
  }

  static std::vector<std::string> Codes(const CheckReport& report) {
    std::vector<std::string> codes;
    for (const Finding& finding : report.findings) codes.emplace_back(ToString(finding.code));
    return codes;
  }

  const TestCa ca_{"Check"};
  TempDir folder_;
  config::Config config_;
  std::string standby_, state_dir_;
  const WallTime now_ = std::chrono::system_clock::now();
  const std::unique_ptr<FileAccess> files_ = MakeDirectFileAccess();
};

TEST_F(Check, GoodLineageHasNothingToSay) {
  Serve(Options());
  const CheckReport report = Run({"a.test", "www.a.test"});
  EXPECT_THAT(report.findings, IsEmpty()) << CheckText(report, now_);
  EXPECT_EQ(report.worst(), Severity::kNote);
  ASSERT_EQ(report.certificates.size(), 1u);
  EXPECT_TRUE(report.certificates[0].is_chain_complete);
  EXPECT_EQ(report.certificates[0].chain.size(), 2u);
  EXPECT_THAT(CheckText(report, now_), HasSubstr("88 days left"));
}

TEST_F(Check, LeafAloneMissesItsIntermediate) {
  const Issued leaf = ca_.LeafWith(Options());
  Lineage(leaf.pem(), leaf.key_pem());
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report), ElementsAre("CHAIN_MISSING_INTERMEDIATE"));
  EXPECT_EQ(report.worst(), Severity::kBroken);
  EXPECT_THAT(report.findings[0].text, HasSubstr("CN=Check Intermediate"));
  EXPECT_EQ(report.findings[0].site, "a.test");
  EXPECT_THAT(report.findings[0].file, HasSubstr("live/a.test"));
}

TEST_F(Check, PoolCompletesTheChain) {
  const Issued leaf = ca_.LeafWith(Options());
  Lineage(leaf.pem(), leaf.key_pem());
  WriteFile(folder_ / "pool/intermediate.pem", ca_.intermediate().pem());
  config_.certificates.pool = {folder_ / "pool"};
  EXPECT_THAT(Run().findings, IsEmpty());
  config_.certificates.pool = {folder_ / "pool", folder_ / "nowhere"};
  EXPECT_THAT(Codes(Run()), ElementsAre("POOL_UNREADABLE"));
}

TEST_F(Check, WhatTheRunningProxyHasFetchedCompletesTheChainToo) {
  const Issued lower = genkan::testing::MakeIntermediate(
      ca_.intermediate(), {.common_name = "Lower", .ca_issuer_urls = {"http://ca.test/upper.crt"}});
  CertificateOptions options = Options();
  options.ca_issuer_urls = {"ldap://ca.test/lower", "http://ca.test/lower.crt"};
  const Issued leaf = genkan::testing::MakeLeaf(lower, options);
  Lineage(leaf.pem(), leaf.key_pem());
  state_dir_ = folder_ / "state";
  const std::string lower_file = state_dir_ + "/aia/" + IssuerFileOf("http://ca.test/lower.crt"),
                    upper_file = state_dir_ + "/aia/" + IssuerFileOf("http://ca.test/upper.crt");
  EXPECT_THAT(Codes(Run()), ElementsAre("CHAIN_MISSING_INTERMEDIATE"));
  WriteFile(lower_file, lower.certificate->der());
  EXPECT_THAT(Codes(Run()), ElementsAre("CHAIN_MISSING_INTERMEDIATE")) << "half of the way";
  WriteFile(upper_file, ca_.intermediate().certificate->der());
  const CheckReport report = Run();
  EXPECT_THAT(report.findings, IsEmpty()) << CheckText(report, now_);
  EXPECT_EQ(report.certificates[0].chain.size(), 3u);
  // Only what has signed it, and not where the proxy would not look either.
  WriteFile(upper_file, ca_.root().certificate->der());
  EXPECT_THAT(Codes(Run()), ElementsAre("CHAIN_MISSING_INTERMEDIATE"));
  WriteFile(upper_file, ca_.intermediate().certificate->der());
  config_.certificates.aia = false;
  EXPECT_THAT(Codes(Run()), ElementsAre("CHAIN_MISSING_INTERMEDIATE"));
}

TEST_F(Check, KeyOfAnotherCertificateDoesNotMatch) {
  CertificateOptions other = Options();
  other.key_label = "another key";
  Lineage(ca_.LeafWith(Options()).pem(), ca_.LeafWith(other).key_pem());
  Complete();
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report), ElementsAre("KEY_MISMATCH"));
  EXPECT_THAT(report.findings[0].text, HasSubstr("does not match"));
  EXPECT_EQ(report.worst(), Severity::kBroken);
  ASSERT_EQ(report.certificates.size(), 1u);
  EXPECT_FALSE(report.certificates[0].is_usable);
}

TEST_F(Check, MissingLineageIsUnreadable) {
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report), ElementsAre("CERTIFICATE_UNREADABLE"));
  EXPECT_EQ(report.worst(), Severity::kBroken);
}

TEST_F(Check, NamesOfTheSiteThatAreNotCoveredAreNamed) {
  Serve(Options());
  const CheckReport report = Run({"a.test", "shop.a.test", "*.a.test"});
  EXPECT_THAT(Codes(report), ElementsAre("NAME_MISMATCH", "NAME_MISMATCH"));
  EXPECT_THAT(report.findings[0].text, HasSubstr("does not cover shop.a.test"));
  EXPECT_THAT(report.findings[1].text, HasSubstr("does not cover *.a.test"));
  EXPECT_EQ(report.worst(), Severity::kBroken);
  EXPECT_THAT(Run({"*"}).findings, IsEmpty());
}

TEST_F(Check, DatesOfTheLeaf) {
  struct Case {
    int begins, ends;  // days from now
    std::vector<std::string> codes;
    Severity severity;
  };
  const Case cases[] = {
      {-100, -10, {"LEAF_EXPIRED"}, Severity::kBroken},
      {10, 100, {"LEAF_NOT_YET_VALID"}, Severity::kBroken},
      {-61, 29, {"LEAF_EXPIRES_SOON"}, Severity::kWillBreak},
      {-59, 31, {}, Severity::kNote},
      // Half of the life of a short one.
      {-4, 2, {"LEAF_EXPIRES_SOON"}, Severity::kWillBreak},
      {-2, 4, {}, Severity::kNote},
  };
  for (const Case& one : cases) {
    CertificateOptions options = Options();
    options.not_before = now_ + one.begins * kDay;
    options.not_after = now_ + one.ends * kDay;
    Serve(options);
    const CheckReport report = Run();
    EXPECT_EQ(Codes(report), one.codes) << one.begins << ".." << one.ends << "\n"
                                        << CheckText(report, now_);
    EXPECT_EQ(report.worst(), one.severity) << one.begins << ".." << one.ends;
  }
}

TEST_F(Check, MustStapleNeedsAResponder) {
  CertificateOptions options = Options();
  options.must_staple = true;
  Serve(options);
  EXPECT_THAT(Codes(Run()), ElementsAre("MUST_STAPLE_WITHOUT_RESPONDER"));
  options.ocsp_urls = {"http://127.0.0.1:1/"};
  Serve(options);
  EXPECT_THAT(Run().findings, IsEmpty());
  config_.ocsp.enabled = false;
  EXPECT_THAT(Codes(Run()), ElementsAre("MUST_STAPLE_OCSP_OFF"));
}

TEST_F(Check, WhatIsLeftOutIsSaidButIsNoFault) {
  const Issued leaf = ca_.LeafWith(Options());
  Lineage(leaf.pem(), leaf.key_pem());
  Complete();
  const TestCa stranger("Stranger");
  WriteFile(folder_ / "live/a.test/more.pem", ca_.root().pem() + stranger.intermediate().pem());
  // Every lineage holds each certificate twice.
  WriteFile(folder_ / "live/a.test/fullchain.pem", ca_.FullChainPem(leaf));
  const CheckReport report = Run();
  EXPECT_EQ(report.worst(), Severity::kNote) << CheckText(report, now_);
  std::string all;
  for (const Finding& finding : report.findings) {
    EXPECT_EQ(finding.code, FindingCode::kCertificateDropped) << finding.text;
    all += finding.text + "\n";
  }
  EXPECT_EQ(report.findings.size(), 2u) << all;
  EXPECT_THAT(all, HasSubstr("CN=Check Root"));
  EXPECT_THAT(all, HasSubstr("CN=Stranger Intermediate"));
}

TEST_F(Check, ExpiredIntermediateBreaksTheChain) {
  CertificateOptions options;
  options.common_name = "Old Intermediate";
  options.not_before = now_ - 100 * kDay;
  options.not_after = now_ - kDay;
  const Issued intermediate = MakeIntermediate(ca_.root(), options);
  const Issued leaf = MakeLeaf(intermediate, Options());
  Lineage(leaf.pem() + intermediate.pem(), leaf.key_pem());
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report),
              ElementsAre("CHAIN_EXPIRED_INTERMEDIATE", "CHAIN_MISSING_INTERMEDIATE"));
  EXPECT_EQ(report.worst(), Severity::kBroken);
}

TEST_F(Check, IntermediateThatEndsBeforeItsLeafWillBreak) {
  CertificateOptions options;
  options.common_name = "Short Intermediate";
  options.not_before = now_ - 100 * kDay;
  options.not_after = now_ + 5 * kDay;
  const Issued intermediate = MakeIntermediate(ca_.root(), options);
  const Issued leaf = MakeLeaf(intermediate, Options());
  Lineage(leaf.pem() + intermediate.pem(), leaf.key_pem());
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report), ElementsAre("CHAIN_INTERMEDIATE_EXPIRES_SOON"));
  EXPECT_EQ(report.worst(), Severity::kWillBreak);
}

TEST_F(Check, RootThatNoStoreHasIsReportedOnceAndIsNoError) {
  const TestCa own("Own");
  const Issued leaf = own.LeafWith(Options());
  Lineage(own.FullChainPem(leaf), leaf.key_pem());
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report), ElementsAre("ROOT_NOT_TRUSTED"));
  EXPECT_EQ(report.worst(), Severity::kNote);
  const Issued self = MakeSelfSignedLeaf(Options());
  Lineage(self.pem(), self.key_pem());
  EXPECT_THAT(Codes(Run()), ElementsAre("SELF_SIGNED"));
}

TEST_F(Check, ChainThatClientsRefuseIsBroken) {
  CertificateOptions options = Options();
  options.extended_key_usage = "clientAuth";
  Serve(options);
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report), ElementsAre("CHAIN_NOT_VERIFIED"));
  EXPECT_EQ(report.worst(), Severity::kBroken);
}

// What the running proxy was told stands in state_dir.
TEST_F(Check, RevocationThatWasStoredIsKnown) {
  CertificateOptions options = Options();
  options.ocsp_urls = {"http://127.0.0.1:1/"};
  const Issued leaf = ca_.LeafWith(options);
  Lineage(leaf.pem(), leaf.key_pem());
  Complete();
  state_dir_ = folder_ / "state";
  const std::string file = folder_ / ("state/ocsp/" + leaf.certificate->sha256_hex());
  WriteFile(file, genkan::testing::MakeOcspResponse(*leaf, ca_.intermediate()));
  EXPECT_THAT(Run().findings, IsEmpty());
  WriteFile(file, genkan::testing::MakeOcspResponse(*leaf, ca_.intermediate(),
                                                    {.state = V_OCSP_CERTSTATUS_REVOKED,
                                                     .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE}));
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report), ElementsAre("REVOKED"));
  EXPECT_EQ(report.worst(), Severity::kBroken);
  EXPECT_THAT(report.findings[0].text, HasSubstr("keyCompromise"));
  WriteFile(file, "half of a resp");
  EXPECT_THAT(Run().findings, IsEmpty());
}

TEST_F(Check, StandbyThatIsNotThereWillBreak) {
  Serve(Options());
  standby_ = folder_ / "standby";
  const CheckReport report = Run();
  EXPECT_THAT(Codes(report), ElementsAre("CERTIFICATE_UNREADABLE"));
  EXPECT_EQ(report.worst(), Severity::kWillBreak);
}

TEST_F(Check, TrustStoreThatCannotBeReadIsSaid) {
  Serve(Options());
  WriteFile(folder_ / "root.pem", "nothing");
  EXPECT_THAT(Codes(Run()), ElementsAre("TRUST_STORE_UNREADABLE"));
}

TEST_F(Check, JsonHasTheStableNames) {
  const Issued leaf = ca_.LeafWith(Options());
  Lineage(leaf.pem(), leaf.key_pem());
  const auto json = nlohmann::json::parse(CheckJson(Run()));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["result"], "broken");
  ASSERT_EQ(json["findings"].size(), 1u);
  const auto& finding = json["findings"][0];
  EXPECT_EQ(finding["code"], "CHAIN_MISSING_INTERMEDIATE");
  EXPECT_EQ(finding["severity"], "broken");
  EXPECT_EQ(finding["site"], "a.test");
  EXPECT_TRUE(finding["file"].is_string());
  EXPECT_TRUE(finding["text"].is_string());
  EXPECT_EQ(json["certificates"][0]["serial"], leaf.certificate->serial_hex());
  EXPECT_EQ(json["certificates"][0]["chain_complete"], false);
}

TEST_F(Check, ErrorsOfTheConfigurationAreFindings) {
  const CheckReport report = ReportOf({"genkan.toml:1:1: one", "genkan.toml:2:1: two"});
  EXPECT_THAT(Codes(report), ElementsAre("CONFIG_ERROR", "CONFIG_ERROR"));
  EXPECT_EQ(report.worst(), Severity::kBroken);
  EXPECT_THAT(CheckText(report, now_), HasSubstr("genkan.toml:2:1: two"));
}

}  // namespace
}  // namespace genkan::control
