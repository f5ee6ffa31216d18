#include "proxy/tls/certificate_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>

#include "proxy/base/text.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::Issued;
using genkan::testing::KeyKind;
using genkan::testing::TestCa;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Replace(std::string text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text.find(what, at)) != text.npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

template <class Write>
std::string Written(Write write) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  EXPECT_EQ(write(bio.get()), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

std::string KeyPem(const PrivateKey& key, const char* password) {
  return Written([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), EVP_aes_256_cbc(), password,
                                         static_cast<int>(strlen(password)), nullptr, nullptr);
  });
}

std::string TraditionalKeyPem(const PrivateKey& key, const char* password) {
  return Written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey_traditional(
        bio, key.get(), password != nullptr ? EVP_aes_128_cbc() : nullptr,
        reinterpret_cast<const unsigned char*>(password),
        password != nullptr ? static_cast<int>(strlen(password)) : 0, nullptr, nullptr);
  });
}

std::string Pkcs7Der(const std::vector<CertificatePtr>& certificates) {
  const OpensslPtr<PKCS7, PKCS7_free> pkcs7(PKCS7_new());
  PKCS7_set_type(pkcs7.get(), NID_pkcs7_signed);
  PKCS7_content_new(pkcs7.get(), NID_pkcs7_data);
  for (const auto& certificate : certificates) {
    PKCS7_add_certificate(pkcs7.get(), certificate->x509());
  }
  return Written([&](BIO* bio) { return i2d_PKCS7_bio(bio, pkcs7.get()); });
}

std::string Pkcs12Der(const Issued& leaf, const Issued& ca, const char* password) {
  const std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * s) { sk_X509_free(s); })> cas(
      sk_X509_new_null());
  sk_X509_push(cas.get(), ca.certificate->x509());
  const OpensslPtr<PKCS12, PKCS12_free> pkcs12(PKCS12_create(
      password, "a", leaf.key->get(), leaf.certificate->x509(), cas.get(), 0, 0, 1, 1, 0));
  return Written([&](BIO* bio) { return i2d_PKCS12_bio(bio, pkcs12.get()); });
}

class ReadPoolTest : public ::testing::Test {
 protected:
  ~ReadPoolTest() override { EXPECT_EQ(ERR_peek_error(), 0u); }

  void ExpectBoth(const CertificatePool& pool, const std::string& what) {
    EXPECT_THAT(pool.problems, IsEmpty()) << what;
    ASSERT_EQ(pool.certificates.size(), 2u) << what;
    std::set<std::string> got = {pool.certificates[0]->der(), pool.certificates[1]->der()};
    EXPECT_EQ(got, (std::set<std::string>{leaf_.certificate->der(), issuer_.certificate->der()}))
        << what;
  }

  const TestCa ca_;
  const Issued leaf_ = ca_.Leaf({"a.test"});
  const Issued issuer_ = ca_.intermediate();
  const Issued rsa_ = ca_.Leaf({"rsa.test"}, KeyKind::kRsa);
};

TEST_F(ReadPoolTest, TakesUntidyPem) {
  const std::string pem = leaf_.pem() + issuer_.pem();
  std::string utf16 = "\xff\xfe";
  for (const char c : pem) (utf16 += c) += '\0';
  std::string one_line = Replace(pem, "\n", " ");
  std::string unpadded = Replace(pem, "=", "");
  const struct {
    const char* what;
    std::string text;
  } cases[] = {
      {"tidy", pem},
      {"CRLF", Replace(pem, "\n", "\r\n")},
      {"bare CR", Replace(pem, "\n", "\r")},
      {"BOM", "\xef\xbb\xbf" + pem},
      {"UTF-16", utf16},
      {"blank lines", Replace(pem, "\n", "\n\n")},
      {"trailing blanks", Replace(pem, "\n", "  \t\n")},
      {"indented", Replace(pem, "\n", "\n    ")},
      {"text between", "subject=CN = a\nissuer: b\n" + leaf_.pem() + "\n# Grüße --- 1 -- \n" +
                           issuer_.pem() + "bye"},
      {"no newline at the end", pem.substr(0, pem.size() - 1)},
      {"glued by cat", leaf_.pem().substr(0, leaf_.pem().size() - 1) + issuer_.pem()},
      {"on one line", one_line},
      {"without padding", unpadded},
      {"X509 CERTIFICATE", Replace(pem, " CERTIFICATE", " X509 CERTIFICATE")},
      {"TRUSTED CERTIFICATE", Replace(pem, " CERTIFICATE", " TRUSTED CERTIFICATE")},
      {"other blocks",
       "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + pem +
           "-----BEGIN DH PARAMETERS-----\n!!!\n-----END DH PARAMETERS-----\n"},
  };
  for (const auto& c : cases) ExpectBoth(ReadPool(c.text, "chain.pem"), c.what);
}

