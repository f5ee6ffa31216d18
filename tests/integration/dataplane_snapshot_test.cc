// Sites, modules, drain and swaps of the configuration.
#include <gtest/gtest.h>

#include <openssl/ssl.h>

#include <atomic>
#include <fstream>
#include <future>

#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"
#include "tests/integration/dataplane_harness.h"
#include "tests/support/temp_dir.h"

namespace genkan::testing {
namespace {

using Metrics = server::WorkerMetrics;
using std::chrono::milliseconds;

const ClientOptions kTls = {.tls = true, .alpn = "http/1.1"};

// ---- modules of these tests

struct NoOptions {
  void Read(ConfigReader&) {}
};

// Answers /guarded/*, asks another thread for /offload, forwards /past.
class Guard final : public ExchangeFilter {
 public:
  explicit Guard(const NoOptions&) {}
  Verdict OnRequestHead(genkan::Exchange& exchange) override {
    std::string_view path = exchange.request().path();
    if (path.starts_with("/guarded/")) {
      http::ResponseHead head;
      head.status = 200;
      exchange.Reply(std::move(head), "guarded " + std::string(exchange.site()), "acme_challenge");
      return Verdict::kStop;
    }
    if (path == "/past") {
      exchange.ForwardNow();
      return Verdict::kStop;
    }
    if (path == "/offload") {
      auto answer = std::make_shared<std::string>();
      bool taken = exchange.Offload([answer] { *answer = "from a thread"; },
                                    [this, answer, &exchange] {
                                      ++calls_;
                                      http::ResponseHead head;
                                      exchange.Reply(std::move(head), *answer, "guard");
                                    });
      EXPECT_TRUE(taken);
      return Verdict::kPause;
    }
    if (path == "/paused") {
      exchange.Offload([] {}, [&exchange] { exchange.Resume(); });
      return Verdict::kPause;
    }
    return Verdict::kContinue;
  }

 private:
  int calls_ = 0;
};

std::atomic<int> g_completed{0};

// Refuses /denied/*, marks what passes in both directions.
class Filter final : public ExchangeFilter {
 public:
  explicit Filter(const NoOptions&) {}
  Verdict OnRequestHead(genkan::Exchange& exchange) override {
    auto path = exchange.normalized_path();
    if (path && path->starts_with("/denied/")) {
      exchange.ReplyStatus(403, "url_filter");
      return Verdict::kStop;
    }
    return Verdict::kContinue;
  }
  Verdict OnUpstreamRequest(genkan::Exchange& exchange) override {
    exchange.request().headers.Set("X-Marked", "yes");
    return Verdict::kContinue;
  }
  Verdict OnResponseHead(genkan::Exchange& exchange) override {
    exchange.response().headers.Set("X-Filtered", "yes");
    return Verdict::kContinue;
  }
  void OnComplete(genkan::Exchange&) override { ++g_completed; }
};

// Turns bodies to capitals, both ways.
class Capitals final : public ExchangeFilter {
 public:
  explicit Capitals(const NoOptions&) {}
  Verdict OnRequestBody(genkan::Exchange&, Buffer& data, bool) override { return Turn(data); }
  Verdict OnResponseBody(genkan::Exchange&, Buffer& data, bool) override { return Turn(data); }

