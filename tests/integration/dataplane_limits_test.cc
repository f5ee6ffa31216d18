// Numbers and times: limits by source address and in all, timeouts, requests per connection.
#include <gtest/gtest.h>

#include "tests/integration/dataplane_harness.h"
#include "tests/support/h2_frames.h"

namespace genkan::testing {
namespace {

using Metrics = server::WorkerMetrics;
using std::chrono::milliseconds;

TEST(Limits, OneAddressIsCutWhere64AreNot) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  config.limits.connections_per_address = 4;
  Proxy proxy(config);
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int address = 1; address <= 64; ++address) {
    for (int i = 0; i < 4; ++i) {
      clients.push_back(std::make_unique<RawClient>(
          proxy.plain_port(), ClientOptions{.source = "127.0.1." + std::to_string(address)}));
    }
  }
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 256; }))
      << proxy.Sum(&Metrics::connections_open);
  EXPECT_EQ(proxy.Sum(&Metrics::connections_refused), 0u);
  EXPECT_EQ(proxy.addresses().addresses(), 64u);
  RawClient fifth(proxy.plain_port(), {.source = "127.0.1.1"});
  EXPECT_EQ(fifth.Read(), "");
  EXPECT_TRUE(fifth.has_ended());
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_refused) == 1u; }));
  clients.erase(clients.begin());
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 255; }));
  H1Client again(proxy.plain_port(), {.source = "127.0.1.1"});
  EXPECT_EQ(again.Get("/").status, 200);
}

TEST(Limits, UnfinishedHandshakesHaveALimitOfTheirOwn) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  config.limits.handshakes_per_address = 2;
  Proxy proxy(config);
  RawClient first(proxy.tls_port()), second(proxy.tls_port());
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 2; }));
  EXPECT_NE(RawClient(proxy.tls_port(), {.tls = true}).handshake_error(), "");
  first.Close();
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 1; }));
  // Those that are done count no more as handshakes.
  std::vector<std::unique_ptr<RawClient>> done;
  for (int i = 0; i < 5; ++i) {
    done.push_back(std::make_unique<RawClient>(proxy.tls_port(), ClientOptions{.tls = true}));
    EXPECT_EQ(done.back()->handshake_error(), "") << i;
    // The client is done before the proxy is, which may see the next one first.
    EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::handshakes_tls13) == static_cast<uint64_t>(i) + 1; }));
  }
}

TEST(Limits, TrustedProxiesAreExempt) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  config.limits.connections_per_address = 1;
  config.trusted_proxies = {"127.0.0.0/8"};
  Proxy proxy(config);
  H1Client first(proxy.plain_port()), second(proxy.plain_port());
  EXPECT_EQ(first.Get("/", "a.test", "X-Forwarded-For: 9.9.9.9\r\n").status, 200);
  EXPECT_EQ(second.Get("/").status, 200);
  EXPECT_EQ(origin.requests()[0].Header("x-forwarded-for"), "9.9.9.9, 127.0.0.1");
}

TEST(Limits, ProxyProtocolConveysTheAddressAndIsMandatory) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  config.limits.connections_per_address = 1;
  for (auto& listener : config.listeners) listener.proxy_protocol = {"127.0.0.1/32"};
  Proxy proxy(config);
  H1Client client(proxy.plain_port());
  client.raw().Send("PROXY TCP4 192.0.2.9 192.0.2.1 5555 80\r\n");
  EXPECT_EQ(client.Get("/").status, 200);
  EXPECT_EQ(origin.requests()[0].Header("x-forwarded-for"), "192.0.2.9");
  // The conveyed address counts.
  RawClient same(proxy.plain_port());
  same.Send("PROXY TCP4 192.0.2.9 192.0.2.1 5556 80\r\n");
  EXPECT_EQ(same.Read(), "");
  // Without the header nothing is served from there, but from elsewhere it is not asked for.
  RawClient bare(proxy.plain_port());
  bare.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  EXPECT_EQ(bare.ReadAll(), "");
  EXPECT_EQ(H1Client(proxy.plain_port(), {.source = "127.0.0.2"}).Get("/").status, 200);
}

TEST(Limits, ConnectionsInAllWaitInTheQueue) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  config.limits.connections = 2;
  Proxy proxy(config);
  auto first = std::make_unique<H1Client>(proxy.plain_port());
  H1Client second(proxy.plain_port());
  EXPECT_EQ(first->Get("/").status, 200);
  EXPECT_EQ(second.Get("/").status, 200);
  H1Client third(proxy.plain_port());
  third.raw().Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 2u; }));
  first.reset();
  EXPECT_EQ(third.ReadAnswer().status, 200);
}

