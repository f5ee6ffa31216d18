#include "proxy/control/diagnosis/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::Issued;
using genkan::testing::MakeIntermediate;
using genkan::testing::MakeLeaf;
using genkan::testing::MakeRoot;
using genkan::testing::TestCa;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

const WallTime kNow = ManualClock().Wall();
constexpr auto kDay = std::chrono::hours(24);
using Certificates = std::vector<tls::CertificatePtr>;

CertificateOptions Fresh(std::vector<std::string> names) {
  CertificateOptions options;
  options.names = std::move(names);
  options.not_before = kNow - kDay;
  options.not_after = kNow + 89 * kDay;
  return options;
}

CertificateOptions Authority(std::string name, int begins = -999, int ends = 999) {
  CertificateOptions options;
  options.common_name = std::move(name);
  options.not_before = kNow + begins * kDay;
  options.not_after = kNow + ends * kDay;
  return options;
}

class DiagnosisTest : public ::testing::Test {
 protected:
  Diagnosis Look(Certificates sent, std::string host = "a.test") {
    served_.sent = std::move(sent);
    served_.host = std::move(host);
    auto diagnostician = Diagnostician::Make(roots_);
    EXPECT_TRUE(diagnostician.has_value());
    return diagnostician->Diagnose(served_, kNow);
  }
  static std::vector<std::string> Codes(const Diagnosis& diagnosis) {
    std::vector<std::string> codes;
    for (const Finding& finding : diagnosis.findings) codes.emplace_back(ToString(finding.code));
    return codes;
  }
  static std::vector<std::string> ThoseThatFail(const Finding& finding) {
    std::vector<std::string> clients;
    for (const ClientFailure& one : finding.clients) clients.push_back(one.client);
    return clients;
  }
  static std::string SaidBy(const Finding& finding, std::string_view program) {
    for (const ClientFailure& one : finding.clients) {
      for (const ClientMessage& message : one.messages) {
        if (message.program == program) return message.text;
      }
    }
    return {};
  }

  Issued root_ = MakeRoot(Authority("Diagnosis Root"));
  Issued middle_ = MakeIntermediate(root_, Authority("Diagnosis Intermediate"));
  Issued leaf_ = MakeLeaf(middle_, Fresh({"a.test"}));
  Certificates roots_ = {root_.certificate};
  Served served_;
};

TEST_F(DiagnosisTest, GoodServerHasNothingToSay) {
  const Diagnosis diagnosis = Look({leaf_.certificate, middle_.certificate});
  EXPECT_THAT(Codes(diagnosis), IsEmpty());
  EXPECT_TRUE(diagnosis.is_chain_complete);
  ASSERT_EQ(diagnosis.verdicts.size(), 6u);
  for (const ClientVerdict& verdict : diagnosis.verdicts)
    EXPECT_TRUE(verdict.is_accepted) << verdict.client << ": " << verdict.reason;
}

// The story of the customer who installed the leaf alone.
TEST_F(DiagnosisTest, LeafAloneIsRefusedByAllButBrowsersThatFetch) {
  const Diagnosis alone = Look({leaf_.certificate});
  ASSERT_THAT(Codes(alone), ElementsAre("CHAIN_MISSING_INTERMEDIATE"));
  EXPECT_THAT(ThoseThatFail(alone.findings[0]), Contains("modern"));
  CertificateOptions with_url = Fresh({"a.test"});
  with_url.ca_issuer_urls = {"http://127.0.0.1/i.der"};
  const Issued fetched = MakeLeaf(middle_, with_url);
  const Diagnosis diagnosis = Look({fetched.certificate});
  ASSERT_THAT(Codes(diagnosis), ElementsAre("CHAIN_MISSING_INTERMEDIATE"));
  const Finding& finding = diagnosis.findings[0];
  EXPECT_EQ(finding.severity, Severity::kBroken);
  EXPECT_EQ(finding.facts.issuer, "CN=Diagnosis Intermediate");
  EXPECT_EQ(finding.facts.url, "http://127.0.0.1/i.der");
  EXPECT_THAT(ThoseThatFail(finding), Not(Contains("modern")));
  EXPECT_THAT(ThoseThatFail(finding), Contains("no_aia"));
  EXPECT_EQ(SaidBy(finding, "curl"),
            "curl: (60) SSL certificate problem: unable to get local issuer certificate");
  EXPECT_EQ(SaidBy(finding, "openssl s_client"),
            "Verify return code: 21 (unable to verify the first certificate)");
}

