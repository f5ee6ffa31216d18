#include "proxy/server/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace genkan::server {
namespace {

struct NoOptions {
  void Read(ConfigReader&) {}
};
class Nothing final : public ExchangeFilter {
 public:
  explicit Nothing(const NoOptions&) {}
  Verdict OnRequestHead(genkan::Exchange&) override { return Verdict::kContinue; }
};

std::unique_ptr<Module> MakeNothing() {
  return std::make_unique<module_internal::ModuleOf<Nothing, NoOptions>>();
}
const ModuleEntry kGuardEntry{"acme_challenge", MakeNothing};
const ModuleEntry kFilterEntry{"url_filter", MakeNothing};
const ModuleEntry kHeadersEntry{"security_headers", MakeNothing};

const ModuleEntry* Find(std::string_view name) {
  for (const ModuleEntry* entry : {&kGuardEntry, &kFilterEntry, &kHeadersEntry}) {
    if (name == entry->name) return entry;
  }
  return nullptr;
}

config::Config MakeConfig() {
  config::Config config;
  config::Listener listener;
  listener.address = "127.0.0.1:8080";
  config.listeners = {listener};
  config::Site site;
  site.names = {"Example.com", "www.example.com"};
  site.upstream = "http://127.0.0.1:9000";
  config.sites = {site};
  return config;
}

auto Build(const config::Config& config, const Snapshot* before = nullptr) {
  return BuildSnapshot(std::make_shared<config::Config>(config), Find, before);
}

std::string Errors(const config::Config& config) {
  auto built = Build(config);
  if (built) return "";
  std::string all;
  for (const std::string& error : built.error()) all += error + "\n";
  return all;
}

TEST(Snapshot, AUrlIsAnUpstream) {
  auto built = Build(MakeConfig());
  ASSERT_TRUE(built.has_value());
  const Snapshot& snapshot = **built;
  ASSERT_EQ(snapshot.clusters.size(), 1u);
  EXPECT_EQ(snapshot.clusters[0]->spec().servers[0].address, "127.0.0.1:9000");
  EXPECT_FALSE(snapshot.clusters[0]->spec().tls);
  EXPECT_EQ(snapshot.router.FindSite("example.com"), 0u);
  EXPECT_EQ(snapshot.sites[0].name, "example.com");
  EXPECT_EQ(snapshot.sites[0].session_context.size(), 32u);
  EXPECT_EQ(snapshot.modules[0].name, "acme_challenge");
  EXPECT_EQ(snapshot.routes[*snapshot.router.FindRoute(0, "/x")].cluster, 0);
}

TEST(Snapshot, AllErrorsAtOnce) {
  config::Config config = MakeConfig();
  config.listeners[0].address = "nonsense";
  config.trusted_proxies = {"10.0.0.0/99"};
  config.sites[0].upstream = "ap";
  config.sites[0].modules = {"url_filte"};
  config.sites.push_back(config.sites[0]);
  config::Upstream app;
  app.name = "app";
  config.upstreams = {app};
  config::ModuleInstance instance;
  instance.name = "x";
  instance.use = "no_such";
  config.modules = {instance};
  std::string errors = Errors(config);
  for (const char* part : {"listener.address", "trusted_proxies", "did you mean \"app\"?", "no [module.url_filte]",
                           "stands in two sites", "no module \"no_such\""}) {
    EXPECT_NE(errors.find(part), std::string::npos) << part << "\n" << errors;
  }
}

TEST(Snapshot, ModulesOfSiteThenRoute) {
  config::Config config = MakeConfig();
  config.sites[0].modules = {"security_headers"};
  config::Route route;
  route.path = "/api/";
  route.modules = {"url_filter"};
  config.sites[0].routes = {route};
  auto built = Build(config);
  ASSERT_TRUE(built.has_value());
  const Snapshot& snapshot = **built;
  const RouteSpec& root = snapshot.routes[*snapshot.router.FindRoute(0, "/")];
  const RouteSpec& api = snapshot.routes[*snapshot.router.FindRoute(0, "/api/x")];
  ASSERT_EQ(root.modules.size(), 1u);
  EXPECT_FALSE(root.has_path_filter);
  ASSERT_EQ(api.modules.size(), 2u);
  EXPECT_EQ(snapshot.modules[api.modules[0]].name, "security_headers");
  EXPECT_EQ(snapshot.modules[api.modules[1]].name, "url_filter");
  EXPECT_TRUE(api.has_path_filter);
  EXPECT_EQ(api.cluster, root.cluster) << "the site's upstream";
}

TEST(Snapshot, WhatStaysKeepsItsIdAndItsState) {
  config::Config config = MakeConfig();
  auto first = Build(config);
  ASSERT_TRUE(first.has_value());
  config::Listener other;
  other.address = "127.0.0.1:8081";
  config.listeners.insert(config.listeners.begin(), other);
  auto second = Build(config, first->get());
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ((*second)->listeners[1].id, (*first)->listeners[0].id);
  EXPECT_NE((*second)->listeners[0].id, (*first)->listeners[0].id);
  EXPECT_EQ((*second)->clusters[0], (*first)->clusters[0]);
  EXPECT_EQ((*second)->generation, (*first)->generation + 1);

  config.listeners.erase(config.listeners.begin());
  config.sites[0].upstream = "http://127.0.0.1:9001";
  auto third = Build(config, second->get());
  EXPECT_NE((*third)->clusters[0], (*second)->clusters[0]);
  config.listeners.push_back(other);
  config.listeners[1].address = "127.0.0.1:8082";
  auto fourth = Build(config, third->get());
  EXPECT_GT((*fourth)->listeners[1].id, (*second)->listeners[0].id) << "ids are never used twice";
}

TEST(Snapshot, ASitesOwnTlsHasItsOwnSessions) {
  config::Config config = MakeConfig();
  auto plain = Build(config);
  config::Tls tls;
  tls.min_version = "1.3";
  config.sites[0].tls = tls;
  auto own = Build(config);
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ((*own)->sites[0].tls_policy.min_version, 0x0304);
  EXPECT_NE((*own)->sites[0].session_context, (*plain)->sites[0].session_context);
}

}  // namespace
}  // namespace genkan::server
