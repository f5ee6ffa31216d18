#include "proxy/server/address_limiter.h"

#include <gtest/gtest.h>

namespace genkan::server {
namespace {

net::Address Of(const char* host) { return *net::Address::ParseHost(host, 1234); }

TEST(AddressLimiter, CutsOneAddressAndNoOther) {
  AddressLimiter limiter;
  EXPECT_TRUE(limiter.TryAdd(Of("10.0.0.1"), 2, 0, false));
  EXPECT_TRUE(limiter.TryAdd(Of("10.0.0.1"), 2, 0, false));
  EXPECT_FALSE(limiter.TryAdd(Of("10.0.0.1"), 2, 0, false));
  EXPECT_TRUE(limiter.TryAdd(Of("10.0.0.2"), 2, 0, false));
  limiter.Remove(Of("10.0.0.1"), false);
  EXPECT_TRUE(limiter.TryAdd(Of("10.0.0.1"), 2, 0, false));
}

TEST(AddressLimiter, HandshakesHaveALimitOfTheirOwn) {
  AddressLimiter limiter;
  EXPECT_TRUE(limiter.TryAdd(Of("10.0.0.1"), 10, 1, true));
  EXPECT_FALSE(limiter.TryAdd(Of("10.0.0.1"), 10, 1, true));
  limiter.HandshakeDone(Of("10.0.0.1"));
  EXPECT_TRUE(limiter.TryAdd(Of("10.0.0.1"), 10, 1, true));
}

TEST(AddressLimiter, ASlash64IsOneClient) {
  AddressLimiter limiter;
  EXPECT_TRUE(limiter.TryAdd(Of("2001:db8:1:2::1"), 1, 0, false));
  EXPECT_FALSE(limiter.TryAdd(Of("2001:db8:1:2:ffff::9"), 1, 0, false));
  EXPECT_TRUE(limiter.TryAdd(Of("2001:db8:1:3::1"), 1, 0, false));
}

TEST(AddressLimiter, ForgetsAddressesThatAreGone) {
  AddressLimiter limiter;
  limiter.TryAdd(Of("10.0.0.1"), 0, 0, true);
  EXPECT_EQ(limiter.addresses(), 1u);
  limiter.Remove(Of("10.0.0.1"), true);
  EXPECT_EQ(limiter.addresses(), 0u);
  limiter.Remove(Of("10.0.0.1"), true);
}

}  // namespace
}  // namespace genkan::server