TEST_F(DiagnosisTest, OrderMattersToTheStrict) {
  const Issued lower = MakeIntermediate(middle_, Authority("Lower"));
  const Issued leaf = MakeLeaf(lower, Fresh({"a.test"}));
  EXPECT_THAT(Codes(Look({leaf.certificate, lower.certificate, middle_.certificate})), IsEmpty());
  const Diagnosis diagnosis = Look({leaf.certificate, middle_.certificate, lower.certificate});
  ASSERT_THAT(Codes(diagnosis), ElementsAre("CHAIN_ORDER"));
  EXPECT_EQ(diagnosis.findings[0].severity, Severity::kWillBreak);
  EXPECT_THAT(ThoseThatFail(diagnosis.findings[0]), ElementsAre("strict_order"));
  EXPECT_EQ(diagnosis.chain.size(), 3u);
  // The root before the intermediate is out of order too.
  EXPECT_THAT(Codes(Look({leaf_.certificate, root_.certificate, middle_.certificate})),
              UnorderedElementsAre("CHAIN_ORDER", "CHAIN_ROOT_SENT"));
}

TEST_F(DiagnosisTest, RootThatIsSentIsNoted) {
  const Diagnosis diagnosis = Look({leaf_.certificate, middle_.certificate, root_.certificate});
  ASSERT_THAT(Codes(diagnosis), ElementsAre("CHAIN_ROOT_SENT"));
  EXPECT_EQ(diagnosis.findings[0].severity, Severity::kNote);
  EXPECT_THAT(diagnosis.findings[0].clients, IsEmpty());
}

TEST_F(DiagnosisTest, DuplicateInTheWayWillBreakAndBehindIsWaste) {
  const Diagnosis before = Look({leaf_.certificate, leaf_.certificate, middle_.certificate});
  ASSERT_THAT(Codes(before), ElementsAre("CHAIN_DUPLICATE"));
  EXPECT_EQ(before.findings[0].severity, Severity::kWillBreak);
  const Diagnosis behind = Look({leaf_.certificate, middle_.certificate, middle_.certificate});
  ASSERT_THAT(Codes(behind), ElementsAre("CHAIN_DUPLICATE"));
  EXPECT_EQ(behind.findings[0].severity, Severity::kNote);
}

TEST_F(DiagnosisTest, StrangerIsNamed) {
  const TestCa other("Other");
  const Diagnosis diagnosis =
      Look({leaf_.certificate, other.intermediate().certificate, middle_.certificate});
  ASSERT_THAT(Codes(diagnosis), ElementsAre("CHAIN_UNRELATED"));
  EXPECT_THAT(diagnosis.findings[0].facts.subject, HasSubstr("CN=Other Intermediate"));
}

TEST_F(DiagnosisTest, ExpiredIntermediate) {
  const Issued old = MakeIntermediate(root_, Authority("Old", -999, -3));
  const Issued leaf = MakeLeaf(old, Fresh({"a.test"}));
  const Diagnosis diagnosis = Look({leaf.certificate, old.certificate});
  ASSERT_THAT(Codes(diagnosis), ElementsAre("CHAIN_EXPIRED_INTERMEDIATE"));
  EXPECT_EQ(diagnosis.findings[0].severity, Severity::kBroken);
  EXPECT_EQ(diagnosis.findings[0].facts.when, kNow - 3 * kDay);
  EXPECT_THAT(SaidBy(diagnosis.findings[0], "curl"), HasSubstr("certificate has expired"));
  // Its successor of the same name and key beside it: only in the way.
  const Issued renewed = MakeIntermediate(root_, Authority("Old"));
  const Diagnosis both = Look({leaf.certificate, renewed.certificate, old.certificate});
  ASSERT_THAT(Codes(both), ElementsAre("CHAIN_EXPIRED_INTERMEDIATE"));
  EXPECT_EQ(both.findings[0].severity, Severity::kWillBreak);
}

