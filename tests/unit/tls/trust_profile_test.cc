#include "proxy/tls/trust_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include "proxy/tls/chain_builder.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::Issued;
using genkan::testing::MakeIntermediate;
using genkan::testing::MakeLeaf;
using genkan::testing::MakeRoot;
using ::testing::HasSubstr;

const WallTime kNow = ManualClock().Wall();
constexpr auto kDay = std::chrono::hours(24);
using Certificates = std::vector<CertificatePtr>;

TrustProfilePtr Profile(TrustProfileOptions options) {
  auto profile = TrustProfile::Make(std::move(options));
  EXPECT_TRUE(profile.has_value());
  return *profile;
}

// "" for yes.
std::string Refusal(const TrustProfilePtr& profile, const Certificates& chain) {
  const Status status = profile->Prove(chain, kNow);
  EXPECT_EQ(ERR_peek_error(), 0u);
  return status ? "" : status.error().detail;
}

struct DstRoot {
  Issued dst = MakeRoot(
      {.common_name = "DST Root CA X3", .not_before = kNow - 999 * kDay, .not_after = kNow - kDay});
  Issued x1 = MakeRoot({.common_name = "ISRG Root X1"});
  Issued x1_by_dst = MakeIntermediate(dst, {.common_name = "ISRG Root X1"});
  Issued r3 = MakeIntermediate(x1, {.common_name = "R3"});
  Issued leaf = MakeLeaf(r3, {.names = {"a.test"}});
  Certificates both = {x1.certificate, dst.certificate};
  Certificates short_chain = {leaf.certificate, r3.certificate};
  Certificates long_chain = {leaf.certificate, r3.certificate, x1_by_dst.certificate};
};

TEST(TrustProfile, ClientsDifferOverTheExpiredRoot) {
  const DstRoot t;
  const struct {
    TrustProfileOptions options;
    const char* short_refusal;
    const char* long_refusal;
  } cases[] = {
      {ModernProfile(t.both), "", ""},
      {OpenSsl10Profile(t.both), "", "DST Root CA X3: certificate has expired"},
      {OpenSsl10Profile({t.x1.certificate}), "", "unable to get local issuer certificate"},
      {GnuTls2020Profile(t.both), "", "certificate has expired"},
      {OldAndroidProfile({t.dst.certificate}), "unable to get local issuer certificate", ""},
      {ModernProfile({t.dst.certificate}), "unable to get local issuer", "certificate has expired"},
  };
  for (const auto& c : cases) {
    const TrustProfilePtr profile = Profile(c.options);
    const auto check = [&](const Certificates& chain, std::string_view refusal) {
      const std::string got = Refusal(profile, chain);
      EXPECT_EQ(got.empty(), refusal.empty()) << profile->name() << ": " << got;
      EXPECT_THAT(got, HasSubstr(refusal));
      EXPECT_TRUE(got.empty() || got.starts_with(profile->name())) << got;
    };
    check(t.short_chain, c.short_refusal);
    check(t.long_chain, c.long_refusal);
  }
}

TEST(TrustProfile, OldAndroidStillSeesAnExpiredLeafOrIntermediate) {
  const DstRoot t;
  const Issued leaf = MakeLeaf(
      t.r3, {.names = {"a.test"}, .not_before = kNow - 9 * kDay, .not_after = kNow - kDay});
  const TrustProfilePtr android = Profile(OldAndroidProfile(t.both));
  EXPECT_THAT(Refusal(android, {leaf.certificate, t.r3.certificate}),
              HasSubstr("CN=a.test: certificate has expired"));
}

TEST(TrustProfile, RefusesForTheUsualReasons) {
  const genkan::testing::TestCa ca, other("Other");
  const Issued leaf = ca.Leaf({"a.test"});
  const Issued client = ca.LeafWith({.names = {"a.test"}, .extended_key_usage = "clientAuth"});
  const TrustProfilePtr modern = Profile(ModernProfile({ca.root().certificate}));
  const CertificatePtr middle = ca.intermediate().certificate;
  EXPECT_EQ(Refusal(modern, {leaf.certificate, middle}), "");
  EXPECT_THAT(Refusal(modern, {leaf.certificate}), HasSubstr("unable to get local issuer"));
  EXPECT_THAT(Refusal(modern, {client.certificate, middle}), HasSubstr("purpose"));
  EXPECT_THAT(Refusal(modern, {other.Leaf({"a.test"}).certificate, middle}), HasSubstr("issuer"));
  EXPECT_THAT(Refusal(modern, {}), HasSubstr("empty"));
  const Issued self = genkan::testing::MakeSelfSignedLeaf({.names = {"self.test"}});
  EXPECT_THAT(Refusal(modern, {self.certificate}), HasSubstr("self-signed"));
}

