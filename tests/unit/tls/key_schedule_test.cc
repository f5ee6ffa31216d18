#include "proxy/tls/key_schedule.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/base/text.h"
#include "tests/unit/tls/from_hex.h"

namespace genkan::tls {
namespace {

using provider::Sha2;

std::string ToHex(const HashValue& value) { return HexEncode(value.bytes()); }

// RFC 8448 3: the trace of a simple handshake with X25519.
TEST(KeySchedule, GivesTheSecretsOfTheTrace) {
  HashValue early(Sha2::kSha256), handshake(Sha2::kSha256), master(Sha2::kSha256);
  ExtractEarly({}, early);
  EXPECT_EQ(ToHex(early), "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a");
  const std::string agreed =
      FromHex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d");
  ExtractNext(early, AsBytes(agreed), handshake);
  EXPECT_EQ(ToHex(handshake), "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac");
  ExtractNext(handshake, {}, master);
  EXPECT_EQ(ToHex(master), "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919");
  // The transcript's hash up to ServerHello.
  const std::string hash =
      FromHex("860c06edc07858ee8e78f0e7428c58edd6b43f2ca3e6e95f02ed063cf0e1cad8");
  HashValue client(Sha2::kSha256), server(Sha2::kSha256);
  Expand(handshake.bytes(), "c hs traffic", AsBytes(hash), client);
  EXPECT_EQ(ToHex(client), "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21");
  Expand(handshake.bytes(), "s hs traffic", AsBytes(hash), server);
  EXPECT_EQ(ToHex(server), "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
}

TEST(KeySchedule, APreSharedKeyChangesTheEarlySecret) {
  for (Sha2 digest : {Sha2::kSha256, Sha2::kSha384}) {
    HashValue without(digest), zeros(digest), with(digest);
    ExtractEarly({}, without);
    // Nothing is as good as zeros of the hash's length (RFC 8446 7.1), and anything else is not.
    ExtractEarly(AsBytes(std::string(provider::DigestSize(digest), '\0')), zeros);
    ExtractEarly(AsBytes(std::string(provider::DigestSize(digest), 'k')), with);
    EXPECT_EQ(AsText(without.bytes()), AsText(zeros.bytes()));
    EXPECT_NE(AsText(without.bytes()), AsText(with.bytes()));
  }
}

}  // namespace
}  // namespace genkan::tls
