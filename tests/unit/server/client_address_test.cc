#include "proxy/server/client_address.h"

#include <gtest/gtest.h>

namespace genkan::server {
namespace {

// As seen behind 10.0.0.1, with 10.0.0.0/8 and ::1 trusted.
std::string Conveyed(const std::vector<std::string>& lines) {
  http::Headers headers;
  headers.Add("Via", "1.1 a");
  for (const std::string& line : lines) headers.Add("X-Forwarded-For", line);
  std::vector<net::Network> trusted = {*net::Network::Parse("10.0.0.0/8"),
                                       *net::Network::Parse("::1")};
  return ConveyedAddress(headers, *net::Address::ParseHost("10.0.0.1", 0), trusted).HostString();
}

TEST(ConveyedAddress, IsTheLastThatIsNoTrustedProxy) {
  EXPECT_EQ(Conveyed({"192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(Conveyed({"192.0.2.1, 10.0.0.2"}), "192.0.2.1");
  EXPECT_EQ(Conveyed({"192.0.2.1", "10.0.0.2, ::1"}), "192.0.2.1");
  EXPECT_EQ(Conveyed({"2001:db8::1"}), "2001:db8::1");
}

TEST(ConveyedAddress, WhatAStrangerWroteInFrontIsNotBelieved) {
  EXPECT_EQ(Conveyed({"198.51.100.7, 192.0.2.1"}), "192.0.2.1");
  EXPECT_EQ(Conveyed({"198.51.100.7", "192.0.2.1, 10.0.0.3"}), "192.0.2.1");
  EXPECT_EQ(Conveyed({"10.0.0.9, 192.0.2.1"}), "192.0.2.1");
}

TEST(ConveyedAddress, WithoutAStrangerItIsTheFirstProxy) {
  EXPECT_EQ(Conveyed({}), "10.0.0.1");
  EXPECT_EQ(Conveyed({""}), "10.0.0.1");
  EXPECT_EQ(Conveyed({" , ,"}), "10.0.0.1");
  EXPECT_EQ(Conveyed({"10.0.0.3, 10.0.0.2"}), "10.0.0.3");
}

TEST(ConveyedAddress, NonsenseEndsTheSearch) {
  EXPECT_EQ(Conveyed({"192.0.2.1, unknown"}), "10.0.0.1");
  EXPECT_EQ(Conveyed({"192.0.2.1, unknown, 10.0.0.2"}), "10.0.0.2");
  EXPECT_EQ(Conveyed({"256.1.1.1"}), "10.0.0.1");
  EXPECT_EQ(Conveyed({"[::1"}), "::1") << "trusted, and nothing before it";
  EXPECT_EQ(Conveyed({"\"192.0.2.1\""}), "10.0.0.1");
  std::string many = "192.0.2.1";
  for (int i = 0; i < 100; ++i) many += ", 10.0.0.2";
  EXPECT_EQ(Conveyed({many}), "10.0.0.2");
}

TEST(ConveyedAddress, PortsAndMappedFormsAreSpellings) {
  EXPECT_EQ(Conveyed({"192.0.2.1:4711"}), "192.0.2.1");
  EXPECT_EQ(Conveyed({"[2001:db8::1]:443"}), "2001:db8::1");
  EXPECT_EQ(Conveyed({"[2001:db8::1]"}), "2001:db8::1");
  EXPECT_EQ(Conveyed({"::ffff:192.0.2.1"}), "192.0.2.1");
}

}  // namespace
}  // namespace genkan::server
