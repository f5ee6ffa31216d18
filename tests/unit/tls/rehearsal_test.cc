#include "proxy/tls/rehearsal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using testing::CertificateOptions;
using ::testing::HasSubstr;
using testing::Issued;
using testing::KeyKind;
using testing::TestCa;

TrustProfilePtr ProfileOf(TrustProfileOptions options) {
  return TrustProfile::Make(std::move(options)).value();
}

TrustProfilePtr Modern(std::vector<CertificatePtr> roots) {
  TrustProfileOptions options = ModernProfile(std::move(roots));
  options.is_required = true;
  return ProfileOf(std::move(options));
}

class RehearsalTest : public ::testing::Test {
 protected:
  BundlePtr Bundle(const Issued& leaf, bool with_intermediate = true) {
    std::vector<CertificatePtr> chain = {leaf.certificate};
    if (with_intermediate) chain.push_back(ca_.intermediate().certificate);
    return CertificateBundle::Make(std::move(chain), leaf.key).value();
  }
  Rehearsed Run(const BundlePtr& bundle, TlsPolicy policy = {}) {
    return Rehearse(bundle, std::move(policy), "a.test", profiles_, SystemClock());
  }

  TestCa ca_{"Rehearsal"};
  std::vector<TrustProfilePtr> profiles_ = {Modern({ca_.root().certificate}),
                                            ProfileOf(OpenSsl10Profile({ca_.root().certificate}))};
};

TEST_F(RehearsalTest, AGoodBundleIsAcceptedByAllWhateverItsKeyAndPolicy) {
  for (KeyKind kind : {KeyKind::kEcdsa, KeyKind::kRsa}) {
    CertificateOptions options;
    options.names = {"a.test"};
    options.key_kind = kind;
    options.key_label = kind == KeyKind::kRsa ? "rsa" : "ecdsa";
    const BundlePtr bundle = Bundle(ca_.LeafWith(options));
    for (const char* profile : {"modern", "intermediate", "old"}) {
      TlsPolicy policy;
      policy.profile = ParseProfile(profile).value();
      const Rehearsed rehearsed = Run(bundle, policy);
      EXPECT_EQ(rehearsed.failure, "") << profile << options.key_label;
    }
  }
}

TEST_F(RehearsalTest, WhoAsksForClientCertificatesDoesNotAskHere) {
  TlsPolicy policy;
  policy.client_certificates = TlsPolicy::ClientCertificates::kRequire;
  policy.client_ca = ca_.root().pem();
  EXPECT_EQ(Run(Bundle(ca_.Leaf({"a.test"})), policy).failure, "");
}

TEST_F(RehearsalTest, WhatAClientTrustsIsAnotherMatter) {
  profiles_.push_back(ProfileOf(OldAndroidProfile({TestCa("Another").root().certificate})));
  EXPECT_EQ(Run(Bundle(ca_.Leaf({"a.test"}))).failure, "");
  EXPECT_EQ(Run(Bundle(ca_.Leaf({"a.test"}), false)).failure, "") << "the intermediate is missing";
}

TEST_F(RehearsalTest, WithoutProfilesClientsComeAllTheSame) {
  profiles_.clear();
  EXPECT_EQ(Run(Bundle(ca_.Leaf({"a.test"}))).failure, "");
  Issued leaf = ca_.Leaf({"a.test"});
  leaf.key = testing::KeyThatLies(*leaf.key);
  EXPECT_THAT(Run(Bundle(leaf)).failure, HasSubstr("TLS 1.3 with any client: "));
}

// What libssl refuses to serve at the policy's level is found for those, too, whom it does not
// serve.
TEST_F(RehearsalTest, WhatLibsslAloneRefusesIsFoundWithEachPolicy) {
  const Issued weak =
      testing::MakeLeaf(ca_.intermediate(), {.names = {"a.test"}, .key_label = "weak"});
  const EvpPkeyPtr small(EVP_RSA_gen(1024));
  ASSERT_NE(small, nullptr);
  X509Ptr x509(X509_dup(weak.certificate->x509()));
  X509_set_pubkey(x509.get(), small.get());
  ASSERT_GT(X509_sign(x509.get(), ca_.intermediate().key->get(), EVP_sha256()), 0);
  EVP_PKEY_up_ref(small.get());
  const BundlePtr bundle =
      CertificateBundle::Make(
          {Certificate::FromX509(std::move(x509)).value(), ca_.intermediate().certificate},
          std::make_shared<PrivateKey>(EvpPkeyPtr(small.get())))
          .value();
  for (const char* profile : {"modern", "intermediate"}) {
    TlsPolicy policy;
    policy.profile = ParseProfile(profile).value();
    EXPECT_THAT(Run(bundle, policy).failure, HasSubstr("key too small")) << profile;
  }
}

TEST_F(RehearsalTest, AKeyThatDoesNotSignForItsCertificateIsFound) {
  Issued leaf = ca_.Leaf({"a.test"});
  leaf.key = testing::KeyThatLies(*leaf.key);
  ASSERT_EQ(leaf.key->public_key(), leaf.certificate->public_key());

  EXPECT_THAT(Run(Bundle(leaf)).failure, HasSubstr("TLS 1.3 with "));
  EXPECT_EQ(ERR_peek_error(), 0u) << "nothing is left for the next one";
}

TEST_F(RehearsalTest, TheStapleHasToArrive) {
  const BundlePtr plain = Bundle(ca_.Leaf({"a.test"}));
  auto staple = std::make_shared<Staple>();
  staple->der = "any bytes: the client only compares them";
  staple->next_update = SystemClock().Wall() + std::chrono::hours(1);
  EXPECT_EQ(Run(plain->WithStaple(staple)).failure, "");
}

}  // namespace
}  // namespace genkan::tls
