#include "proxy/tls/key_outline.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using testing::Issued;
using testing::KeyKind;
using testing::TestCa;

EvpPkeyPtr MakeKey(const char* kind) {
  const std::string_view name(kind);
  if (name == "RSA-2048") return EvpPkeyPtr(EVP_RSA_gen(2048));
  if (name == "ED25519") return EvpPkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  return EvpPkeyPtr(EVP_EC_gen(kind));
}

std::string Written(int (*write)(BIO*, const EVP_PKEY*), const EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  EXPECT_EQ(write(bio.get(), key), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

std::string Pkcs8(const EVP_PKEY* key) { return Written(i2d_PKCS8PrivateKeyInfo_bio, key); }
// SEC 1 of an EC key, PKCS#1 of an RSA key.
std::string Traditional(const EVP_PKEY* key) { return Written(i2d_PrivateKey_bio, key); }

std::string PublicDer(EVP_PKEY* key) {
  EVP_PKEY_up_ref(key);
  return PrivateKey(EvpPkeyPtr(key)).public_key();
}

TEST(KeyOutline, GivesThePublicHalfThatDecodingGives) {
  for (const char* kind : {"P-256", "P-384", "P-521", "RSA-2048"}) {
    const EvpPkeyPtr key = MakeKey(kind);
    ASSERT_TRUE(key) << kind;
    EXPECT_EQ(PublicKeyOf(Pkcs8(key.get())), PublicDer(key.get())) << kind;
    EXPECT_EQ(PublicKeyOf(Traditional(key.get())), PublicDer(key.get())) << kind;
  }
}

TEST(KeyOutline, LeavesToOthersWhatItDoesNotShow) {
  const EvpPkeyPtr curve = MakeKey("ED25519"), compressed = MakeKey("P-256");
  EXPECT_EQ(PublicKeyOf(Pkcs8(curve.get())), "");
  ASSERT_EQ(EVP_PKEY_set_utf8_string_param(compressed.get(), "point-format", "compressed"), 1);
  EXPECT_EQ(PublicKeyOf(Pkcs8(compressed.get())), "");
  EXPECT_EQ(PublicKeyOf(""), "");
  EXPECT_EQ(PublicKeyOf(TestCa().root().certificate->der()), "");
}

TEST(KeyOutline, EveryCutIsNothingAndNoByteIsReadBeyondIt) {
  for (const char* kind : {"P-256", "RSA-2048"}) {
    const EvpPkeyPtr key = MakeKey(kind);
    for (const std::string& der : {Pkcs8(key.get()), Traditional(key.get())}) {
      for (size_t size = 0; size < der.size(); ++size)
        EXPECT_EQ(PublicKeyOf(std::string(der, 0, size)), "") << kind << size;
      EXPECT_EQ(PublicKeyOf(der + '\0'), "") << "something follows";
    }
  }
}

TEST(UndecodedKey, DecodesWhenItIsFirstUsed) {
  const TestCa ca;
  for (KeyKind kind : {KeyKind::kEcdsa, KeyKind::kRsa}) {
    const PrivateKeyPtr plain = testing::KeyFor(kind, "undecoded");
    const PrivateKeyPtr key = PrivateKey::Undecoded(Pkcs8(plain->get()));
    ASSERT_TRUE(key);
    EXPECT_EQ(key->public_key(), plain->public_key());
    ASSERT_NE(key->get(), nullptr);
    EXPECT_EQ(EVP_PKEY_eq(key->get(), plain->get()), 1);
    EXPECT_EQ(key->get(), key->get()) << "once";
    EXPECT_NE(key->Apart()->get(), key->get());
    EXPECT_EQ(key->Apart()->sha256(), key->sha256());
  }
}

TEST(UndecodedKey, ABrokenOneHasNoKeyAndLeavesNoError) {
  const TestCa ca;
  std::string der = Pkcs8(testing::KeyFor(KeyKind::kEcdsa, "broken")->get());
  // The point's last byte: no longer on the curve.
  der.back() = static_cast<char>(der.back() ^ 1);
  const PrivateKeyPtr key = PrivateKey::Undecoded(der);
  ASSERT_TRUE(key) << "the structure is whole";
  EXPECT_EQ(key->get(), nullptr);
}

}  // namespace
}  // namespace genkan::tls
