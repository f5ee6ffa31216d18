#include "proxy/tls/crl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include "proxy/base/text.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::CrlOptions;
using genkan::testing::Issued;
using genkan::testing::KeyKind;
using genkan::testing::MakeCrl;
using genkan::testing::MakeIntermediate;
using genkan::testing::MakeLeaf;
using genkan::testing::TestCa;
using ::testing::HasSubstr;

const WallTime kNow = ManualClock().Wall();
constexpr auto kHour = std::chrono::hours(1);
constexpr const char* kUrl = "http://crl.test/1.crl";

class CrlTest : public ::testing::Test {
 protected:
  ~CrlTest() override { EXPECT_EQ(ERR_peek_error(), 0u); }

  std::string List(CrlOptions options = {}) const {
    if (!options.this_update) options.this_update = kNow - kHour;
    return MakeCrl(issuer_, options);
  }
  Result<CrlAnswer> LookUp(std::string_view crl, WallTime now = kNow) const {
    return LookUpInCrl(crl, *leaf_, *issuer_, now);
  }
  void ExpectRefused(std::string_view crl, const char* why, WallTime now = kNow) const {
    const auto answer = LookUp(crl, now);
    ASSERT_FALSE(answer.has_value()) << why;
    EXPECT_THAT(answer.error().detail, HasSubstr(why));
  }

  const TestCa ca_;
  const Issued issuer_ = ca_.intermediate();
  const Issued leaf_ =
      ca_.LeafWith({.names = {"a.test"}, .crl_urls = {kUrl}, .serial = 0xfedcba98});
};

TEST_F(CrlTest, FindsTheCertificateWithDateAndReason) {
  const auto answer = LookUp(List({.revoked = {
                                       {"01", kNow - 9 * kHour},
                                       {leaf_.certificate->serial_hex(), kNow - 5 * kHour, 1},
                                       {"FFFFFFFFFFFFFFFFFFFF", kNow - 9 * kHour, 4},
                                   }}));
  ASSERT_TRUE(answer.has_value()) << answer.error().detail;
  EXPECT_TRUE(answer->is_revoked);
  EXPECT_EQ(answer->revoked_at, kNow - 5 * kHour);
  EXPECT_EQ(answer->reason, "keyCompromise");
  EXPECT_EQ(answer->entries, 3u);
  EXPECT_EQ(answer->this_update, kNow - kHour);
  EXPECT_EQ(answer->next_update, kNow + 167 * kHour);
}

TEST_F(CrlTest, SaysGoodWhereItIsNotListed) {
  EXPECT_FALSE(LookUp(List())->is_revoked);
  EXPECT_FALSE(LookUp(List({.revoked = {{"FEDCBA9801", kNow}, {"DCBA98", kNow}}}))->is_revoked);
}

TEST_F(CrlTest, RevokedWithoutReason) {
  const auto answer = LookUp(List({.revoked = {{leaf_.certificate->serial_hex(), kNow}}}));
  EXPECT_TRUE(answer->is_revoked);
  EXPECT_EQ(answer->reason, "");
}

TEST_F(CrlTest, TakesPem) {
  const std::string der = List();
  EXPECT_TRUE(LookUp("-----BEGIN X509 CRL-----\r\n" + Base64Encode(AsBytes(der)) +
                     "\r\n-----END X509 CRL-----\r\n")
                  .has_value());
  ExpectRefused("-----BEGIN X509 CRL-----\nAAAA\n", "not a CRL");
}

TEST_F(CrlTest, TakesOtherKeys) {
  for (const KeyKind kind : {KeyKind::kRsa, KeyKind::kEd25519}) {
    const TestCa ca("Other", kind);
    const Issued leaf = ca.Leaf({"a.test"});
    const std::string crl =
        MakeCrl(ca.intermediate(),
                {.this_update = kNow, .revoked = {{leaf.certificate->serial_hex(), kNow}}});
    const auto answer = LookUpInCrl(crl, *leaf, *ca.intermediate(), kNow);
    ASSERT_TRUE(answer.has_value()) << answer.error().detail;
    EXPECT_TRUE(answer->is_revoked);
    std::string broken = crl;
    broken.back() = static_cast<char>(broken.back() ^ 1);
    EXPECT_FALSE(LookUpInCrl(broken, *leaf, *ca.intermediate(), kNow).has_value());
  }
}

TEST_F(CrlTest, RefusesOtherIssuers) {
  ExpectRefused(MakeCrl(ca_.root(), {.this_update = kNow}), "another issuer");
  CertificateOptions options = issuer_.options;
  options.key_label = "impostor";
  const Issued impostor = MakeIntermediate(ca_.root(), options);
  ExpectRefused(MakeCrl(impostor, {.this_update = kNow}), "bad signature");
  const TestCa twin("Twin");
  const auto foreign = LookUpInCrl(MakeCrl(twin.intermediate(), {.this_update = kNow}),
                                   *leaf_, *twin.intermediate(), kNow);
  EXPECT_FALSE(foreign.has_value());
}

