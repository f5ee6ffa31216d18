#include "proxy/tls/certificate.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <thread>

#include "proxy/base/text.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using testing::CertificateOptions;
using testing::Issued;
using testing::KeyKind;
using testing::TestCa;

TEST(Certificate, ThoseOfOneIssuerShareWhatTheySayOfIt) {
  const TestCa ca("Shared"), other("Another");
  const CertificatePtr a = ca.Leaf({"a.test"}).certificate, b = ca.Leaf({"b.test"}).certificate,
                       c = other.Leaf({"c.test"}).certificate;
  EXPECT_EQ(&a->issuer_der(), &b->issuer_der());
  EXPECT_EQ(a->issuer(), ca.intermediate().certificate->subject());
  EXPECT_EQ(a->authority_key_id(), ca.intermediate().certificate->subject_key_id());
  EXPECT_NE(a->issuer(), c->issuer());
  EXPECT_NE(a->issuer_der(), c->issuer_der());
}

TEST(Sha256, IsTheSameOnEveryThread) {
  const std::string empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const auto check = [&] {
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(HexEncode(AsBytes(Sha256("abc"))), abc);
      EXPECT_EQ(HexEncode(AsBytes(Sha256(""))), empty);
    }
  };
  check();
  std::thread other(check), another(check);
  other.join();
  another.join();
}

// A name built from (field, type, value), for comparing with OpenSSL's own idea of equal names.
struct NamePart {
  const char* field;
  int type;
  std::string value;
};

CertificatePtr WithSubject(const std::vector<NamePart>& parts) {
  const testing::Issued signer = testing::MakeRoot({.common_name = "Signer"});
  X509Ptr x509(X509_dup(signer.certificate->x509()));
  const OpensslPtr<X509_NAME, X509_NAME_free> name(X509_NAME_new());
  for (const NamePart& part : parts) {
    EXPECT_EQ(X509_NAME_add_entry_by_txt(name.get(), part.field, part.type,
                                         reinterpret_cast<const unsigned char*>(part.value.data()),
                                         static_cast<int>(part.value.size()), -1, 0),
              1);
  }
  X509_set_subject_name(x509.get(), name.get());
  X509_sign(x509.get(), signer.key->get(), EVP_sha256());
  auto certificate = Certificate::FromX509(std::move(x509));
  EXPECT_TRUE(certificate.has_value());
  return *certificate;
}

TEST(Certificate, NamesThatOpensslCallsEqualHaveEqualBytes) {
  const std::vector<std::vector<NamePart>> names = {
      {{"O", V_ASN1_UTF8STRING, "Let's Encrypt"}, {"CN", V_ASN1_UTF8STRING, "R3"}},
      {{"O", V_ASN1_PRINTABLESTRING, "LET'S  encrypt "}, {"CN", V_ASN1_PRINTABLESTRING, "r3"}},
      {{"CN", V_ASN1_UTF8STRING, "R3"}, {"O", V_ASN1_UTF8STRING, "Let's Encrypt"}},
      {{"O", V_ASN1_UTF8STRING, "Let's Encrypt"}, {"CN", V_ASN1_UTF8STRING, "R4"}},
      {{"O", V_ASN1_T61STRING, "Caf\xe9"}},
      {{"O", V_ASN1_UTF8STRING, "Caf\xc3\xa9"}},
      {{"O", V_ASN1_UTF8STRING, "Caf\xc3\x89"}},
      {{"O", V_ASN1_UTF8STRING, "a"}, {"OU", V_ASN1_UTF8STRING, "b"}},
      {{"O", V_ASN1_UTF8STRING, "ab"}},
      {{"O", V_ASN1_UTF8STRING, "  "}},
      {},
  };
  std::vector<CertificatePtr> certificates;
  for (const auto& parts : names) certificates.push_back(WithSubject(parts));
  for (const CertificatePtr& a : certificates) {
    for (const CertificatePtr& b : certificates) {
      EXPECT_EQ(
          X509_NAME_cmp(X509_get_subject_name(a->x509()), X509_get_subject_name(b->x509())) == 0,
          a->subject_der() == b->subject_der())
          << a->subject() << " and " << b->subject();
    }
  }
}

