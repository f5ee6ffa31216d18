#include "tests/unit/tls/provider_support.h"

namespace genkan::tls::provider {
namespace {

MacContextPtr NewContext(const char* properties) {
  MacPtr mac(EVP_MAC_fetch(nullptr, "HMAC", properties));
  EXPECT_TRUE(mac);
  return MacContextPtr(EVP_MAC_CTX_new(mac.get()));
}

bool Init(EVP_MAC_CTX* context, const std::string& digest, const std::string& key) {
  const OSSL_PARAM parameters[] = {Text(OSSL_MAC_PARAM_DIGEST, digest), OSSL_PARAM_construct_end()};
  return EVP_MAC_init(context, AsBytes(key).data(), key.size(), parameters) == 1;
}

std::string Finish(EVP_MAC_CTX* context) {
  unsigned char out[EVP_MAX_MD_SIZE];
  size_t size = 0;
  if (EVP_MAC_final(context, out, &size, sizeof out) != 1) return "";
  return Hex({reinterpret_cast<char*>(out), size});
}

bool Update(EVP_MAC_CTX* context, std::string_view text) {
  return EVP_MAC_update(context, AsBytes(text).data(), text.size()) == 1;
}

std::string Hmac(const char* properties, const std::string& digest, const std::string& key,
                 std::string_view message) {
  MacContextPtr context = NewContext(properties);
  if (!Init(context.get(), digest, key) || !Update(context.get(), message)) return "";
  return Finish(context.get());
}

TEST(ProviderHmac, IsOursForWhoAsksAndTheirsForAnybodyElse) {
  MacPtr ours(EVP_MAC_fetch(nullptr, "HMAC", Ours()));
  MacPtr plain(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
  EXPECT_STREQ(OSSL_PROVIDER_get0_name(EVP_MAC_get0_provider(ours.get())), "genkan");
  EXPECT_STREQ(OSSL_PROVIDER_get0_name(EVP_MAC_get0_provider(plain.get())), "default");
}

// RFC 4231: cases 2 and 6, whose key is longer than a block of SHA-256.
TEST(ProviderHmac, GivesTheVectorsOfRfc4231) {
  EXPECT_EQ(Hmac(Ours(), "SHA256", "Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Hmac(Ours(), "SHA384", "Jefe", "what do ya want for nothing?"),
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
            "8e2240ca5e69e2c78b3239ecfab21649");
  EXPECT_EQ(Hmac(Ours(), "SHA256", std::string(131, '\xaa'),
                 "Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(ProviderHmac, IsTheDefaultProvidersForEachDigest) {
  // The last three are not ours.
  for (const char* digest : {"SHA256", "SHA2-384", "SHA-512", "SHA1", "SHA3-256", "MD5"}) {
    for (size_t size : {0, 1, 20, 64, 65, 128, 129, 300}) {
      const std::string key = Random(size), message = Random(3 * size + 7);
      const std::string ours = Hmac(Ours(), digest, key, message);
      EXPECT_FALSE(ours.empty()) << digest << " " << size;
      EXPECT_EQ(ours, Hmac(kTheirs, digest, key, message)) << digest << " " << size;
    }
  }
}

TEST(ProviderHmac, IsUsedAgainWithTheSameKeyAndDuplicatedOnTheWay) {
  for (const char* properties : {Ours(), kTheirs}) {
    for (const char* digest : {"SHA256", "SHA384", "SHA1"}) {
      SCOPED_TRACE(fmt::format("{} {}", properties, digest));
      MacContextPtr context = NewContext(properties);
      ASSERT_TRUE(Init(context.get(), digest, "the key"));
      ASSERT_TRUE(Update(context.get(), "half "));
      MacContextPtr copy(EVP_MAC_CTX_dup(context.get()));
      ASSERT_TRUE(copy);
      ASSERT_TRUE(Update(context.get(), "and half"));
      ASSERT_TRUE(Update(copy.get(), "and more"));
      EXPECT_EQ(Finish(context.get()), Hmac(kTheirs, digest, "the key", "half and half"));
      EXPECT_EQ(Finish(copy.get()), Hmac(kTheirs, digest, "the key", "half and more"));
      ASSERT_EQ(EVP_MAC_init(context.get(), nullptr, 0, nullptr), 1);
      ASSERT_TRUE(Update(context.get(), "again"));
      EXPECT_EQ(Finish(context.get()), Hmac(kTheirs, digest, "the key", "again"));
      ASSERT_TRUE(Init(context.get(), "SHA384", "another")) << "another digest too";
      ASSERT_TRUE(Update(context.get(), "again"));
      EXPECT_EQ(Finish(context.get()), Hmac(kTheirs, "SHA384", "another", "again"));
    }
  }
}

TEST(ProviderHmac, SaysItsSizes) {
  for (const char* properties : {Ours(), kTheirs}) {
    for (const auto& [digest, size, block] :
         {std::tuple("SHA256", 32u, 64u), {"SHA384", 48u, 128u}, {"SHA1", 20u, 64u}}) {
      MacContextPtr context = NewContext(properties);
      ASSERT_TRUE(Init(context.get(), digest, "k"));
      EXPECT_EQ(EVP_MAC_CTX_get_mac_size(context.get()), size) << properties << digest;
      EXPECT_EQ(EVP_MAC_CTX_get_block_size(context.get()), block) << properties << digest;
    }
  }
}

TEST(ProviderHmac, NeedsADigestAndAKey) {
  const ErrorQueueGuard guard;
  for (const char* properties : {Ours(), kTheirs}) {
    MacContextPtr context = NewContext(properties);
    EXPECT_NE(EVP_MAC_init(context.get(), AsBytes("k").data(), 1, nullptr), 1) << properties;
    const std::string name = "SHA256";
    const OSSL_PARAM digest[] = {Text(OSSL_MAC_PARAM_DIGEST, name), OSSL_PARAM_construct_end()};
    ASSERT_EQ(EVP_MAC_CTX_set_params(context.get(), digest), 1);
    EXPECT_NE(EVP_MAC_init(context.get(), nullptr, 0, nullptr), 1) << properties;
    EXPECT_FALSE(Init(context.get(), "SHA9000", "k")) << properties;
  }
}

// What TLS 1.2 does with CBC suites: the MAC of a record whose padding is not known yet, in
// constant time.
TEST(ProviderHmac, TheRecordsOfCbcGoToTheDefaultProvider) {
  const std::string key = Random(32), header = Random(13), record = Random(96);
  for (const char* digest : {"SHA256", "SHA384"}) {
    std::vector<std::string> macs;
    for (const char* properties : {Ours(), kTheirs}) {
      MacContextPtr prepared = NewContext(properties);
      ASSERT_TRUE(Init(prepared.get(), digest, key));
      MacContextPtr context(EVP_MAC_CTX_dup(prepared.get()));
      size_t whole = record.size() + 16;
      const OSSL_PARAM parameters[] = {
          OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_TLS_DATA_SIZE, &whole),
          OSSL_PARAM_construct_end()};
      ASSERT_EQ(EVP_MAC_CTX_set_params(context.get(), parameters), 1) << properties;
      ASSERT_TRUE(Update(context.get(), header));
      ASSERT_TRUE(Update(context.get(), record));
      macs.push_back(Finish(context.get()));
      EXPECT_EQ(macs.back(), Hmac(kTheirs, digest, key, header + record)) << properties;
    }
    EXPECT_EQ(macs[0], macs[1]);
  }
}

}  // namespace
}  // namespace genkan::tls::provider