TEST_F(CrlTest, RefusesAnIssuerThatMaySignNone) {
  CertificateOptions options = issuer_.options;
  options.key_usage = "critical,keyCertSign";
  const Issued issuer = MakeIntermediate(ca_.root(), options);
  const auto answer = LookUpInCrl(List(), *leaf_, *issuer, kNow);
  ASSERT_FALSE(answer.has_value());
  EXPECT_THAT(answer.error().detail, HasSubstr("may not sign"));
}

TEST_F(CrlTest, ChecksTheIssuingDistributionPoint) {
  const struct {
    std::string point;
    const char* refusal;  // nullptr: taken
  } cases[] = {
      {"critical,onlyuser:TRUE", nullptr},
      {std::string("critical,fullname:URI:") + kUrl, nullptr},
      {std::string("critical,onlyuser:TRUE,fullname:URI:") + kUrl, nullptr},
      {"critical,fullname:URI:http://crl.test/2.crl", "another distribution point"},
      {"critical,onlyCA:TRUE", "other kinds"},
      {"critical,onlyAA:TRUE", "other kinds"},
      {"critical,indirectCRL:TRUE", "indirect"},
      {"critical,onlysomereasons:keyCompromise", "some reasons"},
  };
  for (const auto& c : cases) {
    const std::string crl = List({.distribution_point = c.point});
    if (c.refusal != nullptr) {
      ExpectRefused(crl, c.refusal);
    } else {
      EXPECT_TRUE(LookUp(crl).has_value()) << c.point;
    }
  }
}

TEST_F(CrlTest, FreshnessAllowsFiveMinutesOfSkew) {
  const std::string crl = List({.this_update = kNow, .next_update = kNow + kHour});
  EXPECT_TRUE(LookUp(crl, kNow - Seconds(299)).has_value());
  ExpectRefused(crl, "from the future", kNow - Seconds(301));
  EXPECT_TRUE(LookUp(crl, kNow + kHour + Seconds(299)).has_value());
  ExpectRefused(crl, "expired", kNow + kHour + Seconds(301));
  const std::string endless = List({.this_update = kNow, .has_next_update = false});
  EXPECT_EQ(LookUp(endless)->next_update, kNow + 24 * kHour);
}

TEST_F(CrlTest, RefusesGarbageAndEveryCut) {
  ExpectRefused("", "not a CRL");
  ExpectRefused("<html>", "not a CRL");
  const std::string crl = List({.revoked = {{leaf_.certificate->serial_hex(), kNow, 1}}});
  ExpectRefused(crl + "x", "not a CRL");
  for (size_t size = 0; size < crl.size(); ++size) {
    EXPECT_FALSE(LookUp(std::string_view(crl).substr(0, size)).has_value()) << size;
  }
  for (size_t i = 0; i < crl.size(); ++i) {
    std::string flipped = crl;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
    const auto answer = LookUp(flipped);
    EXPECT_FALSE(answer.has_value() && !answer->is_revoked) << i;
  }
}

TEST_F(CrlTest, AThousandEntriesAreWalked) {
  CrlOptions options;
  for (int i = 1; i <= 1000; ++i) {
    options.revoked.push_back({fmt::format("{:06X}", i), kNow - kHour, i % 2 == 0 ? 1 : -1});
  }
  options.revoked.push_back({leaf_.certificate->serial_hex(), kNow - kHour});
  const auto answer = LookUp(List(options));
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(answer->is_revoked);
  EXPECT_EQ(answer->entries, 1001u);
}

TEST_F(CrlTest, ManyAreLookedUpInOneWalkEachWithItsOwnAnswer) {
  const Issued other = ca_.LeafWith({.names = {"b.test"}, .crl_urls = {kUrl}, .serial = 77});
  const Issued elsewhere =
      ca_.LeafWith({.names = {"c.test"}, .crl_urls = {"http://crl.test/2.crl"}, .serial = 78});
  const std::vector<const Certificate*> leaves = {leaf_.certificate.get(), other.certificate.get(),
                                                  elsewhere.certificate.get(),
                                                  other.certificate.get()};
  const auto answers =
      LookUpAllInCrl(List({.revoked = {{"4D", kNow - 2 * kHour, 4}, {"4E", kNow - 3 * kHour}},
                           .distribution_point = std::string("critical,fullname:URI:") + kUrl}),
                     leaves, *issuer_, kNow);
  ASSERT_EQ(answers.size(), 4u);
  ASSERT_TRUE(answers[0] && answers[1] && answers[3]);
  EXPECT_FALSE(answers[0]->is_revoked);
  EXPECT_TRUE(answers[1]->is_revoked && answers[3]->is_revoked);
  EXPECT_EQ(answers[3]->reason, "superseded");
  EXPECT_FALSE(answers[2]) << "its shard is another one";
  const auto refused = LookUpAllInCrl("junk", leaves, *issuer_, kNow);
  ASSERT_EQ(refused.size(), 4u);
  for (const auto& answer : refused) EXPECT_FALSE(answer);
}

}  // namespace
}  // namespace genkan::tls
