// Hostile input, byte for byte: what the client gets, and what arrives at a recording origin (nothing, or the request
// written anew). The rules' numbers are in the names.
#include <gtest/gtest.h>

#include "proxy/base/text.h"
#include "tests/integration/dataplane_harness.h"

namespace genkan::testing {
namespace {

class Hostile : public ::testing::Test {
 protected:
  Hostile() : origin_(ScriptedOrigin::Always("ok")), proxy_(MakeConfig(origin_.url())) {}

  // One connection, these bytes; all that comes back until the proxy closes.
  std::string Exchange(std::string_view bytes) {
    RawClient client(proxy_.plain_port(), {});
    client.Send(bytes);
    client.CloseWrite();
    std::string all = client.ReadAll();
    EXPECT_FALSE(client.was_reset());
    return all;
  }
  // Refused with one of `statuses` and closed, and nothing reached the origin.
  void ExpectRefused(std::string_view bytes, std::vector<int> statuses) {
    size_t before = origin_.request_count();
    RawClient client(proxy_.plain_port(), {});
    client.Send(bytes);
    std::string all = client.ReadAll();
    EXPECT_TRUE(client.has_ended()) << EscapeControl(bytes.substr(0, 200));
    int status = all.size() > 12 ? std::atoi(all.c_str() + 9) : 0;
    EXPECT_TRUE(std::find(statuses.begin(), statuses.end(), status) != statuses.end())
        << status << " for " << EscapeControl(bytes.substr(0, 200));
    EXPECT_NE(ToLower(all).find("connection: close"), std::string::npos) << all;
    // One answer, whatever was pipelined behind it.
    EXPECT_EQ(all.find("HTTP/1.1", 1), std::string::npos) << all;
    EXPECT_EQ(origin_.request_count(), before) << EscapeControl(bytes.substr(0, 200));
  }
  std::string Head(std::string_view lines) {
    return "GET / HTTP/1.1\r\nHost: a.test\r\n" + std::string(lines) + "\r\n";
  }

