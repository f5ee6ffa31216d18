// The built-in modules in the data plane, with their real order: the guard before everything else.
#include <gtest/gtest.h>

#include "proxy/config/validate.h"
#include "proxy/module/builtin.h"
#include "tests/integration/dataplane_harness.h"
#include "tests/support/temp_dir.h"

namespace genkan::testing {
namespace {

const std::string kPrefix = "/.well-known/acme-challenge/";
const std::string kThumbprint(43, 'T');

const ModuleEntry* FindBuiltin(std::string_view name) {
  for (const ModuleEntry* entry : BuiltinModules()) {
    if (name == entry->name) return entry;
  }
  return nullptr;
}

class BuiltinModulesInPlace : public ::testing::Test {
 protected:
  BuiltinModulesInPlace()
      : origin_(ScriptedOrigin::Respond([](const OriginRequest& request) {
          if (request.target == kPrefix + "origins")
            return "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\norigins." + kThumbprint;
          if (request.target.starts_with(kPrefix))
            return std::string("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
          return std::string("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        })) {
    config_ = MakeConfig(origin_.url());
    config_.acme_challenge.webroot = {dir_.path().string()};
    WriteFile(dir_ / (kPrefix.substr(1) + "here"), "here." + kThumbprint + "\n");
    // Options of instances come out of a text, as they do in the program.
    auto read = config::ReadConfigText(R"([module.closed]
use = "url_filter"
deny_dotfiles = true
deny = ["/admin/*"]
[module.headers]
use = "security_headers"
[module.https]
use = "redirect_https"
)",
                                       "test.toml");
    config_.modules = read->modules;
  }

  TempDir dir_;
  ScriptedOrigin origin_;
  config::Config config_;
};

TEST_F(BuiltinModulesInPlace, ATokenGetsThroughEveryFilterAndRedirect) {
  for (config::Site& site : config_.sites) site.modules = {"https", "closed"};
  config_.listeners[0].modules = {"https"};
  Proxy proxy(config_, {.find_module = FindBuiltin});
  for (bool is_tls : {false, true}) {
    H1Client client(is_tls ? proxy.tls_port() : proxy.plain_port(), {.tls = is_tls});
    Answer answer = client.Get(kPrefix + "here");
    EXPECT_EQ(answer.status, 200) << is_tls;
    EXPECT_EQ(answer.body, "here." + kThumbprint);
    EXPECT_EQ(answer.Header("content-length"), "48");
    Answer head = client.Request("HEAD " + kPrefix + "here HTTP/1.1\r\nHost: a.test\r\n\r\n", true);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.Header("content-length"), "48");
    EXPECT_EQ(client.Get(kPrefix + "missing").status, 404);
    EXPECT_EQ(client.Get(kPrefix + "../../admin/x").status, 404);
    EXPECT_EQ(client.Get("/.well-known/acme%2dchallenge/here").status, 404);
  }
  EXPECT_EQ(H2Client(proxy.tls_port()).Get(kPrefix + "here").body, "here." + kThumbprint);
  EXPECT_EQ(H1Client(proxy.plain_port()).Get("/.well-known/other").status, 301);
  EXPECT_EQ(H1Client(proxy.tls_port(), {.tls = true}).Get("/.well-known/other").status, 403);
  EXPECT_EQ(origin_.request_count(), 0u);
}

TEST_F(BuiltinModulesInPlace, TheUpstreamAnswersWhatTheWebrootDoesNotHave) {
  for (config::Site& site : config_.sites) {
    site.modules = {"closed"};
    site.challenge_to_upstream = true;
  }
  Proxy proxy(config_, {.find_module = FindBuiltin});
  H1Client client(proxy.plain_port());
  EXPECT_EQ(client.Get(kPrefix + "origins").body, "origins." + kThumbprint);
  EXPECT_EQ(client.Get(kPrefix + "here").body, "here." + kThumbprint);
  EXPECT_EQ(client.Get(kPrefix + "missing").body, "none");
  EXPECT_EQ(client.Get(kPrefix + "a/b").status, 404);
  EXPECT_EQ(origin_.request_count(), 2u);
}

TEST_F(BuiltinModulesInPlace, AThumbprintTakesThePlaceOfTheUpstreamsRefusal) {
  for (config::Site& site : config_.sites) {
    site.challenge_to_upstream = true;
    site.thumbprint = kThumbprint;
  }
  Proxy proxy(config_, {.find_module = FindBuiltin});
  H1Client client(proxy.plain_port());
  EXPECT_EQ(client.Get(kPrefix + "missing").body, "missing." + kThumbprint);
  EXPECT_EQ(client.Get(kPrefix + "origins").body, "origins." + kThumbprint);
  EXPECT_EQ(client.Get("/").body, "ok") << "and the connection goes on";
}

TEST_F(BuiltinModulesInPlace, NoSpellingGetsRoundTheFilter) {
  for (config::Site& site : config_.sites) site.modules = {"closed", "headers"};
  Proxy proxy(config_, {.find_module = FindBuiltin});
  H1Client client(proxy.plain_port());
  for (const char* path : {"/admin/x", "/a/../admin/x", "//admin//x", "/%61dmin/x", "/./admin/x",
                           "/.git/config", "/a/%2egit", "/x/..%2e/.env"})
    EXPECT_EQ(client.Get(path).status, 403) << path;
  for (const char* path : {"/admin%2fx", "/a;/../admin/x", "/admin%5cx", "/%2561dmin/x", "/a%00"})
    EXPECT_EQ(client.Get(path).status, 400) << path;
  Answer answer = client.Get("/a");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.Header("x-content-type-options"), "nosniff");
  EXPECT_EQ(answer.Header("strict-transport-security"), "") << "not on plain HTTP";
  EXPECT_EQ(origin_.request_count(), 1u);
}

}  // namespace
}  // namespace genkan::testing