TEST_F(ReadPoolTest, TakesOtherContainers) {
  const std::string p7 = Pkcs7Der({leaf_.certificate, issuer_.certificate});
  const std::string p7_text = Base64Encode(AsBytes(p7));
  const auto block = [&](const std::string& label) {
    return "-----BEGIN " + label + "-----\n" + p7_text + "\n-----END " + label + "-----\n";
  };
  ExpectBoth(ReadPool(p7, "a.p7b"), "PKCS#7 as DER");
  ExpectBoth(ReadPool(block("PKCS7"), "a.p7b"), "PKCS#7 as PEM");
  ExpectBoth(ReadPool(block("CERTIFICATE"), "a.p7b"), "PKCS#7 that calls itself CERTIFICATE");
  ExpectBoth(ReadPool(leaf_.certificate->der() + issuer_.certificate->der(), "a.der"), "DER");
  for (const char* password : {"", "geheim"}) {
    const CertificatePool pool = ReadPool(Pkcs12Der(leaf_, issuer_, password), "a.p12", password);
    ExpectBoth(pool, "PKCS#12");
    ASSERT_EQ(pool.keys.size(), 1u);
    EXPECT_EQ(pool.keys[0]->public_key(), leaf_.certificate->public_key());
  }
}

TEST_F(ReadPoolTest, DropsWhatOpensslTrustsATrustedCertificateFor) {
  X509Ptr x509(X509_dup(leaf_.certificate->x509()));
  X509_add1_trust_object(x509.get(), OBJ_nid2obj(NID_server_auth));
  const std::string pem =
      Written([&](BIO* bio) { return PEM_write_bio_X509_AUX(bio, x509.get()); });
  ASSERT_THAT(pem, HasSubstr("TRUSTED CERTIFICATE"));
  const CertificatePool pool = ReadPool(pem, "a.pem");
  ASSERT_EQ(pool.certificates.size(), 1u);
  EXPECT_EQ(pool.certificates[0]->der(), leaf_.certificate->der());
}

TEST_F(ReadPoolTest, TakesKeysInEveryForm) {
  const auto der = [](const PrivateKey& key, auto encode) {
    return Written([&](BIO* bio) { return encode(bio, key.get()); });
  };
  const struct {
    const char* what;
    std::string bytes;
    const char* password;
  } cases[] = {
      {"PKCS#8", rsa_.key_pem(), ""},
      {"PKCS#8, password given in vain", rsa_.key_pem(), "x"},
      {"PKCS#8 with CRLF", Replace(rsa_.key_pem(), "\n", "\r\n"), ""},
      {"PKCS#8 encrypted", KeyPem(*rsa_.key, "geheim"), "geheim"},
      {"RSA PRIVATE KEY", TraditionalKeyPem(*rsa_.key, nullptr), ""},
      {"RSA PRIVATE KEY encrypted", TraditionalKeyPem(*rsa_.key, "geheim"), "geheim"},
      {"the same with CRLF", Replace(TraditionalKeyPem(*rsa_.key, "geheim"), "\n", "\r\n"),
       "geheim"},
      {"DER, traditional", der(*rsa_.key, i2d_PrivateKey_bio), ""},
      {"DER, PKCS#8", der(*rsa_.key, i2d_PKCS8PrivateKeyInfo_bio), ""},
      {"DER, PKCS#8 encrypted", Written([&](BIO* bio) {
         return i2d_PKCS8PrivateKey_bio(bio, rsa_.key->get(), EVP_aes_256_cbc(), "geheim", 6,
                                        nullptr, nullptr);
       }),
       "geheim"},
  };
  for (const auto& c : cases) {
    const CertificatePool pool = ReadPool(c.bytes, "key.pem", c.password);
    EXPECT_THAT(pool.problems, IsEmpty()) << c.what;
    ASSERT_EQ(pool.keys.size(), 1u) << c.what;
    EXPECT_EQ(pool.keys[0]->public_key(), rsa_.certificate->public_key()) << c.what;
  }
  const CertificatePool ec =
      ReadPool(TraditionalKeyPem(*leaf_.key, nullptr) + leaf_.pem(), "ec.pem");
  ASSERT_EQ(ec.keys.size(), 1u);
  EXPECT_EQ(ec.keys[0]->public_key(), leaf_.certificate->public_key());
  EXPECT_EQ(ec.certificates.size(), 1u);
}

