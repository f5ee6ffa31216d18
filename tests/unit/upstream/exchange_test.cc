// One request at a time, in depth: time limits, interim answers, tunnels, back-pressure, TLS, PROXY
// headers, and the request that goes away.
#include <sys/socket.h>

#include <atomic>

#include "proxy/net/proxy_protocol.h"
#include "proxy/net/tcp_stream.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"
#include "tests/unit/upstream/upstream_harness.h"

namespace genkan::upstream {
namespace {

using UpstreamExchange = ClusterTest;
using testing::ScriptedOriginOptions;

constexpr size_t kMiB = 1024 * 1024;

// ---- time limits

TEST_F(UpstreamExchange, SilenceBeforeTheHeadIsATimeout) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.WaitForRelease();
  });
  ClusterSpec spec = SpecFor({origin.address(), origin.address()});
  spec.response_timeout = Millis(80);
  Open(spec);
  auto call = Ask();
  EXPECT_EQ(call->seen.error.code, ErrorCode::kTimeout) << call->seen.Words();
  EXPECT_EQ(call->seen.error.detail, origin.address() + ": no response within 80 ms");
  EXPECT_EQ(call->request->info().attempts, 1);
  EXPECT_EQ(shared->server(0).connections.load(), 0u);
}

TEST_F(UpstreamExchange, SlowUploadIsNoSilenceOfTheOrigin) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  ClusterSpec spec = SpecFor({origin.address()});
  spec.response_timeout = Millis(700);
  Open(spec);
  auto call = Begin(MakePost(2), false);
  for (int i = 0; i < 2; ++i) {
    RunFor(Millis(900));
    Send(*call, "x", i == 1);
  }
  ASSERT_TRUE(Finish(*call));
  EXPECT_EQ(call->seen.status, 200) << call->seen.Words();
}

TEST_F(UpstreamExchange, OriginThatTakesNothingIsAWriteTimeout) {
  ScriptedOriginOptions options;
  options.receive_buffer = 4096;
  ScriptedOrigin origin([](OriginConnection& connection) { connection.WaitForRelease(); }, options);
  ClusterSpec spec = SpecFor({origin.address()});
  spec.write_timeout = Millis(150);
  Open(spec);
  auto call = Begin(MakePost(64 * kMiB), false);
  Send(*call, std::string(16 * kMiB, 'x'));
  ASSERT_TRUE(Finish(*call));
  EXPECT_EQ(call->seen.error.code, ErrorCode::kTimeout) << call->seen.Words();
  EXPECT_NE(call->seen.error.detail.find("took no bytes"), std::string::npos);
}

TEST_F(UpstreamExchange, StreamThatStopsIsIdleAndOneThatTricklesIsNot) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    for (int i = 0; i < 5; ++i) {
      connection.Send("x");
      connection.Sleep(Millis(250));
    }
    connection.WaitForRelease();
  });
  ClusterSpec spec = SpecFor({origin.address()});
  spec.stream_idle_timeout = Millis(1000);
  Open(spec);
  auto call = Ask();
  EXPECT_EQ(call->seen.body, "xxxxx");
  EXPECT_EQ(call->seen.error.code, ErrorCode::kTimeout);
}

TEST_F(UpstreamExchange, ConnectTimeoutSaysSo) {
  // A listener whose queue is full answers no SYN.
  net::Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  net::Address any = *net::Address::Parse("127.0.0.1:0");
  ASSERT_EQ(bind(listener.get(), any.get(), any.length()), 0);
  ASSERT_EQ(listen(listener.get(), 0), 0);
  sockaddr_storage name;
  socklen_t length = sizeof(name);
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&name), &length);
  net::Address address = net::Address::FromSockaddr(reinterpret_cast<sockaddr*>(&name), length);
  std::vector<std::unique_ptr<net::TcpStream>> fill;
  for (int i = 0; i < 8; ++i)
    if (auto stream = net::TcpStream::Connect(loop, address)) fill.push_back(std::move(*stream));
  ClusterSpec spec = SpecFor({address.ToString()});
  spec.connect_timeout = Millis(100);
  Open(spec);
  auto call = Ask();
  EXPECT_EQ(call->seen.error.code, ErrorCode::kTimeout) << call->seen.Words();
  EXPECT_NE(call->seen.error.detail.find("connect"), std::string::npos) << call->seen.Words();
}

