#include "proxy/tls/demo_ca.h"

#include <gtest/gtest.h>

#include "proxy/tls/certificate_pool.h"
#include "proxy/tls/chain_builder.h"
#include "proxy/tls/ocsp.h"
#include "proxy/tls/trust_profile.h"

namespace genkan::tls {
namespace {

constexpr char kResponder[] = "http://127.0.0.1:8080/ocsp";
const WallTime kNow = WallTime(Seconds(1'800'000'000));

std::unique_ptr<DemoCa> MakeCa() {
  auto ca = DemoCa::Make(kNow);
  EXPECT_TRUE(ca) << ca.error().detail;
  return std::move(*ca);
}

TEST(DemoCa, LeafIsWhatItsFilesSay) {
  const auto ca = MakeCa();
  const auto leaf = ca->Issue({"localhost", "127.0.0.1", "::1"}, kResponder, kNow);
  ASSERT_TRUE(leaf) << leaf.error().detail;
  const CertificatePool pool = ReadPool(leaf->pem + leaf->key_pem, "leaf");
  ASSERT_EQ(pool.certificates.size(), 1u);
  ASSERT_EQ(pool.keys.size(), 1u);
  EXPECT_EQ(pool.certificates[0]->der(), leaf->certificate->der());
  EXPECT_EQ(FindLeaf(pool, *pool.keys[0], kNow), pool.certificates[0]);
  EXPECT_TRUE(leaf->certificate->Covers("localhost"));
  EXPECT_EQ(leaf->certificate->names(),
            (std::vector<std::string>{"localhost", "127.0.0.1", "::1"}));
  EXPECT_EQ(leaf->certificate->ocsp_urls(), (std::vector<std::string>{kResponder}));
}

TEST(DemoCa, ChainIsProvedByTheRootAlone) {
  const auto ca = MakeCa();
  const auto leaf = ca->Issue({"localhost"}, kResponder, kNow);
  ASSERT_TRUE(leaf);
  const Chain chain = ChainBuilder::Build(
      {leaf->certificate, {ca->intermediate(), ca->root()}, {ca->root()}, kNow, {}});
  EXPECT_TRUE(chain.is_complete);
  ASSERT_EQ(chain.certificates.size(), 2u);
  const auto profile = TrustProfile::Make(ModernProfile({ca->root()}));
  ASSERT_TRUE(profile);
  const Status proved = (*profile)->Prove(chain.certificates, kNow);
  EXPECT_TRUE(proved) << proved.error().detail;
  EXPECT_FALSE((*profile)->Prove({leaf->certificate}, kNow));
}

TEST(DemoCa, EachLeafHasItsOwnKeyAndSerial) {
  const auto ca = MakeCa();
  const auto first = ca->Issue({"localhost"}, "", kNow);
  const auto second = ca->Issue({"localhost"}, "", kNow);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->certificate->serial_hex(), second->certificate->serial_hex());
  EXPECT_NE(first->certificate->public_key(), second->certificate->public_key());
  EXPECT_TRUE(first->certificate->ocsp_urls().empty());
}

TEST(DemoCa, AnswersGoodForWhatItIssued) {
  const auto ca = MakeCa();
  const auto leaf = ca->Issue({"localhost"}, kResponder, kNow);
  ASSERT_TRUE(leaf);
  const auto request = MakeOcspRequest(*leaf->certificate, *ca->intermediate());
  ASSERT_TRUE(request);
  const auto response = ca->AnswerOcsp(*request, kNow);
  ASSERT_TRUE(response) << response.error().detail;
  const auto answer = VerifyOcsp(*response, *leaf->certificate, *ca->intermediate(), kNow);
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->state, OcspState::kGood);
  EXPECT_EQ(answer->staple.next_update, kNow + std::chrono::hours(24));
}

TEST(DemoCa, AnswersForNobodyElse) {
  const auto ca = MakeCa();
  const auto other = MakeCa();
  const auto leaf = other->Issue({"localhost"}, kResponder, kNow);
  ASSERT_TRUE(leaf);
  const auto request = MakeOcspRequest(*leaf->certificate, *other->intermediate());
  ASSERT_TRUE(request);
  const auto response = ca->AnswerOcsp(*request, kNow);
  ASSERT_TRUE(response);
  EXPECT_FALSE(VerifyOcsp(*response, *leaf->certificate, *other->intermediate(), kNow));

  // A serial of ours that was never issued: unknown, not good.
  const auto stranger = MakeOcspRequest(*leaf->certificate, *ca->intermediate());
  ASSERT_TRUE(stranger);
  const auto unknown = ca->AnswerOcsp(*stranger, kNow);
  ASSERT_TRUE(unknown);
  const auto answer = VerifyOcsp(*unknown, *leaf->certificate, *ca->intermediate(), kNow);
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->state, OcspState::kUnknown);
}

TEST(DemoCa, RefusesWhatIsNoRequest) {
  const auto ca = MakeCa();
  const auto leaf = ca->Issue({"localhost"}, kResponder, kNow);
  ASSERT_TRUE(leaf);
  for (const std::string_view junk : {std::string_view(), std::string_view("GET / HTTP/1.1")}) {
    const auto response = ca->AnswerOcsp(junk, kNow);
    ASSERT_TRUE(response);
    EXPECT_FALSE(VerifyOcsp(*response, *leaf->certificate, *ca->intermediate(), kNow));
  }
}

}  // namespace
}  // namespace genkan::tls
