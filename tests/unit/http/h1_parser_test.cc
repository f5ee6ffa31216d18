#include "proxy/http/h1_parser.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/http/h1_recorder.h"

namespace genkan::http {
namespace {

using namespace std::string_literals;

struct Parsed {
  Refusal refusal;
  RequestHead head;
  ConnectionOptions options;
};

Parsed Parse(std::string_view text) {
  Parsed parsed;
  HeadScanner scanner(RequestHeadLimits(CodecLimits()));
  HeadScanner::State state = scanner.Scan(text);
  EXPECT_EQ(state, HeadScanner::State::kWhole) << text;
  parsed.refusal = ParseRequestHead(text.substr(0, scanner.head_size()), scanner.field_count(),
                                    parsed.head, parsed.options);
  return parsed;
}

struct Row {
  std::string head;
  int status;
};

void ExpectStatus(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    Parsed parsed = Parse(row.head + "\r\n\r\n");
    EXPECT_EQ(parsed.refusal.status, row.status) << row.head << "\n" << parsed.refusal.rule;
  }
}

TEST(H1Parser, RequestLineIsExactlyMethodTargetVersion) {
  const std::string host = "\r\nHost: a";
  ExpectStatus({
      {"GET / HTTP/1.1" + host, 0},
      {"GET / HTTP/1.0", 0},
      {"M!#$%&'*+-.^_`|~ / HTTP/1.1" + host, 0},
      {"get / HTTP/1.1" + host, 0},
      {"GET  / HTTP/1.1" + host, 400},
      {"GET /  HTTP/1.1" + host, 400},
      {"GET\t/ HTTP/1.1" + host, 400},
      {" GET / HTTP/1.1" + host, 400},
      {"GET / HTTP/1.1 " + host, 400},
      {"GET /a b HTTP/1.1" + host, 400},
      {"GET / HTTP/1.1\r" + host, 400},
      {"GET /\r HTTP/1.1" + host, 400},
      {"GET /\0 HTTP/1.1"s + host, 400},
      {"GET /\x7f HTTP/1.1" + host, 400},
      {"GET /\x01 HTTP/1.1" + host, 400},
      {"GET /#f HTTP/1.1" + host, 400},
      {"GET /\xff HTTP/1.1" + host, 0},
      {"G(T / HTTP/1.1" + host, 400},
      {"G\x80T / HTTP/1.1" + host, 400},
      {"GET" + host, 400},
      {"GET " + host, 400},
      {"/ HTTP/1.1" + host, 400},
      {"GET /", 400},  // HTTP/0.9
      {"GET / HTTP/1" + host, 400},
      {"GET / HTTP/1.10" + host, 400},
      {"GET / HTTP/11.1" + host, 400},
      {"GET / HTTP/01.1" + host, 400},
      {"GET / http/1.1" + host, 400},
      {"GET / XTTP/1.1" + host, 400},
      {"GET / HTTP/1.2" + host, 505},
      {"GET / HTTP/0.9" + host, 505},
      {"GET / HTTP/2.0" + host, 505},
      {"PRI * HTTP/2.0", 505},
      {"TRACE / HTTP/1.1" + host, 405},
      {"CONNECT a:443 HTTP/1.1\r\nHost: a:443", 405},
      {"CONNECT / HTTP/1.1" + host, 405},
  });
}

TEST(H1Parser, TargetIsOriginAbsoluteOrAsteriskForm) {
  const std::string rest = " HTTP/1.1\r\nHost: a";
  ExpectStatus({
      {"OPTIONS *" + rest, 0},          {"GET *" + rest, 400},
      {"GET *x" + rest, 400},           {"GET a" + rest, 400},
      {"GET a:80" + rest, 400},         {"GET http://a/" + rest, 0},
      {"GET HTTPS://a" + rest, 0},      {"GET http://A/" + rest, 0},
      {"GET ftp://a/" + rest, 400},     {"GET http:///" + rest, 400},
      {"GET http://" + rest, 400},      {"GET http://a@b/" + rest, 400},
      {"GET http://u@a/" + rest, 400},  {"GET http://b/" + rest, 400},
      {"GET http://a:80/" + rest, 400}, {"GET http://a:99999/" + rest, 400},
      {"GET http:/a/" + rest, 400},     {"GET ?a" + rest, 400},
      {"GET \\a" + rest, 400},          {"GET http://a/ HTTP/1.0", 0},
      {"GET http://a/ HTTP/1.1", 400},
  });
}

TEST(H1Parser, AbsoluteFormBecomesOriginForm) {
  Parsed parsed = Parse("GET HTTP://A.test:81/x?y=/z HTTP/1.1\r\nHost: a.TEST:81\r\n\r\n");
  EXPECT_EQ(parsed.head.scheme, "http");
  EXPECT_EQ(parsed.head.authority, "a.TEST:81");
  EXPECT_EQ(parsed.head.target, "/x?y=/z");
  EXPECT_EQ(Parse("GET https://a HTTP/1.1\r\nHost: a\r\n\r\n").head.target, "/");
  EXPECT_EQ(Parse("GET https://a?b HTTP/1.1\r\nHost: a\r\n\r\n").head.target, "/?b");
  EXPECT_EQ(Parse("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n").head.target, "*");
  EXPECT_EQ(Parse("GET http://a/ HTTP/1.0\r\n\r\n").head.authority, "a");
}

TEST(H1Parser, FieldLinesAreNameColonValue) {
  const std::string line = "GET / HTTP/1.1\r\nHost: a\r\n";
  ExpectStatus({
      {line + "A:b", 0},
      {line + "A:", 0},
      {line + "A: \t b \t ", 0},
      {line + "A: b\tc d", 0},
      {line + "A: \xc3\xa4", 0},
      {line + "A: b:c", 0},
      {line + "A : b", 400},
      {line + "A\t: b", 400},
      {line + "A b: c", 400},
      {line + ": b", 400},
      {line + "A", 400},
      {line + "A\x80: b", 400},
      {line + "A(: b", 400},
      {line + "A: b\r\n c", 400},
      {line + "A: b\r\n\tc", 400},
      {line + " A: b", 400},
      {line + "A: b\rc", 400},
      {line + "A: b\r", 400},
      {line + "A: b\0c"s, 400},
      {line + "A: b\x0b", 400},
      {line + "A: b\x7f", 400},
      {line + "A\0: b"s, 400},
      {"GET / HTTP/1.1\r\n Host: a", 400},
      {"GET / HTTP/1.1\r\n \r\nHost: a", 400},
  });
}

TEST(H1Parser, ContentLengthIsOneNumber) {
  const std::string line = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:";
  ExpectStatus({
      {line + " 0", 0},
      {line + "5", 0},
      {line + " \t5 \t", 0},
      {line + " 007", 0},
      {line + " 9223372036854775807", 0},
      {line + " 9223372036854775808", 400},
      {line + " 99999999999999999999", 400},
      {line + "", 400},
      {line + " +5", 400},
      {line + " -5", 400},
      {line + " 0x5", 400},
      {line + " 5, 5", 400},
      {line + " 5,6", 400},
      {line + " 5 5", 400},
      {line + " 5.0", 400},
      {line + " 5;", 400},
      {line + " 1_0", 400},
      {line + " \xc2\xb2", 400},
      {line + " 5\r\nContent-Length: 5", 400},
      {line + " 5\r\ncontent-length: 6", 400},
  });
  EXPECT_EQ(Parse(line + " 007\r\n\r\n").head.content_length, 7u);
}

TEST(H1Parser, TransferEncodingIsChunkedOnceIn11) {
  const std::string line = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:";
  ExpectStatus({
      {line + " chunked", 0},
      {line + "\tCHUNKED ", 0},
      {line + "", 400},
      {line + " gzip", 501},
      {line + " identity", 501},
      {line + " gzip, chunked", 501},
      {line + " chunked, chunked", 501},
      {line + " chunked, identity", 501},
      {line + " xchunked", 501},
      {line + " \"chunked\"", 501},
      {line + " chunked;q=1", 501},
      {line + " ,chunked", 501},
      {line + " chunked\r\nTransfer-Encoding: chunked", 400},
      {line + " chunked\r\nTransfer-Encoding: gzip", 400},
      {line + " chunked\r\nContent-Length: 5", 400},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", 400},
      {line + " chunked\r\nContent-Length: 0", 400},
      {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked", 400},
      {line + " \x0b"
              "chunked",
       400},
  });
}

TEST(H1Parser, HostIsOneValidAuthority) {
  ExpectStatus({
      {"GET / HTTP/1.1\r\nHost: a.test:8080", 0},
      {"GET / HTTP/1.1\r\nhOST:[::1]:80", 0},
      {"GET / HTTP/1.0\r\nHost: a", 0},
      {"GET / HTTP/1.1\r\nX: a", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a", 400},
      {"GET / HTTP/1.0\r\nHost: a\r\nHost: b", 400},
      {"GET / HTTP/1.1\r\nHost:", 400},
      {"GET / HTTP/1.0\r\nHost: ", 400},
      {"GET / HTTP/1.1\r\nHost: a, b", 400},
      {"GET / HTTP/1.1\r\nHost: u@a", 400},
      {"GET / HTTP/1.1\r\nHost: a/b", 400},
      {"GET / HTTP/1.1\r\nHost: a:b", 400},
      {"GET / HTTP/1.1\r\nHost: a:65536", 400},
      {"GET / HTTP/1.1\r\nHost: http://a", 400},
  });
}

TEST(H1Parser, ExpectationIsContinueOrRefused) {
  const std::string line = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: ";
  ExpectStatus({{line + "100-continue", 0},
                {line + "100-Continue", 0},
                {line + "200-ok", 417},
                {line, 417},
                {line + "100-continue, x", 417}});
  EXPECT_TRUE(Parse(line + "100-continue\r\n\r\n").head.expects_continue);
  EXPECT_EQ(Parse(line + "100-continue\r\n\r\n").head.headers.Get("expect"), "100-continue");
  Parsed old = Parse("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_FALSE(old.head.expects_continue);
  EXPECT_FALSE(old.head.headers.Has("expect"));
  Parsed without = Parse("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_FALSE(without.head.expects_continue);
  EXPECT_FALSE(without.head.headers.Has("expect"));
}

TEST(H1Parser, OnlyWebSocketUpgradesAndOnlyInGetOf11) {
  auto upgrade = [](std::string_view head) {
    return Parse(std::string(head) + "\r\n\r\n").head.upgrade;
  };
  const std::string asks = "\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: ";
  EXPECT_EQ(upgrade("GET / HTTP/1.1" + asks + "WebSocket"), "websocket");
  EXPECT_EQ(upgrade("GET / HTTP/1.1" + asks + "websocket, h2c"), "websocket");
  EXPECT_EQ(upgrade("GET / HTTP/1.1" + asks + "h2c"), "");
  EXPECT_EQ(upgrade("GET / HTTP/1.0" + asks + "websocket"), "");
  EXPECT_EQ(upgrade("POST / HTTP/1.1" + asks + "websocket"), "");
  EXPECT_EQ(upgrade("GET / HTTP/1.1" + asks + "websocket\r\nContent-Length: 5"), "");
  EXPECT_EQ(upgrade("GET / HTTP/1.1" + asks + "websocket\r\nTransfer-Encoding: chunked"), "");
  EXPECT_EQ(upgrade("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket"), "");
}

TEST(H1Parser, HeadHoldsEverythingElseInOrder) {
  Parsed parsed = Parse(
      "POST /a?b HTTP/1.1\r\nB: 1\r\nHost: x\r\na:  2 \r\nContent-Length: 3\r\nB: \r\n"
      "Connection: close\r\n\r\n");
  EXPECT_EQ(Describe(parsed.head),
            "POST x /a?b HTTP/1.1 length:3 [B=1][a=2][B=][Connection=close]");
  EXPECT_TRUE(parsed.options.close);
}

TEST(H1Parser, ScannerFindsTheEndWhereverTheBytesAreCut) {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET";
  for (size_t first = 0; first <= text.size(); ++first) {
    HeadScanner scanner(RequestHeadLimits(CodecLimits()));
    static_cast<void>(scanner.Scan(std::string_view(text).substr(0, first)));
    EXPECT_EQ(scanner.Scan(text), HeadScanner::State::kWhole) << first;
    EXPECT_EQ(scanner.head_size(), text.size() - 3) << first;
    EXPECT_EQ(scanner.field_count(), 1u) << first;
  }
}

TEST(H1Parser, ScannerRefusesBareLineFeedAtOnce) {
  for (std::string_view text : {"GET / HTTP/1.1\n", "\n", "GET / HTTP/1.1\r\nHost: a\n",
                                "GET / HTTP/1.1\r\nHost: a\r\n\n"}) {
    HeadScanner scanner(RequestHeadLimits(CodecLimits()));
    EXPECT_EQ(scanner.Scan(text), HeadScanner::State::kBareLf) << text;
  }
}

TEST(H1Parser, ScannerKeepsLimitsBeforeTheLineEnds) {
  CodecLimits limits;
  auto scan = [&](const std::string& text) {
    HeadScanner scanner(RequestHeadLimits(limits));
    return scanner.Scan(text);
  };
  const std::string line = "GET / HTTP/1.1\r\n";
  EXPECT_EQ(scan(std::string(limits.request_line, 'a') + "\r\n"), HeadScanner::State::kMore);
  EXPECT_EQ(scan(std::string(limits.request_line + 1, 'a') + "\r\n"),
            HeadScanner::State::kFirstLineTooLong);
  EXPECT_EQ(scan(std::string(limits.request_line + 2, 'a')), HeadScanner::State::kFirstLineTooLong);
  EXPECT_EQ(scan(line + std::string(limits.one_field, 'a') + "\r\n"), HeadScanner::State::kMore);
  EXPECT_EQ(scan(line + std::string(limits.one_field + 2, 'a')),
            HeadScanner::State::kFieldsTooLarge);
  std::string fields;
  for (size_t i = 0; i < limits.field_count; ++i) fields += "a: b\r\n";
  EXPECT_EQ(scan(line + fields + "\r\n"), HeadScanner::State::kWhole);
  EXPECT_EQ(scan(line + fields + "a: b\r\n"), HeadScanner::State::kFieldsTooLarge);
  std::string large = "a: " + std::string(8 * 1024 - 5, 'b') + "\r\n";
  EXPECT_EQ(scan(line + large + large + large + large + "\r\n"), HeadScanner::State::kWhole);
  EXPECT_EQ(scan(line + large + large + large + large + "a: b\r\n"),
            HeadScanner::State::kFieldsTooLarge);
}

// "ok" or the broken rule.
std::string ParseResponse(std::string_view text, bool is_head_request = false,
                          ResponseHead* into = nullptr) {
  HeadScanner scanner(ResponseHeadLimits(CodecLimits()));
  if (scanner.Scan(text) != HeadScanner::State::kWhole) return "not whole";
  ResponseHead head;
  ResponseHints hints;
  std::string_view rule = ParseResponseHead(text.substr(0, scanner.head_size()),
                                            scanner.field_count(), is_head_request, head, hints);
  if (into != nullptr) *into = std::move(head);
  return rule.empty() ? "ok" : std::string(rule);
}

TEST(H1Parser, TakesStatusLinesOfOneDotAnything) {
  for (const char* line : {"HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 200 ", "HTTP/1.1 200",
                           "HTTP/1.1 999 x", "HTTP/1.9 600 x", "HTTP/1.1 200 a b\tc \xff"}) {
    EXPECT_EQ(ParseResponse(std::string(line) + "\r\n\r\n"), "ok") << line;
  }
  for (const std::string& line :
       {"HTTP/2.0 200 OK"s, "HTTP/1.1 099 x"s, "HTTP/1.1 000 x"s, "HTTP/1.1 20 x"s,
        "HTTP/1.1 2000 x"s, "HTTP/1.1  200 OK"s, "HTTP/1.1 200\tOK"s, "HTTP/1.1200 OK"s,
        "http/1.1 200 OK"s, "HTTP/1.1 +20 x"s, "HTTP/1.1 2x0 x"s, "HTTP/1 200 OK"s,
        "HTTP/1.11 200 OK"s, "ICY 200 OK"s, ""s, "<html>"s, "HTTP/1.1 200 a\0b"s,
        "HTTP/1.1 200 a\rb"s, "HTTP/1.1 200 a\x7f"s}) {
    EXPECT_NE(ParseResponse(line + "\r\n\r\n"), "ok") << line;
  }
}

TEST(H1Parser, RefusesResponseFieldsThatDiffer) {
  const std::string line = "HTTP/1.1 200 OK\r\n";
  for (const char* fields : {"Content-Length: 5", "Content-Length: 5\r\nContent-Length: 5",
                             "Transfer-Encoding: Chunked", "A: b", "A:"}) {
    EXPECT_EQ(ParseResponse(line + fields + "\r\n\r\n"), "ok") << fields;
  }
  for (const std::string& fields :
       {"Content-Length: 5\r\nContent-Length: 6"s, "Content-Length: 5, 5"s, "Content-Length: -1"s,
        "Content-Length:"s, "Content-Length: 9223372036854775808"s, "Transfer-Encoding: gzip"s,
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"s,
        "Transfer-Encoding: chunked\r\nContent-Length: 5"s, "A : b"s, ": b"s, "A b: c"s, "A"s,
        " A: b"s, "A: b\r\n c"s, "A: b\0c"s, "A: b\rc"s}) {
    EXPECT_NE(ParseResponse(line + fields + "\r\n\r\n"), "ok") << fields;
  }
  EXPECT_NE(ParseResponse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "ok");
}

TEST(H1Parser, TakesResponseHeadsWithBareLineFeeds) {
  ResponseHead head;
  EXPECT_EQ(ParseResponse("HTTP/1.0 200 OK\nA: b\nContent-Length: 3\n\nabc", false, &head), "ok");
  EXPECT_EQ(Describe(head), "HTTP/1.0 200 'OK' length:3 [A=b]");
}

TEST(H1Parser, DecidesResponseFraming) {
  auto framing = [](std::string_view text, bool is_head_request = false) {
    ResponseHead head;
    EXPECT_EQ(ParseResponse(text, is_head_request, &head), "ok") << text;
    return Describe(head.framing, head.content_length.value_or(0));
  };
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\n\r\n"), "until-close");
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "length:0");
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "chunked");
  EXPECT_EQ(framing("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n"), "none");
  EXPECT_EQ(framing("HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n"), "none");
  EXPECT_EQ(framing("HTTP/1.1 100 x\r\nContent-Length: 5\r\n\r\n"), "none");
  EXPECT_EQ(framing("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"), "none");
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true), "none");
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\n\r\n", true), "none");
  ResponseHead head;
  EXPECT_EQ(ParseResponse("HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", false, &head), "ok");
  EXPECT_EQ(head.content_length, 5u);
}

}  // namespace
}  // namespace genkan::http