TEST(TrustProfile, VerdictHasOpensslsCodeAndWhoIsAtFault) {
  const DstRoot t;
  const TrustProfilePtr old = Profile(OpenSsl10Profile(t.both));
  const auto yes = old->Judge(t.short_chain, kNow);
  ASSERT_TRUE(yes.has_value());
  EXPECT_TRUE(yes->is_accepted);
  EXPECT_EQ(yes->code, 0);
  const auto no = old->Judge(t.long_chain, kNow);
  ASSERT_TRUE(no.has_value());
  EXPECT_FALSE(no->is_accepted);
  EXPECT_EQ(no->code, X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_EQ(no->subject, "CN=DST Root CA X3");
  const auto alone = Profile(ModernProfile(t.both))->Judge({t.leaf.certificate}, kNow);
  ASSERT_TRUE(alone.has_value());
  EXPECT_EQ(alone->code, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
  EXPECT_FALSE(old->Judge({}, kNow).has_value());
}

TEST(TrustProfile, ScoreChoosesTheChainThatMostClientsTake) {
  const DstRoot t;
  ChainInput input;
  input.leaf = t.leaf.certificate;
  input.pool = {t.x1_by_dst.certificate, t.r3.certificate};
  input.roots = t.both;
  input.now = kNow;
  input.score = ScoreBy({Profile(ModernProfile(t.both)), Profile(OpenSsl10Profile(t.both)),
                         Profile(GnuTls2020Profile(t.both))},
                        kNow);
  EXPECT_EQ(ChainBuilder::Build(input).certificates, t.short_chain);
  input.score = ScoreBy(
      {Profile(ModernProfile(t.both)), Profile(OldAndroidProfile({t.dst.certificate}))}, kNow);
  EXPECT_EQ(ChainBuilder::Build(input).certificates, t.long_chain);
}

TEST(TrustProfile, RootYeIsCompleteForAStoreOfX1AndForOneOfX2) {
  const Issued x1 = MakeRoot({.common_name = "Root X1"});
  const Issued x2 = MakeRoot({.common_name = "Root X2"});
  const Issued x2_by_x1 = MakeIntermediate(x1, {.common_name = "Root X2"});
  const Issued ye_by_x2 = MakeIntermediate(x2, {.common_name = "Root YE"});
  const Issued ye1 = MakeIntermediate(ye_by_x2, {.common_name = "YE1"});
  const Issued leaf = MakeLeaf(ye1, {.names = {"a.test"}});
  ChainInput input;
  input.leaf = leaf.certificate;
  input.pool = {x2_by_x1.certificate, ye_by_x2.certificate, ye1.certificate};
  input.roots = {x1.certificate, x2.certificate};
  input.now = kNow;
  const TrustProfilePtr with_x1 = Profile(ModernProfile({x1.certificate}));
  const TrustProfilePtr with_x2 = Profile(ModernProfile({x2.certificate}));
  input.score = ScoreBy({with_x1, with_x2}, kNow);
  const Chain chain = ChainBuilder::Build(input);
  EXPECT_EQ(chain.certificates.size(), 4u);
  EXPECT_EQ(Refusal(with_x1, chain.certificates), "");
  EXPECT_EQ(Refusal(with_x2, chain.certificates), "");
}

TEST(ReadRoots, TakesManyAndPassesOverTheBroken) {
  const Issued root = MakeRoot({.common_name = "R"});
  std::string pem = "# a store\n";
  for (int i = 0; i < 100; ++i) {
    pem += MakeRoot({.common_name = "R" + std::to_string(i), .key_label = "r"}).pem();
  }
  pem += root.pem() + root.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const auto file = ReadRoots(pem);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->roots.size(), 101u);
  EXPECT_EQ(file->broken, 1);
  EXPECT_TRUE(ReadRoots("")->roots.empty());
  EXPECT_FALSE(ReadRoots(std::string((8 << 20) + 1, 'x')).has_value());
}

}  // namespace
}  // namespace genkan::tls
