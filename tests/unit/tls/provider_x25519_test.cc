#include "tests/unit/tls/provider_support.h"

namespace genkan::tls::provider {
namespace {

EvpPkeyPtr Generate(const char* properties) {
  KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", properties));
  EVP_PKEY* key = nullptr;
  EXPECT_EQ(EVP_PKEY_keygen_init(context.get()), 1);
  EXPECT_EQ(EVP_PKEY_keygen(context.get(), &key), 1);
  return EvpPkeyPtr(key);
}
EvpPkeyPtr FromSecret(const char* properties, const std::string& secret) {
  return EvpPkeyPtr(EVP_PKEY_new_raw_private_key_ex(nullptr, "X25519", properties,
                                                    AsBytes(secret).data(), secret.size()));
}
EvpPkeyPtr FromPublic(const char* properties, const std::string& point) {
  return EvpPkeyPtr(EVP_PKEY_new_raw_public_key_ex(nullptr, "X25519", properties,
                                                   AsBytes(point).data(), point.size()));
}
// As libssl takes a client's share: parameters first, then the point into them.
EvpPkeyPtr FromShare(const char* properties, const std::string& share) {
  KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", properties));
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_paramgen_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_group_name(context.get(), "x25519") != 1 ||
      EVP_PKEY_paramgen(context.get(), &key) != 1)
    return nullptr;
  EvpPkeyPtr owned(key);
  if (EVP_PKEY_set1_encoded_public_key(key, AsBytes(share).data(), share.size()) != 1)
    return nullptr;
  return owned;
}

std::string PublicOf(EVP_PKEY* key) {
  std::string bytes(32, '\0');
  size_t size = bytes.size();
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(bytes.data()), &size),
            1);
  return bytes;
}
std::string SecretOf(EVP_PKEY* key) {
  std::string bytes(32, '\0');
  size_t size = bytes.size();
  EXPECT_EQ(
      EVP_PKEY_get_raw_private_key(key, reinterpret_cast<unsigned char*>(bytes.data()), &size), 1);
  return bytes;
}

// "" where it fails.
std::string Exchange(const char* properties, EVP_PKEY* ours, EVP_PKEY* peer) {
  KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, ours, properties));
  std::string secret(32, '\0');
  size_t size = secret.size();
  if (EVP_PKEY_derive_init(context.get()) != 1 ||
      EVP_PKEY_derive_set_peer(context.get(), peer) != 1 ||
      EVP_PKEY_derive(context.get(), reinterpret_cast<unsigned char*>(secret.data()), &size) != 1)
    return "";
  return secret;
}

struct Encapsulated {
  std::string share, secret;
};
std::optional<Encapsulated> Encapsulate(EVP_PKEY* peer) {
  KeyContextPtr context(EVP_PKEY_CTX_new_from_pkey(nullptr, peer, Ours()));
  size_t share_size = 0, secret_size = 0;
  if (EVP_PKEY_encapsulate_init(context.get(), nullptr) != 1 ||
      EVP_PKEY_encapsulate(context.get(), nullptr, &share_size, nullptr, &secret_size) != 1)
    return std::nullopt;
  Encapsulated made{std::string(share_size, '\0'), std::string(secret_size, '\0')};
  if (EVP_PKEY_encapsulate(context.get(), reinterpret_cast<unsigned char*>(made.share.data()),
                           &share_size, reinterpret_cast<unsigned char*>(made.secret.data()),
                           &secret_size) != 1)
    return std::nullopt;
  return made;
}

TEST(ProviderX25519, IsOursForWhoAsksAndTheirsForAnybodyElse) {
  auto provider_of = [](const EvpPkeyPtr& key) {
    return std::string(OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key.get())));
  };
  EXPECT_EQ(provider_of(Generate(Ours())), "genkan");
  EXPECT_EQ(provider_of(Generate(nullptr)), "default");
  // By any of its names.
  KeyContextPtr by_oid(EVP_PKEY_CTX_new_from_name(nullptr, "1.3.101.110", Ours()));
  EVP_PKEY* key = nullptr;
  ASSERT_EQ(EVP_PKEY_keygen_init(by_oid.get()), 1);
  ASSERT_EQ(EVP_PKEY_keygen(by_oid.get(), &key), 1);
  EXPECT_EQ(provider_of(EvpPkeyPtr(key)), "genkan");
}

