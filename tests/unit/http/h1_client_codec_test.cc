#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/http/h1_recorder.h"

namespace genkan::http {
namespace {

using namespace std::string_literals;

RequestHead Request(std::string_view method, BodyFraming framing = BodyFraming::kNone,
                    uint64_t length = 0) {
  RequestHead head;
  head.method = method;
  head.authority = "a.test";
  head.target = "/x?y";
  head.framing = framing;
  head.content_length = length;
  return head;
}

std::string Written(const RequestHead& head, std::initializer_list<const char*> pieces) {
  Client client;
  StreamId stream = client.codec->SendRequest(head, pieces.size() == 0);
  size_t left = pieces.size();
  for (const char* piece : pieces) {
    Buffer data(piece);
    client.codec->SendBody(stream, data, --left == 0);
  }
  return client.Pull();
}

TEST(H1ClientCodec, WritesRequestsAnew) {
  EXPECT_EQ(Written(Request("GET"), {}), "GET /x?y HTTP/1.1\r\nHost: a.test\r\n\r\n");
  EXPECT_EQ(Written(Request("POST"), {}),
            "POST /x?y HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Written(Request("DELETE", BodyFraming::kContentLength, 0), {}),
            "DELETE /x?y HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(Written(Request("POST", BodyFraming::kContentLength, 5), {"he", "llo"}),
            "POST /x?y HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(Written(Request("PUT", BodyFraming::kChunked), {"he", "llo"}),
            "PUT /x?y HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
            "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
}

TEST(H1ClientCodec, WritesFieldsButThoseOfTheConnection) {
  RequestHead head = Request("GET");
  head.headers.Add("Accept", "*/*");
  head.headers.Add("Connection", "close");
  head.headers.Add("Host", "evil");
  head.headers.Add("Content-Length", "5");
  head.headers.Add("te", "trailers");
  EXPECT_EQ(
      Written(head, {}),
      "GET /x?y HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nTE: trailers\r\nConnection: TE\r\n\r\n");
}

TEST(H1ClientCodec, WritesUpgradesWithAKeyOfItsOwnWhereThereIsNone) {
  RequestHead head = Request("GET");
  head.upgrade = "websocket";
  std::string with_own = Written(head, {});
  EXPECT_NE(with_own.find("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"), std::string::npos);
  size_t key = with_own.find("Sec-WebSocket-Key: ");
  ASSERT_NE(key, std::string::npos);
  EXPECT_EQ(with_own.substr(key + 19 + 22), "==\r\n\r\n");
  head.headers.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  EXPECT_EQ(Written(head, {}),
            "GET /x?y HTTP/1.1\r\nHost: a.test\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

struct Outcome {
  std::string events;
  bool is_reusable = false;
};

Outcome Receive(std::string_view answer, const RequestHead& request, size_t step, bool closes) {
  Client client;
  client.codec->SendRequest(request, true);
  client.Pull();
  for (size_t at = 0; at < answer.size(); at += step) {
    if (!client.Feed(answer.substr(at, step))) break;
  }
  Outcome outcome;
  outcome.is_reusable = client.codec->is_reusable();
  if (closes) client.codec->ReceiveEnd();
  outcome.events = client.recorder.text();
  return outcome;
}

// The same in one piece and byte by byte.
Outcome Answer(std::string_view answer, const RequestHead& request = Request("GET"),
               bool closes = false) {
  Outcome whole = Receive(answer, request, answer.size() + 1, closes);
  Outcome dripped = Receive(answer, request, 1, closes);
  EXPECT_EQ(dripped.events, whole.events) << answer;
  EXPECT_EQ(dripped.is_reusable, whole.is_reusable) << answer;
  return whole;
}

TEST(H1ClientCodec, ReadsAnswersOfEachFraming) {
  Outcome known = Answer("HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nA: b\r\n\r\nhello");
  EXPECT_EQ(known.events, "1: HTTP/1.1 200 'Fine' length:5 [A=b]|<hello>|end|");
  EXPECT_TRUE(known.is_reusable);

  Outcome chunked = Answer(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
  EXPECT_EQ(chunked.events, "1: HTTP/1.1 200 'OK' chunked |<hello>|trailers [X-Sum=1]|");
  EXPECT_TRUE(chunked.is_reusable);

  Outcome until_close = Answer("HTTP/1.0 200 OK\r\n\r\nhello", Request("GET"), true);
  EXPECT_EQ(until_close.events, "1: HTTP/1.0 200 'OK' until-close |<hello>|end|");
  EXPECT_FALSE(until_close.is_reusable);

  Outcome empty = Answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(empty.events, "1: HTTP/1.1 200 'OK' length:0  end|");
  EXPECT_TRUE(empty.is_reusable);

  Outcome head = Answer("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", Request("HEAD"));
  EXPECT_EQ(head.events, "1: HTTP/1.1 200 'OK' none(announces 500)  end|");
  EXPECT_TRUE(head.is_reusable);

  Outcome unmodified = Answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
  EXPECT_EQ(unmodified.events, "1: HTTP/1.1 304 'Not Modified' none(announces 7)  end|");
  EXPECT_TRUE(unmodified.is_reusable);
}

TEST(H1ClientCodec, ReuseNeedsBothSidesToWantIt) {
  EXPECT_FALSE(
      Answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").is_reusable);
  EXPECT_FALSE(Answer("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").is_reusable);
  EXPECT_TRUE(
      Answer("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n").is_reusable);
  EXPECT_FALSE(Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n").is_reusable);
  EXPECT_FALSE(Answer("HTTP/1.1 204 No Content\r\n\r\nextra").is_reusable);
  EXPECT_FALSE(Answer("HTTP/1.1 200 OK\r\n\r\nhello", Request("HEAD")).is_reusable);
}

TEST(H1ClientCodec, NotReusedWhileTheRequestIsUnfinished) {
  Client client;
  StreamId stream =
      client.codec->SendRequest(Request("POST", BodyFraming::kContentLength, 5), false);
  client.Pull();
  ASSERT_TRUE(client.Feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_FALSE(client.codec->is_reusable());
  Buffer body("hello");
  client.codec->SendBody(stream, body, true);
  EXPECT_FALSE(client.codec->is_reusable());
  EXPECT_EQ(client.Pull(), "hello");
  EXPECT_TRUE(client.codec->is_reusable());

  Client cut;
  stream = cut.codec->SendRequest(Request("POST", BodyFraming::kContentLength, 5), false);
  Buffer part("he");
  cut.codec->SendBody(stream, part, true);
  cut.Pull();
  ASSERT_TRUE(cut.Feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_FALSE(cut.codec->is_reusable());
}

TEST(H1ClientCodec, BytesWhileIdleAreAnError) {
  Client fresh;
  EXPECT_FALSE(fresh.Feed("HTTP/1.1 200 OK\r\n\r\n"));
  EXPECT_FALSE(fresh.codec->is_reusable());
  Client used;
  used.Get();
  used.Pull();
  ASSERT_TRUE(used.Feed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_TRUE(used.codec->is_reusable());
  EXPECT_FALSE(used.Feed("HTTP/1.1 408 Timeout\r\n\r\n"));
  EXPECT_FALSE(used.codec->is_reusable());
}

TEST(H1ClientCodec, ServesManyRequestsOneAfterTheOther) {
  Client client;
  for (StreamId i = 1; i <= 20; ++i) {
    EXPECT_EQ(client.Get(), i);
    client.Pull();
    ASSERT_TRUE(client.Feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    ASSERT_TRUE(client.codec->is_reusable());
  }
}

TEST(H1ClientCodec, InterimAnswersComeBeforeTheFinalOne) {
  EXPECT_EQ(Answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                   "HTTP/1.1 204 No Content\r\n\r\n")
                .events,
            "1: interim HTTP/1.1 100 'Continue' none |1: interim HTTP/1.1 103 'Early Hints' none "
            "[Link=x]|"
            "1: HTTP/1.1 204 'No Content' none  end|");
  std::string many;
  for (int i = 0; i < 101; ++i) many += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_NE(Answer(many).events.find("1: reset invalid|"), std::string::npos);
}

TEST(H1ClientCodec, WhatBreaksARuleIsInvalid) {
  for (const std::string& answer :
       {"hello"s, "HTTP/2.0 200 OK\r\n\r\n"s, "HTTP/1.1 099 x\r\n\r\n"s, "HTTP/1.1 000 x\r\n\r\n"s,
        "<html>"s, "\r\nHTTP/1.1 200 OK\r\n\r\n"s, "HTTP/1.1 200 OK\r\nA b\r\n\r\n"s,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"s,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"s,
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"s, "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n"s,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"s,
        "HTTP/1.1 200 OK\r\nA: " + std::string(70000, 'a') + "\r\n\r\n"}) {
    Outcome outcome = Answer(answer);
    EXPECT_EQ(outcome.events, "1: reset invalid|") << answer.substr(0, 100);
    EXPECT_FALSE(outcome.is_reusable);
  }
  std::string fields;
  for (int i = 0; i < 1001; ++i) fields += "a: b\r\n";
  EXPECT_EQ(Answer("HTTP/1.1 200 OK\r\n" + fields + "\r\n").events, "1: reset invalid|");
  EXPECT_EQ(Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc").events,
            "1: HTTP/1.1 200 'OK' chunked |<ab>|1: reset invalid|");
}

TEST(H1ClientCodec, CutAnswersAreNeverComplete) {
  const RequestHead get = Request("GET");
  EXPECT_EQ(Answer("", get, true).events, "1: reset closed|");
  EXPECT_EQ(Answer("HTTP/1.1 200 OK\r\nA: b\r\n", get, true).events, "1: reset invalid|");
  EXPECT_EQ(Answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", get, true).events,
            "1: HTTP/1.1 200 'OK' length:5 |<hell>|1: reset invalid|");
  EXPECT_EQ(
      Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", get, true).events,
      "1: HTTP/1.1 200 'OK' chunked |<ab>|1: reset invalid|");
  EXPECT_EQ(
      Answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n", get, true)
          .events,
      "1: HTTP/1.1 200 'OK' chunked |<ab>|1: reset invalid|");
}

TEST(H1ClientCodec, TunnelBeginsWithThe101) {
  RequestHead request = Request("GET");
  request.upgrade = "websocket";
  Client client;
  StreamId stream = client.codec->SendRequest(request, true);
  client.Pull();
  ASSERT_TRUE(
      client.Feed("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                  "Upgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\nbytes"));
  EXPECT_EQ(client.recorder.text(),
            "1: HTTP/1.1 101 'Switching Protocols' until-close "
            "[Connection=Upgrade][Upgrade=websocket]|<bytes>|");
  Buffer data("raw");
  client.codec->SendBody(stream, data, false);
  EXPECT_EQ(client.Pull(), "raw");
  client.codec->ReceiveEnd();
  EXPECT_NE(client.recorder.text().find("end|"), std::string::npos);
  EXPECT_FALSE(client.codec->is_reusable());

  EXPECT_EQ(Answer("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", request).events,
            "1: reset invalid|");
  EXPECT_TRUE(Answer("HTTP/1.1 426 x\r\nContent-Length: 0\r\n\r\n", request).is_reusable);
}

TEST(H1ClientCodec, StopsWantingBytesWhenTheWindowIsFull) {
  CodecLimits limits;
  Client client(limits);
  client.recorder.consumes_ = false;
  size_t window = limits.buffered_per_stream;
  client.Get();
  client.Pull();
  ASSERT_TRUE(client.Feed("HTTP/1.1 200 OK\r\n\r\n" + std::string(2 * window, 'a')));
  EXPECT_EQ(client.recorder.received_, window);
  EXPECT_FALSE(client.codec->wants_bytes());
  client.codec->ReceiveEnd();
  EXPECT_EQ(client.recorder.text().find("end|"), std::string::npos);
  client.codec->Consumed(1, window);
  EXPECT_TRUE(client.codec->wants_bytes());
  ASSERT_TRUE(client.Feed(""));
  EXPECT_EQ(client.recorder.received_, 2 * window);
  EXPECT_NE(client.recorder.text().find("end|"), std::string::npos);
}

TEST(H1ClientCodec, ALargerWindowLetsMoreInAtOnceAndGoesAgain) {
  Client client;
  client.recorder.consumes_ = false;
  StreamId stream = client.codec->SendRequest(Request("GET"), true);
  client.Pull();
  size_t limit = CodecLimits().buffered_per_stream;
  Buffer in("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + std::string(4 * limit, 'b'));
  client.codec->SetWindow(3 * limit);
  ASSERT_TRUE(client.codec->Receive(in));
  EXPECT_EQ(in.size(), limit);
  EXPECT_FALSE(client.codec->wants_bytes());
  client.codec->SetWindow(0);
  client.codec->Consumed(stream, 2 * limit);
  ASSERT_TRUE(client.codec->Receive(in));
  EXPECT_EQ(in.size(), limit) << "a window is held already";
  client.codec->Consumed(stream, limit);
  ASSERT_TRUE(client.codec->Receive(in));
  EXPECT_EQ(in.size(), 0u);
}

TEST(H1ClientCodec, ReadsKeepAliveTimeout) {
  auto timeout = [](std::string_view value) {
    Client client;
    client.Get();
    client.Pull();
    EXPECT_TRUE(client.Feed(
        fmt::format("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: {}\r\n\r\n", value)));
    return client.codec->keep_alive_timeout();
  };
  EXPECT_EQ(timeout("timeout=5, max=100"), 5);
  EXPECT_EQ(timeout("max=100, Timeout = 15"), 15);
  EXPECT_EQ(timeout("timeout=x"), 0);
  EXPECT_EQ(timeout("timeout=99999999999"), 0);
  EXPECT_EQ(timeout("max=1"), 0);
}

TEST(H1ClientCodec, ResetMakesTheConnectionUseless) {
  Client client;
  StreamId stream = client.Get();
  client.codec->Reset(stream);
  EXPECT_FALSE(client.codec->is_reusable());
  EXPECT_FALSE(client.codec->wants_bytes());
  EXPECT_FALSE(client.codec->has_output());
  EXPECT_TRUE(client.Feed("HTTP/1.1 200 OK\r\n\r\n"));
  EXPECT_EQ(client.recorder.text(), "");
}

// A proxy in small: what a client's codec writes, a server's reads, and back.
TEST(H1RoundTrip, RequestsAndAnswersArriveAsTheyWere) {
  for (BodyFraming framing :
       {BodyFraming::kNone, BodyFraming::kContentLength, BodyFraming::kChunked}) {
    for (BodyFraming back : {BodyFraming::kContentLength, BodyFraming::kChunked}) {
      Client client;
      Server server;
      const std::string body = framing == BodyFraming::kNone ? "" : std::string(70000, 'b');
      RequestHead head = Request("PUT", framing, body.size());
      head.headers.Add("X-A", "1");
      StreamId stream = client.codec->SendRequest(head, body.empty());
      Buffer data(body);
      if (!body.empty()) client.codec->SendBody(stream, data, true);
      ASSERT_TRUE(server.Feed(client.Pull()));
      std::string sent = server.recorder.text();
      EXPECT_NE(sent.find("[X-A=1]"), std::string::npos);
      EXPECT_EQ(server.recorder.received_, body.size());

      ResponseHead answer;
      answer.framing = back;
      answer.content_length = 5;
      server.Respond(answer, "hello", true);
      ASSERT_TRUE(client.Feed(server.Pull()));
      EXPECT_NE(client.recorder.text().find("<hello>|end|"), std::string::npos);
      EXPECT_TRUE(client.codec->is_reusable());
      EXPECT_FALSE(server.codec->is_done());
    }
  }
}

TEST(H1RoundTrip, TrailersGoBothWays) {
  Client client;
  Server server;
  Headers trailers;
  trailers.Add("x-sum", "1");
  StreamId stream = client.codec->SendRequest(Request("POST", BodyFraming::kChunked), false);
  Buffer data("abc");
  client.codec->SendBody(stream, data, false);
  client.codec->SendTrailers(stream, trailers);
  ASSERT_TRUE(server.Feed(client.Pull()));
  EXPECT_NE(server.recorder.text().find("<abc>|trailers [x-sum=1]|"), std::string::npos);
  ResponseHead answer;
  answer.framing = BodyFraming::kChunked;
  server.Respond(answer, "def", false);
  server.codec->SendTrailers(1, trailers);
  ASSERT_TRUE(client.Feed(server.Pull()));
  EXPECT_NE(client.recorder.text().find("<def>|trailers [x-sum=1]|"), std::string::npos);
  EXPECT_TRUE(client.codec->is_reusable());
}

}  // namespace
}  // namespace genkan::http
