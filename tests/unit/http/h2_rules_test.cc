// Message rules 15 and 16: what a client may not say in h2, frame by frame.
#include "tests/unit/http/h2_bad_heads.h"
#include "tests/unit/http/h2_test_codec.h"

namespace genkan::http {
namespace {

using test::Frame;

class H2BadHead : public H2CodecTest, public ::testing::WithParamInterface<BadHead> {};

TEST_P(H2BadHead, IsRefusedBeforeAnybodySeesIt) {
  sink.on_refused = [&](StreamId id, int status) {
    codec->SendResponse(id, Response(status), true);
  };
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetParam().fields, GetParam().end)));
  if (!GetParam().end) Send(Frame(test::kData, test::kEndStream, 1, "12345"));
  EXPECT_EQ(sink.accepted, 0);
  bool is_reset = ResetCode(1) == 1;
  bool is_400 = FieldOf(Last(test::kHeaders, 1), ":status") == "400";
  EXPECT_TRUE(is_reset || is_400) << "reset " << ResetCode(1) << " GOAWAY " << GoAwayCode();
  // The connection goes on.
  ASSERT_TRUE(Send(client->Head(3, GetFields(), true)));
  EXPECT_EQ(sink.accepted, 1);
}

INSTANTIATE_TEST_SUITE_P(Table, H2BadHead, ::testing::ValuesIn(BadHeads()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_F(H2CodecTest, RefusesMethodsThatAProxyDoesNotServe) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, With(kMethod, ":method", "TRACE"), true)));
  EXPECT_EQ(sink.requests.at(1).refused, 405);
  ASSERT_TRUE(Send(client->Head(3, {{":method", "CONNECT"}, {":authority", "a.test:443"}}, false)));
  EXPECT_EQ(sink.requests.at(3).refused, 405);
  H2Fields other = Tunnel();
  other[1].second = "connect-udp";
  ASSERT_TRUE(Send(client->Head(5, other, false)));
  EXPECT_EQ(sink.requests.at(5).refused, 405);
  EXPECT_EQ(sink.accepted, 0);
}

TEST_F(H2CodecTest, TakesWhatIsUnusualButRight) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields("/%2f;x?y=\"{}"), true)));
  EXPECT_EQ(sink.requests.at(1).head.target, "/%2f;x?y=\"{}");
  H2Fields options = With(kPath, ":path", "*");
  options[kMethod].second = "OPTIONS";
  ASSERT_TRUE(Send(client->Head(3, options, true)));
  EXPECT_EQ(sink.requests.at(3).head.target, "*");
  ASSERT_TRUE(Send(client->Head(
      5, {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {"host", "b.test:81"}}, true)));
  EXPECT_EQ(sink.requests.at(5).head.authority, "b.test:81");
  ASSERT_TRUE(
      Send(client->Head(7, GetFields("/", {{"host", "A.test"}, {"te", "trailers"}}), true)));
  EXPECT_EQ(sink.requests.at(7).head.authority, "a.test");
  EXPECT_FALSE(sink.requests.at(7).head.headers.Has("host"));
  EXPECT_EQ(sink.requests.at(7).head.headers.Get("te"), "trailers");
  ASSERT_TRUE(Send(client->Head(9, PostFields("/", {{"content-length", "0"}}), true)));
  EXPECT_EQ(sink.requests.at(9).head.framing, BodyFraming::kContentLength);
  ASSERT_TRUE(Send(client->Head(11, PostFields("/", {{"expect", "100-continue"}}), false)));
  EXPECT_TRUE(sink.requests.at(11).head.expects_continue);
  EXPECT_EQ(sink.requests.at(11).head.framing, BodyFraming::kChunked);
  EXPECT_EQ(sink.accepted, 6);
}

TEST_F(H2CodecTest, JoinsCookieCrumbs) {
  Hello();
  ASSERT_TRUE(Send(client->Head(
      1, GetFields("/", {{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}, {"cookie", "c=3"}}),
      true)));
  const Headers& headers = sink.requests.at(1).head.headers;
  EXPECT_EQ(headers.Count("cookie"), 1u);
  EXPECT_EQ(headers.Get("cookie"), "a=1; b=2; c=3");
}

