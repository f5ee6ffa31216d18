#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_redirect_https;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using testing::ModuleOptions;
using testing::ModuleUnderTest;

Verdict Pass(FakeExchange& exchange, const std::string& keys = "") {
  auto options = ModuleOptions(keys);
  ModuleUnderTest module(genkan_module_redirect_https, options.get());
  auto filter = module.MakeFilter();
  return filter->OnRequestHead(exchange);
}

std::string LocationOf(const FakeExchange& exchange) {
  return exchange.answers.empty()
             ? ""
             : std::string(exchange.answers[0].head.headers.Get("location").value_or(""));
}

TEST(RedirectHttps, TlsPasses) {
  FakeExchange exchange("/a");
  exchange.view.is_tls = true;
  EXPECT_EQ(Pass(exchange), Verdict::kContinue);
}

TEST(RedirectHttps, ATrustedBalancersTlsPasses) {
  FakeExchange exchange("/a");
  exchange.request_head.headers.Add("X-Forwarded-Proto", "https");
  EXPECT_EQ(Pass(exchange), Verdict::kStop) << "anybody may say so";
  FakeExchange trusted("/a");
  trusted.is_trusted = true;
  trusted.request_head.headers.Add("X-Forwarded-Proto", "https");
  EXPECT_EQ(Pass(trusted), Verdict::kContinue);
  trusted.request_head.headers.Set("X-Forwarded-Proto", "http");
  EXPECT_EQ(Pass(trusted), Verdict::kStop);
}

TEST(RedirectHttps, KeepsHostPathAndQuery) {
  FakeExchange exchange("/a?b=c");
  exchange.request_head.authority = "a.test:8080";
  EXPECT_EQ(Pass(exchange), Verdict::kStop);
  EXPECT_EQ(exchange.status(), 301);
  EXPECT_EQ(LocationOf(exchange), "https://a.test/a?b=c");
}

TEST(RedirectHttps, APostStaysAPost) {
  FakeExchange exchange("/form");
  exchange.request_head.method = "POST";
  Pass(exchange);
  EXPECT_EQ(exchange.status(), 308);
}

TEST(RedirectHttps, AnotherPort) {
  FakeExchange exchange("/a");
  exchange.request_head.authority = "[::1]:80";
  Pass(exchange, "port = 8443");
  EXPECT_EQ(LocationOf(exchange), "https://[::1]:8443/a");
}

TEST(RedirectHttps, WithoutHostTheSitesNameOrA400) {
  FakeExchange exchange("/a");
  exchange.request_head.authority = "";
  Pass(exchange);
  EXPECT_EQ(LocationOf(exchange), "https://a.test/a");
  FakeExchange any("/a");
  any.request_head.authority = "";
  any.site_name = "*";
  Pass(any);
  EXPECT_EQ(any.status(), 400);
}

TEST(RedirectHttps, APathOfTwoSlashesStaysOnThisHost) {
  FakeExchange exchange("//evil.test/x");
  Pass(exchange);
  EXPECT_EQ(LocationOf(exchange), "https://a.test//evil.test/x");
}

TEST(RedirectHttps, APortThatIsNone) {
  auto options = ModuleOptions("port = 70000");
  EXPECT_THAT(ModuleUnderTest(genkan_module_redirect_https, options.get()).errors,
              ElementsAre(HasSubstr("test.toml:3:1: \"port\"")));
}

}  // namespace
}  // namespace genkan