TEST(Limits, RequestsPerConnection) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  config.limits.requests_per_connection = 3;
  config.limits.h2_requests_per_connection = 3;
  Proxy proxy(config);
  H1Client h1(proxy.plain_port());
  EXPECT_EQ(h1.Get("/").Header("connection"), "");
  EXPECT_EQ(h1.Get("/").Header("connection"), "");
  EXPECT_EQ(h1.Get("/").Header("connection"), "close");
  EXPECT_EQ(h1.raw().Read(), "");
  EXPECT_TRUE(h1.raw().has_ended());
  H2Client h2(proxy.tls_port());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(h2.Get("/").status, 200);
  EXPECT_TRUE(h2.ReadUntil([&] { return h2.goaway().has_value(); }));
  EXPECT_EQ(h2.goaway(), 0u);
}

TEST(Limits, TimeoutsEndWhatIsSlow) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  // Long enough for a busy machine to say what is to be said before, far from the defaults of ten seconds and more.
  config.limits.handshake_timeout = milliseconds(1500);
  config.limits.header_timeout = milliseconds(1500);
  config.limits.body_timeout = milliseconds(1500);
  config.limits.idle_timeout = milliseconds(1500);
  config.limits.h2_idle_timeout = milliseconds(1500);
  Proxy proxy(config);
  auto begin = std::chrono::steady_clock::now();

  RawClient silent(proxy.plain_port()), shaking(proxy.tls_port()), head(proxy.plain_port()), body(proxy.plain_port());
  shaking.Send("\x16\x03\x01");
  head.Send("GET / HTTP/1.1\r\nHo");
  body.Send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nx");
  H1Client idle(proxy.plain_port());
  EXPECT_EQ(idle.Get("/").status, 200);
  H2Client h2(proxy.tls_port());
  EXPECT_EQ(h2.Get("/").status, 200);

  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_TRUE(silent.has_ended());
  EXPECT_EQ(shaking.ReadAll(), "");
  EXPECT_EQ(head.ReadAll().substr(0, 12), "HTTP/1.1 408");
  std::string answer = body.ReadAll();
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 408");
  EXPECT_TRUE(body.has_ended());
  EXPECT_EQ(idle.raw().ReadAll(), "");
  EXPECT_TRUE(idle.raw().has_ended());
  EXPECT_TRUE(h2.ReadUntil([&] { return h2.goaway().has_value(); }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST(Limits, AnH2HeadThatTricklesInIsCutAtTheLimitOfHeads) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  config.limits.header_timeout = milliseconds(1000);
  Proxy proxy(config);
  ClientOptions options{.tls = true, .alpn = "h2"};
  std::string hello = std::string(test::kH2Preface) + test::Frame(4, 0, 0);
  RawClient rests(proxy.tls_port(), options);
  rests.Send(hello);
  RawClient preface(proxy.tls_port(), options);
  preface.Send(test::kH2Preface.substr(0, 10));
  RawClient head(proxy.tls_port(), options);
  head.Send(hello + test::Frame(1, 0x5, 1, std::string(60, 'x')).substr(0, 20));
  preface.ReadAll();
  EXPECT_TRUE(preface.has_ended());
  head.ReadAll();
  EXPECT_TRUE(head.has_ended());
  // A connection that a browser opens ahead of need may rest.
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 1u; }));
}

TEST(Limits, AClientThatTakesNothingIsCut) {
  ScriptedOrigin origin(ScriptedOrigin::Always(std::string(20'000'000, 'x')));
  config::Config config = MakeConfig(origin.url());
  config.limits.write_timeout = milliseconds(300);
  Proxy proxy(config);
  RawClient h1(proxy.plain_port(), {.receive_buffer = 4096});
  h1.Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  H2Client h2(proxy.tls_port());
  h2.opens_windows = false;
  uint32_t stream = h2.Open(Fields("GET", "/"), true);
  EXPECT_TRUE(WaitFor([&] { return origin.request_count() == 2; }));
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::requests_open) == 0; }));
  // Only the stream ends: the connection takes what it is given.
  EXPECT_TRUE(h2.ReadUntil([&] { return h2.was_reset(stream); }));
}

TEST(Limits, MaxBodyIs413) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  for (auto& site : config.sites) site.max_body = 1000;
  Proxy proxy(config);
  EXPECT_EQ(H1Client(proxy.plain_port())
                .Request("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'x'))
                .status,
            413);
  EXPECT_EQ(H1Client(proxy.plain_port())
                .Request("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x'))
                .status,
            200);
  EXPECT_EQ(H1Client(proxy.plain_port())
                .Request("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
                         std::string(1001, 'x') + "\r\n0\r\n\r\n")
                .status,
            413);
  // A head may have got there, never a whole body.
  for (const OriginRequest& request : origin.requests()) EXPECT_LE(request.body.size(), 1000u);
}

}  // namespace
}  // namespace genkan::testing