TEST_F(H2CodecTest, ResetsABodyThatDiffersFromItsLength) {
  for (const std::string body : {"1234", "123456"}) {
    SCOPED_TRACE(body);
    sink.requests.clear();
    Start(CodecLimits());
    Hello();
    ASSERT_TRUE(Send(client->Head(1, PostFields("/", {{"content-length", "5"}}), false)));
    ASSERT_TRUE(Send(Frame(test::kData, test::kEndStream, 1, body)));
    EXPECT_EQ(ResetCode(1), 1);
    const auto& request = sink.requests.at(1);
    EXPECT_FALSE(request.ended) << "the origin must not see a complete body";
    EXPECT_TRUE(request.is_reset);
    EXPECT_EQ(request.reset_code, ErrorCode::kInvalid);
    EXPECT_EQ(codec->open_streams(), 0u);
  }
}

TEST_F(H2CodecTest, ResetsABodyThatEndsShortInTrailers) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields("/", {{"content-length", "5"}}), false)));
  ASSERT_TRUE(Send(Frame(test::kData, 0, 1, "1234")));
  ASSERT_TRUE(Send(client->Head(1, {{"x-sum", "1"}}, true)));
  EXPECT_EQ(ResetCode(1), 1);
  EXPECT_TRUE(sink.requests.at(1).is_reset);
  EXPECT_FALSE(sink.requests.at(1).ended);
}

TEST_F(H2CodecTest, HandsOverTrailers) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  ASSERT_TRUE(Send(Frame(test::kData, 0, 1, "abc")));
  ASSERT_TRUE(Send(client->Head(1, {{"x-sum", "1"}, {"host", "b.test"}}, true)));
  const auto& request = sink.requests.at(1);
  ASSERT_TRUE(request.has_trailers);
  EXPECT_EQ(request.trailers.Get("x-sum"), "1");
  EXPECT_FALSE(request.trailers.Has("host")) << "never merged into the head";
  EXPECT_EQ(request.body, "abc");
}

TEST_F(H2CodecTest, ResetsForBadTrailers) {
  const std::vector<H2Fields> table = {
      {{":path", "/other"}}, {{":status", "200"}},         {{"connection", "close"}},
      {{"X-Sum", "1"}},      {{"transfer-encoding", "x"}}, {{"x", "a\r\nb"}},
      {{"", "1"}},           {{"keep-alive", "1"}},        {{"te", "gzip"}}};
  for (const auto& trailers : table) {
    SCOPED_TRACE(trailers[0].first);
    sink.requests.clear();
    Start(CodecLimits());
    Hello();
    ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
    ASSERT_TRUE(Send(client->Head(1, trailers, true)));
    EXPECT_EQ(ResetCode(1), 1);
    EXPECT_FALSE(sink.requests.at(1).has_trailers);
    EXPECT_TRUE(sink.requests.at(1).is_reset);
  }
}

TEST_F(H2CodecTest, ResetsForTrailersThatDoNotEndTheStream) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  ASSERT_TRUE(Send(client->Head(1, {{"x-sum", "1"}}, false)));
  EXPECT_EQ(ResetCode(1), 1);
  EXPECT_TRUE(sink.requests.at(1).is_reset);
}

TEST_F(H2CodecTest, ResetsForTooManyTrailers) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  H2Fields trailers;
  for (int i = 0; i < 101; ++i) trailers.emplace_back("x" + std::to_string(i), "1");
  ASSERT_TRUE(Send(client->Head(1, trailers, true)));
  EXPECT_EQ(ResetCode(1), 1);
}

TEST_F(H2CodecTest, OpensAWebSocketTunnel) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, Tunnel({{"sec-websocket-key", "x"}}), false)));
  const auto& request = sink.requests.at(1);
  EXPECT_EQ(request.head.method, "GET");
  EXPECT_EQ(request.head.upgrade, "websocket");
  EXPECT_EQ(request.head.target, "/chat");
  EXPECT_EQ(request.head.framing, BodyFraming::kNone);
  EXPECT_FALSE(request.head.headers.Has("sec-websocket-key"));
  EXPECT_FALSE(request.ended);
  ASSERT_TRUE(Send(Frame(test::kData, 0, 1, "early")));
  EXPECT_EQ(request.body, "") << "not before the origin's 101";

  Headers headers;
  headers.Add("Upgrade", "websocket");
  headers.Add("Connection", "upgrade");
  headers.Add("Sec-WebSocket-Accept", "x");
  headers.Add("Sec-WebSocket-Protocol", "chat");
  codec->SendResponse(1, Response(101, headers), false);
  Collect();
  const auto* head = Last(test::kHeaders, 1);
  EXPECT_EQ(FieldOf(head, ":status"), "200");
  EXPECT_EQ(FieldOf(head, "upgrade"), "(none)");
  EXPECT_EQ(FieldOf(head, "sec-websocket-accept"), "(none)");
  EXPECT_EQ(FieldOf(head, "sec-websocket-protocol"), "chat");
  EXPECT_EQ(request.body, "early");

  Body(1, "down", false);
  ASSERT_TRUE(Send(Frame(test::kData, 0, 1, " up")));
  EXPECT_EQ(BodyOf(1), "down");
  EXPECT_EQ(request.body, "early up");
  ASSERT_TRUE(Send(Frame(test::kData, test::kEndStream, 1)));
  EXPECT_TRUE(request.ended);
  Body(1, "bye", true);
  Collect();
  EXPECT_TRUE(Last(test::kData, 1)->ends_stream());
  EXPECT_TRUE(request.is_done);
}

