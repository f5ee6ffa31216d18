// Either side goes away at each state of an exchange: nothing hangs, nothing leaks, and the next client is served.
#include <gtest/gtest.h>

#include "tests/integration/dataplane_harness.h"

namespace genkan::testing {
namespace {

using Metrics = server::WorkerMetrics;

// What the origin does before it goes away.
enum class OriginStep { kAccept, kHead, kHalfHead, kHeadSent, kHalfBody, kAfterBody };
constexpr OriginStep kOriginSteps[] = {OriginStep::kAccept,   OriginStep::kHead,     OriginStep::kHalfHead,
                                       OriginStep::kHeadSent, OriginStep::kHalfBody, OriginStep::kAfterBody};

ScriptedOrigin::Script Leave(OriginStep step, bool resets) {
  return [step, resets](OriginConnection& connection) {
    auto leave = [&] { resets ? connection.Reset() : connection.Close(); };
    if (step == OriginStep::kAccept) return leave();
    if (!connection.ReadHead()) return;
    if (step == OriginStep::kHead) return leave();
    if (step == OriginStep::kHalfHead) {
      connection.Send("HTTP/1.1 200 OK\r\nConte");
      return leave();
    }
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    if (step == OriginStep::kHeadSent) return leave();
    connection.Send("hello");
    if (step == OriginStep::kHalfBody) return leave();
    connection.Send("hello");
    leave();
  };
}

class ChaosClose : public ::testing::Test {
 protected:
  void ExpectNothingLeft(Proxy& proxy) {
    EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::requests_open) == 0; }))
        << proxy.Sum(&Metrics::requests_open);
    EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 0; }))
        << proxy.Sum(&Metrics::connections_open);
  }
};

TEST_F(ChaosClose, TheOriginLeavesAtEachStep) {
  for (OriginStep step : kOriginSteps) {
    for (bool resets : {false, true}) {
      ScriptedOrigin origin(Leave(step, resets));
      Proxy proxy(MakeConfig(origin.url()));
      SCOPED_TRACE(::testing::Message() << static_cast<int>(step) << (resets ? " reset" : " closed"));
      for (std::string method : {"GET", "POST"}) {
        H1Client h1(proxy.plain_port());
        std::string body = method == "POST" ? "Content-Length: 100000\r\n" : "";
        Answer answer = h1.Request(method + " / HTTP/1.1\r\nHost: a.test\r\n" + body + "\r\n" +
                                   (body.empty() ? "" : std::string(1000, 'x')));
        bool is_answered = step >= OriginStep::kHeadSent && answer.status == 200;
        EXPECT_TRUE(is_answered || answer.status == 502) << answer.status;
        EXPECT_EQ(answer.status == 200 && answer.is_complete, step == OriginStep::kAfterBody && answer.status == 200);

        H2Client h2(proxy.tls_port());
        uint32_t stream = h2.Open(Fields(method, "/"), method == "GET");
        if (method == "POST") h2.Data(stream, std::string(1000, 'x'), false);
        Answer second = h2.Wait(stream);
        if (step < OriginStep::kHeadSent) {
          EXPECT_EQ(second.status, 502);
        } else if (step < OriginStep::kAfterBody) {
          EXPECT_TRUE(second.status == 502 || h2.was_reset(stream)) << second.status;
        }
      }
      ExpectNothingLeft(proxy);
    }
  }
}

// How far the client gets before it goes away.
enum class ClientStep { kConnected, kHalfHead, kHead, kHalfBody, kBody, kHalfAnswer };