// The story of the autumn of 2021: DST Root CA X3.
TEST_F(DiagnosisTest, CrossSignThatOnlyLeadsToAnExpiredRoot) {
  const Issued dst = MakeRoot(Authority("DST Root CA X3", -999, -1));
  const Issued x1 = MakeRoot(Authority("ISRG Root X1"));
  const Issued x1_by_dst = MakeIntermediate(dst, Authority("ISRG Root X1"));
  const Issued r3 = MakeIntermediate(x1, Authority("R3"));
  const Issued leaf = MakeLeaf(r3, Fresh({"a.test"}));
  const Certificates sent = {leaf.certificate, r3.certificate, x1_by_dst.certificate};
  for (const bool has_expired_root : {true, false}) {
    roots_ = {x1.certificate};
    if (has_expired_root) roots_.push_back(dst.certificate);
    const Diagnosis diagnosis = Look(sent);
    ASSERT_THAT(Codes(diagnosis), ElementsAre("CHAIN_EXPIRED_CROSS_SIGN")) << has_expired_root;
    const Finding& finding = diagnosis.findings[0];
    EXPECT_EQ(finding.facts.subject, "CN=ISRG Root X1");
    EXPECT_EQ(finding.facts.issuer, "CN=DST Root CA X3");
    EXPECT_THAT(ThoseThatFail(finding), UnorderedElementsAre("openssl_1_0", "gnutls_2020"));
    if (has_expired_root) {
      EXPECT_EQ(SaidBy(finding, "openssl s_client"),
                "Verify return code: 10 (certificate has expired)");
      EXPECT_EQ(SaidBy(finding, "wget"), "Issued certificate has expired.");
    }
    EXPECT_EQ(diagnosis.chain.size(), 2u);
    EXPECT_THAT(Codes(Look({leaf.certificate, r3.certificate})), IsEmpty());
  }
}

TEST_F(DiagnosisTest, CrossSignThatIsExpiredItself) {
  const Issued dst = MakeRoot(Authority("Elder Root"));
  const Issued x1 = MakeRoot(Authority("Younger Root"));
  const Issued x1_by_dst = MakeIntermediate(dst, Authority("Younger Root", -999, -2));
  const Issued r3 = MakeIntermediate(x1, Authority("R3"));
  const Issued leaf = MakeLeaf(r3, Fresh({"a.test"}));
  roots_ = {x1.certificate, dst.certificate};
  const Diagnosis diagnosis = Look({leaf.certificate, r3.certificate, x1_by_dst.certificate});
  ASSERT_THAT(Codes(diagnosis), ElementsAre("CHAIN_EXPIRED_CROSS_SIGN"));
  EXPECT_EQ(diagnosis.findings[0].facts.when, kNow - 2 * kDay);
}

// Four on the wire are right where the root is young.
TEST_F(DiagnosisTest, CrossSignsThatLeadToGoodRootsAreFine) {
  const Issued x1 = MakeRoot(Authority("Root X1"));
  const Issued x2 = MakeRoot(Authority("Root X2"));
  const Issued x2_by_x1 = MakeIntermediate(x1, Authority("Root X2"));
  const Issued ye_by_x2 = MakeIntermediate(x2, Authority("Root YE"));
  const Issued ye1 = MakeIntermediate(ye_by_x2, Authority("YE1"));
  const Issued leaf = MakeLeaf(ye1, Fresh({"a.test"}));
  const Certificates sent = {leaf.certificate, ye1.certificate, ye_by_x2.certificate,
                             x2_by_x1.certificate};
  for (const Certificates& roots : {Certificates{x1.certificate}, Certificates{x2.certificate},
                                    Certificates{x1.certificate, x2.certificate}}) {
    roots_ = roots;
    EXPECT_THAT(Codes(Look(sent)), IsEmpty());
  }
}