// RFC 7748 5.2.
TEST(ProviderX25519, MultipliesAsRfc7748Says) {
  struct Vector {
    const char *secret, *point, *product;
  };
  const Vector kVectors[] = {
      {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
       "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
       "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
      {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
       "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
       "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
  };
  for (const Vector& vector : kVectors) {
    EvpPkeyPtr ours = FromSecret(Ours(), Unhex(vector.secret));
    EvpPkeyPtr peer = FromPublic(Ours(), Unhex(vector.point));
    EXPECT_EQ(Hex(Exchange(Ours(), ours.get(), peer.get())), vector.product);
  }
}

// RFC 7748 5.2: each product is the next secret, each secret the next point.
TEST(ProviderX25519, MultipliesAThousandTimesAsRfc7748Says) {
  std::string secret = "\x09" + std::string(31, '\0'), point = secret;
  for (int i = 0; i < 1000; ++i) {
    EvpPkeyPtr ours = FromSecret(Ours(), secret), peer = FromPublic(Ours(), point);
    point = std::exchange(secret, Exchange(Ours(), ours.get(), peer.get()));
    if (i == 0) {
      EXPECT_EQ(Hex(secret), "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
  }
  EXPECT_EQ(Hex(secret), "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

// RFC 8448 3: the shares of a handshake.
TEST(ProviderX25519, MakesTheSharesOfRfc8448) {
  EvpPkeyPtr client =
      FromSecret(Ours(), Unhex("49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005"));
  EvpPkeyPtr server =
      FromSecret(Ours(), Unhex("b1580eeadf6dd589b8ef4f2d5652578cc810e9980191ec8d058308cea216a21e"));
  EXPECT_EQ(Hex(PublicOf(client.get())),
            "99381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c");
  EXPECT_EQ(Hex(PublicOf(server.get())),
            "c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f");
  EvpPkeyPtr share = FromShare(Ours(), PublicOf(client.get()));
  EXPECT_EQ(Hex(Exchange(Ours(), server.get(), share.get())),
            "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
}

TEST(ProviderX25519, APairThatItMakesIsOne) {
  for (int i = 0; i < 50; ++i) {
    EvpPkeyPtr made = Generate(Ours());
    const std::string secret = SecretOf(made.get());
    EXPECT_EQ(secret[0] & 7, 0);
    EXPECT_EQ(secret[31] & 0xc0, 0x40);
    // The default provider multiplies the base point anew.
    EXPECT_EQ(Hex(PublicOf(made.get())), Hex(PublicOf(FromSecret(kTheirs, secret).get())));
  }
  EXPECT_NE(SecretOf(Generate(Ours()).get()), SecretOf(Generate(Ours()).get()));
}

TEST(ProviderX25519, APeerFindsWhatIsEncapsulated) {
  for (int i = 0; i < 50; ++i) {
    EvpPkeyPtr client = Generate(kTheirs);
    EvpPkeyPtr share = FromShare(Ours(), PublicOf(client.get()));
    ASSERT_TRUE(share);
    auto made = Encapsulate(share.get());
    ASSERT_TRUE(made);
    EXPECT_EQ(made->share.size(), 32u);
    EvpPkeyPtr server = FromPublic(kTheirs, made->share);
    EXPECT_EQ(Hex(Exchange(kTheirs, client.get(), server.get())), Hex(made->secret));
  }
}

// RFC 7748 6.1, RFC 8446 7.4.2: a secret of zeros is nobody's.
TEST(ProviderX25519, RefusesPointsOfLowOrder) {
  const ErrorQueueGuard guard;
  const char* kPoints[] = {
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  };
  EvpPkeyPtr own = Generate(Ours());
  for (const char* point : kPoints) {
    EvpPkeyPtr peer = FromShare(Ours(), Unhex(point));
    ASSERT_TRUE(peer) << point;
    EXPECT_FALSE(Encapsulate(peer.get())) << point;
    EXPECT_EQ(Exchange(Ours(), own.get(), peer.get()), "") << point;
  }
}

TEST(ProviderX25519, RefusesSharesOfAnotherSizeAndOtherGroups) {
  const ErrorQueueGuard guard;
  for (size_t size : {0, 1, 31, 33, 64}) EXPECT_FALSE(FromShare(Ours(), Random(size))) << size;
  KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", Ours()));
  ASSERT_EQ(EVP_PKEY_keygen_init(context.get()), 1);
  EXPECT_NE(EVP_PKEY_CTX_set_group_name(context.get(), "x448"), 1);
}

TEST(ProviderX25519, AShareCannotBeUsedAsAPair) {
  const ErrorQueueGuard guard;
  EvpPkeyPtr share = FromShare(Ours(), PublicOf(Generate(kTheirs).get()));
  EXPECT_EQ(Exchange(Ours(), share.get(), Generate(Ours()).get()), "") << "it has no secret";
  KeyContextPtr context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", Ours()));
  EVP_PKEY* empty = nullptr;
  ASSERT_EQ(EVP_PKEY_paramgen_init(context.get()), 1);
  ASSERT_EQ(EVP_PKEY_paramgen(context.get(), &empty), 1);
  EXPECT_NE(EVP_PKEY_eq(share.get(), EvpPkeyPtr(empty).get()), 1);
}

TEST(ProviderX25519, KeysAreCopiedComparedAndMovedToTheOtherProvider) {
  EvpPkeyPtr made = Generate(Ours());
  EvpPkeyPtr copy(EVP_PKEY_dup(made.get()));
  ASSERT_TRUE(copy);
  EXPECT_EQ(EVP_PKEY_eq(made.get(), copy.get()), 1);
  EXPECT_EQ(SecretOf(made.get()), SecretOf(copy.get()));
  EXPECT_EQ(EVP_PKEY_get_bits(made.get()), 253);
  EXPECT_EQ(EVP_PKEY_get_security_bits(made.get()), 128);
  EXPECT_EQ(EVP_PKEY_eq(made.get(), Generate(Ours()).get()), 0);
  // Between providers libcrypto exports and imports.
  EvpPkeyPtr theirs = FromSecret(kTheirs, SecretOf(made.get()));
  EXPECT_EQ(EVP_PKEY_eq(made.get(), theirs.get()), 1);
  EvpPkeyPtr peer = Generate(kTheirs);
  EXPECT_EQ(Hex(Exchange(kTheirs, made.get(), peer.get())),
            Hex(Exchange(Ours(), theirs.get(), peer.get())));
  KeyContextPtr check(EVP_PKEY_CTX_new_from_pkey(nullptr, made.get(), Ours()));
  EXPECT_EQ(EVP_PKEY_check(check.get()), 1);
  EXPECT_EQ(EVP_PKEY_public_check(check.get()), 1);
}

}  // namespace
}  // namespace genkan::tls::provider
