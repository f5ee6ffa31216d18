#include "proxy/http/message_rules.h"

#include <gtest/gtest.h>

namespace genkan::http {
namespace {

using namespace std::string_literals;

std::string Text(const Headers& headers) {
  std::string text;
  for (Headers::Field field : headers) {
    text += std::string(field.name) + "=" + std::string(field.value) + "\n";
  }
  return text;
}

TEST(MessageRules, TokenBytesAreThoseOfRfc9110) {
  std::string allowed =
      "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  for (int c = 0; c < 256; ++c) {
    char byte = static_cast<char>(c);
    EXPECT_EQ(IsTokenByte(byte), allowed.find(byte) != std::string::npos) << c;
  }
  EXPECT_TRUE(IsToken("X-Forwarded-For"));
  EXPECT_FALSE(IsToken(""));
  EXPECT_FALSE(IsToken("a b"));
}

TEST(MessageRules, FieldValueHasNoControlByteButTab) {
  for (int c = 0; c < 256; ++c) {
    bool is_allowed = c == '\t' || (c >= 0x20 && c != 0x7f);
    EXPECT_EQ(IsFieldValue(std::string(1, static_cast<char>(c))), is_allowed) << c;
  }
  EXPECT_TRUE(IsFieldValue(""));
}

TEST(MessageRules, AuthorityIsOneHostWithAPerhapsPort) {
  for (const char* good : {"a", "example.com", "example.com.", "EXAMPLE.com:443", "a:0", "a:65535",
                           "a:080", "127.0.0.1:80", "[::1]", "[::1]:8443", "[2001:db8::1]",
                           "[::ffff:192.0.2.1]:1", "my_host.example", "xn--abc", "-a.example"}) {
    EXPECT_TRUE(IsAuthority(good)) << good;
  }
  for (const std::string& bad : {""s,         ":80"s,    "a:"s,          "a:65536"s,
                                 "a:-1"s,     "a:+1"s,   "a:80:80"s,     "a:8 0"s,
                                 "a:000080"s, "user@a"s, "a/b"s,         "a?b"s,
                                 "a#b"s,      "a,b"s,    "a b"s,         " a"s,
                                 "a "s,       "a\tb"s,   "\"a\""s,       "a'b"s,
                                 "a\\b"s,     "a\0"s,    "a\x7f"s,       "\xc3\xa4.example"s,
                                 "[::1"s,     "::1"s,    "[::1]x"s,      "[::1]80"s,
                                 "[]"s,       "[g::1]"s, "[::1%eth0]"s,  "[v1.a]"s,
                                 "[::1\0]"s,  "a..b"s,   ".a"s,          "."s,
                                 "a%41"s,     "a*"s,     "[127.0.0.1]"s, std::string(254, 'a')}) {
    EXPECT_FALSE(IsAuthority(bad)) << bad;
  }
}

TEST(MessageRules, OriginFormHasNoBlankControlOrFragment) {
  for (const char* good : {"/", "/a?b", "//a", "/a;b", "/%2f", "/\xff", "/a\"<>\\^`{|}"}) {
    EXPECT_TRUE(IsOriginForm(good)) << good;
  }
  for (const std::string& bad : {""s, "a"s, "*"s, "/a b"s, "/a#b"s, "/a\t"s, "/\0"s, "/\x7f"s}) {
    EXPECT_FALSE(IsOriginForm(bad)) << bad;
  }
}

TEST(MessageRules, NormalizeHostGivesWhatNamesCompareBy) {
  EXPECT_EQ(NormalizeHost("EXAMPLE.com.:443"), "example.com");
  EXPECT_EQ(NormalizeHost("example.com"), "example.com");
  EXPECT_EQ(NormalizeHost("[2001:DB8::1]:443"), "2001:db8::1");
  EXPECT_EQ(NormalizeHost("[::1]"), "::1");
  EXPECT_EQ(NormalizeHost(""), "");
}

TEST(MessageRules, HopByHopFieldsAreTheKnownEight) {
  for (const char* name : {"Connection", "Keep-Alive", "Proxy-Connection", "TE",
                           "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Proxy"}) {
    EXPECT_TRUE(IsHopByHop(name)) << name;
  }
  for (const char* name : {"Content-Length", "Host", "Trailer", "Via", "Proxy-Authorization", ""}) {
    EXPECT_FALSE(IsHopByHop(name)) << name;
  }
}

TEST(MessageRules, RemovesHopByHopAndWhatConnectionNames) {
  Headers headers;
  headers.Add("Connection", "close, X-Secret,Host, content-length ,X-Forwarded-For");
  headers.Add("X-Secret", "1");
  headers.Add("X-Forwarded-For", "2");
  headers.Add("Content-Length", "3");
  headers.Add("Host", "4");
  headers.Add("connection", "x-b, X-FORWARDED-PROTO");
  headers.Add("x-forwarded-proto", "5");
  headers.Add("X-B", "6");
  headers.Add("Close", "7");
  headers.Add("Keep-Alive", "8");
  headers.Add("Proxy", "9");
  headers.Add("TE", "trailers, deflate");
  RemoveHopByHop(headers, false);
  EXPECT_EQ(Text(headers),
            "X-Forwarded-For=2\nContent-Length=3\nHost=4\nx-forwarded-proto=5\nClose=7\n");
}

TEST(MessageRules, KeepsOnlyTrailersOfTe) {
  Headers headers;
  headers.Add("TE", "deflate;q=0.5, trailers");
  RemoveHopByHop(headers, true);
  EXPECT_EQ(Text(headers), "te=trailers\n");
  Headers without;
  without.Add("TE", "gzip");
  RemoveHopByHop(without, true);
  EXPECT_EQ(Text(without), "");
}

TEST(MessageRules, TrailersHoldNoFramingRoutingOrAuthentication) {
  for (const char* name : {"Host", "Content-Length", "Transfer-Encoding", "Authorization", "Cookie",
                           "Set-Cookie", "Trailer", "Content-Type", "Content-Encoding",
                           "X-Forwarded-For", "Connection", "If-Match", "Proxy", "TE"}) {
    EXPECT_TRUE(IsForbiddenTrailer(name)) << name;
  }
  for (const char* name : {"grpc-status", "grpc-message", "X-Checksum", "Digest", "Content-Digest",
                           "ETag", "Server-Timing"}) {
    EXPECT_FALSE(IsForbiddenTrailer(name)) << name;
  }
}

}  // namespace
}  // namespace genkan::http