 private:
  Verdict Turn(Buffer& data) {
    std::string text = data.ToText();
    for (char& c : text) c = static_cast<char>(std::toupper(c));
    data.Clear();
    data.Append(std::string_view(text));
    return Verdict::kContinue;
  }
};

template <class T>
std::unique_ptr<Module> MakeModule() {
  return std::make_unique<module_internal::ModuleOf<T, NoOptions>>();
}
const ModuleEntry kGuard{"acme_challenge", MakeModule<Guard>};
const ModuleEntry kFilter{"url_filter", MakeModule<Filter>};
const ModuleEntry kCapitals{"capitals", MakeModule<Capitals>};

const ModuleEntry* FindTestModule(std::string_view name) {
  for (const ModuleEntry* entry : {&kGuard, &kFilter, &kCapitals}) {
    if (name == entry->name) return entry;
  }
  return nullptr;
}

Proxy::Options WithModules() { return {.find_module = FindTestModule}; }

// ---- sites

TEST(Sites, AnUnknownHostIs421OverTlsAnd404OnPlain) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  Proxy proxy(MakeConfig(origin.url()));
  EXPECT_EQ(H1Client(proxy.tls_port(), kTls).Get("/", "other.test").status, 421);
  EXPECT_EQ(H1Client(proxy.plain_port()).Get("/", "other.test").status, 404);
  EXPECT_EQ(H2Client(proxy.tls_port()).Get("/", "other.test").status, 421);
  EXPECT_EQ(origin.request_count(), 0u);
}

TEST(Sites, AHostOfAnotherSiteIsServedUnlessTlsDiffers) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  Proxy proxy(config);
  EXPECT_EQ(H1Client(proxy.tls_port(), kTls).Get("/", "b.test").status, 200);
  config::Tls strict;
  strict.min_version = "1.3";
  config.sites[1].tls = strict;
  proxy.Reload(config);
  EXPECT_EQ(H1Client(proxy.tls_port(), kTls).Get("/", "b.test").status, 421);
  ClientOptions to_b = kTls;
  to_b.server_name = "b.test";
  EXPECT_EQ(H1Client(proxy.tls_port(), to_b).Get("/", "b.test").status, 200);
  to_b.max_version = 0x0303;
  EXPECT_NE(RawClient(proxy.tls_port(), to_b).handshake_error(), "");
}

TEST(Sites, UnknownNamesGetTheDefaultOrAnAlert) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  Proxy proxy(config);
  ClientOptions unknown = kTls;
  unknown.server_name = "unknown.test";
  EXPECT_EQ(RawClient(proxy.tls_port(), unknown).handshake_error(), "");
  config.tls.unknown_name = "reject";
  proxy.Reload(config);
  EXPECT_NE(RawClient(proxy.tls_port(), unknown).handshake_error().find("unrecognized name"), std::string::npos);
  unknown.server_name = "";
  EXPECT_EQ(RawClient(proxy.tls_port(), unknown).handshake_error(), "");
}

TEST(Sites, AMissingCertificateIsAnAlertForThatSiteAlone) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  Proxy proxy(MakeConfig(origin.url()));
  std::vector<tls::CertStore::SiteEntry> sites = proxy.MakeStore()->sites();
  sites[1].bundles.clear();
  proxy.ApplyStore(std::make_shared<tls::CertStore>(sites));
  proxy.Settle();
  ClientOptions to_b = kTls;
  to_b.server_name = "b.test";
  EXPECT_NE(RawClient(proxy.tls_port(), to_b).handshake_error(), "");
  EXPECT_EQ(H1Client(proxy.tls_port(), kTls).Get("/").status, 200);
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::handshakes_failed) == 1; }));
}

TEST(Sites, NoCommonAlpnIsAnAlert) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  Proxy proxy(MakeConfig(origin.url()));
  EXPECT_NE(RawClient(proxy.tls_port(), {.tls = true, .alpn = "spdy/3"}).handshake_error(), "");
  EXPECT_EQ(H1Client(proxy.tls_port(), {.tls = true}).Get("/").status, 200) << "without ALPN: http/1.1";
}

TEST(Sites, PlainListenersRedirectWhereCertificatesAreConfigured) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  config.sites[0].redirect_to_https.reset();
  config.sites[0].certificates.push_back({.path = "/nowhere"});
  Proxy proxy(config, WithModules());
  H1Client client(proxy.plain_port());
  Answer answer = client.Get("/a/../b?c=d", "A.test:8080");
  EXPECT_EQ(answer.status, 301);
  EXPECT_EQ(answer.Header("location"), "https://a.test/a/../b?c=d");
  EXPECT_EQ(client.Request("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n").status, 308);
  EXPECT_EQ(client.Get("/", "b.test").status, 200);
  EXPECT_EQ(H1Client(proxy.tls_port(), kTls).Get("/").status, 200);
  // The guard is in front of it.
  EXPECT_EQ(client.Get("/guarded/x").body, "guarded a.test");
  EXPECT_EQ(client.Get("/past").status, 200);
  config.trusted_proxies = {"127.0.0.0/8"};
  proxy.Reload(config);
  EXPECT_EQ(H1Client(proxy.plain_port()).Get("/", "a.test", "X-Forwarded-Proto: https\r\n").status, 200);
}