TEST(Certificate, ReadsWhatAProxyNeeds) {
  const TestCa ca;
  const Issued leaf = ca.LeafWith(CertificateOptions{
      .names = {"A.Example.com", "*.example.com", "192.0.2.1", "2001:DB8::1"},
      .not_before = WallTime(Seconds(1'700'000'000)),
      .not_after = WallTime(Seconds(1'900'000'000)),
      .ca_issuer_urls = {"http://ca.test/i.der"},
      .ocsp_urls = {"http://ocsp.test/", "http://ocsp2.test/"},
      .crl_urls = {"http://crl.test/c.crl"},
      .must_staple = true,
      .serial = 0xabc123,
  });
  const Certificate& c = *leaf.certificate;
  EXPECT_EQ(c.names(), (std::vector<std::string>{"a.example.com", "*.example.com", "192.0.2.1",
                                                 "2001:db8::1"}));
  EXPECT_EQ(c.not_before(), WallTime(Seconds(1'700'000'000)));
  EXPECT_EQ(c.not_after(), WallTime(Seconds(1'900'000'000)));
  EXPECT_EQ(c.ca_issuer_urls(), std::vector<std::string>{"http://ca.test/i.der"});
  EXPECT_EQ(c.ocsp_urls().size(), 2u);
  EXPECT_EQ(c.crl_urls(), std::vector<std::string>{"http://crl.test/c.crl"});
  EXPECT_TRUE(c.has_must_staple());
  EXPECT_EQ(c.serial_hex(), "ABC123");
  EXPECT_FALSE(c.is_ca());
  EXPECT_TRUE(c.is_ecdsa());
  EXPECT_EQ(c.issuer(), "CN=Test Intermediate,O=genkan tests");
  EXPECT_EQ(c.issuer_der(), ca.intermediate().certificate->subject_der());
  EXPECT_EQ(c.authority_key_id(), ca.intermediate().certificate->subject_key_id());
  EXPECT_EQ(c.public_key(), leaf.key->public_key());
  EXPECT_EQ(c.sha256().size(), 32u);
  EXPECT_EQ(c.sha256_hex().size(), 64u);
}

TEST(Certificate, IssuerOrganizationIsElseTheCommonName) {
  const Issued organized =
      testing::MakeRoot({.common_name = "R3", .organization = "Let's Encrypt"});
  const Issued plain = testing::MakeRoot({.common_name = "Pebble Root"});
  EXPECT_EQ((*testing::MakeLeaf(organized, {.names = {"a.test"}})).issuer_organization(),
            "Let's Encrypt");
  EXPECT_EQ((*testing::MakeLeaf(plain, {.names = {"a.test"}})).issuer_organization(),
            "Pebble Root");
}

TEST(Certificate, PlainLeafHasNoExtras) {
  const Issued leaf = TestCa().Leaf({"a.test"});
  EXPECT_FALSE(leaf.certificate->has_must_staple());
  EXPECT_TRUE(leaf.certificate->ocsp_urls().empty());
  EXPECT_TRUE(leaf.certificate->crl_urls().empty());
}

TEST(Certificate, CommonNameCountsOnlyWithoutAlternativeNames) {
  EXPECT_EQ((*testing::MakeSelfSignedLeaf({.common_name = "Old.Test"})).names(),
            std::vector<std::string>{"old.test"});
  EXPECT_EQ(
      (*testing::MakeSelfSignedLeaf({.common_name = "old.test", .names = {"new.test"}})).names(),
      std::vector<std::string>{"new.test"});
}

TEST(Certificate, CoversByRfc6125) {
  const Issued leaf = TestCa().Leaf(
      {"www.example.com", "*.example.com", "*.com", "*.a.example.org", "192.0.2.1", "::1"});
  const struct {
    const char* host;
    bool covered;
  } cases[] = {
      {"www.example.com", true},
      {"WWW.Example.COM", true},
      {"www.example.com.", true},
      {"mail.example.com", true},
      {"example.com", false},
      {"a.b.example.com", false},
      {".example.com", false},
      {"", false},
      {".", false},
      {"other.com", false},
      {"x.a.example.org", true},
      {"a.example.org", false},
      {"*.example.com", false},
      {"192.0.2.1", true},
      {"192.0.2.2", false},
      {"[::1]", true},
      {"0:0:0:0:0:0:0:1", true},
      {"www.example.com..", false},
      {"localhost", false},
  };
  for (const auto& c : cases) EXPECT_EQ(leaf.certificate->Covers(c.host), c.covered) << c.host;
}

TEST(Certificate, AnAddressAsDnsNameCoversNothing) {
  // Only an iPAddress entry counts for an address.
  const Issued leaf = testing::MakeSelfSignedLeaf({.common_name = "192.0.2.7"});
  EXPECT_TRUE(leaf.certificate->names().empty());
  EXPECT_FALSE(leaf.certificate->Covers("192.0.2.7"));
}

TEST(Certificate, SelfSignedIsMoreThanSelfNamed) {
  const Issued root = testing::MakeRoot({.common_name = "Root YE"});
  EXPECT_TRUE(root.certificate->is_self_named());
  EXPECT_TRUE(root.certificate->is_self_signed());
  // The same name under the old key: a roll-over, no root.
  const Issued rolled =
      testing::MakeIntermediate(root, {.common_name = "Root YE", .key_label = "new key"});
  EXPECT_TRUE(rolled.certificate->is_self_named());
  EXPECT_FALSE(rolled.certificate->is_self_signed());
  // The same key under an older name: a cross-sign by itself, which clients of the old name need.
  const Issued renamed =
      testing::MakeIntermediate(root, {.common_name = "Root New", .key_label = "Root YE"});
  EXPECT_FALSE(renamed.certificate->is_self_signed());
}

TEST(Certificate, YearsWithoutEndDoNotOverflow) {
  X509Ptr x509(X509_dup(testing::MakeRoot({.common_name = "Endless"}).certificate->x509()));
  ASN1_TIME_set_string(X509_getm_notAfter(x509.get()), "99991231235959Z");
  X509_sign(x509.get(), testing::KeyFor(KeyKind::kEcdsa, "Endless")->get(), EVP_sha256());
  const auto certificate = Certificate::FromX509(std::move(x509));
  ASSERT_TRUE(certificate.has_value());
  EXPECT_GT((*certificate)->not_after(), WallTime(Seconds(9'000'000'000)));
}

TEST(Certificate, CompressedPointIsTheSameKey) {
  const Issued leaf = TestCa().Leaf({"a.test"});
  EvpPkeyPtr compressed(EVP_PKEY_dup(leaf.key->get()));
  ASSERT_EQ(EVP_PKEY_set_utf8_string_param(compressed.get(), "point-format", "compressed"), 1);
  EXPECT_EQ(PrivateKey(std::move(compressed)).public_key(), leaf.certificate->public_key());
}

TEST(Certificate, RefusesWhatIsNone) {
  const std::string der = TestCa().Leaf({"a.test"}).certificate->der();
  const std::string cases[] = {"", "x", der.substr(0, der.size() - 1), der + "x",
                               std::string("\x30\x84\xff\xff\xff\xff", 6)};
  for (const std::string& bytes : cases) {
    EXPECT_FALSE(Certificate::FromDer(bytes).has_value());
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

TEST(Certificate, TheSameBytesAreTheSameObjectWhileSomebodyHoldsIt) {
  const TestCa ca;
  CertificatePtr leaf = ca.Leaf({"a.test"}).certificate;
  const std::string der = leaf->der();
  EXPECT_EQ(Certificate::FromDer(der).value(), leaf);
  std::weak_ptr<const Certificate> gone = leaf;
  leaf.reset();
  EXPECT_TRUE(gone.expired()) << "knowing it does not keep it";
  EXPECT_EQ(Certificate::FromDer(der).value()->der(), der);
}

TEST(Certificate, OneApartIsEqualAndNobodyElses) {
  const TestCa ca;
  const CertificatePtr leaf = ca.Leaf({"a.test"}).certificate;
  const CertificatePtr apart = leaf->Apart();
  EXPECT_NE(apart, leaf);
  EXPECT_NE(apart->x509(), leaf->x509());
  EXPECT_EQ(apart->sha256(), leaf->sha256());
  EXPECT_EQ(Certificate::FromDer(leaf->der()).value(), leaf) << "it did not take the place";
}

TEST(Certificate, SignaturesAreCheckedAgainstTheRightKey) {
  const TestCa ca, other("Other");
  const CertificatePtr leaf = ca.Leaf({"a.test"}).certificate;
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(leaf->IsSignedBy(*ca.intermediate()));
    EXPECT_FALSE(leaf->IsSignedBy(*other.intermediate()));
    EXPECT_FALSE(leaf->IsSignedBy(*ca.root()));
  }
  EXPECT_TRUE(leaf->MayBeIssuedBy(*ca.intermediate()));
  EXPECT_FALSE(leaf->MayBeIssuedBy(*ca.root()));
}

TEST(ErrorQueueGuard, TakesAwayOnlyWhatIsNew) {
  ERR_clear_error();
  ERR_raise(ERR_LIB_X509, X509_R_BAD_SELECTOR);
  const unsigned long before = ERR_peek_last_error();
  {
    const ErrorQueueGuard guard;
    ERR_raise(ERR_LIB_X509, X509_R_CERT_ALREADY_IN_HASH_TABLE);
  }
  EXPECT_EQ(ERR_peek_last_error(), before);
  ERR_clear_error();
  {
    const ErrorQueueGuard guard;
    ERR_raise(ERR_LIB_X509, X509_R_BAD_SELECTOR);
  }
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(OpensslErrors, AreOneLineAndGone) {
  ERR_clear_error();
  EXPECT_EQ(TakeOpensslErrors(), "");
  ERR_raise_data(ERR_LIB_X509, X509_R_BAD_SELECTOR, "in %s", "a.pem");
  ERR_raise(ERR_LIB_X509, X509_R_CERT_ALREADY_IN_HASH_TABLE);
  EXPECT_EQ(TakeOpensslErrors(), "bad selector (in a.pem); cert already in hash table");
  EXPECT_EQ(TakeOpensslErrors(), "");
}

}  // namespace
}  // namespace genkan::tls