// ---- interim answers, early answers

TEST_F(UpstreamExchange, ContinueComesBeforeTheBodyGoes) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    auto request = connection.ReadHead();
    connection.Send("HTTP/1.1 100 Continue\r\n\r\n");
    connection.ReadBody(*request);
    connection.Send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    connection.Answer(request->body);
  });
  Open(origin);
  http::RequestHead head = MakePost(4);
  head.headers.Add("Expect", "100-continue");
  head.expects_continue = true;
  auto call = Begin(head, false);
  ASSERT_TRUE(Eventually(loop, [&] { return !call->seen.interims.empty(); }));
  Send(*call, "body", true);
  ASSERT_TRUE(Finish(*call));
  EXPECT_EQ(call->seen.interims, (std::vector<int>{100, 103}));
  EXPECT_EQ(call->seen.body, "body");
}

TEST_F(UpstreamExchange, EarlyAnswerToAnUploadSurvivesTheOriginsReset) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadHead();
    connection.Answer("too large", "413 Content Too Large", "Connection: close\r\n");
    // Closes with bytes unread: the kernel sends a reset.
  });
  Open(origin);
  for (int i = 0; i < 20; ++i) {
    auto call = Begin(MakePost(8 * kMiB), false);
    call->seen.on_event = [&] {};
    for (int piece = 0; piece < 128 && !call->seen.is_over(); ++piece) {
      Send(*call, std::string(kMiB / 16, 'x'), piece == 127);
      Eventually(loop,
                 [&] { return call->seen.is_over() || call->request->buffered() < 32 * 1024; });
    }
    ASSERT_TRUE(Finish(*call));
    EXPECT_EQ(call->seen.status, 413) << call->seen.Words();
    EXPECT_EQ(call->seen.body, "too large");
  }
}

// ---- tunnels

constexpr std::string_view kSwitch =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

http::RequestHead MakeUpgrade() {
  http::RequestHead head = MakeHead("GET", "/chat");
  head.upgrade = "websocket";
  head.headers.Add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  return head;
}

TEST_F(UpstreamExchange, TunnelCarriesBytesBothWaysUntilTheClientEnds) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send(std::string(kSwitch) + "first");
    for (std::string bytes = connection.Read(); !bytes.empty(); bytes = connection.Read())
      connection.Send("<" + bytes + ">");
    connection.Send("bye");
  });
  Open(origin);
  auto call = Begin(MakeUpgrade(), false);
  ASSERT_TRUE(Eventually(loop, [&] { return call->seen.body == "first"; })) << call->seen.Words();
  EXPECT_EQ(call->seen.status, 101);
  EXPECT_EQ(origin.requests().at(0).Header("upgrade"), "websocket");
  Send(*call, "hello");
  ASSERT_TRUE(Eventually(loop, [&] { return call->seen.body == "first<hello>"; }));
  Send(*call, "", true);
  ASSERT_TRUE(Finish(*call));
  EXPECT_TRUE(call->seen.has_ended);
  EXPECT_EQ(call->seen.body, "first<hello>bye");
  EXPECT_TRUE(Eventually(loop, [&] { return shared->server(0).connections == 0; }));
}