TEST_F(DiagnosisTest, DatesOfTheLeaf) {
  const struct {
    int begins, ends;
    const char* code;
  } cases[] = {
      {-100, -10, "LEAF_EXPIRED"},    {10, 100, "LEAF_NOT_YET_VALID"},
      {-61, 29, "LEAF_EXPIRES_SOON"}, {-59, 31, ""},
      {-4, 2, "LEAF_EXPIRES_SOON"},   {-2, 4, ""},
  };
  for (const auto& c : cases) {
    CertificateOptions options = Fresh({"a.test"});
    options.not_before = kNow + c.begins * kDay;
    options.not_after = kNow + c.ends * kDay;
    const Issued leaf = MakeLeaf(middle_, options);
    const Diagnosis diagnosis = Look({leaf.certificate, middle_.certificate});
    std::string all;
    for (const auto& code : Codes(diagnosis)) all += code;
    EXPECT_EQ(all, c.code) << c.begins << ".." << c.ends;
  }
}

TEST_F(DiagnosisTest, ExpiredAndAloneAreTwoFindings) {
  CertificateOptions options = Fresh({"a.test"});
  options.not_before = kNow - 99 * kDay;
  options.not_after = kNow - 9 * kDay;
  const Issued leaf = MakeLeaf(middle_, options);
  EXPECT_THAT(Codes(Look({leaf.certificate})),
              UnorderedElementsAre("LEAF_EXPIRED", "CHAIN_MISSING_INTERMEDIATE"));
}

TEST_F(DiagnosisTest, NameThatIsNotCovered) {
  const Diagnosis diagnosis = Look({leaf_.certificate, middle_.certificate}, "b.test");
  ASSERT_THAT(Codes(diagnosis), ElementsAre("NAME_MISMATCH"));
  const Finding& finding = diagnosis.findings[0];
  EXPECT_THAT(CauseOf(finding.code, finding.facts, Language::kEnglish),
              HasSubstr("does not cover b.test. It is for a.test"));
  EXPECT_THAT(SaidBy(finding, "curl"), HasSubstr("target host name 'b.test'"));
  EXPECT_THAT(Codes(Look({leaf_.certificate, middle_.certificate}, "")), IsEmpty());
}

TEST_F(DiagnosisTest, NameInTheSubjectAloneIsRefusedByBrowsers) {
  CertificateOptions options = Fresh({});
  options.common_name = "a.test";
  const Issued leaf = MakeLeaf(middle_, options);
  const Diagnosis diagnosis = Look({leaf.certificate, middle_.certificate});
  ASSERT_THAT(Codes(diagnosis), ElementsAre("NAME_NOT_IN_SAN"));
  EXPECT_THAT(ThoseThatFail(diagnosis.findings[0]), ElementsAre("modern"));
}

TEST_F(DiagnosisTest, RootsThatNobodyHas) {
  roots_ = {MakeRoot(Authority("Another")).certificate};
  EXPECT_THAT(Codes(Look({leaf_.certificate, middle_.certificate})),
              ElementsAre("ROOT_NOT_TRUSTED"));
  EXPECT_THAT(Codes(Look({leaf_.certificate, middle_.certificate, root_.certificate})),
              ElementsAre("ROOT_NOT_TRUSTED", "CHAIN_ROOT_SENT"));
  const Issued self = genkan::testing::MakeSelfSignedLeaf(Fresh({"a.test"}));
  EXPECT_THAT(Codes(Look({self.certificate})), ElementsAre("SELF_SIGNED"));
  roots_ = {self.certificate};
  EXPECT_THAT(Codes(Look({self.certificate})), IsEmpty());
}

TEST_F(DiagnosisTest, WhatClientsRefuseForAnotherReason) {
  CertificateOptions options = Fresh({"a.test"});
  options.extended_key_usage = "clientAuth";
  const Issued leaf = MakeLeaf(middle_, options);
  const Diagnosis diagnosis = Look({leaf.certificate, middle_.certificate});
  ASSERT_THAT(Codes(diagnosis), ElementsAre("CHAIN_NOT_VERIFIED"));
  EXPECT_THAT(diagnosis.findings[0].facts.detail, HasSubstr("purpose"));
}

