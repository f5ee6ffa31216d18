#include "proxy/tls/certificate_parts.h"

#include <fmt/core.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using testing::CertificateOptions;
using testing::Issued;
using testing::KeyKind;
using testing::TestCa;

CertificateOptions Full(KeyKind kind) {
  CertificateOptions options;
  options.names = {"a.test", "*.a.test", "192.0.2.1"};
  options.organization = "Caf\xc3\xa9";
  options.key_kind = kind;
  options.ca_issuer_urls = {"http://ca.test/i.der"};
  options.ocsp_urls = {"http://ocsp.test"};
  options.crl_urls = {"http://ca.test/1.crl", "http://ca.test/2.crl"};
  options.must_staple = true;
  return options;
}

X509Ptr ParseX509(std::string_view der) {
  const ErrorQueueGuard guard;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509Ptr x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  const bool is_whole = at == reinterpret_cast<const unsigned char*>(der.data()) + der.size();
  return is_whole ? std::move(x509) : nullptr;
}

// All that is known of it. With `key`: also what not every key has.
std::string Describe(const Certificate& one, bool key) {
  return fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", one.der(),
                     one.sha256(), one.subject_der(), one.issuer_der(), one.subject_key_id(),
                     one.authority_key_id(), one.subject(), one.issuer(), one.issuer_organization(),
                     one.serial_hex(), one.not_before().time_since_epoch().count(),
                     one.not_after().time_since_epoch().count(), one.is_ca(), one.has_must_staple(),
                     one.names(), one.ca_issuer_urls(), one.ocsp_urls(), one.crl_urls()) +
         (key ? fmt::format("|{}|{}|{}", one.public_key(), one.is_rsa(), one.is_ecdsa()) : "");
}

// By OpenSSL's X509.
std::string DescribeByX509(X509Ptr x509, bool key) {
  const auto certificate = Certificate::FromX509(std::move(x509));
  return certificate ? Describe(**certificate, key) : certificate.error().detail;
}

std::string DescribeByParts(std::string_view der, bool key) {
  const auto certificate = Certificate::FromDer(der);
  return certificate ? Describe(**certificate, key) : certificate.error().detail;
}

std::string DerOf(const Issued& issued) { return issued.certificate->der(); }

TEST(CertificateParts, AreWhatX509Says) {
  const TestCa ca;
  for (const KeyKind kind : {KeyKind::kEcdsa, KeyKind::kRsa}) {
    const std::string der = DerOf(ca.LeafWith(Full(kind)));
    ASSERT_TRUE(CertificateParts::ReadPlainLeaf(der));
    const std::string read = DescribeByParts(der, true);
    EXPECT_EQ(read, DescribeByX509(ParseX509(der), true));
  }
}

TEST(CertificateParts, AreOnlyOfPlainLeaves) {
  const TestCa ca;
  EXPECT_TRUE(CertificateParts::ReadPlainLeaf(DerOf(ca.Leaf({"a.test"}))));
  EXPECT_FALSE(CertificateParts::ReadPlainLeaf(DerOf(ca.root())));
  EXPECT_FALSE(CertificateParts::ReadPlainLeaf(DerOf(ca.intermediate())));
  EXPECT_FALSE(
      CertificateParts::ReadPlainLeaf(DerOf(testing::MakeSelfSignedLeaf({.names = {"a.test"}}))));
  EXPECT_FALSE(CertificateParts::ReadPlainLeaf(DerOf(ca.LeafWith(Full(KeyKind::kEd25519)))));
  CertificateOptions signs;
  signs.names = {"a.test"};
  signs.key_usage = "digitalSignature, keyCertSign";
  EXPECT_FALSE(CertificateParts::ReadPlainLeaf(DerOf(ca.LeafWith(signs))));
  const std::string der = DerOf(ca.Leaf({"b.test"}));
  EXPECT_FALSE(CertificateParts::ReadPlainLeaf(der + "x"));
  EXPECT_FALSE(CertificateParts::ReadPlainLeaf(std::string_view(der).substr(0, der.size() - 1)));
  EXPECT_FALSE(CertificateParts::ReadPlainLeaf(""));
}

// What parts are read of is a certificate for OpenSSL too, whose X509 says the same of it.
TEST(CertificateParts, SayTheSameOfBrokenBytes) {
  const ErrorQueueGuard guard;
  const TestCa ca;
  std::mt19937 random(7);
  int plain = 0;
  for (const KeyKind kind : {KeyKind::kEcdsa, KeyKind::kRsa}) {
    const std::string whole = DerOf(ca.LeafWith(Full(kind)));
    for (int i = 0; i < 1500; ++i) {
      std::string der = whole;
      const size_t edits = 1 + random() % 2;
      for (size_t edit = 0; edit < edits; ++edit)
        der[random() % der.size()] = static_cast<char>(random());
      if (!CertificateParts::ReadPlainLeaf(der)) continue;
      ++plain;
      X509Ptr x509 = ParseX509(der);
      ASSERT_NE(x509, nullptr) << i;
      const bool has_key = X509_get0_pubkey(x509.get()) != nullptr;
      // Gone before the other is made, or they were the same object.
      const std::string said = DescribeByParts(der, has_key);
      ASSERT_EQ(said, DescribeByX509(std::move(x509), has_key)) << i;
    }
  }
  EXPECT_GT(plain, 300) << "otherwise this compares little";
}

TEST(CertificateParts, IssuersAreThoseThatX509Finds) {
  const ErrorQueueGuard guard;
  const TestCa ca, other("Other");
  const Issued same_name = testing::MakeIntermediate(
      other.root(), {.common_name = ca.intermediate().options.common_name, .key_label = "another"});
  CertificateOptions without_ids;
  without_ids.names = {"b.test"};
  without_ids.has_key_ids = false;
  const Issued leaves[] = {ca.Leaf({"a.test"}), ca.LeafWith(without_ids),
                           ca.LeafWith(Full(KeyKind::kRsa))};
  CertificateOptions no_signing;
  no_signing.common_name = ca.intermediate().options.common_name;
  no_signing.key_label = "no signing";
  no_signing.key_usage = "cRLSign";
  no_signing.has_key_ids = false;
  const Issued cannot_sign = testing::MakeIntermediate(ca.root(), no_signing);
  int issued = 0, signatures = 0;
  for (const Issued& leaf : leaves) {
    ASSERT_TRUE(CertificateParts::ReadPlainLeaf(DerOf(leaf)));
    const auto read = Certificate::FromDer(DerOf(leaf)).value();
    const X509Ptr x509 = ParseX509(DerOf(leaf));
    for (const Issued* issuer :
         {&ca.intermediate(), &ca.root(), &other.intermediate(), &same_name, &cannot_sign}) {
      X509* above = issuer->certificate->x509();
      const bool may = X509_check_issued(above, x509.get()) == X509_V_OK;
      const bool has_signed = X509_verify(x509.get(), X509_get0_pubkey(above)) == 1;
      EXPECT_EQ(read->MayBeIssuedBy(*issuer->certificate), may) << issuer->certificate->subject();
      EXPECT_EQ(read->IsSignedBy(*issuer->certificate), has_signed);
      issued += may ? 1 : 0;
      signatures += has_signed ? 1 : 0;
    }
  }
  EXPECT_GE(issued, 3);
  EXPECT_EQ(signatures, 3);
}

}  // namespace
}  // namespace genkan::tls