TEST_F(UpstreamExchange, TunnelEndedByTheOriginStillTakesTheClientsLastBytes) {
  std::string last;
  {
    ScriptedOrigin origin([&](OriginConnection& connection) {
      connection.ReadRequest();
      connection.Send(kSwitch);
      connection.CloseWrite();
      last = connection.ReadExactly(1000);
    });
    Open(origin);
    auto call = Begin(MakeUpgrade(), false);
    ASSERT_TRUE(Finish(*call));
    EXPECT_EQ(call->seen.status, 101);
    Send(*call, "last words", true);
    EXPECT_TRUE(Eventually(loop, [&] { return origin.open_connections() == 0; }));
    EXPECT_TRUE(Eventually(loop, [&] { return shared->server(0).connections == 0; }));
  }
  EXPECT_EQ(last, "last words");
}

TEST_F(UpstreamExchange, UpgradeThatIsRefusedIsAnOrdinaryAnswer) {
  ScriptedOrigin origin(ScriptedOrigin::Respond([](const OriginRequest&) {
    return "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
  }));
  Open(origin);
  auto call = Begin(MakeUpgrade(), false);
  ASSERT_TRUE(Finish(*call));
  EXPECT_EQ(call->seen.status, 403);
  EXPECT_EQ(call->seen.body, "no");
}

// ---- back-pressure

TEST_F(UpstreamExchange, ReaderThatStallsStopsTheOriginAt64KiB) {
  std::atomic<size_t> sent{0};
  ScriptedOrigin origin([&](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
    std::string piece(64 * 1024, 'x');
    for (size_t i = 0; i < 16384 && connection.Send(piece); ++i) sent += piece.size();
  });
  Open(origin);
  auto call = Begin(MakeHead());
  call->seen.keeps_body = call->seen.consumes = false;
  ASSERT_TRUE(Eventually(loop, [&] { return call->seen.body_bytes > 32 * 1024; }));
  RunFor(Millis(150));
  EXPECT_LE(call->seen.body_bytes, 64u * 1024);
  EXPECT_LT(sent.load(), 32 * kMiB) << "the rest is the kernels'";
  // A little at a time, then all.
  size_t held = call->seen.body_bytes;
  while (held > 0) {
    size_t step = std::min<size_t>(held, 1000);
    call->request->Consumed(step);
    held -= step;
  }
  call->seen.consumes = true;
  ASSERT_TRUE(Eventually(loop, [&] { return call->seen.body_bytes > 20 * kMiB; }));
  call->request.reset();
  EXPECT_EQ(shared->server(0).connections.load(), 0u);
}

TEST_F(UpstreamExchange, OriginThatStallsStopsTheClientAndTellsWhenItGoesOn) {
  ScriptedOriginOptions options;
  options.receive_buffer = 16 * 1024;
  std::atomic<size_t> received{0};
  ScriptedOrigin origin(
      [&](OriginConnection& connection) {
        connection.ReadHead();
        if (!connection.WaitForRelease()) return;
        while (received < 16 * kMiB) {
          size_t bytes = connection.Read().size();
          if (bytes == 0) return;
          received += bytes;
        }
        connection.Answer("all");
      },
      options);
  Open(origin);
  auto call = Begin(MakePost(16 * kMiB), false);
  std::string piece(16 * 1024, 'x');
  size_t given = 0, highest = 0;
  auto pump = [&] {
    while (given < 16 * kMiB && call->request->buffered() < 64 * 1024) {
      given += piece.size();
      Send(*call, piece, given == 16 * kMiB);
      highest = std::max(highest, call->request->buffered());
    }
  };
  // Whatever the sockets take, in the end they are full.
  size_t before = 1;
  while (before != given) {
    before = given;
    pump();
    RunFor(Millis(30));
  }
  EXPECT_LT(given, 16 * kMiB);
  EXPECT_GE(call->request->buffered(), 64u * 1024);
  int told = call->seen.writable;
  call->seen.on_event = pump;
  origin.Release();
  ASSERT_TRUE(Finish(*call)) << given << " " << received;
  EXPECT_GT(call->seen.writable, told);
  EXPECT_EQ(call->seen.body, "all") << call->seen.Words();
  EXPECT_LE(highest, 64u * 1024 + piece.size() + 1024);
}

