// The filter modules in the data plane: what they judge is what is forwarded, no other spelling of
// a path leads past a route's modules, who asks is whom a trusted proxy names, and a count outlives
// a reload.
#include <gtest/gtest.h>

#include <deque>
#include <mutex>

#include "proxy/config/validate.h"
#include "proxy/module/builtin.h"
#include "tests/integration/dataplane_harness.h"
#include "tests/support/temp_dir.h"

namespace genkan::testing {
namespace {

// Remembers what it was shown, under the name that makes a route one with a path filter.
std::mutex g_mutex;
std::deque<std::string> g_judged;  // guarded by g_mutex

struct NoOptions {
  void Read(ConfigReader&) {}
};

class Witness final : public ExchangeFilter {
 public:
  explicit Witness(const NoOptions&) {}
  Verdict OnRequestHead(genkan::Exchange& exchange) override {
    auto path = exchange.normalized_path();
    std::lock_guard lock(g_mutex);
    g_judged.push_back(path ? *path : "doubtful");
    return Verdict::kContinue;
  }
};
const ModuleEntry kWitness{
    "url_filter", []() -> std::unique_ptr<Module> {
      return std::make_unique<module_internal::ModuleOf<Witness, NoOptions>>();
    }};

const ModuleEntry* FindBuiltin(std::string_view name) {
  for (const ModuleEntry* entry : BuiltinModules()) {
    if (name == entry->name) return entry;
  }
  return nullptr;
}
const ModuleEntry* FindWitness(std::string_view name) {
  return name == "url_filter" ? &kWitness : FindBuiltin(name);
}

class Filters : public ::testing::Test {
 protected:
  Filters() : config_(MakeConfig(origin_.url())) {}

  // Instances as a file has them.
  void ReadModules(const std::string& text) {
    auto read = config::ReadConfigText(text, "test.toml");
    ASSERT_TRUE(read);
    config_.modules = read->modules;
  }
  config::Route RouteTo(std::string path, std::vector<std::string> modules) {
    config::Route route;
    route.path = std::move(path);
    route.modules = std::move(modules);
    return route;
  }

