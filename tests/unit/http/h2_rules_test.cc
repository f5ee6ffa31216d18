// Message rules 15 and 16: what a client may not say in h2, frame by frame.
#include <numeric>

#include "tests/unit/http/h2_test_codec.h"

namespace genkan::http {
namespace {

using test::Frame;
using test::GetFields;
using test::H2Fields;
using test::PostFields;

struct BadHead {
  const char* name;
  H2Fields fields;
  bool end = true;
};

void PrintTo(const BadHead& bad, std::ostream* out) { *out << bad.name; }

H2Fields With(size_t index, std::string name, std::string value) {
  H2Fields fields = GetFields();
  fields[index] = {std::move(name), std::move(value)};
  return fields;
}

H2Fields Without(size_t index) {
  H2Fields fields = GetFields();
  fields.erase(fields.begin() + static_cast<ptrdiff_t>(index));
  return fields;
}

H2Fields Front(std::string name, std::string value) {
  H2Fields fields = GetFields();
  fields.insert(fields.begin(), {std::move(name), std::move(value)});
  return fields;
}

H2Fields Tunnel(H2Fields more = {}) {
  H2Fields fields = {{":method", "CONNECT"},
                     {":protocol", "websocket"},
                     {":scheme", "https"},
                     {":path", "/chat"},
                     {":authority", "a.test"},
                     {"sec-websocket-version", "13"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

constexpr size_t kMethod = 0, kScheme = 1, kPath = 2, kAuthority = 3;

std::vector<BadHead> BadHeads() {
  using namespace std::string_literals;
  return {
      {"content_length_without_body", PostFields("/", {{"content-length", "5"}})},
      {"content_length_sign", PostFields("/", {{"content-length", "+5"}}), false},
      {"content_length_negative", PostFields("/", {{"content-length", "-5"}}), false},
      {"content_length_hex", PostFields("/", {{"content-length", "0x5"}}), false},
      {"content_length_empty", PostFields("/", {{"content-length", ""}}), false},
      {"content_length_list", PostFields("/", {{"content-length", "5, 5"}}), false},
      {"content_length_twice", PostFields("/", {{"content-length", "5"}, {"content-length", "5"}}),
       false},
      {"content_length_huge", PostFields("/", {{"content-length", "9223372036854775808"}}), false},
      {"content_length_overflow", PostFields("/", {{"content-length", "18446744073709551621"}}),
       false},
      {"connection", GetFields("/", {{"connection", "close"}})},
      {"connection_te", GetFields("/", {{"connection", "te"}, {"te", "trailers"}})},
      {"keep_alive", GetFields("/", {{"keep-alive", "timeout=5"}})},
      {"proxy_connection", GetFields("/", {{"proxy-connection", "keep-alive"}})},
      {"transfer_encoding", PostFields("/", {{"transfer-encoding", "chunked"}}), false},
      {"upgrade", GetFields("/", {{"upgrade", "websocket"}})},
      {"http2_settings", GetFields("/", {{"http2-settings", "AAMAAABk"}})},
      {"te_gzip", GetFields("/", {{"te", "gzip"}})},
      {"te_list", GetFields("/", {{"te", "trailers, deflate"}})},
      {"upper_case", GetFields("/", {{"X-Name", "1"}})},
      {"empty_name", GetFields("/", {{"", "1"}})},
      {"blank_in_name", GetFields("/", {{"x name", "1"}})},
      {"colon_in_name", GetFields("/", {{"x:name", "1"}})},
      {"newline_in_name", GetFields("/", {{"x\r\ny", "1"}})},
      {"utf8_name", GetFields("/", {{"x\xc3\xa9", "1"}})},
      {"cr_in_value", GetFields("/", {{"x", "a\rb"}})},
      {"lf_in_value", GetFields("/", {{"x", "a\nb"}})},
      {"crlf_in_value", GetFields("/", {{"x", "a\r\nevil: 1"}})},
      {"nul_in_value", GetFields("/", {{"x", "a\0b"s}})},
      {"control_in_value", GetFields("/", {{"x", "a\x01"}})},
      {"delete_in_value", GetFields("/", {{"x", "a\x7f"}})},
      {"blank_before_value", GetFields("/", {{"x", " a"}})},
      {"tab_behind_value", GetFields("/", {{"x", "a\t"}})},
      {"no_method", Without(kMethod)},
      {"no_scheme", Without(kScheme)},
      {"no_path", Without(kPath)},
      {"no_authority_no_host", Without(kAuthority)},
      {"method_twice", Front(":method", "GET")},
      {"scheme_twice", Front(":scheme", "https")},
      {"path_twice", Front(":path", "/other")},
      {"authority_twice", Front(":authority", "b.test")},
      {"unknown_pseudo", Front(":proto", "x")},
      {"status_in_request", Front(":status", "200")},
      {"late_pseudo", {{":method", "GET"}, {":scheme", "https"}, {":authority", "a.test"},
                       {"x", "1"}, {":path", "/"}}},
      {"empty_method", With(kMethod, ":method", "")},
      {"empty_scheme", With(kScheme, ":scheme", "")},
      {"empty_path", With(kPath, ":path", "")},
      {"path_without_slash", With(kPath, ":path", "index.html")},
      {"path_absolute", With(kPath, ":path", "http://b.test/")},
      {"path_star_of_get", With(kPath, ":path", "*")},
      {"path_blank", With(kPath, ":path", "/a b")},
      {"path_newline", With(kPath, ":path", "/a\r\nx: y")},
      {"path_tab", With(kPath, ":path", "/a\tb")},
      {"path_nul", With(kPath, ":path", "/a\0"s)},
      {"path_fragment", With(kPath, ":path", "/a#b")},
      {"scheme_blank", With(kScheme, ":scheme", "ht tp")},
      {"scheme_evil", With(kScheme, ":scheme", "https://b.test/?")},
      {"scheme_other", With(kScheme, ":scheme", "gopher")},
      {"method_blank", With(kMethod, ":method", "GET /x")},
      {"method_not_token", With(kMethod, ":method", "G@T")},
      {"method_newline", With(kMethod, ":method", "GET\r\n")},
      {"authority_userinfo", With(kAuthority, ":authority", "user@a.test")},
      {"authority_path", With(kAuthority, ":authority", "a.test/x")},
      {"authority_blank", With(kAuthority, ":authority", "a.test b.test")},
      {"authority_comma", With(kAuthority, ":authority", "a.test,b.test")},
      {"authority_port", With(kAuthority, ":authority", "a.test:70000")},
      {"authority_port_word", With(kAuthority, ":authority", "a.test:x")},
      {"authority_bracket", With(kAuthority, ":authority", "[::1")},
      {"authority_utf8", With(kAuthority, ":authority", "\xc3\xa9.test")},
      {"host_differs", GetFields("/", {{"host", "b.test"}})},
      {"host_twice", GetFields("/", {{"host", "a.test"}, {"host", "a.test"}})},
      {"host_alone_invalid", {{":method", "GET"}, {":scheme", "https"}, {":path", "/"},
                              {"host", "a.test/x"}}},
      {"protocol_without_connect", Front(":protocol", "websocket")},
      {"connect_with_path", {{":method", "CONNECT"}, {":path", "/"}, {":authority", "a.test:443"}}},
      {"tunnel_without_path", {{":method", "CONNECT"}, {":protocol", "websocket"},
                               {":scheme", "https"}, {":authority", "a.test"}}, false},
      {"tunnel_with_length", Tunnel({{"content-length", "5"}}), false},
      {"tunnel_closed", Tunnel(), true},
  };
}

class H2BadHead : public H2CodecTest, public ::testing::WithParamInterface<BadHead> {};

TEST_P(H2BadHead, IsRefusedBeforeAnybodySeesIt) {
  sink.on_refused = [&](StreamId id, int status) { codec->SendResponse(id, Response(status), true); };
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
  ASSERT_TRUE(Send(client->Head(5, {{":method", "GET"}, {":scheme", "http"}, {":path", "/"},
                                    {"host", "b.test:81"}}, true)));
  EXPECT_EQ(sink.requests.at(5).head.authority, "b.test:81");
  ASSERT_TRUE(Send(client->Head(7, GetFields("/", {{"host", "A.test"}, {"te", "trailers"}}), true)));
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
  ASSERT_TRUE(Send(client->Head(1, Tunnel(), false)));
  const auto& request = sink.requests.at(1);
  EXPECT_EQ(request.head.method, "GET");
  EXPECT_EQ(request.head.upgrade, "websocket");
  EXPECT_EQ(request.head.target, "/chat");
  EXPECT_EQ(request.head.framing, BodyFraming::kNone);
  EXPECT_EQ(request.head.headers.Get("sec-websocket-key").value_or("").size(), 24u);
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
