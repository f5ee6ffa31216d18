#include "proxy/http/forwarding.h"

#include <gtest/gtest.h>

#include "tests/unit/http/h1_recorder.h"

namespace genkan::http {
namespace {

RequestHead Request(std::initializer_list<Headers::Field> fields) {
  RequestHead head;
  head.method = "GET";
  head.authority = "a.test";
  head.target = "/";
  for (Headers::Field field : fields) head.headers.Add(field.name, field.value);
  return head;
}

const PeerView kStranger{"192.0.2.1", "443", true, false};
const PeerView kTrusted{"10.0.0.1", "443", true, true};

TEST(Forwarding, SaysWhoIsAsking) {
  RequestHead head = Request({{"Accept", "*/*"}});
  EXPECT_TRUE(PrepareForUpstream(head, kStranger, {}));
  EXPECT_EQ(Describe(head.headers),
            "[Accept=*/*][x-forwarded-for=192.0.2.1][x-forwarded-proto=https]"
            "[x-forwarded-host=a.test][x-forwarded-port=443]");
}

TEST(Forwarding, ReplacesWhatAStrangerClaims) {
  RequestHead head = Request({{"X-Forwarded-For", "1.2.3.4"},
                              {"x-forwarded-proto", "http"},
                              {"X-Forwarded-Host", "evil"},
                              {"X-Forwarded-Prefix", "/evil"},
                              {"Forwarded", "for=1.2.3.4"},
                              {"Connection", "x-forwarded-for, x-forwarded-proto"}});
  EXPECT_TRUE(PrepareForUpstream(head, {"::1", "80", false, false}, {}));
  EXPECT_EQ(Describe(head.headers),
            "[x-forwarded-for=::1][x-forwarded-proto=http][x-forwarded-host=a.test]"
            "[x-forwarded-port=80]");
}

TEST(Forwarding, ExtendsWhatATrustedProxySays) {
  RequestHead head = Request({{"X-Forwarded-For", "1.2.3.4"},
                              {"X-Forwarded-For", "5.6.7.8"},
                              {"X-Forwarded-Proto", "http"},
                              {"X-Forwarded-Host", "b.test"},
                              {"Forwarded", "for=1.2.3.4"}});
  EXPECT_TRUE(PrepareForUpstream(head, kTrusted, {}));
  EXPECT_EQ(Describe(head.headers),
            "[X-Forwarded-Proto=http][X-Forwarded-Host=b.test]"
            "[forwarded=for=1.2.3.4, for=10.0.0.1;host=a.test;proto=https]"
            "[x-forwarded-for=1.2.3.4, 5.6.7.8, 10.0.0.1][x-forwarded-port=443]");
}

TEST(Forwarding, WritesForwardedAndViaWhereAsked) {
  RequestHead head = Request({{"Via", "1.0 fred"}});
  head.authority = "a.test:8443";
  head.version = Version::kHttp2;
  ForwardingPolicy policy;
  policy.forwarded = policy.via = true;
  EXPECT_TRUE(PrepareForUpstream(head, {"2001:db8::1", "8443", true, false}, policy));
  EXPECT_EQ(head.headers.Get("forwarded"),
            "for=\"[2001:db8::1]\";host=\"a.test:8443\";proto=https");
  EXPECT_EQ(head.headers.Get("via"), "1.0 fred, 2 genkan");
}

TEST(Forwarding, DropsHopByHopFieldsAndProxy) {
  RequestHead head = Request({{"Connection", "close, x-named"},
                              {"X-Named", "1"},
                              {"Keep-Alive", "5"},
                              {"Proxy", "http://evil"},
                              {"Proxy-Connection", "close"},
                              {"TE", "trailers, gzip"},
                              {"Upgrade", "h2c"},
                              {"HTTP2-Settings", "x"}});
  EXPECT_TRUE(PrepareForUpstream(head, kStranger, {}));
  head.headers.RemoveIf(
      [](std::string_view name, std::string_view) { return name.substr(0, 2) == "x-"; });
  EXPECT_EQ(Describe(head.headers), "[te=trailers]");
}

TEST(Forwarding, NoSpellingOfOursComesFromAStranger) {
  // PHP's built-in server makes HTTP_X_FORWARDED_FOR of each of them.
  for (auto policy : {UnderscoreHeaders::kDrop, UnderscoreHeaders::kPass}) {
    RequestHead head;
    for (const char* name : {"X.Forwarded.For", "X_Forwarded.For", "X-Forwarded~For", "x.forwarded.proto",
                             "Forwarded", "Content.Length", "Transfer!Encoding"})
      head.headers.Add(name, "lie");
    head.headers.Add("X.Other", "stays");
    EXPECT_TRUE(PrepareForUpstream(head, kStranger, {false, false, policy}));
    for (Headers::Field field : head.headers) EXPECT_NE(field.value, "lie") << field.name;
    EXPECT_TRUE(head.headers.Has("x.other"));
  }
}

TEST(Forwarding, UnderscoresAreDroppedPassedOrRefused) {
  for (auto policy :
       {UnderscoreHeaders::kDrop, UnderscoreHeaders::kPass, UnderscoreHeaders::kRefuse}) {
    RequestHead head = Request({{"a_b", "1"}, {"X_Forwarded_For", "1.2.3.4"}, {"Pro_xy", "2"}});
    ForwardingPolicy forwarding;
    forwarding.underscores = policy;
    bool passes = PrepareForUpstream(head, kStranger, forwarding);
    EXPECT_EQ(passes, policy != UnderscoreHeaders::kRefuse);
    EXPECT_EQ(head.headers.Has("a_b"), policy == UnderscoreHeaders::kPass);
    EXPECT_FALSE(head.headers.Has("X_Forwarded_For"));
  }
  RequestHead plain = Request({{"a-b", "1"}});
  EXPECT_TRUE(PrepareForUpstream(plain, kStranger, {false, false, UnderscoreHeaders::kRefuse}));
}

TEST(Forwarding, CleansResponses) {
  ResponseHead head;
  head.headers.Add("Connection", "close, X-Internal");
  head.headers.Add("X-Internal", "1");
  head.headers.Add("Keep-Alive", "timeout=5");
  head.headers.Add("Set-Cookie", "a=b");
  ForwardingPolicy policy;
  policy.via = true;
  PrepareForDownstream(head, policy);
  EXPECT_EQ(Describe(head.headers), "[Set-Cookie=a=b][via=1.1 genkan]");
}

std::string Rewrite(std::string_view name, std::string_view value,
                    std::string_view authority = "a.test") {
  ResponseHead head;
  head.headers.Add("First", "1");
  head.headers.Add(name, value);
  head.headers.Add("Last", "2");
  RewriteResponse(head, authority, {true, true});
  EXPECT_EQ(head.headers.size(), 3u);
  EXPECT_EQ(head.headers.at(1).name, name);
  return std::string(head.headers.at(1).value);
}

TEST(Forwarding, LocationOfOursBecomesHttps) {
  struct Row {
    const char* value;
    const char* authority;
    const char* rewritten;
  };
  for (const Row& row :
       std::initializer_list<Row>{{"http://a.test/x?y#z", "a.test", "https://a.test/x?y#z"},
                                  {"HTTP://A.TEST", "a.test", "https://a.test"},
                                  {"http://a.test:80/x", "a.test", "https://a.test/x"},
                                  {"http://a.test:8443/x", "a.test:8443", "https://a.test:8443/x"},
                                  {"http://a.test/x", "a.test:8443", "https://a.test:8443/x"},
                                  {"http://a.test/x", "a.test:443", "https://a.test/x"},
                                  {"http://[::1]/x", "[::1]:8443", "https://[::1]:8443/x"},
                                  {"http://a.test?x", "a.test", "https://a.test?x"},
                                  {"http://a.test:9000/x", "a.test", "http://a.test:9000/x"},
                                  {"http://b.test/x", "a.test", "http://b.test/x"},
                                  {"http://a.test.evil/x", "a.test", "http://a.test.evil/x"},
                                  {"http://a.test@evil/x", "a.test", "http://a.test@evil/x"},
                                  {"https://a.test/x", "a.test", "https://a.test/x"},
                                  {"/x", "a.test", "/x"},
                                  {"", "a.test", ""},
                                  {"http://a.test/x", "", "http://a.test/x"}}) {
    EXPECT_EQ(Rewrite("Location", row.value, row.authority), row.rewritten) << row.value;
    EXPECT_EQ(Rewrite("Content-Location", row.value, row.authority), row.rewritten) << row.value;
  }
}

TEST(Forwarding, RefreshOfOursBecomesHttps) {
  EXPECT_EQ(Rewrite("Refresh", "5; url=http://a.test/x"), "5; url=https://a.test/x");
  EXPECT_EQ(Rewrite("Refresh", "0;URL = 'http://a.test/x'"), "0;URL = 'https://a.test/x'");
  EXPECT_EQ(Rewrite("Refresh", "0, http://a.test/"), "0, https://a.test/");
  EXPECT_EQ(Rewrite("Refresh", "5"), "5");
  EXPECT_EQ(Rewrite("Refresh", "5; url"), "5; url");
  EXPECT_EQ(Rewrite("Refresh", "5; url=/x"), "5; url=/x");
  EXPECT_EQ(Rewrite("Refresh", ";"), ";");
}

TEST(Forwarding, CookiesGetSecureOnce) {
  EXPECT_EQ(Rewrite("Set-Cookie", "a=b; Path=/"), "a=b; Path=/; Secure");
  EXPECT_EQ(Rewrite("Set-Cookie", "a=b"), "a=b; Secure");
  EXPECT_EQ(Rewrite("set-cookie", "a=b;secure ; Path=/"), "a=b;secure ; Path=/");
  EXPECT_EQ(Rewrite("Set-Cookie", "secure=1"), "secure=1; Secure");
  EXPECT_EQ(Rewrite("Set-Cookie", "a=b; SECURE"), "a=b; SECURE");
  EXPECT_EQ(Rewrite("Set-Cookie", "a=secure; Insecure"), "a=secure; Insecure; Secure");
}

}  // namespace
}  // namespace genkan::http
