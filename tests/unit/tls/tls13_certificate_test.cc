#include "proxy/tls/tls13_certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "proxy/base/text.h"
#include "proxy/tls/wire_reader.h"
#include "proxy/tls/wire_writer.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using ::testing::Contains;
using testing::KeyKind;
using namespace std::string_view_literals;

constexpr uint16_t kEcdsa256 = 0x0403, kEcdsa384 = 0x0503, kEcdsa521 = 0x0603;
constexpr uint16_t kPss256 = 0x0804, kPss384 = 0x0805, kPss512 = 0x0806;
constexpr uint16_t kAll[] = {kEcdsa256, kEcdsa384, kEcdsa521, kPss256, kPss384, kPss512};

std::string Signatures(std::initializer_list<unsigned> numbers) {
  std::string list, body;
  for (unsigned number : numbers) AppendInt(list, number, 2);
  AppendVector(body, 2, list);
  return body;
}

const PrivateKey& P256() {
  static const PrivateKeyPtr key = testing::KeyFor(KeyKind::kEcdsa, "signs");
  return *key;
}
const PrivateKey& Rsa() {
  static const PrivateKeyPtr key = testing::KeyFor(KeyKind::kRsa, "signs");
  return *key;
}
const PrivateKey& P384() {
  static const PrivateKey key{EvpPkeyPtr(EVP_EC_gen("P-384"))};
  return key;
}

