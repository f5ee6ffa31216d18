#include "proxy/tls/ocsp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include "proxy/base/text.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::Issued;
using genkan::testing::KeyKind;
using genkan::testing::MakeOcspResponse;
using genkan::testing::OcspOptions;
using genkan::testing::TestCa;
using ::testing::HasSubstr;

const WallTime kNow = ManualClock().Wall();
constexpr auto kHour = std::chrono::hours(1);

class OcspTest : public ::testing::Test {
 protected:
  ~OcspTest() override { EXPECT_EQ(ERR_peek_error(), 0u); }

  // A response whose thisUpdate is an hour before kNow, unless the options say more.
  std::string Response(OcspOptions options = {}) const {
    if (!options.this_update) options.this_update = kNow - kHour;
    return MakeOcspResponse(*leaf_, issuer_, options);
  }
  Result<OcspAnswer> Verify(std::string_view der, WallTime now = kNow) const {
    return VerifyOcsp(der, *leaf_, *issuer_, now);
  }
  void ExpectRefused(std::string_view der, const char* why, WallTime now = kNow) const {
    const auto answer = Verify(der, now);
    ASSERT_FALSE(answer.has_value()) << why;
    EXPECT_THAT(answer.error().detail, HasSubstr(why));
    EXPECT_EQ(ERR_peek_error(), 0u) << why;
  }

  const TestCa ca_;
  const Issued issuer_ = ca_.intermediate();
  const Issued leaf_ = ca_.Leaf({"a.test"});
  const Issued other_ = ca_.Leaf({"other.test"});
  const Issued delegate_ = genkan::testing::MakeLeaf(
      issuer_, {.common_name = "OCSP signer", .extended_key_usage = "OCSPSigning"});
};

TEST_F(OcspTest, RequestNamesTheCertificate) {
  const auto der = MakeOcspRequest(*leaf_, *issuer_);
  ASSERT_TRUE(der.has_value());
  const auto* at = reinterpret_cast<const unsigned char*>(der->data());
  const OcspRequestPtr request(d2i_OCSP_REQUEST(nullptr, &at, static_cast<long>(der->size())));
  ASSERT_TRUE(request);
  ASSERT_EQ(OCSP_request_onereq_count(request.get()), 1);
  const OcspCertIdPtr expected(
      OCSP_cert_to_id(EVP_sha1(), leaf_.certificate->x509(), issuer_.certificate->x509()));
  EXPECT_EQ(
      OCSP_id_cmp(OCSP_onereq_get0_id(OCSP_request_onereq_get0(request.get(), 0)), expected.get()),
      0);
  EXPECT_LT(OCSP_REQUEST_get_ext_by_NID(request.get(), NID_id_pkix_OCSP_Nonce, -1), 0);
}

TEST_F(OcspTest, GetPathIsEncodedBase64) {
  EXPECT_EQ(OcspGetPath("\xfb\xff\xfe!"), "%2B%2F%2F%2BIQ%3D%3D");
}

TEST_F(OcspTest, Good) {
  const std::string der = Response();
  const auto answer = Verify(der);
  ASSERT_TRUE(answer.has_value()) << answer.error().detail;
  EXPECT_EQ(answer->state, OcspState::kGood);
  EXPECT_EQ(answer->staple.der, der);
  EXPECT_EQ(answer->staple.this_update, kNow - kHour);
  EXPECT_EQ(answer->staple.next_update, kNow - kHour + 168 * kHour);
}

TEST_F(OcspTest, RevokedSaysSinceWhenAndWhy) {
  const auto answer = Verify(Response({.state = V_OCSP_CERTSTATUS_REVOKED,
                                       .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE,
                                       .revoked_at = kNow - 48 * kHour}));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->state, OcspState::kRevoked);
  EXPECT_EQ(answer->revoked_at, kNow - 48 * kHour);
  EXPECT_EQ(answer->reason, "keyCompromise");
  EXPECT_EQ(Verify(Response({.state = V_OCSP_CERTSTATUS_REVOKED}))->reason, "");
}