  ScriptedOrigin origin_{ScriptedOrigin::Respond(
      [](const OriginRequest&) { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; })};
  config::Config config_;
};

TEST_F(Filters, WhatIsJudgedIsByteForByteWhatTheOriginReceives) {
  for (config::Site& site : config_.sites) site.modules = {"url_filter"};
  Proxy proxy(config_, {.find_module = FindWitness});
  H1Client h1(proxy.plain_port());
  H2Client h2(proxy.tls_port());
  for (std::string path :
       {"/", "/a", "/a/../b", "//a///b/", "/%61/%2e%2e/%62", "/a/.", "/..", "/%7euser/%2D",
        "/a%20b/%c3%a9", "/a!$&'()*+,=:@b", "/%21%24%26", "/\xc3\xa9", "/a...b/...",
        "/.well-known/x", "/100%25", "/A/%41", "/a/b/c/../../../../d", "/%5B%5d", "/a%C0propos"}) {
    for (bool is_h2 : {false, true}) {
      {
        std::lock_guard lock(g_mutex);
        g_judged.clear();
      }
      Answer answer = is_h2 ? h2.Get(path + "?q=%2f/../;") : h1.Get(path + "?q=%2f/../;");
      ASSERT_EQ(answer.status, 200) << path;
      std::lock_guard lock(g_mutex);
      ASSERT_EQ(g_judged.size(), 1u) << path;
      EXPECT_EQ(origin_.requests().back().target, g_judged[0] + "?q=%2f/../;") << path;
    }
  }
}

TEST_F(Filters, NoOtherSpellingLeadsPastARoutesModules) {
  ReadModules("[module.nobody]\nuse = \"ip_filter\"\ndeny = [\"0.0.0.0/0\"]\n");
  config_.sites[0].routes = {RouteTo("/admin", {"nobody"}), RouteTo("/open", {})};
  Proxy proxy(config_, {.find_module = FindBuiltin});
  H1Client client(proxy.plain_port());
  H2Client h2(proxy.tls_port());
  for (const char* path :
       {"/admin", "/admin/x", "/%61dmin", "//admin/x", "/x/../admin", "/open/%2e%2e/admin/"}) {
    EXPECT_EQ(client.Get(path).status, 403) << path;
    EXPECT_EQ(h2.Get(path).status, 403) << path;
  }
  for (const char* path :
       {"/admin%2fx", "/x%2f..%2fadmin", "/open/..%2fadmin", "/open/..;/admin", "/admin;x/y",
        "/admin%5cx", "/open\\..\\admin", "/%2561dmin/x", "/admin%00", "/open/%252e%252e/admin"}) {
    EXPECT_EQ(client.Get(path).status, 400) << path;
    EXPECT_EQ(h2.Get(path).status, 400) << path;
  }
  EXPECT_EQ(origin_.request_count(), 0u);
  // What leads nowhere else goes through as it came.
  for (const char* path :
       {"/a%2fb", "/open/a%2fb", "/open;x", "/a%00", "/%252e%252e/x", "/administrator%2fx"}) {
    EXPECT_EQ(client.Get(path).status, 200) << path;
    EXPECT_EQ(origin_.requests().back().target, path);
  }
}

TEST_F(Filters, AChallengeForTheOriginCarriesNothingThatModulesWouldHaveRemoved) {
  ReadModules("[module.person]\nuse = \"client_cert_headers\"\n");
  for (config::Site& site : config_.sites) {
    site.modules = {"person"};
    site.challenge_to_upstream = true;
  }
  Proxy proxy(config_, {.find_module = FindBuiltin});
  H1Client client(proxy.plain_port());
  client.Get("/.well-known/acme-challenge/token", "a.test",
             "X-SSL-Client-Verify: SUCCESS\r\nAuthorization: Basic eDp4\r\nUser-Agent: CA\r\n");
  ASSERT_TRUE(WaitFor([&] { return origin_.request_count() == 1; }));
  OriginRequest asked = origin_.requests().back();
  EXPECT_EQ(asked.Header("x-ssl-client-verify"), "");
  EXPECT_EQ(asked.Header("authorization"), "");
  EXPECT_EQ(asked.Header("user-agent"), "CA");
  EXPECT_EQ(asked.Header("x-forwarded-for"), "127.0.0.1");
  client.Get("/x", "a.test", "X-SSL-Client-Verify: SUCCESS\r\n");
  EXPECT_EQ(origin_.requests().back().Header("x-ssl-client-verify"), "NONE");
}

TEST_F(Filters, WhoAsksIsWhomATrustedProxyNames) {
  ReadModules("[module.list]\nuse = \"ip_filter\"\ndeny = [\"192.0.2.0/24\"]\n");
  for (config::Site& site : config_.sites) site.modules = {"list"};
  TempDir dir;
  Proxy::Options options{
      .find_module = FindBuiltin, .access_log = dir / "log", .access_format = "{client} {status}"};
  {
    Proxy proxy(config_, options);
    H1Client client(proxy.plain_port());
    EXPECT_EQ(client.Get("/", "a.test", "X-Forwarded-For: 192.0.2.1\r\n").status, 200)
        << "a stranger's word";
    config_.trusted_proxies = {"127.0.0.0/8"};
    proxy.Reload(config_);
    EXPECT_EQ(client.Get("/", "a.test", "X-Forwarded-For: 192.0.2.1\r\n").status, 403);
    EXPECT_EQ(
        client.Get("/", "a.test", "X-Forwarded-For: 192.0.2.1, 198.51.100.1, 127.0.0.9\r\n").status,
        200);
    EXPECT_EQ(client.Get("/").status, 200);
    EXPECT_EQ(origin_.requests()[1].Header("x-forwarded-for"),
              "192.0.2.1, 198.51.100.1, 127.0.0.9, 127.0.0.1");
  }
  EXPECT_EQ(ReadFile(dir / "log"),
            "127.0.0.1 200\n192.0.2.1 403\n198.51.100.1 200\n127.0.0.1 200\n");
}

TEST_F(Filters, ACountOutlivesAReloadThatLeavesItsInstanceAlone) {
  const std::string module = "[module.limit]\nuse = \"rate_limit\"\nrate = \"2/h\"\n";
  ReadModules(module);
  for (config::Site& site : config_.sites) site.modules = {"limit"};
  Proxy proxy(config_, {.find_module = FindBuiltin});
  H1Client client(proxy.plain_port());
  EXPECT_EQ(client.Get("/").status, 200);
  ReadModules(module);
  proxy.Reload(config_);
  EXPECT_EQ(client.Get("/").status, 200);
  Answer refused = client.Get("/");
  EXPECT_EQ(refused.status, 429);
  EXPECT_NE(refused.Header("retry-after"), "");
  EXPECT_EQ(client.Get("/", "b.test").status, 200) << "another site, another count";
  ReadModules("[module.limit]\nuse = \"rate_limit\"\nrate = \"3/h\"\n");
  proxy.Reload(config_);
  EXPECT_EQ(client.Get("/").status, 200) << "another rate is another instance";
}

TEST_F(Filters, AFieldAndItsIdAreOnAnswersOfTheProxyToo) {
  ReadModules(
      "[module.closed]\nuse = \"url_filter\"\ndeny = [\"/shut\"]\n"
      "[module.fields]\nuse = \"header_rewrite\"\nset_response = [\"X-Id: {request_id}\"]\n");
  for (config::Site& site : config_.sites) site.modules = {"fields", "request_id", "closed"};
  Proxy proxy(config_, {.find_module = FindBuiltin});
  H2Client client(proxy.tls_port());
  for (const char* path : {"/", "/shut"}) {
    Answer answer = client.Get(path);
    EXPECT_EQ(answer.Header("x-request-id").size(), 32u) << path;
    EXPECT_EQ(answer.Header("x-id"), answer.Header("x-request-id")) << path;
  }
}

}  // namespace
}  // namespace genkan::testing