TEST(Tls13Certificate, OpensslAsItComesSignsWithAllOfOurs) {
  for (uint16_t scheme : {kEcdsa256, kEcdsa384, kPss256, kPss384, kPss512})
    EXPECT_THAT(ConfiguredSchemes(), Contains(scheme));
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(Tls13Certificate, TheClientsFirstThatTheKeyMakesIsChosen) {
  const std::string all =
      Signatures({0x0807, 0x0401, kEcdsa521, kPss512, kEcdsa384, kPss256, kEcdsa256, 0x0203});
  EXPECT_EQ(ChooseScheme(all, kAll, P256()), kEcdsa256);
  EXPECT_EQ(ChooseScheme(all, kAll, P384()), kEcdsa384);
  EXPECT_EQ(ChooseScheme(all, kAll, Rsa()), kPss512);
  constexpr uint16_t kFew[] = {kPss256, kEcdsa384};
  EXPECT_EQ(ChooseScheme(all, kFew, Rsa()), kPss256) << "as OpenSSL is configured";
  EXPECT_EQ(ChooseScheme(all, kFew, P256()), 0);
}

TEST(Tls13Certificate, OtherSignaturesAndKeysAreNotOurs) {
  // PKCS#1, SHA-1 and the other kind of PSS do not sign here (RFC 8446 4.2.3).
  const std::string old = Signatures({0x0401, 0x0501, 0x0201, 0x0203, 0x0809});
  for (const PrivateKey* key : {&P256(), &P384(), &Rsa()}) {
    EXPECT_EQ(ChooseScheme(old, kAll, *key), 0);
    EXPECT_EQ(ChooseScheme("", kAll, *key), 0);
    EXPECT_EQ(ChooseScheme(Signatures({kEcdsa256}) + "x", kAll, *key), 0);
    EXPECT_EQ(ChooseScheme("\x00\x03\x08\x04\x04"sv.substr(0, 5), {}, *key), 0);
  }
  EXPECT_EQ(ChooseScheme("\x00\x03\x07\x07\x04"sv, kAll, P256()), 0) << "half a number";
  const std::string all = Signatures({0x0807, 0x081a, kEcdsa521, kEcdsa256, kPss256, 0x0403});
  const PrivateKey p521{EvpPkeyPtr(EVP_EC_gen("P-521"))};
  const PrivateKey brainpool{EvpPkeyPtr(EVP_EC_gen("brainpoolP256r1"))};
  const PrivateKey small{EvpPkeyPtr(EVP_RSA_gen(1024))};
  for (const PrivateKey* key : {&p521, &brainpool, &small})
    EXPECT_EQ(ChooseScheme(all, kAll, *key), 0);
  EXPECT_EQ(ChooseScheme(all, kAll, *testing::KeyFor(KeyKind::kEd25519, "signs")), 0);
}

// By EVP_DigestVerify, as a client does it.
bool IsSigned(const PrivateKey& key, const EVP_MD* digest, bool is_rsa, std::string_view content,
              std::string_view signature) {
  const OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* parameters = nullptr;
  EXPECT_EQ(EVP_DigestVerifyInit(context.get(), &parameters, digest, nullptr, key.get()), 1);
  if (is_rsa) {
    EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
  }
  const bool is_signed =
      EVP_DigestVerify(context.get(), AsBytes(signature).data(), signature.size(),
                       AsBytes(content).data(), content.size()) == 1;
  ERR_clear_error();
  return is_signed;
}

TEST(Tls13Certificate, ACertificateVerifyIsOverTheServersContextAndTheTranscript) {
  const std::string hash(48, 'h');
  const std::string content =
      std::string(64, ' ') + std::string("TLS 1.3, server CertificateVerify\0"sv) + hash;
  struct Case {
    const PrivateKey& key;
    uint16_t scheme;
    const EVP_MD* digest;
  };
  for (const Case& given : {Case{P256(), kEcdsa256, EVP_sha256()},
                            {P384(), kEcdsa384, EVP_sha384()},
                            {Rsa(), kPss256, EVP_sha256()},
                            {Rsa(), kPss384, EVP_sha384()},
                            {Rsa(), kPss512, EVP_sha512()}}) {
    std::string messages = "front";
    ASSERT_TRUE(AppendCertificateVerify(given.key, given.scheme, AsBytes(hash), messages));
    WireReader reader(std::string_view(messages).substr(5));
    EXPECT_EQ(reader.Int(1), 15u);
    WireReader body(reader.Vector(3));
    EXPECT_TRUE(reader.is_done());
    EXPECT_EQ(body.Int(2), given.scheme);
    const std::string_view signature = body.Vector(2);
    EXPECT_TRUE(body.is_done());
    const bool is_rsa = given.scheme >= kPss256;
    EXPECT_TRUE(IsSigned(given.key, given.digest, is_rsa, content, signature)) << given.scheme;
    EXPECT_FALSE(IsSigned(given.key, given.digest, is_rsa, content + "x", signature));
  }
}

TEST(Tls13Certificate, AKeyThatDoesNotSignLeavesNothing) {
  std::string messages = "front";
  EXPECT_FALSE(AppendCertificateVerify(P256(), 0, {}, messages));
  EXPECT_FALSE(AppendCertificateVerify(P256(), kPss256, {}, messages)) << "of another kind";
  EXPECT_EQ(messages, "front");
  ERR_clear_error();
}

TEST(Tls13Certificate, TheStapleIsWithTheLeafAlone) {
  const testing::TestCa ca("Certificate");
  const std::vector<CertificatePtr> chain = ca.Bundle({"a.test"})->chain();
  for (const std::string& staple : {std::string(), std::string(Staple::kMost, 's')}) {
    std::string messages;
    AppendCertificate(chain, staple, messages);
    WireReader reader(messages);
    EXPECT_EQ(reader.Int(1), 11u);
    WireReader body(reader.Vector(3));
    EXPECT_TRUE(reader.is_done());
    EXPECT_EQ(body.Vector(1), "") << "certificate_request_context";
    WireReader list(body.Vector(3));
    EXPECT_TRUE(body.is_done());
    for (const CertificatePtr& one : chain) {
      EXPECT_EQ(list.Vector(3), one->der());
      WireReader extensions(list.Vector(2));
      if (one != chain.front() || staple.empty()) {
        EXPECT_TRUE(extensions.is_done());
        continue;
      }
      EXPECT_EQ(extensions.Int(2), 5u);
      WireReader status(extensions.Vector(2));
      EXPECT_TRUE(extensions.is_done());
      EXPECT_EQ(status.Int(1), 1u);
      EXPECT_EQ(status.Vector(3), staple);
      EXPECT_TRUE(status.is_done());
    }
    EXPECT_TRUE(list.is_done());
  }
}

}  // namespace
}  // namespace genkan::tls