TEST_F(H2CodecTest, ATunnelThatTheOriginRefusesIsAnOrdinaryAnswer) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, Tunnel(), false)));
  ASSERT_TRUE(Send(Frame(test::kData, 0, 1, "early")));
  codec->SendResponse(1, Response(403), false);
  Body(1, "no", true);
  Collect();
  EXPECT_EQ(FieldOf(Last(test::kHeaders, 1), ":status"), "403");
  EXPECT_EQ(BodyOf(1), "no");
  EXPECT_EQ(sink.requests.at(1).body, "");
  EXPECT_EQ(ResetCode(1), 0);
  EXPECT_TRUE(sink.requests.at(1).is_done);
}

TEST_F(H2CodecTest, AHeadOverTheLimitGets431) {
  Hello();
  H2Fields many = GetFields();
  for (int i = 0; i < 97; ++i) many.emplace_back("x" + std::to_string(i), "1");
  ASSERT_TRUE(Send(client->Head(1, many, true)));
  EXPECT_EQ(sink.requests.at(1).refused, 431);
  many.pop_back();
  ASSERT_TRUE(Send(client->Head(3, many, true)));
  EXPECT_EQ(sink.requests.at(3).refused, 0);
  H2Fields large = GetFields("/", {{"a", std::string(15000, '~')}, {"b", std::string(15000, '~')}});
  std::string block = client->Encode(large);
  ASSERT_LT(block.size(), 32768u);
  ASSERT_TRUE(Send(Frame(test::kHeaders, test::kEndStream, 5, block.substr(0, 16000)) +
                   Frame(test::kContinuation, test::kEndHeaders, 5, block.substr(16000))));
  EXPECT_EQ(sink.requests.at(5).refused, 0);
  large.emplace_back("c", std::string(15000, '~'));
  block = client->Encode(large);
  ASSERT_TRUE(Send(Frame(test::kHeaders, test::kEndStream, 7, block.substr(0, 16000)) +
                   Frame(test::kContinuation, 0, 7, block.substr(16000, 16000)) +
                   Frame(test::kContinuation, test::kEndHeaders, 7, block.substr(32000))));
  EXPECT_EQ(sink.requests.at(7).refused, 431);
  EXPECT_EQ(sink.accepted, 2);
}

TEST_F(H2CodecTest, StopsDecodingAHeadBeyond64KiB) {
  Hello();
  // 3,000 bytes in the dynamic table, then one byte for each 3,000 more: an HPACK bomb.
  std::string block = client->Encode(GetFields("/", {{"x", std::string(3000, 'a')}}));
  std::string bomb = block + std::string(10'000, '\xbe');
  EXPECT_FALSE(Send(Frame(test::kHeaders, test::kEndStream | test::kEndHeaders, 1, bomb)));
  EXPECT_EQ(GoAwayCode(), 11);
  EXPECT_EQ(sink.accepted, 0);
  EXPECT_TRUE(codec->is_done());
}

TEST_F(H2CodecTest, TakesEightContinuationsAndNoMore) {
  Hello();
  std::string block = client->Encode(GetFields());
  std::string head = Frame(test::kHeaders, test::kEndStream, 1, block);
  for (int i = 0; i < 7; ++i) head += Frame(test::kContinuation, 0, 1);
  ASSERT_TRUE(Send(head + Frame(test::kContinuation, test::kEndHeaders, 1)));
  EXPECT_EQ(sink.accepted, 1);
  head = Frame(test::kHeaders, test::kEndStream, 3, client->Encode(GetFields()));
  for (int i = 0; i < 8; ++i) head += Frame(test::kContinuation, 0, 3);
  EXPECT_FALSE(Send(head + Frame(test::kContinuation, test::kEndHeaders, 3)));
  EXPECT_EQ(GoAwayCode(), 11);
  EXPECT_EQ(sink.accepted, 1);
}

}  // namespace
}  // namespace genkan::http