TEST_F(OcspTest, UnknownIsAnAnswerToo) {
  const auto answer = Verify(Response({.state = V_OCSP_CERTSTATUS_UNKNOWN}));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->state, OcspState::kUnknown);
}

TEST_F(OcspTest, TakesSha256CertIdAndRsa) {
  EXPECT_TRUE(Verify(Response({.is_sha256_cert_id = true})).has_value());
  const TestCa rsa("Rsa", KeyKind::kRsa);
  const Issued leaf = rsa.Leaf({"a.test"}, KeyKind::kRsa);
  const std::string der =
      MakeOcspResponse(*leaf, rsa.intermediate(), {.this_update = kNow - kHour});
  EXPECT_TRUE(VerifyOcsp(der, *leaf, *rsa.intermediate(), kNow).has_value());
}

TEST_F(OcspTest, TakesADelegatedSigner) {
  EXPECT_TRUE(Verify(Response({.signer = &delegate_})).has_value());
}

TEST_F(OcspTest, TakesADelegatedSignerWithTheIssuersName) {
  const Issued namesake = genkan::testing::MakeLeaf(issuer_, {.common_name = "Test Intermediate",
                                                              .organization = "genkan tests",
                                                              .key_label = "delegate",
                                                              .extended_key_usage = "OCSPSigning"});
  EXPECT_TRUE(Verify(Response({.signer = &namesake})).has_value());
}

TEST_F(OcspTest, RefusesOtherSigners) {
  const Issued not_allowed = genkan::testing::MakeLeaf(issuer_, {.common_name = "no OCSPSigning"});
  const Issued of_the_root = genkan::testing::MakeLeaf(
      ca_.root(), {.common_name = "signer of the root", .extended_key_usage = "OCSPSigning"});
  const Issued expired = genkan::testing::MakeLeaf(issuer_, {.common_name = "expired signer",
                                                             .not_before = kNow - 999 * kHour,
                                                             .not_after = kNow - kHour,
                                                             .extended_key_usage = "OCSPSigning"});
  const Issued stranger = genkan::testing::MakeRoot({.common_name = "Stranger"});
  // An authority of the issuer's name and another key, and a signer of its own.
  const Issued impostor = genkan::testing::MakeRoot({.common_name = "Test Intermediate",
                                                     .organization = "genkan tests",
                                                     .key_label = "impostor",
                                                     .has_key_ids = false});
  const Issued of_impostor = genkan::testing::MakeLeaf(
      impostor,
      {.common_name = "signer", .extended_key_usage = "OCSPSigning", .has_key_ids = false});
  ExpectRefused(Response({.signer = &not_allowed}), "did not allow");
  ExpectRefused(Response({.signer = &of_the_root}), "did not allow");
  ExpectRefused(Response({.signer = &expired}), "did not allow");
  ExpectRefused(Response({.signer = &of_impostor}), "did not allow");
  ExpectRefused(Response({.signer = &stranger}), "did not allow");
  ExpectRefused(Response({.signer = &impostor}), "did not allow");
  ExpectRefused(Response({.signer = &leaf_}), "did not allow");
  ExpectRefused(Response({.signer = &delegate_, .sends_signer = false}), "unknown signer");
}

TEST_F(OcspTest, RefusesBadSignatures) {
  ExpectRefused(Response({.breaks_signature = true}), "bad signature");
  ExpectRefused(Response({.signer = &delegate_, .breaks_signature = true}), "bad signature");
  // Also where the issuer's own certificate comes along, as `openssl ocsp` sends it.
  EXPECT_TRUE(Verify(Response({.signer = &issuer_})).has_value());
  ExpectRefused(Response({.signer = &issuer_, .breaks_signature = true}), "bad signature");
}

