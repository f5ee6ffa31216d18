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
int Judge(const std::string& keys, const std::string& path, const std::string& method = "GET",
          const http::Headers& headers = {}) {
  auto options = ModuleOptions(keys);
  ModuleUnderTest module(genkan_module_url_filter, options.get());
  EXPECT_THAT(module.errors, IsEmpty());
  FakeExchange exchange(path);
  exchange.request_head.method = method;
  exchange.request_head.headers = headers;
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
  EXPECT_EQ(Judge(keys, "/wp-adminx"), 0);
  EXPECT_EQ(Judge(keys, "/"), 0);
  EXPECT_EQ(Judge(keys, "/a?b=/wp-admin/x.bak"), 0) << "the query is no path";
}

TEST(UrlFilter, AFolderWhoseInsidesAreShutIsShutItself) {
  // PHP's own server shows the folder's index.php there, without a redirect to the slash.
  EXPECT_EQ(Judge("deny = [\"/wp-admin/*\"]", "/wp-admin"), 403);
  EXPECT_EQ(Judge("deny = [\"*/private/*\"]", "/a/private"), 403);
  EXPECT_EQ(Judge("deny = [\"/*\"]", "/"), 403);
}

TEST(UrlFilter, WhatIsBelowAFileThatIsShutIsTheFile) {
  // PATH_INFO: the origin runs /setup.php for /setup.php/x.
  EXPECT_EQ(Judge("deny = [\"/setup.php\"]", "/setup.php/x"), 403);
  EXPECT_EQ(Judge("deny = [\"/setup.php\"]", "/setup.php/"), 403);
  EXPECT_EQ(Judge("deny = [\"*.php\"]", "/a/b.php/c/d.css"), 403);
  EXPECT_EQ(Judge("deny = [\"/setup.php\"]", "/setup.phpx"), 0);
  EXPECT_EQ(Judge("deny = [\"/a?c\"]", "/abc/d"), 403);
}

TEST(UrlFilter, EscapesAndTheirBytesAreOneSpelling) {
  for (const char* glob : {"/a b!é*", "/a%20b%21%C3%A9*", "/a%20b!%c3%a9*"}) {
    std::string keys = std::string("deny = [\"") + glob + "\"]";
    EXPECT_EQ(Judge(keys, "/a%20b!%C3%A9x"), 403) << glob;
    EXPECT_EQ(Judge(keys, "/a%20b%21\xc3\xa9x"), 403) << glob;
    EXPECT_EQ(Judge(keys, "/a%20b"), 0) << glob;
  }
  EXPECT_EQ(Judge("deny = [\"/a%2A\"]", "/a%2A"), 403) << "an escaped star is a star";
  EXPECT_EQ(Judge("deny = [\"/a%2A\"]", "/a*"), 403);
  EXPECT_EQ(Judge("deny = [\"/a%2A\"]", "/ab"), 0);
  EXPECT_EQ(Judge("deny = [\"/100%\"]", "/100%"), 403) << "a percent sign that escapes nothing";
}

TEST(UrlFilter, CaseCountsUnlessItIsIgnored) {
  EXPECT_EQ(Judge("deny = [\"/Admin/*\"]", "/admin/x"), 0);
  EXPECT_EQ(Judge("deny = [\"/Admin/*\"]\nignore_case = true", "/aDMIN/x"), 403);
  EXPECT_EQ(Judge("deny = [\"/*\"]\nallow = [\"/Open/*\"]\nignore_case = true", "/oPEN/x"), 0);
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

TEST(UrlFilter, EveryMethodButTheOnesThatAreNamed) {
  const std::string keys = "deny = [\"/files/*\"]\nexcept_methods = [\"GET\"]";
  EXPECT_EQ(Judge(keys, "/files/x", "GET"), 0);
  EXPECT_EQ(Judge(keys, "/files/x", "HEAD"), 0) << "GET's";
  EXPECT_EQ(Judge(keys, "/files/x", "PROPFIND"), 403);
  EXPECT_EQ(Judge(keys, "/files/x", "BREW"), 403);
}

TEST(UrlFilter, NoMethodHidesBehindAnother) {
  const std::string keys = "deny = [\"/files/*\"]\nmethods = [\"DELETE\"]";
  EXPECT_EQ(Judge(keys, "/files/x", "delete"), 403) << "PHP runs it all the same";
  for (const char* name : {"X-HTTP-Method-Override", "x-http-method", "X-Method-Override"}) {
    http::Headers headers;
    headers.Add(name, "DELETE");
    EXPECT_EQ(Judge(keys, "/files/x", "POST", headers), 403) << name;
    EXPECT_EQ(
        Judge("deny = [\"/files/*\"]\nexcept_methods = [\"POST\"]", "/files/x", "POST", headers),
        403)
        << name;
    headers.Set(name, "PATCH");
    EXPECT_EQ(Judge(keys, "/files/x", "POST", headers), 0) << name;
  }
  EXPECT_EQ(Judge("deny = [\"/a\"]\nmethods = [\"GET\"]", "/a", "HEAD"), 403);
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

TEST(UrlFilter, TwoWaysToNameTheMethodsAreOneTooMany) {
  auto options = ModuleOptions("methods = [\"GET\"]\nexcept_methods = [\"POST\"]");
  ModuleUnderTest module(genkan_module_url_filter, options.get());
  EXPECT_THAT(module.errors, ElementsAre(HasSubstr("test.toml:4:1: \"except_methods\"")));
}

TEST(UrlFilter, CostsNothingOnResponses) {
  EXPECT_EQ(ModuleUnderTest(genkan_module_url_filter, nullptr).hooks(), unsigned{kHookRequestHead});
}

}  // namespace
}  // namespace genkan
