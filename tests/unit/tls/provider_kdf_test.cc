#include <algorithm>
#include <new>

#include "proxy/tls/provider/secret.h"
#include "proxy/tls/provider/sha2.h"
#include "tests/unit/tls/provider_support.h"

namespace genkan::tls::provider {
namespace {

// One derivation as libssl asks for it; what is not given is not among the parameters.
struct Asked {
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  std::string digest = "SHA256";
  std::optional<std::string> key, salt, label, data;
  size_t size = 32;

  std::vector<OSSL_PARAM> Parameters() {
    std::vector<OSSL_PARAM> parameters = {OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
                                          Text(OSSL_KDF_PARAM_DIGEST, digest),
                                          Octets(OSSL_KDF_PARAM_PREFIX, prefix)};
    if (key) parameters.push_back(Octets(OSSL_KDF_PARAM_KEY, *key));
    if (salt) parameters.push_back(Octets(OSSL_KDF_PARAM_SALT, *salt));
    if (label) parameters.push_back(Octets(OSSL_KDF_PARAM_LABEL, *label));
    if (data) parameters.push_back(Octets(OSSL_KDF_PARAM_DATA, *data));
    parameters.push_back(OSSL_PARAM_construct_end());
    return parameters;
  }

  std::string prefix = "tls13 ";
};

KdfContextPtr NewContext(const char* properties) {
  KdfPtr kdf(EVP_KDF_fetch(nullptr, "TLS13-KDF", properties));
  EXPECT_TRUE(kdf);
  return KdfContextPtr(EVP_KDF_CTX_new(kdf.get()));
}

// "" where it fails.
std::string Derive(EVP_KDF_CTX* context, Asked asked) {
  const ErrorQueueGuard guard;
  std::string out(asked.size, '\0');
  const auto parameters = asked.Parameters();
  const int result = EVP_KDF_derive(context, reinterpret_cast<unsigned char*>(out.data()),
                                    out.size(), parameters.data());
  return result == 1 ? out : "";
}
std::string Derive(const char* properties, const Asked& asked) {
  return Derive(NewContext(properties).get(), asked);
}

TEST(ProviderKdf, IsOursForWhoAsksAndTheirsForAnybodyElse) {
  KdfPtr ours(EVP_KDF_fetch(nullptr, "TLS13-KDF", Ours()));
  KdfPtr plain(EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr));
  EXPECT_STREQ(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(ours.get())), "genkan");
  EXPECT_STREQ(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(plain.get())), "default");
}