TEST(Sites, LocationAndCookiesAreRewritten) {
  ScriptedOrigin origin(ScriptedOrigin::Respond([](const OriginRequest&) {
    return "HTTP/1.1 302 Found\r\nLocation: http://a.test/next\r\nSet-Cookie: s=1\r\nContent-Length: 0\r\n\r\n";
  }));
  config::Config config = MakeConfig(origin.url());
  config.sites[0].rewrite = {.location = true, .cookies_secure = true};
  Proxy proxy(config);
  Answer answer = H1Client(proxy.tls_port(), kTls).Get("/");
  EXPECT_EQ(answer.Header("location"), "https://a.test/next");
  EXPECT_EQ(answer.Header("set-cookie"), "s=1; Secure");
}

// ---- modules

class Modules : public ::testing::Test {
 protected:
  Modules() : origin_(ScriptedOrigin::Respond([](const OriginRequest& request) {
                return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(request.body.size()) + "\r\n\r\n" + request.body;
              })) {}
  ScriptedOrigin origin_;
};

TEST_F(Modules, TheGuardComesFirstOnEveryListener) {
  config::Config config = MakeConfig(origin_.url());
  config.sites[0].modules = {"url_filter"};
  Proxy proxy(config, WithModules());
  for (bool is_tls : {false, true}) {
    H1Client client(is_tls ? proxy.tls_port() : proxy.plain_port(), {.tls = is_tls});
    EXPECT_EQ(client.Get("/guarded/%2f..").status, 200) << "before the path filter";
    EXPECT_EQ(client.Get("/guarded/x", "nobody.test").body, "guarded ") << "before 421 and 404";
    EXPECT_EQ(client.Get("/guarded/x").body, "guarded a.test");
  }
  EXPECT_EQ(H2Client(proxy.tls_port()).Get("/guarded/x").body, "guarded a.test");
  EXPECT_EQ(origin_.request_count(), 0u);
  // Counted when the exchange is over, and the client may have its answer before that.
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::challenges_answered) == 7u; }))
      << proxy.Sum(&Metrics::challenges_answered);
}

TEST_F(Modules, WorkOnAnotherThreadAnswersOrResumes) {
  Proxy proxy(MakeConfig(origin_.url()), WithModules());
  H1Client client(proxy.plain_port());
  EXPECT_EQ(client.Get("/offload").body, "from a thread");
  EXPECT_EQ(client.Get("/paused").status, 200);
  EXPECT_EQ(origin_.request_count(), 1u);
  // A client that does not wait for it.
  for (int i = 0; i < 20; ++i) {
    RawClient gone(proxy.plain_port());
    gone.Send("GET /offload HTTP/1.1\r\nHost: a.test\r\n\r\n");
    gone.Reset();
  }
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::requests_open) == 0; }));
  // The body waits for the module.
  EXPECT_EQ(client.Request("POST /paused HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello").body, "hello");
}

TEST_F(Modules, FiltersSeeBothHeadsAndTheEnd) {
  g_completed = 0;
  config::Config config = MakeConfig(origin_.url());
  config.sites[0].modules = {"url_filter"};
  Proxy proxy(config, WithModules());
  H1Client client(proxy.plain_port());
  Answer answer = client.Get("/x");
  EXPECT_EQ(answer.Header("x-filtered"), "yes");
  EXPECT_EQ(origin_.requests()[0].Header("x-marked"), "yes");
  Answer denied = client.Get("/a/..//denied/%61");
  EXPECT_EQ(denied.status, 403);
  EXPECT_EQ(denied.Header("x-filtered"), "yes");
  EXPECT_TRUE(WaitFor([] { return g_completed == 2; }));
  EXPECT_EQ(client.Get("/x", "b.test").Header("x-filtered"), "");
}