TEST_F(ChaosClose, TheClientLeavesAtEachStep) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (auto request = connection.ReadHead()) {
      connection.ReadBody(*request);
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
      const std::string piece(10'000, 'x');
      for (int i = 0; i < 100; ++i) {
        if (!connection.Send(piece)) return;
        if (i == 2 && request->target == "/slow") connection.Sleep(std::chrono::milliseconds(30));
      }
    }
  });
  Proxy proxy(MakeConfig(origin.url()));
  for (bool is_tls : {false, true}) {
    for (int way = 0; way < 3; ++way) {
      for (ClientStep step : {ClientStep::kConnected, ClientStep::kHalfHead, ClientStep::kHead, ClientStep::kHalfBody,
                              ClientStep::kBody, ClientStep::kHalfAnswer}) {
        RawClient client(is_tls ? proxy.tls_port() : proxy.plain_port(),
                         {.tls = is_tls, .alpn = is_tls ? "http/1.1" : "", .receive_buffer = 16 * 1024});
        if (step >= ClientStep::kHalfHead) client.Send("POST /slow HTTP/1.1\r\nHost: a.t");
        if (step >= ClientStep::kHead) client.Send("est\r\nContent-Length: 10\r\n\r\n");
        if (step >= ClientStep::kHalfBody) client.Send("hello");
        if (step >= ClientStep::kBody) client.Send("hello");
        if (step >= ClientStep::kHalfAnswer) {
          EXPECT_FALSE(client.Read(1000).empty());
        }
        if (way == 0) client.Close();
        if (way == 1) client.Reset();
        if (way == 2) {
          client.CloseWrite();
          client.Close();
        }
      }
    }
  }
  ExpectNothingLeft(proxy);
  // Only in order: an answer that nobody took was given up, and the origin's connection with it.
  EXPECT_TRUE(WaitFor([&] { return origin.open_connections() <= 3; })) << origin.open_connections();
}

TEST_F(ChaosClose, H2ClientsLeaveOrResetAtEachStep) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (auto request = connection.ReadHead()) {
      connection.ReadBody(*request);
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
      const std::string piece(10'000, 'x');
      for (int i = 0; i < 100; ++i) {
        if (!connection.Send(piece)) return;
      }
    }
  });
  Proxy proxy(MakeConfig(origin.url()));
  for (int way = 0; way < 3; ++way) {
    for (int step = 0; step < 5; ++step) {
      H2Client client(proxy.tls_port());
      uint32_t stream = 0;
      if (step >= 1) stream = client.Open(Fields("POST", "/", {{"content-length", "10"}}), false);
      if (step >= 2) client.Data(stream, "hello", false);
      if (step >= 3) client.Data(stream, "hello", true);
      if (step >= 4) client.ReadUntil([&] { return !client.answer(stream).body.empty(); });
      if (way == 0) client.raw().Close();
      if (way == 1) client.raw().Reset();
      if (way == 2 && stream != 0) {
        client.Reset(stream);
        // The connection serves on.
        EXPECT_EQ(client.Get("/").status, 200);
      }
    }
  }
  ExpectNothingLeft(proxy);
}

TEST_F(ChaosClose, TunnelsEndFromEitherSide) {
  for (int way = 0; way < 4; ++way) {
    ScriptedOrigin origin([way](OriginConnection& connection) {
      connection.ReadHead();
      connection.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
      if (way == 0) return connection.Close();
      if (way == 1) return connection.Reset();
      while (!connection.Read().empty()) {
      }
    });
    Proxy proxy(MakeConfig(origin.url()));
    {
      RawClient client(proxy.plain_port());
      client.Send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
      EXPECT_NE(client.ReadUntil("hi").find("101"), std::string::npos);
      if (way == 2) client.Close();
      if (way == 3) client.Reset();
      if (way < 2) client.ReadAll();
    }
    ExpectNothingLeft(proxy);
    EXPECT_TRUE(WaitFor([&] { return origin.open_connections() == 0; })) << way;
  }
}

TEST_F(ChaosClose, AWorkerThatStopsCutsAllAndLeaksNothing) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    connection.WaitForRelease();
  });
  auto proxy = std::make_unique<Proxy>(MakeConfig(origin.url()));
  H1Client h1(proxy->plain_port());
  h1.raw().Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  EXPECT_NE(h1.raw().ReadUntil("half").find("200"), std::string::npos);
  H2Client h2(proxy->tls_port());
  h2.Open(Fields("GET", "/"), true);
  RawClient idle(proxy->tls_port(), {.tls = true});
  proxy.reset();
  h1.raw().ReadAll();
  EXPECT_TRUE(h1.raw().has_ended());
}

}  // namespace
}  // namespace genkan::testing