// RFC 8448 3: the key schedule of a simple handshake, step by step.
TEST(ProviderKdf, GivesTheSecretsOfRfc8448) {
  const std::string kEarly =
      Unhex("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
  const std::string kShared =
      Unhex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
  const std::string kHandshake =
      Unhex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac");
  const std::string kMaster =
      Unhex("18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919");
  const std::string kServerTraffic =
      Unhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
  const std::string kHelloHash =
      Unhex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8");
  Asked extract;
  extract.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
  extract.label = "derived";
  EXPECT_EQ(Hex(Derive(Ours(), extract)), Hex(kEarly));
  extract.salt = kEarly;
  extract.key = kShared;
  EXPECT_EQ(Hex(Derive(Ours(), extract)), Hex(kHandshake));
  extract.salt = kHandshake;
  extract.key.reset();
  EXPECT_EQ(Hex(Derive(Ours(), extract)), Hex(kMaster));

  Asked expand;
  expand.key = kHandshake;
  expand.data = kHelloHash;
  expand.label = "c hs traffic";
  EXPECT_EQ(Hex(Derive(Ours(), expand)),
            "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21");
  expand.label = "s hs traffic";
  EXPECT_EQ(Hex(Derive(Ours(), expand)), Hex(kServerTraffic));
  expand.key = kServerTraffic;
  expand.data.reset();
  expand.label = "key";
  expand.size = 16;
  EXPECT_EQ(Hex(Derive(Ours(), expand)), "3fce516009c21727d0f2e4e86ee403bc");
  expand.label = "iv";
  expand.size = 12;
  EXPECT_EQ(Hex(Derive(Ours(), expand)), "5d313eb2671276ee13000b30");
  expand.label = "finished";
  expand.size = 32;
  EXPECT_EQ(Hex(Derive(Ours(), expand)),
            "008d3b66f816ea559f96b537e885c31fc068bf492c652f01f288a1d8cdc19fc8");
}

TEST(ProviderKdf, IsTheDefaultProvidersForRandomInputs) {
  for (const char* digest : {"SHA256", "SHA384", "SHA512", "SHA2-256", "sha384"}) {
    for (int round = 0; round < 40; ++round) {
      Asked asked;
      asked.digest = digest;
      const std::string dice = Random(8);
      auto die = [&](size_t i) { return static_cast<unsigned char>(dice[i]); };
      // Keys up to a share of ffdhe8192, which is longer than a block.
      asked.key = Random(die(0) % 4 == 0 ? 1024 : die(0) % 70);
      asked.label = Random(die(1) % 4 == 0 ? 249 : die(1) % 20);
      if (die(2) % 3 > 0) asked.data = Random(die(2) % 4 == 0 ? 255 : die(2) % 66);
      asked.size = 1 + die(3) * (die(3) % 4 == 0 ? 30 : 1);
      SCOPED_TRACE(fmt::format("{} key={} label={} data={} size={}", digest, asked.key->size(),
                               asked.label->size(), asked.data ? asked.data->size() : 0,
                               asked.size));
      EXPECT_EQ(Hex(Derive(Ours(), asked)), Hex(Derive(kTheirs, asked)));
      asked.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
      asked.size = std::string_view(digest).ends_with("256")   ? 32
                   : std::string_view(digest).ends_with("384") ? 48
                                                               : 64;
      asked.salt = Random(asked.size);
      const std::string extracted = Derive(Ours(), asked);
      EXPECT_EQ(extracted.size(), asked.size);
      EXPECT_EQ(Hex(extracted), Hex(Derive(kTheirs, asked)));
      if (die(4) % 2 == 0) asked.key.reset();
      if (die(5) % 2 == 0) asked.salt.reset();
      EXPECT_EQ(Hex(Derive(Ours(), asked)), Hex(Derive(kTheirs, asked)));
    }
  }
}

TEST(ProviderKdf, AContextIsUsedAgainAndResetAndFilledByPieces) {
  for (const char* properties : {Ours(), kTheirs}) {
    SCOPED_TRACE(properties);
    KdfContextPtr context = NewContext(properties);
    Asked asked;
    asked.key = std::string(32, 'k');
    asked.label = "key";
    asked.data = std::string(32, 'd');
    const std::string with_data = Derive(context.get(), asked);
    asked.data.reset();
    // What was the context of the first is not that of the second.
    const std::string without = Derive(context.get(), asked);
    EXPECT_EQ(without.size(), 32u);
    EXPECT_NE(with_data, without);
    EXPECT_EQ(without, Derive(properties, asked));
    EVP_KDF_CTX_reset(context.get());
    unsigned char out[32];
    EXPECT_NE(EVP_KDF_derive(context.get(), out, sizeof out, nullptr), 1) << "it forgot all";
    const auto parameters = asked.Parameters();
    ASSERT_EQ(EVP_KDF_CTX_set_params(context.get(), parameters.data()), 1);
    ASSERT_EQ(EVP_KDF_derive(context.get(), out, sizeof out, nullptr), 1);
    EXPECT_EQ(std::string(reinterpret_cast<char*>(out), sizeof out), without);
    TakeOpensslErrors();
  }
}

TEST(ProviderKdf, SaysHowMuchItGives) {
  for (const char* properties : {Ours(), kTheirs}) {
    SCOPED_TRACE(properties);
    KdfContextPtr context = NewContext(properties);
    Asked asked;
    asked.digest = "SHA384";
    auto parameters = asked.Parameters();
    ASSERT_EQ(EVP_KDF_CTX_set_params(context.get(), parameters.data()), 1);
    EXPECT_EQ(EVP_KDF_CTX_get_kdf_size(context.get()), SIZE_MAX);
    asked.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
    parameters = asked.Parameters();
    ASSERT_EQ(EVP_KDF_CTX_set_params(context.get(), parameters.data()), 1);
    EXPECT_EQ(EVP_KDF_CTX_get_kdf_size(context.get()), 48u);
  }
}

TEST(ProviderKdf, RefusesWhatTheDefaultProviderRefuses) {
  Asked good;
  good.key = std::string(32, 'k');
  good.label = "key";
  good.data = "";
  struct Bad {
    const char* what;
    void (*spoil)(Asked&);
  };
  const Bad kBad[] = {
      {"no such digest", [](Asked& asked) { asked.digest = "SHA9000"; }},
      {"no key", [](Asked& asked) { asked.key.reset(); }},
      {"extract and expand",
       [](Asked& asked) { asked.mode = EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND; }},
      {"no such mode", [](Asked& asked) { asked.mode = 7; }},
      {"a label too long", [](Asked& asked) { asked.label = std::string(250, 'l'); }},
      {"a context too long", [](Asked& asked) { asked.data = std::string(256, 'd'); }},
      {"more than 255 blocks", [](Asked& asked) { asked.size = 255 * 32 + 1; }},
      {"an extract of another size",
       [](Asked& asked) {
         asked.mode = EVP_KDF_HKDF_MODE_EXTRACT_ONLY;
         asked.size = 31;
       }},
  };
  for (const char* properties : {Ours(), kTheirs}) {
    EXPECT_EQ(Derive(properties, good).size(), 32u);
    for (const Bad& bad : kBad) {
      Asked asked = good;
      bad.spoil(asked);
      EXPECT_EQ(Derive(properties, asked), "") << properties << ": " << bad.what;
    }
  }
}

// The object's memory after its end holds no word of what it held before.
template <class T, class... Arguments>
void ExpectWiped(Arguments&&... arguments) {
  alignas(T) static unsigned char room[sizeof(T)];
  auto words = [] {
    std::vector<uint64_t> held(sizeof(T) / 8);
    std::memcpy(held.data(), room, held.size() * 8);
    return held;
  };
  T* object = new (room) T(std::forward<Arguments>(arguments)...);
  const auto before = words();
  object->~T();
  const auto after = words();
  int secrets = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i] >> 32 == 0 || (before[i] & 0xffffffff) == 0) continue;  // a size, a kind
    ++secrets;
    EXPECT_EQ(after[i], 0u) << "word " << i << " of " << before.size();
  }
  EXPECT_GT(secrets, 2);
}

struct FilledSecret : Secret {
  explicit FilledSecret(Bytes bytes) { Set(bytes); }
};

TEST(ProviderKdf, LeavesNoSecretBehind) {
  const std::string key = Random(48);
  ExpectWiped<FilledSecret>(AsBytes(key));
  ExpectWiped<HmacSha2>(Sha2::kSha256, AsBytes(key));
  ExpectWiped<HmacSha2>(Sha2::kSha384, AsBytes(key));
  const std::string long_key = Random(300);
  ExpectWiped<HmacSha2>(Sha2::kSha256, AsBytes(long_key));
}

}  // namespace
}  // namespace genkan::tls::provider
