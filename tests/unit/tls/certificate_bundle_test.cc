#include "proxy/tls/certificate_bundle.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using testing::Issued;
using testing::KeyKind;
using testing::TestCa;

TEST(CertificateBundle, HoldsTheChainAsOpensslTakesIt) {
  const TestCa ca;
  const Issued leaf = ca.Leaf({"a.test"});
  const auto bundle =
      CertificateBundle::Make({leaf.certificate, ca.intermediate().certificate}, leaf.key);
  ASSERT_TRUE(bundle.has_value());
  EXPECT_EQ(&(*bundle)->leaf(), leaf.certificate.get());
  ASSERT_EQ(sk_X509_num((*bundle)->intermediates()), 1);
  EXPECT_EQ(sk_X509_value((*bundle)->intermediates(), 0), ca.intermediate().certificate->x509());
  EXPECT_EQ((*bundle)->staple(), nullptr);
}

TEST(CertificateBundle, RefusesTheKeyOfAnotherCertificate) {
  const TestCa ca;
  const Issued leaf = ca.Leaf({"a.test"});
  const struct {
    const char* what;
    PrivateKeyPtr key;
  } cases[] = {
      {"another EC key", testing::KeyFor(KeyKind::kEcdsa, "other")},
      {"an RSA key with an EC certificate", testing::KeyFor(KeyKind::kRsa, "other")},
      {"no key", nullptr},
      {"an empty key", std::make_shared<const PrivateKey>(nullptr)},
  };
  for (const auto& c : cases) {
    const auto bundle = CertificateBundle::Make({leaf.certificate}, c.key);
    EXPECT_FALSE(bundle.has_value()) << c.what;
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
  EXPECT_NE(CertificateBundle::Make({leaf.certificate}, cases[0].key)
                .error()
                .detail.find("does not match"),
            std::string::npos);
  EXPECT_FALSE(CertificateBundle::Make({}, leaf.key).has_value());
}

TEST(CertificateBundle, NewStapleMakesNewBundle) {
  const TestCa ca;
  const BundlePtr bundle = ca.Bundle({"a.test"}, KeyKind::kRsa);
  auto staple = std::make_shared<Staple>();
  staple->der = "response";
  const BundlePtr stapled = bundle->WithStaple(staple);
  EXPECT_EQ(bundle->staple(), nullptr);
  EXPECT_EQ(stapled->staple()->der, "response");
  EXPECT_EQ(stapled->chain(), bundle->chain());
  EXPECT_EQ(&stapled->key(), &bundle->key());
  EXPECT_EQ(sk_X509_num(stapled->intermediates()), 1);
  EXPECT_EQ(stapled->WithStaple(nullptr)->staple(), nullptr);
}

TEST(CertificateBundle, SelfSignedLeafAloneHasAnEmptyStack) {
  const Issued leaf = testing::MakeSelfSignedLeaf({.names = {"a.test"}});
  const auto bundle = CertificateBundle::Make({leaf.certificate}, leaf.key);
  ASSERT_TRUE(bundle.has_value());
  EXPECT_EQ(sk_X509_num((*bundle)->intermediates()), 0);
  EXPECT_EQ(sk_X509_num((*bundle)->WithStaple(nullptr)->intermediates()), 0);
}

}  // namespace
}  // namespace genkan::tls