// ---- TLS

class UpstreamTls : public ClusterTest {
 protected:
  ScriptedOriginOptions OriginOptions(std::vector<std::string> names) {
    testing::Issued leaf = ca.Leaf(std::move(names));
    ScriptedOriginOptions options;
    options.chain_pem = ca.FullChainPem(leaf);
    options.key_pem = leaf.key_pem();
    return options;
  }
  ClusterSpec TlsSpec(const ScriptedOrigin& origin) {
    testing::WriteFile(folder / "root.pem", ca.root().pem());
    ClusterSpec spec = SpecFor({origin.address()});
    spec.tls = true;
    spec.trust_store = folder / "root.pem";
    return spec;
  }
  testing::TestCa ca;
  testing::TempDir folder;
};

TEST_F(UpstreamTls, VerifiedByNameAndByAddressAndReused) {
  ScriptedOrigin origin(ScriptedOrigin::Always("secret"), OriginOptions({"app.test", "127.0.0.1"}));
  for (const char* name : {"", "app.test"}) {
    ClusterSpec spec = TlsSpec(origin);
    spec.tls_name = name;
    Open(spec);
    EXPECT_EQ(Ask()->seen.body, "secret");
    auto post = Ask(MakePost(3), "abc");
    EXPECT_EQ(post->seen.body, "secret") << post->seen.Words();
    EXPECT_TRUE(post->request->info().is_reused);
  }
  EXPECT_EQ(origin.connections(), 2u);
}

TEST_F(UpstreamTls, RefusedInWords) {
  ScriptedOrigin origin(ScriptedOrigin::Always("secret"), OriginOptions({"other.test"}));
  Open(TlsSpec(origin));
  auto call = Ask();
  EXPECT_EQ(call->seen.error.code, ErrorCode::kTls) << call->seen.Words();
  EXPECT_NE(call->seen.error.detail.find("mismatch"), std::string::npos) << call->seen.Words();
  EXPECT_EQ(origin.request_count(), 0u);

  ClusterSpec spec = TlsSpec(origin);
  testing::WriteFile(folder / "root.pem", testing::TestCa("Stranger").root().pem());
  spec.tls_name = "other.test";
  Open(spec);
  call = Ask();
  EXPECT_EQ(call->seen.error.code, ErrorCode::kTls) << call->seen.Words();
  EXPECT_NE(call->seen.error.detail.find("issuer"), std::string::npos) << call->seen.Words();

  spec.tls_verify = false;
  Open(spec);
  EXPECT_EQ(Ask()->seen.body, "secret");
}

TEST_F(UpstreamTls, PlainServerFailsTheHandshake) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.Read();
    connection.Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  });
  Open(TlsSpec(origin));
  auto call = Ask();
  EXPECT_EQ(call->seen.error.code, ErrorCode::kTls) << call->seen.Words();
}

TEST_F(UpstreamTls, CutWithoutCloseNotifyIsNoEndOfABody) {
  ScriptedOrigin origin(
      [](OriginConnection& connection) {
        connection.ReadRequest();
        connection.Send("HTTP/1.0 200 OK\r\n\r\npart");
        connection.Sleep(Millis(30));
        connection.Reset();
      },
      OriginOptions({"127.0.0.1"}));
  Open(TlsSpec(origin));
  auto call = Ask();
  EXPECT_TRUE(call->seen.has_failed) << call->seen.Words();
}

TEST_F(UpstreamTls, BulkBothWays) {
  ScriptedOrigin origin(
      [](OriginConnection& connection) {
        auto request = connection.ReadRequest();
        connection.Answer(request->body);
      },
      OriginOptions({"127.0.0.1"}));
  Open(TlsSpec(origin));
  std::string body(3 * kMiB, 'b');
  auto call = Ask(MakePost(body.size()), body);
  EXPECT_EQ(call->seen.body.size(), body.size()) << call->seen.error.detail;
  EXPECT_TRUE(call->seen.body == body);
}

