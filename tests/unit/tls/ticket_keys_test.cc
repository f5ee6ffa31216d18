#include "proxy/tls/ticket_keys.h"

#include <gtest/gtest.h>

#include "proxy/tls/tls_policy.h"

namespace genkan::tls {
namespace {

TEST(TicketKeys, RotationPutsAFreshKeyInFrontAndForgetsTheOldest) {
  auto keys = TicketKeys::Rotate(nullptr);
  ASSERT_EQ(keys->keys().size(), 1u);
  auto first = keys->keys().front();
  for (size_t i = 2; i <= TicketKeys::kAccepted + 3; ++i) {
    auto next = TicketKeys::Rotate(keys.get());
    EXPECT_EQ(next->keys().size(), std::min(i, TicketKeys::kAccepted));
    EXPECT_NE(next->keys()[0].name, keys->keys()[0].name);
    EXPECT_NE(next->keys()[0].aes_key, keys->keys()[0].aes_key);
    EXPECT_EQ(next->keys()[1].name, keys->keys()[0].name);
    EXPECT_EQ(next->keys()[1].hmac_key, keys->keys()[0].hmac_key);
    keys = next;
  }
  for (const auto& key : keys->keys()) EXPECT_NE(key.name, first.name);
}

TEST(TlsPolicy, ReadsProfilesAndVersions) {
  EXPECT_EQ(*ParseProfile("modern"), Profile::kModern);
  EXPECT_EQ(*ParseProfile("intermediate"), Profile::kIntermediate);
  EXPECT_EQ(*ParseProfile("old"), Profile::kOld);
  EXPECT_FALSE(ParseProfile("Modern"));
  EXPECT_EQ(*ParseTlsVersion("1.0"), 0x0301);
  EXPECT_EQ(*ParseTlsVersion("1.3"), 0x0304);
  for (const char* text : {"", "1", "1.4", "TLS1.2", "0.9"}) EXPECT_FALSE(ParseTlsVersion(text));
}

}  // namespace
}  // namespace genkan::tls