TEST_F(Modules, PathFiltersJudgeWhatIsForwarded) {
  config::Config config = MakeConfig(origin_.url());
  config::Route filtered;
  filtered.path = "/f";
  filtered.modules = {"url_filter"};
  config.sites[0].routes = {filtered};
  Proxy proxy(config, WithModules());
  H1Client client(proxy.plain_port());
  EXPECT_EQ(client.Get("/f/./%61//b/../c?x=%2f").status, 200);
  EXPECT_EQ(origin_.requests().back().target, "/f/a/c?x=%2f");
  EXPECT_EQ(client.Get("/x/../f/%62").status, 200) << "routed by the same path";
  EXPECT_EQ(origin_.requests().back().target, "/f/b");
  size_t before = origin_.request_count();
  for (std::string path : {"/f/a%2fb", "/f/a%5cb", "/f/a\\b", "/f/a;b", "/f/%00", "/f/%252e", "/f/%0d", "/f/%zz"}) {
    EXPECT_EQ(client.Get(path).status, 400) << path;
  }
  EXPECT_EQ(origin_.request_count(), before);
  // Elsewhere they are forwarded unchanged.
  for (std::string path : {"/a%2fb", "/a;b", "/%252e", "/a//b/./c"}) {
    EXPECT_EQ(client.Get(path).status, 200) << path;
    EXPECT_EQ(origin_.requests().back().target, path);
  }
}

TEST_F(Modules, BodiesPassThroughFilters) {
  config::Config config = MakeConfig(origin_.url());
  config.sites[0].modules = {"capitals"};
  Proxy proxy(config, WithModules());
  H1Client client(proxy.plain_port());
  Answer answer = client.Request("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello");
  EXPECT_EQ(answer.body, "HELLO");
  EXPECT_EQ(origin_.requests()[0].body, "HELLO");
}

// ---- the access log

TEST(AccessLogEndToEnd, OneLineAnExchangeWithItsFields) {
  TempDir dir;
  ScriptedOrigin origin(ScriptedOrigin::Always("hello"));
  {
    Proxy::Options options;
    options.access_log = dir / "access.log";
    Proxy proxy(MakeConfig(origin.url()), options);
    H2Client h2(proxy.tls_port());
    EXPECT_EQ(h2.Wait(h2.Open(Fields("GET", "/x?y", {{"user-agent", "ua"}, {"referer", "ref"}}), true)).status, 200);
    RawClient bad(proxy.plain_port());
    bad.Send("BAD\r\n\r\n");
    bad.ReadAll();
    h2.raw().Close();
    EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::requests_open) == 0; }));
    proxy.access_log().Flush();
  }
  std::string text = ReadFile(dir / "access.log");
  std::string first = text.substr(0, text.find('\n'));
  for (std::string part :
       {"\"client\":\"127.0.0.1\"", "\"method\":\"GET\"", "\"target\":\"/x?y\"", "\"version\":\"HTTP/2.0\"",
        "\"status\":200", "\"bytes\":5", "\"site\":\"a.test\"", "\"sni\":\"a.test\"", "\"tls_version\":\"TLSv1.3\"",
        "\"alpn\":\"h2\"", "\"user_agent\":\"ua\"", "\"referer\":\"ref\"", "\"duration_us\":", "\"id\":\"0.1/1\""}) {
    EXPECT_NE(first.find(part), std::string::npos) << part << "\n" << first;
  }
  EXPECT_NE(first.find("\"upstream\":\"" + origin.address()), std::string::npos) << first;
  EXPECT_NE(text.find("\"status\":400"), std::string::npos) << text;
}

// ---- swaps and drain

TEST(Swap, RequestsUnderWayKeepTheirSnapshotAndTheNextUsesTheNew) {
  ScriptedOrigin old_origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nold");
    connection.WaitForRelease();
    connection.Send("end");
  });
  ScriptedOrigin new_origin(ScriptedOrigin::Always("new"));
  Proxy proxy(MakeConfig(old_origin.url()));
  H1Client waiting(proxy.plain_port());
  waiting.raw().Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  EXPECT_NE(waiting.raw().ReadUntil("old").find("200"), std::string::npos);
  H2Client h2(proxy.tls_port());
  uint32_t stream = h2.Open(Fields("GET", "/"), true);
  EXPECT_TRUE(h2.ReadUntil([&] { return h2.answer(stream).body == "old"; }));
  proxy.Reload(MakeConfig(new_origin.url()));
  EXPECT_EQ(h2.Get("/").body, "new") << "the same connection, the next request";
  old_origin.Release();
  EXPECT_EQ(waiting.raw().ReadUntil("end"), "end");
  EXPECT_EQ(h2.Wait(stream).body, "oldend");
  EXPECT_EQ(waiting.Get("/").body, "new");
  EXPECT_TRUE(WaitFor([&] { return proxy.worker().metrics().snapshots_alive.value() == 1; }));
}

