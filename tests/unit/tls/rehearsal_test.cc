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
      EXPECT_EQ(rehearsed.handshakes, policy.profile == Profile::kModern ? 1 : 2) << profile;
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

TEST_F(RehearsalTest, ClientsOfOneVersionAreOneHandshake) {
  profiles_.push_back(ProfileOf(OldAndroidProfile({TestCa("Another").root().certificate})));
  profiles_.push_back(ProfileOf(GnuTls2020Profile({ca_.root().certificate})));
  const BundlePtr bundle = Bundle(ca_.Leaf({"a.test"}));
  EXPECT_EQ(Run(bundle).handshakes, 2) << "one with TLS 1.3, one with TLS 1.2";
  TlsPolicy policy;
  policy.profile = ParseProfile("modern").value();
  EXPECT_EQ(Run(bundle, policy).handshakes, 1) << "without TLS 1.2 all come with TLS 1.3";
}

TEST_F(RehearsalTest, WithoutProfilesOneClientComes) {
  profiles_.clear();
  const Rehearsed rehearsed = Run(Bundle(ca_.Leaf({"a.test"})));
  EXPECT_EQ(rehearsed.failure, "");
  EXPECT_EQ(rehearsed.handshakes, 1);
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