TEST_F(OcspTest, RefusesOtherCertificates) {
  ExpectRefused(Response({.about = other_.certificate.get()}), "another certificate");
  // The same serial under another issuer is another certificate.
  const TestCa twin("Twin");
  const Issued same_serial = genkan::testing::MakeLeaf(
      twin.intermediate(), {.names = {"a.test"}, .serial = leaf_.options.serial});
  ExpectRefused(MakeOcspResponse(*same_serial, twin.intermediate(), {.this_update = kNow - kHour}),
                "another certificate");
}

TEST_F(OcspTest, RefusesWhatTheResponderRefuses) {
  for (const int status :
       {OCSP_RESPONSE_STATUS_TRYLATER, OCSP_RESPONSE_STATUS_UNAUTHORIZED,
        OCSP_RESPONSE_STATUS_MALFORMEDREQUEST, OCSP_RESPONSE_STATUS_INTERNALERROR}) {
    ExpectRefused(Response({.response_status = status}), "the OCSP responder says ");
  }
  ExpectRefused(Response({.response_status = OCSP_RESPONSE_STATUS_TRYLATER}), "trylater");
}

TEST_F(OcspTest, FreshnessAllowsFiveMinutesOfSkew) {
  const WallTime begin = kNow, end = kNow + 10 * kHour;
  const std::string der = Response({.this_update = begin, .next_update = end});
  EXPECT_TRUE(Verify(der, begin - Seconds(299)).has_value());
  ExpectRefused(der, "from the future", begin - Seconds(301));
  EXPECT_TRUE(Verify(der, end + Seconds(299)).has_value());
  ExpectRefused(der, "expired", end + Seconds(301));
  ExpectRefused(Response({.this_update = begin, .next_update = begin - kHour}), "bad nextUpdate");
}

TEST_F(OcspTest, WithoutNextUpdateLastsAnHour) {
  const std::string der = Response({.this_update = kNow, .has_next_update = false});
  ASSERT_TRUE(Verify(der).has_value());
  EXPECT_EQ(Verify(der)->staple.next_update, kNow + kHour);
  ExpectRefused(der, "expired", kNow + kHour + Seconds(301));
}

TEST_F(OcspTest, NeverLastsLongerThanTheLeaf) {
  const Issued leaf = ca_.LeafWith({.names = {"a.test"}, .not_after = kNow + kHour});
  const std::string der = MakeOcspResponse(*leaf, issuer_, {.this_update = kNow});
  const auto answer = VerifyOcsp(der, *leaf, *issuer_, kNow);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->staple.next_update, kNow + kHour);
}

TEST_F(OcspTest, RefusesGarbage) {
  const std::string der = Response();
  ExpectRefused("", "not an OCSP response");
  ExpectRefused("garbage", "not an OCSP response");
  ExpectRefused("<html>captive portal</html>", "not an OCSP response");
  ExpectRefused(der + "x", "1 bytes after");
  const std::string fat = Response({.padding = 65 * 1024});
  ASSERT_GT(fat.size(), 64u * 1024);
  ExpectRefused(fat, "bytes");
  EXPECT_TRUE(Verify(Response({.padding = 60 * 1024})).has_value());
  for (size_t size = 0; size < der.size(); ++size) {
    EXPECT_FALSE(Verify(std::string_view(der).substr(0, size)).has_value()) << size;
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

TEST_F(OcspTest, NoFlippedByteIsTakenForAnotherAnswer) {
  const std::string der = Response();
  for (size_t i = 0; i < der.size(); ++i) {
    std::string flipped = der;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x01);
    const auto answer = Verify(flipped);
    // A few bytes are not signed (the types around the signature); none may change what is said.
    if (answer) {
      EXPECT_EQ(answer->state, OcspState::kGood) << i;
      EXPECT_EQ(answer->staple.next_update, kNow + 167 * kHour) << i;
    }
  }
}

}  // namespace
}  // namespace genkan::tls