void AskForCertificates(Proxy& proxy, config::Config& config, std::string verify, const TempDir& folder) {
  const std::string ca = folder / "ca.pem";
  std::ofstream(ca) << proxy.ca().root().pem();
  config.tls.client_certificates.verify = std::move(verify);
  config.tls.client_certificates.ca = {ca};
  proxy.Reload(config);
}

// A client that was there before cannot get round what the new configuration asks of it, nor get a
// session that does.
TEST(Swap, AHandshakeThatBeginsBehindItIsUnderTheNewPolicy) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  Proxy proxy(config);
  RawClient waiting(proxy.tls_port());
  ASSERT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 1; }));
  TempDir folder;
  AskForCertificates(proxy, config, "require", folder);
  const tls::SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  const tls::SslPtr client(SSL_new(context.get()));
  SSL_set_tlsext_host_name(client.get(), "a.test");
  SSL_set_fd(client.get(), waiting.fd());
  EXPECT_NE(SSL_connect(client.get()), 1);
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::handshakes_failed) == 1; }));
  tls::TakeOpensslErrors();
}

// Nor one that has shaken hands: its next request is told to come by another connection.
TEST(Swap, AKeptConnectionWithoutACertificateEndsWhereOneComesToBeRequired) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  Proxy proxy(config);
  H1Client h1(proxy.tls_port(), {.tls = true});
  H2Client h2(proxy.tls_port());
  ASSERT_EQ(h1.Get("/").status, 200);
  ASSERT_EQ(h2.Get("/").status, 200);
  TempDir folder;
  AskForCertificates(proxy, config, "request", folder);
  EXPECT_EQ(h1.Get("/").status, 200);
  EXPECT_EQ(h2.Get("/").status, 200);
  AskForCertificates(proxy, config, "require", folder);
  const auto refused = h1.Get("/");
  EXPECT_EQ(refused.status, 421);
  EXPECT_EQ(refused.Header("connection"), "close");
  EXPECT_EQ(h2.Get("/").status, 421);
  EXPECT_EQ(origin.requests().size(), 4u);
}

TEST(Swap, NothingFailsUnderLoad) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  Proxy proxy(config, {.workers = 2});
  // Asked now: a reload writes the list of ports that the clients' threads would read.
  const uint16_t plain_port = proxy.plain_port(), tls_port = proxy.tls_port();
  std::atomic<bool> is_over{false};
  std::atomic<int> failed{0}, served{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      while (!is_over) {
        H1Client h1(i == 0 ? plain_port : tls_port, {.tls = i != 0});
        for (int n = 0; n < 20 && !is_over; ++n) h1.Get("/").status == 200 ? ++served : ++failed;
      }
    });
  }
  threads.emplace_back([&] {
    while (!is_over) {
      H2Client h2(tls_port);
      for (int n = 0; n < 20 && !is_over; ++n) h2.Get("/").status == 200 ? ++served : ++failed;
    }
  });
  for (int i = 0; i < 30; ++i) {
    config.limits.body_min_rate = static_cast<uint32_t>(500 + i);  // other pools each time
    proxy.Reload(config);
    proxy.ApplyStore(proxy.MakeStore());
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_TRUE(WaitFor([&] { return served > 30; }));
  is_over = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
}

TEST(Swap, AListenerThatIsRemovedDrains) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  config::Config config = MakeConfig(origin.url());
  Proxy proxy(config);
  uint16_t port = proxy.plain_port();
  H1Client client(port);
  EXPECT_EQ(client.Get("/").status, 200);
  config::Config without = config;
  without.listeners.erase(without.listeners.begin());
  without.listeners[0].tls = false;
  without.listeners[0].address = "127.0.0.2:0";
  proxy.Reload(without);
  EXPECT_TRUE(WaitFor([&] { return !RawClient(port).is_connected(); }));
  Answer last = client.Get("/");
  EXPECT_EQ(last.status, 200);
  EXPECT_EQ(last.Header("connection"), "close");
}

