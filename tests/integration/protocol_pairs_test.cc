// Each scenario of a request and its response, over HTTP/1.1 and over HTTP/2.
#include <gtest/gtest.h>

#include <chrono>

#include "proxy/base/text.h"
#include "tests/integration/dataplane_harness.h"

namespace genkan::testing {
namespace {

using Fields_ = test::H2Fields;

struct Question {
  std::string method = "GET", target = "/";
  Fields_ headers;
  std::optional<std::string> body;
  bool is_chunked = false;
  Fields_ trailers;
};

// A client of either protocol, behind one face.
class PairClient {
 public:
  PairClient(Proxy& proxy, bool is_h2) {
    if (is_h2) {
      h2_ = std::make_unique<H2Client>(proxy.tls_port());
    } else {
      h1_ = std::make_unique<H1Client>(proxy.tls_port(), ClientOptions{.tls = true, .alpn = "http/1.1"});
    }
  }
  bool is_h2() const { return h2_ != nullptr; }
  H1Client& h1() { return *h1_; }
  H2Client& h2() { return *h2_; }

  // Sends all but `held_back` bytes of the body's end.
  void Send(const Question& question, size_t held_back = 0) {
    std::string body = question.body.value_or("");
    std::string now = body.substr(0, body.size() - held_back);
    if (is_h2()) {
      Fields_ more = question.headers;
      if (question.body && !question.is_chunked) {
        more.emplace_back("content-length", std::to_string(body.size()));
      }
      stream_ = h2_->Open(Fields(question.method, question.target, more), !question.body);
      if (question.body && (held_back == 0 || !now.empty())) {
        h2_->Data(stream_, now, held_back == 0 && question.trailers.empty());
      }
      if (!question.trailers.empty()) h2_->Trailers(stream_, question.trailers);
      return;
    }
    std::string text = question.method + " " + question.target + " HTTP/1.1\r\nHost: a.test\r\n";
    for (const auto& [name, value] : question.headers) text += name + ": " + value + "\r\n";
    if (question.body) {
      text += question.is_chunked ? "Transfer-Encoding: chunked\r\n"
                                  : "Content-Length: " + std::to_string(body.size()) + "\r\n";
    }
    text += "\r\n";
    if (question.body && question.is_chunked) {
      if (!now.empty()) text += fmt::format("{:x}\r\n", now.size()) + now + "\r\n";
      if (held_back == 0) {
        text += "0\r\n";
        for (const auto& [name, value] : question.trailers) text += name + ": " + value + "\r\n";
        text += "\r\n";
      }
    } else {
      text += now;
    }
    // Before the bytes: another thread may be reading the answer already, and then finds it as it was.
    if (bool is_head = question.method == "HEAD"; is_head != is_head_) is_head_ = is_head;
    h1_->raw().Send(text);
  }
  void SendRest(const Question& question, size_t held_back) {
    std::string rest = question.body->substr(question.body->size() - held_back);
    if (is_h2()) {
      h2_->Data(stream_, rest, true);
    } else {
      h1_->raw().Send(question.is_chunked ? fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", rest.size(), rest) : rest);
    }
  }
  Answer Read() { return is_h2() ? h2_->Wait(stream_) : h1_->ReadAnswer(is_head_); }
  Answer Ask(const Question& question) {
    Send(question);
    return Read();
  }
  uint32_t stream() const { return stream_; }

 private:
  std::unique_ptr<H1Client> h1_;
  std::unique_ptr<H2Client> h2_;
  uint32_t stream_ = 0;
  bool is_head_ = false;
};

class Pairs : public ::testing::TestWithParam<bool> {
 protected:
  void Start(ScriptedOrigin::Script script) {
    origin_ = std::make_unique<ScriptedOrigin>(std::move(script));
    proxy_ = std::make_unique<Proxy>(MakeConfig(origin_->url()));
  }
  void Start(ScriptedOrigin::Responder respond) { Start(ScriptedOrigin::Respond(std::move(respond))); }
  void StartWith(std::string answer) {
    Start([answer](const OriginRequest&) { return answer; });
  }
  PairClient Client() { return PairClient(*proxy_, GetParam()); }