// ---- PROXY protocol

TEST_F(UpstreamExchange, ProxyHeaderGoesFirstAndTheConnectionStaysWithItsClient) {
  for (auto version : {ProxyProtocolOut::kV1, ProxyProtocolOut::kV2}) {
    ScriptedOrigin origin([&](OriginConnection& connection) {
      std::string bytes = connection.Read();
      // The header and the head come in one piece or in two.
      while (bytes.find("\r\n\r\n") == std::string::npos || bytes.find("GET") == std::string::npos)
        bytes += connection.Read();
      connection.Answer("x");
      while (connection.ReadRequest()) connection.Answer("x");
    });
    ClusterSpec spec = SpecFor({origin.address()});
    spec.proxy_protocol = version;
    Open(spec);
    StartOptions options{"192.0.2.7", 4711, "198.51.100.1", 443};
    auto ask = [&] {
      auto call = Begin(MakeHead(), true, options);
      EXPECT_TRUE(Finish(*call));
      EXPECT_EQ(call->seen.body, "x") << call->seen.Words();
    };
    ask();
    ask();
    EXPECT_EQ(origin.connections(), 1u) << "the same client";
    options.client_port = 4712;
    ask();
    EXPECT_EQ(origin.connections(), 2u) << "another client";
    auto header = net::ParseProxyHeader(origin.received(1));
    ASSERT_TRUE(header && *header);
    EXPECT_EQ((*header)->source.ToString(), "192.0.2.7:4711");
    EXPECT_EQ((*header)->destination.ToString(), "198.51.100.1:443");
    EXPECT_TRUE(origin.received(1).substr((*header)->length).starts_with("GET / HTTP/1.1\r\n"));
    std::string_view v1 = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\nGET ";
    EXPECT_EQ(origin.received(1).starts_with(v1), version == ProxyProtocolOut::kV1);
    cluster.reset();
  }
}

// ---- health

TEST_F(UpstreamExchange, EjectedServerIsLeftAloneAndRecovers) {
  std::string dead = DeadAddress();
  ScriptedOrigin origin(ScriptedOrigin::Always("alive"));
  Open(SpecFor({dead, origin.address()}));
  int retried = 0;
  for (int i = 0; i < 20; ++i) retried += Ask()->request->info().attempts > 1 ? 1 : 0;
  EXPECT_EQ(retried, 3) << "three failures, then no more tries";
  EXPECT_FALSE(shared->server(0).is_up(loop.now()));
  // Its time is over and it is back.
  shared->server(0).ejected_until.store(1);
  ScriptedOriginOptions options;
  options.address = dead;
  ScriptedOrigin back(ScriptedOrigin::Always("back"), options);
  for (int i = 0; i < 4; ++i) Ask();
  EXPECT_EQ(back.request_count(), 2u);
  EXPECT_EQ(shared->server(0).failures_in_row.load(), 0u);
}

TEST_F(UpstreamExchange, ActiveCheckTakesAServerOutAndIn) {
  std::atomic<bool> is_good{true};
  ScriptedOrigin sick(ScriptedOrigin::Respond([&](const OriginRequest&) -> std::string {
    return is_good ? "HTTP/1.1 204 No Content\r\n\r\n"
                   : "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n";
  }));
  ScriptedOrigin well(ScriptedOrigin::Always("well"));
  ClusterSpec spec = SpecFor({sick.address(), well.address()});
  spec.health_path = "/healthz";
  spec.health_interval = Millis(400);  // an answer may take so long
  Open(spec);
  ASSERT_TRUE(Eventually(loop, [&] { return sick.request_count() > 0; }));
  EXPECT_EQ(sick.requests().at(0).target, "/healthz");
  EXPECT_TRUE(shared->server(0).is_healthy);
  is_good = false;
  ASSERT_TRUE(Eventually(loop, [&] { return !shared->server(0).is_healthy; }));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask()->seen.body, "well");
  is_good = true;
  ASSERT_TRUE(Eventually(loop, [&] { return shared->server(0).is_healthy.load(); }));
  size_t before = sick.request_count();
  cluster.reset();
  Open(spec, {.checks_health = false});
  RunFor(Millis(600));
  EXPECT_EQ(sick.request_count(), before) << "another worker checks";
}