  ScriptedOrigin origin_;
  Proxy proxy_;
};

constexpr std::string_view kPipelined = "GET /second HTTP/1.1\r\nHost: a.test\r\n\r\n";

TEST_F(Hostile, Rule2LineEnds) {
  std::string second(kPipelined);
  ExpectRefused("GET / HTTP/1.1\nHost: a.test\n\n" + second, {400});
  ExpectRefused(Head("X: a\rb\r\n") + second, {400});
  ExpectRefused(Head(std::string("X: a\0b\r\n", 8)) + second, {400});
  ExpectRefused(Head("X: a\r\n b\r\n") + second, {400});
  ExpectRefused(Head("X : a\r\n") + second, {400});
  ExpectRefused(Head("no colon\r\n") + second, {400});
  ExpectRefused(Head(": a\r\n") + second, {400});
  ExpectRefused(Head("X(y): a\r\n") + second, {400});
  ExpectRefused("GET / HTTP/1.1\r\n Host: a.test\r\n\r\n" + second, {400});
  EXPECT_NE(Exchange("\r\n" + Head("Connection: close\r\n")).find("200"), std::string::npos);
}

TEST_F(Hostile, Rule3RequestLine) {
  for (std::string line :
       {"GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET /  HTTP/1.1", " GET / HTTP/1.1", "GET\t/ HTTP/1.1",
        "GET / HTTP/1.10", "GET / HTTP/2.0", "GET / HTTP/0.9", "GET / http/1.1", "GET /", "GET / HTTP/1.1x",
        "G@T / HTTP/1.1", "GET /\x7f HTTP/1.1", "GET /a b HTTP/1.1"}) {
    ExpectRefused(line + "\r\nHost: a.test\r\n\r\n", {400, 505});
  }
}

TEST_F(Hostile, Rule4ContentLength) {
  for (std::string value : {"+5", "-1", "5, 5", "5,6", "0x5", "5 5", "", "9223372036854775808", "1e1", "5;"}) {
    ExpectRefused("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: " + value + "\r\n\r\nhello", {400});
  }
  ExpectRefused("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", {400});
  ExpectRefused("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", {400});
}

TEST_F(Hostile, Rule5TransferEncoding) {
  for (std::string lines :
       {"Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length: 5\r\nTransfer-Encoding: chunked"}) {
    ExpectRefused("POST / HTTP/1.1\r\nHost: a.test\r\n" + lines + "\r\n\r\n0\r\n\r\n", {400});
  }
  for (std::string value : {"gzip", "identity", "", "chunked, chunked", "gzip, chunked", "xchunked", "\"chunked\"",
                            "chunked;q=1", "chunked,"}) {
    ExpectRefused("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: " + value + "\r\n\r\n0\r\n\r\n",
                  {400, 501});
  }
  ExpectRefused("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"
                "\r\n\r\n0\r\n\r\n",
                {400, 501});
  ExpectRefused("POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400, 501});
}

TEST_F(Hostile, Rule6Chunks) {
  for (std::string chunk : {"-1\r\n\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", "5_0\r\nhello\r\n", "5 \r\nhello\r\n",
                            "fffffffffffffffff\r\n", "5\nhello\r\n", "5\r\nhelloX\r\n", "5;a\x01=b\r\nhello\r\n",
                            "5;a\n\r\nhello\r\n", "\r\n"}) {
    RawClient client(proxy_.plain_port(), {});
    client.Send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + "0\r\n\r\n");
    client.Send(kPipelined);
    std::string all = client.ReadAll();
    EXPECT_TRUE(client.has_ended());
    EXPECT_EQ(all.find("200 OK"), std::string::npos) << EscapeControl(chunk) << all;
  }
  for (const OriginRequest& request : origin_.requests()) EXPECT_NE(request.target, "/second");
}

TEST_F(Hostile, Rule6TrailersKeepFramingOut) {
  std::string all = Exchange("POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "5;x=y\r\nhello\r\n0\r\nContent-Length: 3\r\nHost: evil\r\nX-T: 1\r\n\r\n");
  EXPECT_NE(all.find("200"), std::string::npos);
  std::string received = origin_.received(1);
  EXPECT_EQ(ToLower(received).find("evil"), std::string::npos) << received;
  EXPECT_EQ(ToLower(received).find("content-length"), std::string::npos) << received;
  EXPECT_EQ(received.find("x=y"), std::string::npos);
}

TEST_F(Hostile, Rule7Host) {
  for (std::string host : {"a.test,b", "a.test:99999", "a.test:x", "user@a.test", "a.test/x", "a.test?x", "a.test#x",
                           "a b", "\"a\"", "a\\b", "[::1", "a\xc3\xa9"}) {
    ExpectRefused("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n", {400});
  }
  ExpectRefused("GET / HTTP/1.1\r\n\r\n", {400});
  ExpectRefused("GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", {400});
  ExpectRefused("GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", {400});
  EXPECT_NE(Exchange("GET http://a.test/abs?q HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").find("200"),
            std::string::npos);
  EXPECT_EQ(origin_.requests().back().target, "/abs?q");
  EXPECT_NE(Exchange("GET / HTTP/1.0\r\n\r\n").find("200"), std::string::npos);
  EXPECT_EQ(origin_.requests().back().Header("host"), "a.test");
}

TEST_F(Hostile, Rule8Targets) {
  ExpectRefused("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", {400, 405});
  ExpectRefused("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", {405});
  for (std::string target : {"x", "*", "ftp://a.test/", "//", "/#f", "a.test:80"}) {
    if (target == "//") continue;
    ExpectRefused("GET " + target + " HTTP/1.1\r\nHost: a.test\r\n\r\n", {400});
  }
  EXPECT_NE(Exchange("OPTIONS * HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").find("200"), std::string::npos);
}

TEST_F(Hostile, Rule9HopByHop) {
  Exchange(Head("Connection: close, X-Secret, X-Forwarded-For, Host\r\nX-Secret: 1\r\nKeep-Alive: 5\r\n"
                "Proxy-Connection: x\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nProxy: http://evil\r\n"
                "X-Forwarded-For: 6.6.6.6\r\nX-Kept: 1\r\n"));
  OriginRequest request = origin_.requests().back();
  for (std::string_view name : {"x-secret", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings", "proxy"}) {
    EXPECT_EQ(request.Count(name), 0u) << name;
  }
  EXPECT_EQ(request.Header("host"), "a.test");
  EXPECT_EQ(request.Header("x-forwarded-for"), "127.0.0.1");
  EXPECT_EQ(request.Header("x-kept"), "1");
}

TEST_F(Hostile, Rule12Limits) {
  EXPECT_NE(Exchange("GET /" + std::string(8000, 'a') + " HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").find("200"),
            std::string::npos);
  ExpectRefused("GET /" + std::string(70'000, 'a') + " HTTP/1.1\r\nHost: a.test\r\n\r\n", {414});
  std::string ninety;
  for (int i = 0; i < 90; ++i) ninety += "X-" + std::to_string(i) + ": v\r\n";
  EXPECT_NE(Exchange(Head(ninety + "Connection: close\r\n")).find("200"), std::string::npos);
  std::string many;
  for (int i = 0; i < 10'000; ++i) many += "X: v\r\n";
  ExpectRefused(Head(many), {431});
  ExpectRefused(Head("X: " + std::string(100'000, 'v') + "\r\n"), {431});
}

TEST_F(Hostile, Rule13FiftyPipelinedRequests) {
  std::string all;
  for (int i = 0; i < 49; ++i) all += "GET /" + std::to_string(i) + " HTTP/1.1\r\nHost: a.test\r\n\r\n";
  all += "GET /last HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
  std::string answers = Exchange(all);
  size_t count = 0;
  for (size_t at = answers.find("HTTP/1.1 200"); at != std::string::npos; at = answers.find("HTTP/1.1 200", at + 1)) ++count;
  EXPECT_EQ(count, 50u);
  ASSERT_EQ(origin_.request_count(), 50u);
  EXPECT_EQ(origin_.requests()[7].target, "/7");
}

TEST_F(Hostile, Rule11AnUnfinishedRequestClosesTheUpstream) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    auto request = connection.ReadHead();
    while (!connection.Read().empty()) {
    }
  });
  proxy_.Reload(MakeConfig(origin.url()));
  RawClient client(proxy_.plain_port());
  client.Send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100\r\n\r\nhello");
  ASSERT_TRUE(WaitFor([&] { return origin.request_count() == 1 || origin.open_connections() == 1; }));
  client.CloseWrite();
  EXPECT_TRUE(WaitFor([&] { return origin.connections() == 1 && origin.open_connections() == 0; }));
}

// Rules 18 and 19: what an origin may not say.
TEST_F(Hostile, Rule18AnswersOfTheOrigin) {
  std::string nul("HTTP/1.1 200 OK\r\nX: a");
  nul += '\0';
  nul += "\r\n\r\n";
  for (std::string answer :
       {std::string("HTTP/1.1 099 X\r\n\r\n"), std::string("HTTP/1.1 000 X\r\n\r\n"), std::string("hello\r\n\r\n"),
        std::string("HTTP/1.1 20 OK\r\n\r\n"), std::string("HTTP/1.1  200 OK\r\n\r\n"),
        std::string("HTTP/2 200 OK\r\n\r\n"), std::string("HTTP/1.1 200 OK\r\nContent-"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na"),
        std::string("HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n"), std::string("HTTP/1.1 200 OK\r\n: 1\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"), nul,
        std::string("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nX: ") + std::string(70'000, 'x') + "\r\n\r\n",
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        std::string("")}) {
    ScriptedOrigin origin([answer](OriginConnection& connection) {
      connection.ReadRequest();
      connection.Send(answer);
    });
    proxy_.Reload(MakeConfig(origin.url()));
    H1Client h1(proxy_.plain_port());
    EXPECT_EQ(h1.Get("/").status, 502) << EscapeControl(answer.substr(0, 100));
    H2Client h2(proxy_.tls_port());
    EXPECT_EQ(h2.Get("/").status, 502) << EscapeControl(answer.substr(0, 100));
  }
}

TEST_F(Hostile, Rule18InterimsWithoutEnd) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    for (int i = 0; i < 200; ++i) connection.Send("HTTP/1.1 103 Early Hints\r\n\r\n");
    connection.Answer("late");
  });
  proxy_.Reload(MakeConfig(origin.url()));
  EXPECT_EQ(H1Client(proxy_.plain_port()).Get("/").status, 502);
}

TEST_F(Hostile, Rule21BytesBehindAResponseReachNobody) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (connection.ReadRequest()) {
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    }
  });
  proxy_.Reload(MakeConfig(origin.url()));
  H1Client client(proxy_.plain_port());
  for (int i = 0; i < 5; ++i) {
    Answer answer = client.Get("/");
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "ok");
  }
  EXPECT_EQ(origin.connections(), 5u);
}

TEST_F(Hostile, Rule22ResponseFieldsOfOneConnection) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (connection.ReadRequest()) {
      connection.Answer("x", "200 OK", "Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n");
    }
  });
  proxy_.Reload(MakeConfig(origin.url()));
  for (bool is_h2 : {false, true}) {
    Answer answer = is_h2 ? H2Client(proxy_.tls_port()).Get("/") : H1Client(proxy_.plain_port()).Get("/");
    EXPECT_EQ(answer.Header("x-hop"), "");
    EXPECT_EQ(answer.Header("keep-alive"), "");
    EXPECT_EQ(answer.Header("x-kept"), "1");
  }
}