TEST_F(DiagnosisTest, MustStapleAndRevocation) {
  CertificateOptions options = Fresh({"a.test"});
  options.must_staple = true;
  const Issued bare = MakeLeaf(middle_, options);
  served_.is_staple_expected = true;
  EXPECT_THAT(Codes(Look({bare.certificate, middle_.certificate})),
              ElementsAre("MUST_STAPLE_WITHOUT_RESPONDER"));
  options.ocsp_urls = {"http://127.0.0.1:1/"};
  const Issued leaf = MakeLeaf(middle_, options);
  const Certificates sent = {leaf.certificate, middle_.certificate};
  EXPECT_THAT(Codes(Look(sent)), ElementsAre("MUST_STAPLE_WITHOUT_STAPLE"));
  served_.has_good_staple = true;
  EXPECT_THAT(Codes(Look(sent)), IsEmpty());
  served_.has_good_staple = false;
  served_.is_staple_expected = false;  // files
  EXPECT_THAT(Codes(Look(sent)), IsEmpty());
  served_.revocation = {true, "crl", "keyCompromise", kNow - kDay};
  const Diagnosis diagnosis = Look(sent);
  ASSERT_THAT(Codes(diagnosis), ElementsAre("REVOKED"));
  EXPECT_EQ(diagnosis.findings[0].facts.detail, "keyCompromise, crl");
  EXPECT_EQ(SaidBy(diagnosis.findings[0], "Chrome, Edge"), "NET::ERR_CERT_REVOKED");
  served_.revocation.reset();
  served_.staple_problem = "expired";
  EXPECT_THAT(Codes(Look(sent)), ElementsAre("STAPLE_INVALID"));
}

TEST_F(DiagnosisTest, IntermediateThatEndsFirst) {
  const Issued brief = MakeIntermediate(root_, Authority("Brief", -999, 5));
  const Issued leaf = MakeLeaf(brief, Fresh({"a.test"}));
  EXPECT_THAT(Codes(Look({leaf.certificate, brief.certificate})),
              ElementsAre("CHAIN_INTERMEDIATE_EXPIRES_SOON"));
}

TEST_F(DiagnosisTest, ManyCertificatesAreBoundedAndSaid) {
  Certificates sent = {leaf_.certificate, middle_.certificate};
  for (int i = 0; i < 200; ++i) {
    CertificateOptions options = Authority("Diagnosis Root");
    options.key_label = "mesh";
    options.serial = 1000 + static_cast<uint64_t>(i);
    sent.push_back(MakeIntermediate(middle_, options).certificate);
  }
  const Diagnosis diagnosis = Look(sent);
  EXPECT_THAT(Codes(diagnosis), Contains("CHAIN_TOO_LONG"));
  EXPECT_THAT(Look({}).findings, IsEmpty());
}

TEST(Findings, EachHasItsWordsInBothLanguages) {
  FindingFacts facts{"host.test", "CN=subject", "CN=issuer", "a, b", "http://url/", "detail", kNow};
  std::set<std::string_view> names;
  for (const FindingCode code : AllFindingCodes()) {
    EXPECT_TRUE(names.insert(ToString(code)).second) << ToString(code);
    EXPECT_NE(TitleOf(code, Language::kEnglish), TitleOf(code, Language::kJapanese));
    for (const Language language : {Language::kEnglish, Language::kJapanese}) {
      EXPECT_FALSE(CauseOf(code, facts, language).empty()) << ToString(code);
      EXPECT_THAT(CauseOf(code, {}, language), Not(HasSubstr("{"))) << ToString(code);
    }
  }
  EXPECT_EQ(names.size(), AllFindingCodes().size());
  EXPECT_EQ(DayOf(WallTime(Seconds(1633010475)), Language::kEnglish), "2021-09-30");
  EXPECT_EQ(DayOf(WallTime(Seconds(1633010475)), Language::kJapanese), "2021年9月30日");
}

TEST(Printable, KeepsTextAndShowsWhatWouldMoveTheCursor) {
  EXPECT_EQ(Printable("CN=例え, é"), "CN=例え, é");
  EXPECT_EQ(Printable("a\x1b[2Jb\n"), "a\\x1b[2Jb\\x0a");
  EXPECT_EQ(Printable("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
  EXPECT_EQ(Printable("\xc2\x9b"), "\\xc2\\x9b");                 // CSI as one byte
  EXPECT_EQ(Printable("x\xe2\x80\xae y"), "x\\xe2\\x80\\xae y");  // right-to-left override
  EXPECT_LE(Printable(std::string(100'000, 'x')).size(), 203u);
}

}  // namespace
}  // namespace genkan::control
