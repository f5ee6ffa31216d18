#include "proxy/net/address.h"

#include <gtest/gtest.h>

namespace genkan::net {
namespace {

TEST(Address, ParsesWhatItPrints) {
  for (const char* text : {"127.0.0.1:80", "[::1]:8443", "0.0.0.0:0", "unix:/run/x.sock",
                           "[2001:db8::1]:65535"}) {
    auto address = Address::Parse(text);
    ASSERT_TRUE(address) << text << ": " << address.error().detail;
    EXPECT_EQ(address->ToString(), text);
    auto again = Address::FromSockaddr(address->get(), address->length());
    EXPECT_EQ(again, *address) << text;
  }
}

TEST(Address, EmptyHostIsEveryAddressOfBothVersions) {
  auto address = Address::Parse(":443");
  ASSERT_TRUE(address);
  EXPECT_TRUE(address->is_dual_stack());
  EXPECT_EQ(address->family(), AF_INET6);
  EXPECT_EQ(address->port(), 443);
  EXPECT_FALSE(Address::Parse("[::]:443")->is_dual_stack());
}

TEST(Address, RefusesWhatIsNone) {
  for (const char* text : {"", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                           "localhost:80", "::1:80", "[::1:80", "[127.0.0.1]:80", "1.2.3:80",
                           "unix:", "unix:relative", "127.0.0.1:+80", "[]:80", "[::1]80",
                           "127.0.0.1 :80"}) {
    EXPECT_FALSE(Address::Parse(text)) << text;
  }
  EXPECT_FALSE(Address::Parse("unix:/" + std::string(200, 'a')));
  EXPECT_FALSE(Address::Parse(std::string_view("unix:/a\0b", 9)));
}

TEST(Address, MappedAddressBecomesIpv4) {
  auto address = Address::ParseHost("::ffff:192.0.2.7", 80);
  ASSERT_TRUE(address);
  EXPECT_EQ(address->ToString(), "192.0.2.7:80");
  EXPECT_EQ(address->HostBytes().size(), 4u);
}

TEST(Address, HostAndPortAreApart) {
  auto address = *Address::Parse("[::1]:80");
  EXPECT_EQ(address.HostString(), "::1");
  EXPECT_EQ(address.HostBytes().size(), 16u);
  address.set_port(81);
  EXPECT_EQ(address.ToString(), "[::1]:81");
  EXPECT_NE(address, *Address::Parse("[::1]:80"));
  EXPECT_EQ(Address::Parse("unix:/a")->HostString(), "unix:");
  EXPECT_NE(*Address::Parse("unix:/a"), *Address::Parse("unix:/b"));
}

TEST(Network, ContainsByPrefix) {
  struct Case {
    const char* network;
    const char* host;
    bool is_in;
  };
  for (const Case& c : {Case{"10.0.0.0/8", "10.255.0.1", true}, {"10.0.0.0/8", "11.0.0.1", false},
                        {"192.0.2.1", "192.0.2.1", true}, {"192.0.2.1", "192.0.2.2", false},
                        {"172.16.0.0/12", "172.31.255.255", true},
                        {"172.16.0.0/12", "172.32.0.0", false}, {"0.0.0.0/0", "8.8.8.8", true},
                        {"0.0.0.0/0", "::1", false}, {"::/0", "2001:db8::1", true},
                        {"2001:db8::/33", "2001:db8:7fff::1", true},
                        {"2001:db8::/33", "2001:db8:8000::1", false},
                        {"10.1.2.3/8", "10.9.9.9", true},
                        {"::ffff:10.0.0.0/104", "10.9.9.9", true}}) {
    auto network = Network::Parse(c.network);
    ASSERT_TRUE(network) << c.network;
    EXPECT_EQ(network->Contains(*Address::ParseHost(c.host, 1)), c.is_in)
        << c.network << " " << c.host;
  }
  EXPECT_FALSE(Network::Parse("10.0.0.0/8")->Contains(*Address::Parse("unix:/a")));
}

TEST(Network, RefusesWhatIsNone) {
  for (const char* text : {"", "10.0.0.0/33", "10.0.0.0/", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1",
                           "::ffff:10.0.0.0/95"}) {
    EXPECT_FALSE(Network::Parse(text)) << text;
  }
}

TEST(Network, PrintsItsCanonicalForm) {
  EXPECT_EQ(Network::Parse("10.1.2.3/8")->ToString(), "10.0.0.0/8");
  EXPECT_EQ(Network::Parse("::1")->ToString(), "::1/128");
}

}  // namespace
}  // namespace genkan::net
