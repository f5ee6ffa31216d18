#include "proxy/control/keeper_rules.h"

#include <gtest/gtest.h>

#include "proxy/config/validate.h"
#include "proxy/control/keeper_hooks.h"

namespace genkan::control {
namespace {

config::Config Parse(const std::string& text) {
  auto checked = config::LoadConfigText(text, "genkan.toml");
  if (!checked) ADD_FAILURE() << checked.error().front();
  return checked ? checked->config : config::Config();
}

const config::Config& Example() {
  static const config::Config config = Parse(R"(
[admin]
listen = ["unix:/run/genkan/admin.sock"]
[certificates]
pool = ["/etc/genkan/pool/"]
[tls]
ticket_keys = "/etc/genkan/tickets"
[revocation]
on_revoked = ["certbot", "renew", "--cert-name", "{lineage}"]
[[listener]]
address = ":443"
tls = true
[[site]]
names = ["a.test"]
certificates = ["/le/live/a.test", "/etc/genkan/b.pem", "/certs/*/tls.crt",
                { certificate = "/t/cert.pem", key = "/k/secret" },
                { certificate = "/t/shop.p12", password_file = "/k/password" }]
upstream = "http://127.0.0.1:1"
)");
  return config;
}

// Directories are the lineage, the pool and what a pattern's first part matches.
KeeperRules Rules() {
  return {Example(), [](const std::string& path) {
            return path == "/le/live/a.test" || path == "/etc/genkan/pool" || path == "/certs/x";
          }};
}

TEST(KeeperRules, ReadsEntriesAndTheFilesOfANamedDirectory) {
  const KeeperRules rules = Rules();
  for (const char* path :
       {"/le/live/a.test/privkey.pem", "/le/live/a.test/README", "/etc/genkan/b.pem", "/t/cert.pem",
        "/k/secret", "/etc/genkan/tickets", "/etc/genkan/pool/x.pem", "/certs/x/tls.crt"})
    EXPECT_TRUE(rules.MayRead(path)) << path;
}

TEST(KeeperRules, ReadsCertificateFilesBesideAFile) {
  const KeeperRules rules = Rules();
  EXPECT_TRUE(rules.MayRead("/etc/genkan/b.key"));
  EXPECT_TRUE(rules.MayRead("/k/password"));
  EXPECT_TRUE(rules.MayRead("/certs/x/tls.key"));
  EXPECT_FALSE(rules.MayRead("/etc/genkan/genkan.toml"));
  EXPECT_FALSE(rules.MayRead("/certs/x/passwords"));
  // Beside a directory nothing is named.
  EXPECT_FALSE(rules.MayRead("/le/live/other.pem"));
}

TEST(KeeperRules, ReadsTheFilesThatModulesNameAndNothingBesideThem) {
  const config::Config config = Parse(R"(
[module.staff]
use  = "basic_auth"
file = "/etc/genkan/htpasswd"
realm = "/etc/genkan/realm"
[module.office]
use        = "ip_filter"
deny_files = ["/lists/bad.pem", "/lists/worse.txt"]
allow      = ["/lists/allowed"]
[module.own]
use      = "something_loaded"
map_file = "/maps/a"
[[listener]]
address = ":80"
[[site]]
names = ["a.test"]
upstream = "http://127.0.0.1:1"
)");
  const KeeperRules rules(config, [](const std::string&) { return false; });
  for (const char* path : {"/etc/genkan/htpasswd", "/lists/bad.pem", "/lists/worse.txt", "/maps/a"}) {
    EXPECT_TRUE(rules.MayRead(path)) << path;
    EXPECT_TRUE(rules.MayWatch(path)) << path;
    EXPECT_FALSE(rules.MayList(path)) << path;
  }
  for (const char* path : {"/etc/genkan/realm", "/lists/allowed", "/lists/good.pem", "/lists",
                           "/lists/bad.pem/x.pem", "/etc/genkan", "/etc/genkan/htpasswd2"}) {
    EXPECT_FALSE(rules.MayRead(path)) << path;
    EXPECT_FALSE(rules.MayList(path)) << path;
    EXPECT_FALSE(rules.MayWatch(path)) << path;
  }
}

TEST(KeeperRules, ReadsNothingElse) {
  const KeeperRules rules = Rules();
  for (const char* path :
       {"/etc/shadow", "", "/", ".", "..", "/le/live/a.test/..", "/le/live/a.test/.",
        "/le/live/a.test/../b.test/privkey.pem", "/le/live/a.test//privkey.pem",
        "/le/live/a.test/sub/privkey.pem", "/certs/.x/tls.crt", "/certs/x/y/tls.crt",
        "/certs/../tls.crt", "/etc/genkan/pool/../../shadow", "/k/other.txt",
        "le/live/a.test/privkey.pem"})
    EXPECT_FALSE(rules.MayRead(path)) << path;
}

TEST(KeeperRules, ListsNamedDirectoriesAndThoseOfNamedFiles) {
  const KeeperRules rules = Rules();
  for (const char* path : {"/le/live/a.test", "/etc/genkan/pool", "/etc/genkan", "/certs/x", "/t"})
    EXPECT_TRUE(rules.MayList(path)) << path;
  for (const char* path : {"/", "/etc", "/root", "/le/live", "/certs", "/certs/x/y"})
    EXPECT_FALSE(rules.MayList(path)) << path;
}

TEST(KeeperRules, WatchesWhereEntriesAndMatchesWouldAppear) {
  const KeeperRules rules = Rules();
  for (const char* path :
       {"/le/live/a.test", "/le/live", "/certs", "/certs/x", "/etc/genkan/b.pem"})
    EXPECT_TRUE(rules.MayWatch(path)) << path;
  for (const char* path : {"/", "/root", "/etc", "/etc/shadow"})
    EXPECT_FALSE(rules.MayWatch(path)) << path;
}

TEST(KeeperRules, GlobsAndListensOnlyAsConfigured) {
  const KeeperRules rules = Rules();
  EXPECT_TRUE(rules.MayGlob("/certs/*/tls.crt"));
  EXPECT_FALSE(rules.MayGlob("/certs/*"));
  EXPECT_FALSE(rules.MayGlob("/root/*"));
  auto may_listen = [&](const char* text) {
    return rules.MayListen(net::Address::Parse(text).value());
  };
  EXPECT_TRUE(may_listen(":443"));
  EXPECT_TRUE(may_listen("unix:/run/genkan/admin.sock"));
  EXPECT_FALSE(may_listen("127.0.0.1:443"));
  EXPECT_FALSE(may_listen("[::]:443")) << "another socket: IPv6 alone";
  EXPECT_FALSE(may_listen(":22"));
  EXPECT_FALSE(may_listen("unix:/run/other.sock"));
}

TEST(KeeperHooks, RunsOnRevokedAlone) {
  auto is_allowed = [](std::vector<std::string> argv,
                       std::vector<std::pair<std::string, std::string>> environment = {}) {
    return IsConfiguredHook({"a.test", std::move(argv), std::move(environment)}, Example());
  };
  EXPECT_TRUE(is_allowed({"certbot", "renew", "--cert-name", "a.test"}));
  EXPECT_TRUE(is_allowed({"certbot", "renew", "--cert-name", "a.test"}, {{"GENKAN_DRILL", "1"}}));
  for (const char* word : {"a.test/key.pem", "/certs/x/tls.crt", "/etc/genkan/b.pem", "x"})
    EXPECT_TRUE(is_allowed({"certbot", "renew", "--cert-name", word})) << word;
  EXPECT_FALSE(is_allowed({"certbot", "renew", "--cert-name", "a.test/../../x"}));
  EXPECT_FALSE(is_allowed({"certbot", "renew", "--cert-name", "/certs/x/y/tls.crt"}));
  EXPECT_FALSE(is_allowed({"certbot", "renew", "--cert-name", "b.test", "x"}));
  EXPECT_FALSE(is_allowed({"certbot", "renew", "--cert-name", "--pre-hook=evil"}));
  EXPECT_FALSE(is_allowed({"certbot", "renew", "--cert-name", "unknown/other"}));
  EXPECT_FALSE(is_allowed({"/bin/sh", "renew", "--cert-name", "a.test"}));
  EXPECT_FALSE(is_allowed({"certbot", "renew", "--cert-name", "a.test"}, {{"LD_PRELOAD", "x"}}));
  EXPECT_FALSE(is_allowed({}));
}

}  // namespace
}  // namespace genkan::control