// ---- a request that goes away

TEST_F(UpstreamExchange, MayBeDestroyedAtEveryState) {
  for (bool is_tls : {false, true}) {
    testing::TestCa ca;
    testing::Issued leaf = ca.Leaf({"127.0.0.1"});
    ScriptedOriginOptions options;
    if (is_tls) {
      options.chain_pem = ca.FullChainPem(leaf);
      options.key_pem = leaf.key_pem();
    }
    ScriptedOrigin origin(
        [](OriginConnection& connection) {
          while (connection.ReadHead()) {
            connection.Send(
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: ");
            connection.Send("chunked\r\n\r\n5\r\nhello\r\n");
            connection.Send("0\r\nX: y\r\n\r\n");
          }
        },
        options);
    ClusterSpec spec = SpecFor({origin.address()});
    spec.tls = is_tls;
    spec.tls_verify = false;
    spec.max_connections = 2;
    Open(spec);
    // After so many turns of the loop.
    for (int turns = 0; turns < 12; ++turns) {
      auto call = Begin(turns % 2 == 0 ? MakeHead() : MakePost(10), turns % 2 == 0);
      if (turns % 2 == 1) Send(*call, "12345");
      for (int i = 0; i < turns; ++i) loop.RunOnce();
      call->request.reset();
      for (int i = 0; i < 3; ++i) loop.RunOnce();
    }
    // From within each call of the handler.
    for (int event = 1; event <= 4; ++event) {
      auto call = Begin(MakeHead());
      int seen = 0;
      bool is_gone = false;
      call->seen.on_event = [&] {
        EXPECT_FALSE(is_gone);
        if (++seen < event) return;
        is_gone = true;
        call->seen.request = nullptr;
        call->request.reset();
      };
      ASSERT_TRUE(Eventually(loop, [&] { return is_gone; })) << event;
      RunFor(Millis(10));
    }
    // While it waits in the queue, and with a new one begun from within the last call.
    auto one = Begin(MakePost(1), false), two = Begin(MakePost(1), false),
         three = Begin(MakeHead());
    loop.RunOnce();
    three->request.reset();
    one->request.reset();
    two->request.reset();
    EXPECT_EQ(shared->waiting(), 0u);
    auto last = Begin(MakeHead());
    std::unique_ptr<Call> next;
    last->seen.on_event = [&] {
      if (last->seen.is_over()) next = Begin(MakeHead());
    };
    ASSERT_TRUE(Eventually(loop, [&] { return next && next->seen.is_over(); }));
    EXPECT_EQ(next->seen.body, "hello");
    EXPECT_EQ(cluster->active_requests(), 0u);
    EXPECT_EQ(shared->server(0).requests.load(), 0u);
  }
}

TEST_F(UpstreamExchange, ClusterMayGoBeforeItsRequests) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    connection.WaitForRelease();
  });
  ClusterSpec spec = SpecFor({origin.address()});
  spec.max_connections = 2;
  Open(spec);
  auto running = Get();
  ASSERT_TRUE(Eventually(loop, [&] { return running->seen.body == "hello"; }));
  auto connecting = Get(), queued = Get();
  cluster.reset();
  EXPECT_EQ(shared->server(0).connections.load(), 0u);
  EXPECT_EQ(shared->waiting(), 0u);
  Send(*running, "x");
  running->request->Consumed(5);
  EXPECT_EQ(running->request->buffered(), 0u);
  RunFor(Millis(20));
  EXPECT_FALSE(queued->seen.is_over() || connecting->seen.is_over());
}

}  // namespace
}  // namespace genkan::upstream