TEST(Swap, TheOldestOf17SnapshotsLosesItsTunnels) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadHead();
    connection.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
    while (!connection.Read().empty()) {
    }
  });
  config::Config config = MakeConfig(origin.url());
  Proxy proxy(config);
  std::vector<std::unique_ptr<RawClient>> tunnels;
  for (int i = 0; i < 18; ++i) {
    tunnels.push_back(std::make_unique<RawClient>(proxy.plain_port()));
    tunnels.back()->Send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
    EXPECT_NE(tunnels.back()->ReadUntil("hi").find("101"), std::string::npos);
    if (i < 17) proxy.Reload(config);
  }
  tunnels[0]->ReadAll();
  EXPECT_TRUE(tunnels[0]->has_ended());
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::requests_open) == 17u; }));
}

TEST(Drain, AnswersWhatIsUnderWayAndSaysGoodbye) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (connection.ReadRequest()) {
      connection.WaitForRelease();
      connection.Answer("done");
    }
  });
  Proxy proxy(MakeConfig(origin.url()));
  H1Client h1(proxy.plain_port());
  H2Client h2(proxy.tls_port());
  h1.raw().Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  uint32_t stream = h2.Open(Fields("GET", "/"), true);
  EXPECT_TRUE(WaitFor([&] { return origin.request_count() == 2; }));
  RawClient idle(proxy.plain_port());
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 3; }));
  std::promise<void> drained;
  proxy.worker().Drain({milliseconds(20'000), milliseconds(20'000), milliseconds(300)}, [&] { drained.set_value(); });
  EXPECT_TRUE(h2.ReadUntil([&] { return h2.goaway().has_value(); }));
  origin.Release();
  Answer answer = h1.ReadAnswer();
  EXPECT_EQ(answer.body, "done");
  EXPECT_EQ(answer.Header("connection"), "close");
  EXPECT_EQ(h2.Wait(stream).body, "done");
  EXPECT_EQ(idle.Read(), "");
  h1.raw().Close();
  h2.raw().Close();
  idle.Close();
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_FALSE(RawClient(proxy.plain_port()).is_connected());
}

TEST(Drain, WhereNothingWaitsForItsEndNoRequestMeetsAClose) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (auto request = connection.ReadRequest()) {
      connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
      if (request->target == "/slow") connection.WaitForRelease();
      connection.Send("k");
    }
  });
  Proxy proxy(MakeConfig(origin.url()));
  const uint16_t port = proxy.plain_port();
  H1Client resting(port), promised(port), silent(port);
  EXPECT_EQ(resting.Get("/").body, "ok");
  promised.raw().Send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
  EXPECT_EQ(promised.raw().ReadUntil("\r\n\r\no").find("Connection"), std::string::npos);
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&Metrics::connections_open) == 3; }));
  std::promise<void> drained;
  const milliseconds long_time(60'000);
  proxy.worker().Drain({long_time, long_time, long_time}, [&] { drained.set_value(); });
  EXPECT_TRUE(WaitFor([&] { return !RawClient(port).is_connected(); }));
  origin.Release();
  EXPECT_EQ(promised.raw().ReadUntil("k"), "k");
  for (H1Client* client : {&resting, &promised, &silent}) {
    Answer last = client->Get("/");
    EXPECT_EQ(last.body, "ok");
    EXPECT_EQ(last.Header("connection"), "close");
    EXPECT_EQ(client->raw().Read(), "");
    client->raw().Close();
  }
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
}

TEST(Drain, TheDeadlineCutsTheRest) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.WaitForRelease();
  });
  Proxy proxy(MakeConfig(origin.url()));
  H1Client h1(proxy.plain_port());
  h1.raw().Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
  EXPECT_TRUE(WaitFor([&] { return origin.request_count() == 1; }));
  std::promise<void> drained;
  proxy.worker().Drain({milliseconds(300), milliseconds(300), milliseconds(300)}, [&] { drained.set_value(); });
  EXPECT_EQ(drained.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_EQ(h1.raw().Read(), "");
}

}  // namespace
}  // namespace genkan::testing