  std::unique_ptr<ScriptedOrigin> origin_;
  std::unique_ptr<Proxy> proxy_;
};
INSTANTIATE_TEST_SUITE_P(, Pairs, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "H2" : "H1"; });

TEST_P(Pairs, Get) {
  StartWith("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello");
  PairClient client = Client();
  for (int i = 0; i < 3; ++i) {
    Answer answer = client.Ask({});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "hello");
    EXPECT_EQ(answer.Header("x-a"), "b");
    EXPECT_TRUE(answer.is_complete);
  }
  EXPECT_EQ(origin_->connections(), 1u);
}

TEST_P(Pairs, PostWithLength) {
  Start([](const OriginRequest& request) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(request.body.size()) + "\r\n\r\n" +
           request.body;
  });
  std::string body(300'000, 'x');
  PairClient client = Client();
  client.Send({.method = "POST", .body = body.substr(0, 60'000)});
  EXPECT_EQ(client.Read().body.size(), 60'000u);
  EXPECT_EQ(origin_->requests()[0].Header("content-length"), "60000");
}

TEST_P(Pairs, PostChunkedWithTrailers) {
  Start([](const OriginRequest& request) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(request.body.size()) + "\r\n\r\n" +
           request.body;
  });
  PairClient client = Client();
  Answer answer = client.Ask({.method = "POST", .body = "hello world", .is_chunked = true,
                              .trailers = {{"x-sum", "42"}}});
  EXPECT_EQ(answer.body, "hello world");
  OriginRequest request = origin_->requests()[0];
  EXPECT_EQ(ToLower(request.Header("transfer-encoding")), "chunked");
  EXPECT_EQ(request.Header("content-length"), "");
  EXPECT_NE(origin_->received(1).find("x-sum: 42"), std::string::npos) << origin_->received(1);
}

TEST_P(Pairs, ChunkedResponseWithTrailers) {
  StartWith("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            "5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n");
  Answer answer = Client().Ask({});
  EXPECT_EQ(answer.body, "hello world");
  EXPECT_TRUE(answer.is_complete);
  ASSERT_EQ(answer.trailers.size(), 1u);
  EXPECT_EQ(ToLower(answer.trailers[0].first), "x-sum");
}

TEST_P(Pairs, HeadHasALengthAndNoBody) {
  StartWith("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
  PairClient client = Client();
  for (int i = 0; i < 3; ++i) {
    Answer answer = client.Ask({.method = "HEAD"});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.Header("content-length"), "1234");
    EXPECT_EQ(answer.body, "");
    EXPECT_TRUE(answer.is_complete);
  }
  EXPECT_EQ(origin_->connections(), 1u);
}

TEST_P(Pairs, NoContentAndNotModified) {
  Start([](const OriginRequest& request) {
    return request.target == "/204"
               ? std::string("HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n")
               : std::string("HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nContent-Length: 77\r\n\r\n");
  });
  PairClient client = Client();
  for (int i = 0; i < 2; ++i) {
    Answer none = client.Ask({.target = "/204"});
    EXPECT_EQ(none.status, 204);
    EXPECT_TRUE(none.is_complete);
    EXPECT_EQ(none.Header("content-length"), "");
    Answer same = client.Ask({.target = "/304"});
    EXPECT_EQ(same.status, 304);
    EXPECT_EQ(same.Header("etag"), "\"e\"");
    EXPECT_TRUE(same.is_complete);
  }
  EXPECT_EQ(origin_->connections(), 1u);
}

TEST_P(Pairs, ExpectContinueEndToEnd) {
  Start([](OriginConnection& connection) {
    while (auto request = connection.ReadHead()) {
      connection.Send("HTTP/1.1 100 Continue\r\n\r\n");
      connection.ReadBody(*request);
      connection.Answer("got " + request->body);
    }
  });
  PairClient client = Client();
  Question question{.method = "POST", .headers = {{"expect", "100-continue"}}, .body = "body!"};
  client.Send(question, 5);
  if (client.is_h2()) {
    ASSERT_TRUE(client.h2().ReadUntil(
        [&] { return !client.h2().answer(client.stream()).interims.empty(); }));
    EXPECT_EQ(client.h2().answer(client.stream()).interims[0], 100);
  } else {
    EXPECT_NE(client.h1().raw().ReadUntil("\r\n\r\n").find("100 Continue"), std::string::npos);
  }
  client.SendRest(question, 5);
  EXPECT_EQ(client.Read().body, "got body!");
}

TEST_P(Pairs, InterimResponsesArrive) {
  StartWith("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  Answer answer = Client().Ask({});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.interims, std::vector<int>{103});
  EXPECT_EQ(answer.body, "ok");
}

TEST_P(Pairs, EarlyResponseBeforeTheBodyIsRead) {
  Start([](OriginConnection& connection) {
    while (connection.ReadHead()) {
      connection.Answer("no", "403 Forbidden", "Connection: close\r\n");
      return;
    }
  });
  PairClient client = Client();
  Question question{.method = "POST", .body = std::string(200'000, 'x')};
  client.Send(question, 190'000);
  Answer answer = client.Read();
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.body, "no");
}

TEST_P(Pairs, CloseDelimitedResponse) {
  Start([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\n\r\n");
    connection.Send("until ");
    connection.Sleep(std::chrono::milliseconds(20));
    connection.Send("close");
  });
  Answer answer = Client().Ask({});
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "until close");
  EXPECT_TRUE(answer.is_complete);
}

TEST_P(Pairs, Http10Origin) {
  Start([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold");
  });
  PairClient client = Client();
  for (int i = 0; i < 3; ++i) {
    Answer answer = client.Ask({});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "old");
    EXPECT_TRUE(answer.is_complete);
  }
}

// Message rule 20.
TEST_P(Pairs, ACutBodyLooksCut) {
  for (std::string_view answer_text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n"}) {
    Start([answer_text](OriginConnection& connection) {
      connection.ReadRequest();
      connection.Send(answer_text);
    });
    PairClient client = Client();
    Answer answer = client.Ask({});
    EXPECT_FALSE(answer.is_complete) << answer_text;
    if (client.is_h2()) {
      EXPECT_TRUE(client.h2().was_reset(client.stream())) << answer_text;
      // The connection serves on.
      client.Ask({});
      EXPECT_TRUE(client.h2().was_reset(client.stream())) << answer_text;
    } else {
      EXPECT_TRUE(client.h1().raw().has_ended()) << answer_text;
    }
  }
}

// It has no chunks: only a reset tells it from an answer that ended.
TEST(ProtocolPairs, ACutBodyLooksCutToAnHttp10Client) {
  for (bool is_tls : {false, true}) {
    ScriptedOrigin origin([](OriginConnection& connection) {
      connection.ReadRequest();
      connection.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n");
      connection.WaitForRelease();
    });
    Proxy proxy(MakeConfig(origin.url()));
    RawClient client(is_tls ? proxy.tls_port() : proxy.plain_port(), {.tls = is_tls});
    client.Send("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");
    EXPECT_NE(client.ReadUntil("short").find("200 OK"), std::string::npos);
    origin.Release();
    client.ReadAll();
    EXPECT_TRUE(client.was_reset()) << is_tls;
  }
}

TEST_P(Pairs, EventsArriveUnbuffered) {
  Start([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; ++i) {
      connection.Send("9\r\ndata: " + std::to_string(i) + "\n\n\r\n");
      if (i < 2) connection.Sleep(std::chrono::milliseconds(100));
    }
    connection.WaitForRelease();
    connection.Send("0\r\n\r\n");
  });
  PairClient client = Client();
  client.Send({});
  // All three are here although the response goes on.
  if (client.is_h2()) {
    EXPECT_TRUE(client.h2().ReadUntil([&] {
      return client.h2().answer(client.stream()).body.find("data: 2") != std::string::npos;
    }));
    origin_->Release();
    EXPECT_TRUE(client.Read().is_complete);
  } else {
    EXPECT_NE(client.h1().raw().ReadUntil("data: 2").find("data: 0"), std::string::npos);
    origin_->Release();
  }
}

// An origin that shakes hands and then sends back what comes, in capitals.
ScriptedOrigin::Script WebSocketEcho() {
  return [](OriginConnection& connection) {
    if (!connection.ReadRequest()) return;
    connection.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Accept: x\r\n\r\nfirst");
    for (std::string bytes = connection.Read(); !bytes.empty(); bytes = connection.Read()) {
      for (char& c : bytes) c = static_cast<char>(std::toupper(c));
      connection.Send(bytes);
      if (bytes.find("BYE") != std::string::npos) return;
    }
  };
}

TEST_P(Pairs, WebSocketTunnel) {
  Start(WebSocketEcho());
  PairClient client = Client();
  if (client.is_h2()) {
    H2Client& h2 = client.h2();
    Fields_ fields = {{":method", "CONNECT"},      {":protocol", "websocket"}, {":scheme", "https"},
                      {":path", "/chat"},          {":authority", "a.test"},   {"sec-websocket-version", "13"}};
    uint32_t stream = h2.Open(fields, false);
    h2.Data(stream, "early ", false);
    ASSERT_TRUE(h2.ReadUntil([&] { return h2.answer(stream).body.size() >= 11; }));
    EXPECT_EQ(h2.answer(stream).status, 200);
    EXPECT_EQ(h2.answer(stream).body, "firstEARLY ");
    h2.Data(stream, "bye", false);
    Answer answer = h2.Wait(stream);
    EXPECT_EQ(answer.body, "firstEARLY BYE");
  } else {
    RawClient& raw = client.h1().raw();
    raw.Send("GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    std::string head = raw.ReadUntil("first");
    EXPECT_EQ(head.substr(0, 12), "HTTP/1.1 101");
    EXPECT_NE(ToLower(head).find("upgrade: websocket"), std::string::npos);
    raw.Send("hello");
    EXPECT_EQ(raw.ReadUntil("HELLO"), "HELLO");
    raw.Send("bye");
    EXPECT_EQ(raw.ReadAll(), "BYE");
  }
  OriginRequest request = origin_->requests()[0];
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(ToLower(request.Header("upgrade")), "websocket");
  EXPECT_EQ(ToLower(request.Header("connection")), "upgrade");
  EXPECT_NE(request.Header("sec-websocket-key"), "");
}

TEST_P(Pairs, RefusedWebSocketStaysHttp) {
  StartWith("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
  PairClient client = Client();
  if (client.is_h2()) {
    H2Client& h2 = client.h2();
    Fields_ fields = {{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"},
                      {":path", "/chat"},     {":authority", "a.test"}};
    Answer answer = h2.Wait(h2.Open(fields, false));
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(answer.body, "no");
  } else {
    Answer answer = client.Ask({.headers = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"},
                                            {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                                            {"Sec-WebSocket-Version", "13"}}});
    EXPECT_EQ(answer.status, 403);
    EXPECT_EQ(answer.body, "no");
  }
  EXPECT_EQ(client.Ask({}).status, 403);
}

TEST_P(Pairs, LargeBodiesBothWays) {
  Start([](OriginConnection& connection) {
    while (auto request = connection.ReadHead()) {
      connection.ReadBody(*request);
      connection.Answer(request->body);
    }
  });
  PairClient client = Client();
  std::string body(3 * 1024 * 1024, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * 7 % 26);
  Question question{.method = "POST", .body = body};
  if (client.is_h2()) {
    H2Client& h2 = client.h2();
    uint32_t stream = h2.Open(Fields("POST", "/", {{"content-length", std::to_string(body.size())}}), false);
    size_t sent = 0;
    while (sent < body.size()) {
      // All that the windows allow: the proxy must open them without another word from us.
      while (h2.send_window(stream) <= 0) ASSERT_TRUE(h2.ReadFrames()) << sent;
      size_t size = std::min(static_cast<size_t>(h2.send_window(stream)), body.size() - sent);
      h2.Data(stream, std::string_view(body).substr(sent, size), sent + size == body.size());
      sent += size;
    }
    Answer answer = h2.Wait(stream);
    EXPECT_TRUE(answer.body == body) << answer.body.size();
  } else {
    // The origin takes all of it before it answers, so the client may send all of it before it reads.
    client.Send(question);
    Answer answer = client.Read();
    EXPECT_TRUE(answer.body == body) << answer.body.size();
  }
}

TEST_P(Pairs, UpstreamDownIs502AndSlowIs504) {
  StartWith("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  origin_->Stop();
  EXPECT_EQ(Client().Ask({}).status, 502);

  Start([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.WaitForRelease();
  });
  config::Config config = MakeConfig("");
  config::Upstream slow;
  slow.name = "slow";
  slow.servers.push_back({origin_->address()});
  slow.response_timeout = Millis(100);
  config.upstreams = {slow};
  for (auto& site : config.sites) site.upstream = "slow";
  proxy_->Reload(config);
  EXPECT_EQ(Client().Ask({}).status, 504);
}

}  // namespace
}  // namespace genkan::testing
