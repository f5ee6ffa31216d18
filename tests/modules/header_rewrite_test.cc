#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_header_rewrite;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModuleOptions;
using testing::ModuleUnderTest;

std::vector<std::string> Lines(const http::Headers& headers) {
  std::vector<std::string> lines;
  for (http::Headers::Field field : headers)
    lines.push_back(std::string(field.name) + ": " + std::string(field.value));
  return lines;
}

void Pass(const std::string& keys, FakeExchange& exchange) {
  auto options = ModuleOptions(keys);
  ModuleUnderTest module(genkan_module_header_rewrite, options.get());
  EXPECT_THAT(module.errors, IsEmpty());
  auto filter = module.MakeFilter();
  EXPECT_EQ(filter->OnUpstreamRequest(exchange), Verdict::kContinue);
  EXPECT_EQ(filter->OnResponseHead(exchange), Verdict::kContinue);
}

std::vector<std::string> ErrorsOf(const std::string& keys) {
  auto options = ModuleOptions(keys);
  return ModuleUnderTest(genkan_module_header_rewrite, options.get()).errors;
}

TEST(HeaderRewrite, SetsAddsAndRemovesOnRequests) {
  FakeExchange exchange;
  http::Headers& headers = exchange.request_head.headers;
  for (const char* name : {"X-A", "x-a", "X-B", "X-C", "Accept"}) headers.Add(name, "old");
  Pass("set_request = [\"X-A: new\"]\nadd_request = [\"X-B: more\"]\nremove_request = [\"x-c\"]",
       exchange);
  EXPECT_THAT(Lines(headers), ElementsAre("X-B: old", "Accept: old", "X-A: new", "X-B: more"));
  EXPECT_TRUE(exchange.response_head.headers.empty());
}

TEST(HeaderRewrite, SetsAddsAndRemovesOnResponses) {
  FakeExchange exchange;
  http::Headers& headers = exchange.response_head.headers;
  for (const char* name : {"Server", "X-Powered-By", "Vary"}) headers.Add(name, "old");
  Pass(
      "set_response = [\"Server: genkan\"]\nadd_response = [\"Vary: Origin\"]\n"
      "remove_response = [\"X-Powered-*\"]",
      exchange);
  EXPECT_THAT(Lines(headers), ElementsAre("Vary: old", "Server: genkan", "Vary: Origin"));
}

TEST(HeaderRewrite, NoSpellingOfARemovedFieldIsLeft) {
  FakeExchange exchange;
  http::Headers& headers = exchange.request_head.headers;
  for (const char* name : {"X-Admin", "x_admin", "X.Admin", "X-Admin-Level", "x_admin_level"})
    headers.Add(name, "yes");
  Pass("remove_request = [\"X-Admin\"]\nset_request = [\"X-Admin-Level: 0\"]", exchange);
  EXPECT_THAT(Lines(headers), ElementsAre("X-Admin-Level: 0"));
}

TEST(HeaderRewrite, AStarNeverTakesTheProxysOwn) {
  FakeExchange exchange;
  http::Headers& headers = exchange.request_head.headers;
  headers.Add("TE", "trailers");
  headers.Add("Test", "1");
  Pass("remove_request = [\"T*\"]", exchange);
  EXPECT_THAT(Lines(headers), ElementsAre("TE: trailers"));
}

TEST(HeaderRewrite, FillsVariablesIn) {
  FakeExchange exchange("/path?q");
  exchange.view.client_address = "192.0.2.1";
  exchange.view.local_port = 443;
  exchange.view.is_tls = true;
  exchange.view.server_name = "sni.test";
  exchange.view.tls_version = "TLSv1.3";
  exchange.noted_request_id = "r1";
  exchange.noted_user = "alice";
  Pass(
      "set_request = [\"X-All: {client} {host} {id} {method} {port} {request_id} {scheme} {site} "
      "{sni} {target} {tls_version} {user}\"]\nset_response = [\"X-Brace: {{{client}}}\"]",
      exchange);
  EXPECT_THAT(Lines(exchange.request_head.headers),
              ElementsAre("X-All: 192.0.2.1 a.test 1.2/3 GET 443 r1 https a.test sni.test /path?q "
                          "TLSv1.3 alice"));
  EXPECT_THAT(Lines(exchange.response_head.headers), ElementsAre("X-Brace: {192.0.2.1}"));
}

TEST(HeaderRewrite, WhatIsEmptyIsNotSent) {
  FakeExchange exchange;
  exchange.request_head.headers.Add("X-User", "mallory");
  Pass("set_request = [\"X-User: {user}\"]", exchange);
  EXPECT_THAT(Lines(exchange.request_head.headers), IsEmpty());
}

TEST(HeaderRewrite, AVariablesControlBytesDoNotEndTheLine) {
  FakeExchange exchange;
  exchange.noted_user = "a\r\nX-Evil: 1";
  Pass("set_request = [\"X-User: {user}\"]", exchange);
  EXPECT_THAT(Lines(exchange.request_head.headers), ElementsAre("X-User: a??X-Evil: 1"));
}

TEST(HeaderRewrite, NonsenseIsAnError) {
  EXPECT_THAT(ErrorsOf("set_request = [\"no colon\"]"),
              ElementsAre(HasSubstr("test.toml:3:1: \"set_request\": \"no colon\" is no")));
  EXPECT_THAT(ErrorsOf("add_response = [\"a b: c\"]"), ElementsAre(HasSubstr("is no")));
  EXPECT_THAT(ErrorsOf("set_request = [\"X-*: c\"]"), ElementsAre(HasSubstr("is no")));
  EXPECT_THAT(ErrorsOf("remove_request = [\"a b\"]"), ElementsAre(HasSubstr("no name")));
  EXPECT_THAT(ErrorsOf("set_request = [\"X-A: {cleint}\"]"),
              ElementsAre(HasSubstr("unknown variable {cleint}; did you mean {client}?")));
  EXPECT_THAT(ErrorsOf("set_request = [\"X-A: {client\"]"),
              ElementsAre(HasSubstr("without its }")));
  EXPECT_THAT(ErrorsOf("set_request = [\"X-A: a\\u0007\"]"), ElementsAre(HasSubstr("a byte")));
}

TEST(HeaderRewrite, FramingAndThisHopAreNotItsAffair) {
  for (const char* name : {"Content-Length", "transfer-encoding", "Connection", "Host", "Upgrade",
                           "TE", "Trailer", "Keep-Alive"}) {
    EXPECT_THAT(ErrorsOf(std::string("set_request = [\"") + name + ": x\"]"),
                ElementsAre(HasSubstr("belongs to the proxy")))
        << name;
    EXPECT_THAT(ErrorsOf(std::string("remove_response = [\"") + name + "\"]"),
                ElementsAre(HasSubstr("belongs to the proxy")))
        << name;
  }
}

}  // namespace
}  // namespace genkan