// Rule 15: streams that must not reach the origin.
TEST_F(Hostile, Rule15H2Requests) {
  struct Case {
    const char* what;
    test::H2Fields fields;
  };
  auto with = [](test::H2Fields more) { return Fields("GET", "/", std::move(more)); };
  std::vector<Case> cases = {
      {"connection", with({{"connection", "close"}})},
      {"transfer-encoding", with({{"transfer-encoding", "chunked"}})},
      {"te", with({{"te", "gzip"}})},
      {"upper case", with({{"X-Upper", "1"}})},
      {"empty name", with({{"", "1"}})},
      {"no token", with({{"x y", "1"}})},
      {"CR", with({{"x", "a\rb"}})},
      {"LF", with({{"x", "a\nb"}})},
      {"NUL", with({{"x", std::string("a\0b", 3)}})},
      {"no path", {{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"}}},
      {"two paths", {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":path", "/"}, {":authority", "a.test"}}},
      {"unknown pseudo", {{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}, {":x", "1"}}},
      {"late pseudo", {{":method", "GET"}, {":scheme", "https"}, {"x", "1"}, {":path", "/"}, {":authority", "a.test"}}},
      {"empty path", Fields("GET", "")},
      {"no slash", Fields("GET", "x")},
      {"blank in path", Fields("GET", "/a b")},
      {"bad authority", Fields("GET", "/", {}, "a.test/x")},
      {"userinfo", Fields("GET", "/", {}, "u@a.test")},
      {"method", Fields("G T", "/")},
      {"connect", Fields("CONNECT", "/")},
      {"protocol", {{":method", "GET"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}}},
      {"length without body", with({{"content-length", "5"}})},
      {"bad length", with({{"content-length", "+0"}})},
      {"other host", with({{"host", "b.test"}})},
  };
  for (const Case& test : cases) {
    H2Client client(proxy_.tls_port());
    uint32_t stream = client.Open(test.fields, true);
    client.ReadUntil([&] { return client.has_ended(stream) || client.goaway().has_value(); });
    int status = client.answer(stream).status;
    bool is_refused = client.was_reset(stream) || client.goaway().has_value() || (status >= 400 && status < 500);
    EXPECT_TRUE(is_refused) << test.what << " " << status;
  }
  EXPECT_EQ(origin_.request_count(), 0u);
}

TEST_F(Hostile, Rule15H2BodyAndLengthDiffer) {
  for (std::string_view body : {"abc", "abcdefgh"}) {
    H2Client client(proxy_.tls_port());
    uint32_t stream = client.Open(Fields("POST", "/", {{"content-length", "5"}}), false);
    client.Data(stream, body, true);
    client.ReadUntil([&] { return client.has_ended(stream); });
    EXPECT_TRUE(client.was_reset(stream) || client.answer(stream).status == 400) << body;
  }
  // The origin never saw a whole request.
  EXPECT_TRUE(WaitFor([&] { return origin_.open_connections() == 0; }));
}

TEST_F(Hostile, Rule16H2AuthorityAndCookies) {
  H2Client client(proxy_.tls_port());
  EXPECT_EQ(client.Wait(client.Open(Fields("GET", "/", {{"cookie", "a=1"}, {"cookie", "b=2"}}), true)).status, 200);
  OriginRequest request = origin_.requests().back();
  EXPECT_EQ(request.Header("host"), "a.test");
  EXPECT_EQ(request.Count("host"), 1u);
  EXPECT_EQ(request.Header("cookie"), "a=1; b=2");
}

TEST_F(Hostile, GarbageOnATlsPortIsClosed) {
  for (std::string bytes : {std::string("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"), std::string(20'000, '\xff'),
                            std::string("\x16\x03\x01\xff\xff", 5) + std::string(100, 'x')}) {
    RawClient client(proxy_.tls_port());
    client.Send(bytes);
    client.ReadAll();
    EXPECT_TRUE(client.has_ended()) << bytes.substr(0, 10);
  }
  EXPECT_TRUE(WaitFor([&] { return proxy_.Sum(&server::WorkerMetrics::connections_open) == 0; }));
  EXPECT_EQ(H1Client(proxy_.plain_port()).Get("/").status, 200);
}

TEST_F(Hostile, TheClientSeesTheRefusalOfALargeRequest) {
  // It still sends while we answer: the answer must not be lost to a reset.
  RawClient client(proxy_.plain_port());
  client.Send("POST / HTTP/1.1\r\nHost: a.test\r\nX Y: 1\r\nContent-Length: 500000\r\n\r\n" + std::string(500'000, 'x'));
  EXPECT_EQ(client.ReadAll().substr(0, 12), "HTTP/1.1 400");
  EXPECT_FALSE(client.was_reset());
}

}  // namespace
}  // namespace genkan::testing