TEST_F(ReadPoolTest, SaysWhatIsBroken) {
  const std::string pem = leaf_.pem();
  std::string torn = pem;
  torn.erase(torn.size() / 2, 2);
  const struct {
    std::string bytes;
    const char* password;
    const char* problem;
  } cases[] = {
      {"", "", "f.pem: empty"},
      {"hello", "", "no PEM block"},
      {std::string("0\x82\x01", 3), "", "no PEM block"},
      {std::string("0\0", 2), "", "no PEM block"},
      {pem.substr(0, pem.size() / 2), "", "block 1: BEGIN CERTIFICATE without END"},
      {pem.substr(0, pem.size() - 5), "", "END line is cut"},
      {pem.substr(0, 20), "", "BEGIN line is cut"},
      {pem.substr(0, 10), "", "BEGIN line is cut"},
      {pem.substr(pem.size() / 2), "", "END without its BEGIN"},
      {pem.substr(0, pem.size() / 2) + "\n" + pem, "", "block 1: BEGIN CERTIFICATE without END"},
      {Replace(pem, "END CERT", "END OTHER CERT"), "", "ends as"},
      {torn, "", "block 1: "},
      {Replace(pem, "MII", "M!I"), "", "block 1: bad base64"},
      {"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "", "bad base64"},
      {KeyPem(*leaf_.key, "geheim"), "", "no password is given"},
      {KeyPem(*leaf_.key, "geheim"), "wrong", "does not open"},
      {TraditionalKeyPem(*rsa_.key, "geheim"), "", "no password is given"},
      {Pkcs12Der(leaf_, issuer_, "geheim"), "", "needs a password"},
      {Pkcs12Der(leaf_, issuer_, "geheim"), "wrong", "does not open"},
      {leaf_.certificate->der() + "xyz", "", "3 bytes after the last certificate"},
      {"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----", "",
       "cannot be read"},
      {std::string(kMaxPoolBytes + 1, 'x'), "", "are more than"},
  };
  for (const auto& c : cases) {
    const CertificatePool pool = ReadPool(c.bytes, "f.pem", c.password);
    ASSERT_FALSE(pool.problems.empty()) << c.problem;
    EXPECT_THAT(pool.problems.front(), HasSubstr(c.problem));
    EXPECT_THAT(pool.problems.front(), HasSubstr("f.pem: "));
    EXPECT_EQ(ERR_peek_error(), 0u) << c.problem;
  }
}

TEST_F(ReadPoolTest, ReadsWhatIsWholeBesideWhatIsHalf) {
  const std::string pem = leaf_.pem();
  const CertificatePool pool = ReadPool(pem.substr(0, 100) + "\n" + issuer_.pem(), "f.pem");
  ASSERT_EQ(pool.certificates.size(), 1u);
  EXPECT_EQ(pool.certificates[0]->der(), issuer_.certificate->der());
  EXPECT_EQ(pool.problems.size(), 1u);
}

TEST_F(ReadPoolTest, KeepsAtMost64Certificates) {
  std::string pem;
  for (int i = 0; i < 70; ++i) pem += leaf_.pem();
  const CertificatePool pool = ReadPool(pem, "f.pem");
  EXPECT_EQ(pool.certificates.size(), 64u);
  EXPECT_THAT(pool.problems, ElementsAre("f.pem: more than 64 certificates"));
}

TEST_F(ReadPoolTest, ManyBrokenBlocksAreFewProblems) {
  std::string text;
  while (text.size() < kMaxPoolBytes - 20) text += "-----BEGIN ";
  EXPECT_LE(ReadPool(text, "f.pem").problems.size(), 64u);
}

TEST_F(ReadPoolTest, MergeKeepsAll) {
  CertificatePool pool = ReadPool(leaf_.pem(), "a");
  pool.Merge(ReadPool(issuer_.pem() + leaf_.key_pem(), "b"));
  pool.Merge(ReadPool("", "c"));
  EXPECT_EQ(pool.certificates.size(), 2u);
  EXPECT_EQ(pool.keys.size(), 1u);
  EXPECT_THAT(pool.problems, ElementsAre("c: empty"));
}

TEST_F(ReadPoolTest, FindsTheLeafByItsKey) {
  const WallTime now(Seconds(1'800'000'000));
  const auto days = [](int count) { return std::chrono::hours(24 * count); };
  const auto leaf = [&](int from, int to) {
    return ca_
        .LeafWith(
            {.names = {"a.test"}, .not_before = now + days(from), .not_after = now + days(to)})
        .certificate;
  };
  const auto expired = leaf(-9, -1), older = leaf(-5, 90), newer = leaf(-2, 80),
             future = leaf(1, 99);
  CertificatePool pool;
  pool.certificates = {issuer_.certificate, future, older, newer, expired, rsa_.certificate};
  EXPECT_EQ(FindLeaf(pool, *leaf_.key, now), newer);
  EXPECT_EQ(FindLeaf(pool, *rsa_.key, now), rsa_.certificate);
  EXPECT_EQ(FindLeaf(pool, *genkan::testing::KeyFor(KeyKind::kRsa, "other"), now), nullptr);
  pool.certificates = {expired};
  EXPECT_EQ(FindLeaf(pool, *leaf_.key, now), expired);
}

}  // namespace
}  // namespace genkan::tls
