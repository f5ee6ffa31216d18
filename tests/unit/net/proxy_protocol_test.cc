#include "proxy/net/proxy_protocol.h"

#include <gtest/gtest.h>

namespace genkan::net {
namespace {

using namespace std::string_literals;

const Address kSource = *Address::Parse("192.0.2.1:56324");
const Address kDestination = *Address::Parse("198.51.100.7:443");
const Address kSource6 = *Address::Parse("[2001:db8::1]:56324");
const Address kDestination6 = *Address::Parse("[2001:db8::2]:443");

TEST(ProxyProtocol, ReadsWhatItWritesAtEverySplit) {
  for (const std::string& text :
       {WriteProxyHeaderV1(kSource, kDestination), WriteProxyHeaderV1(kSource6, kDestination6),
        WriteProxyHeaderV2(kSource, kDestination), WriteProxyHeaderV2(kSource6, kDestination6),
        WriteProxyHeaderV2(kSource, kDestination, "a.test")}) {
    for (size_t cut = 0; cut < text.size(); ++cut) {
      auto part = ParseProxyHeader(std::string_view(text).substr(0, cut));
      ASSERT_TRUE(part) << cut << " " << part.error().detail;
      EXPECT_FALSE(part->has_value()) << cut;
    }
    auto whole = ParseProxyHeader(text + "GET /");
    ASSERT_TRUE(whole && *whole);
    EXPECT_EQ((*whole)->length, text.size());
    ASSERT_TRUE((*whole)->has_addresses);
    bool is_v4 = (*whole)->source.family() == AF_INET;
    EXPECT_EQ((*whole)->source, is_v4 ? kSource : kSource6);
    EXPECT_EQ((*whole)->destination, is_v4 ? kDestination : kDestination6);
  }
  auto named = ParseProxyHeader(WriteProxyHeaderV2(kSource, kDestination, "a.test"));
  EXPECT_EQ((*named)->authority, "a.test");
}

TEST(ProxyProtocol, HealthChecksHaveNoAddresses) {
  for (const std::string& text : {"PROXY UNKNOWN\r\n"s, "PROXY UNKNOWN a b c d\r\n"s,
                                  WriteProxyHeaderV1(kSource, kDestination6),
                                  WriteProxyHeaderV2(kSource, kDestination6),
                                  WriteProxyHeaderV2(*Address::Parse("unix:/a"), kDestination)}) {
    auto header = ParseProxyHeader(text);
    ASSERT_TRUE(header && *header) << text;
    EXPECT_FALSE((*header)->has_addresses);
    EXPECT_EQ((*header)->length, text.size());
  }
}

TEST(ProxyProtocol, RefusesWhatIsNone) {
  const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);
  for (const std::string& text :
       {"GET / HTTP/1.1\r\n"s, "\x16\x03\x01"s, "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"s,
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"s, "PROXY TCP4 ::1 ::1 1 1\r\n"s,
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n"s, "PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n"s,
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n"s, "PROXY UDP4 1.2.3.4 1.2.3.4 1 1\r\n"s,
        "PROXY \r\n"s, "PROXY TCP4 1.2.3.4 1.2.3.4 1 1 1\r\n"s,
        "PROXY " + std::string(200, 'x'),
        signature + "\x11\x11\x00\x0c"s + std::string(12, '\0'),  // version 1
        signature + "\x22\x11\x00\x0c"s + std::string(12, '\0'),  // command 2
        signature + "\x21\x11\x00\x0b"s + std::string(11, '\0'),  // too short for its family
        signature + "\x21\x12\x00\x0c"s + std::string(12, '\0'),  // UDP
        signature + "\x21\x11\xff\xff"s,                          // longer than we take
        signature + "\x21\x11\x00\x0f"s + std::string(12, '\0') + "\x02\x00\x01"s}) {  // cut TLV
    EXPECT_FALSE(ParseProxyHeader(text)) << text;
  }
}

}  // namespace
}  // namespace genkan::net
