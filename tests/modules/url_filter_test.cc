#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_url_filter;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModuleOptions;
using testing::ModuleUnderTest;

// The status that the filter answers with; 0 where it lets the request pass.
int Judge(const std::string& keys, const std::string& path, const std::string& method = "GET") {
  auto options = ModuleOptions(keys);
  ModuleUnderTest module(genkan_module_url_filter, options.get());
  EXPECT_THAT(module.errors, IsEmpty());
  FakeExchange exchange(path);
  exchange.request_head.method = method;
  auto filter = module.MakeFilter();
  Verdict verdict = filter->OnRequestHead(exchange);
  EXPECT_EQ(verdict == Verdict::kStop, exchange.status() != 0)
      << "an answer and kStop belong together";
  return exchange.status();
}

TEST(UrlFilter, DeniesWhatAGlobFits) {
  const std::string keys = "deny = [\"/wp-admin/*\", \"*.bak\"]";
  EXPECT_EQ(Judge(keys, "/wp-admin/x"), 403);
  EXPECT_EQ(Judge(keys, "/wp-admin/"), 403);
  EXPECT_EQ(Judge(keys, "/a/b.bak"), 403);
  EXPECT_EQ(Judge(keys, "/wp-admin"), 0);
  EXPECT_EQ(Judge(keys, "/"), 0);
  EXPECT_EQ(Judge(keys, "/a?b=/wp-admin/x.bak"), 0) << "the query is no path";
}

TEST(UrlFilter, AllowMakesExceptions) {
  const std::string keys = "deny = [\"/admin/*\"]\nallow = [\"/admin/public/*\"]";
  EXPECT_EQ(Judge(keys, "/admin/x"), 403);
  EXPECT_EQ(Judge(keys, "/admin/public/x"), 0);
}

TEST(UrlFilter, DotfilesAreSegmentsThatBeginWithADot) {
  EXPECT_EQ(Judge("deny_dotfiles = true", "/.git/config"), 403);
  EXPECT_EQ(Judge("deny_dotfiles = true", "/a/.env"), 403);
  EXPECT_EQ(Judge("deny_dotfiles = true", "/a/b.c"), 0);
  EXPECT_EQ(
      Judge("deny_dotfiles = true\nallow = [\"/.well-known/*\"]", "/.well-known/security.txt"), 0);
  EXPECT_EQ(Judge("", "/.git/config"), 0);
}

TEST(UrlFilter, OnlyTheMethodsThatAreNamed) {
  const std::string keys = "deny = [\"/upload/*\"]\nmethods = [\"POST\", \"PUT\"]";
  EXPECT_EQ(Judge(keys, "/upload/x", "POST"), 403);
  EXPECT_EQ(Judge(keys, "/upload/x", "GET"), 0);
}

TEST(UrlFilter, JudgesTheNormalisedPath) {
  auto options = ModuleOptions("deny = [\"/admin/*\"]");
  ModuleUnderTest module(genkan_module_url_filter, options.get());
  FakeExchange exchange("/x/../%61dmin/y");
  exchange.normalized = "/admin/y";
  EXPECT_EQ(module.MakeFilter()->OnRequestHead(exchange), Verdict::kStop);
  EXPECT_EQ(exchange.status(), 403);
}

TEST(UrlFilter, APathThatMayNotBeJudgedIs400) {
  auto options = ModuleOptions("deny = [\"/admin/*\"]");
  ModuleUnderTest module(genkan_module_url_filter, options.get());
  FakeExchange exchange("/admin%2Fx");
  exchange.is_judgeable = false;
  EXPECT_EQ(module.MakeFilter()->OnRequestHead(exchange), Verdict::kStop);
  EXPECT_EQ(exchange.status(), 400);
}

TEST(UrlFilter, OptionsOfTheServerAsAWholeHasNoPath) {
  EXPECT_EQ(Judge("deny = [\"*\"]", "*", "OPTIONS"), 0);
}

TEST(UrlFilter, RulesThatFitNothingAreErrors) {
  auto options = ModuleOptions("deny = [\"wp-admin\"]\nmethods = [\"post\"]\ndenny = []");
  ModuleUnderTest module(genkan_module_url_filter, options.get());
  EXPECT_THAT(module.errors,
              ElementsAre(HasSubstr("test.toml:3:1: \"deny\": \"wp-admin\" fits no path"),
                          HasSubstr("test.toml:4:1: \"methods\": \"post\""),
                          HasSubstr("test.toml:5:1: unknown key \"denny\"")));
}

TEST(UrlFilter, CostsNothingOnResponses) {
  EXPECT_EQ(ModuleUnderTest(genkan_module_url_filter, nullptr).hooks(), unsigned{kHookRequestHead});
}

}  // namespace
}  // namespace genkan
