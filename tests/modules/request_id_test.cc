#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_request_id;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using testing::ModuleOptions;
using testing::ModuleUnderTest;

std::string Get(const http::Headers& headers, std::string_view name = "x-request-id") {
  EXPECT_LE(headers.Count(name), 1u);
  return std::string(headers.Get(name).value_or("-"));
}

TEST(RequestId, GoesToTheOriginTheClientAndTheLog) {
  ModuleUnderTest module(genkan_module_request_id, nullptr);
  FakeExchange exchange;
  auto filter = module.MakeFilter();
  EXPECT_EQ(filter->OnRequestHead(exchange), Verdict::kContinue);
  EXPECT_EQ(filter->OnResponseHead(exchange), Verdict::kContinue);
  std::string id = Get(exchange.request_head.headers);
  EXPECT_THAT(id, MatchesRegex("[0-9a-f]+"));
  EXPECT_EQ(id.size(), 32u);
  EXPECT_EQ(Get(exchange.response_head.headers), id);
  EXPECT_EQ(exchange.noted_request_id, id);
}

TEST(RequestId, EachRequestHasItsOwn) {
  ModuleUnderTest module(genkan_module_request_id, nullptr);
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    FakeExchange exchange;
    module.MakeFilter()->OnRequestHead(exchange);
    ids.insert(exchange.noted_request_id);
  }
  EXPECT_EQ(ids.size(), 1000u);
}

TEST(RequestId, AStrangersIsReplacedInEverySpelling) {
  ModuleUnderTest module(genkan_module_request_id, nullptr);
  FakeExchange exchange;
  for (const char* name : {"X-Request-ID", "x_request_id", "X.Request-Id"})
    exchange.request_head.headers.Add(name, "evil");
  module.MakeFilter()->OnRequestHead(exchange);
  EXPECT_EQ(exchange.request_head.headers.size(), 1u);
  EXPECT_NE(Get(exchange.request_head.headers), "evil");
}

TEST(RequestId, ATrustedProxysIsKeptIfItIsOne) {
  ModuleUnderTest module(genkan_module_request_id, nullptr);
  auto kept = [&](const std::string& given) {
    FakeExchange exchange;
    exchange.is_trusted = true;
    exchange.request_head.headers.Add("x-request-id", given);
    module.MakeFilter()->OnRequestHead(exchange);
    EXPECT_EQ(Get(exchange.request_head.headers), exchange.noted_request_id);
    return exchange.noted_request_id == given;
  };
  EXPECT_TRUE(kept("6ba7b810-9dad-11d1-80b4-00c04fd430c8"));
  EXPECT_TRUE(kept("a/b+c=:@._-"));
  EXPECT_TRUE(kept(std::string(128, 'a')));
  EXPECT_FALSE(kept(std::string(129, 'a')));
  EXPECT_FALSE(kept(""));
  EXPECT_FALSE(kept("a b"));
  EXPECT_FALSE(kept("a\"b"));
  EXPECT_FALSE(kept("a\\x0ab"));
  EXPECT_FALSE(kept("<script>"));
  EXPECT_FALSE(kept("\xc3\xa9"));
}

TEST(RequestId, TwoOfATrustedProxyAreNone) {
  ModuleUnderTest module(genkan_module_request_id, nullptr);
  FakeExchange exchange;
  exchange.is_trusted = true;
  exchange.request_head.headers.Add("X-Request-ID", "one");
  exchange.request_head.headers.Add("X-Request-ID", "two");
  module.MakeFilter()->OnRequestHead(exchange);
  EXPECT_EQ(Get(exchange.request_head.headers).size(), 32u);
}

TEST(RequestId, TheOriginsOwnIsReplacedOnTheWayBack) {
  ModuleUnderTest module(genkan_module_request_id, nullptr);
  FakeExchange exchange;
  exchange.response_head.headers.Add("X-Request-Id", "origin's");
  auto filter = module.MakeFilter();
  filter->OnRequestHead(exchange);
  filter->OnResponseHead(exchange);
  EXPECT_EQ(Get(exchange.response_head.headers), exchange.noted_request_id);
}

TEST(RequestId, AnswersToRequestsThatItNeverSawHaveNone) {
  ModuleUnderTest module(genkan_module_request_id, nullptr);
  FakeExchange exchange;
  module.MakeFilter()->OnResponseHead(exchange);
  EXPECT_TRUE(exchange.response_head.headers.empty());
}

TEST(RequestId, TheFieldAndTheAnswerAreChosen) {
  auto options = ModuleOptions("header = \"X-Trace\"\nresponse = false");
  ModuleUnderTest module(genkan_module_request_id, options.get());
  FakeExchange exchange;
  auto filter = module.MakeFilter();
  filter->OnRequestHead(exchange);
  filter->OnResponseHead(exchange);
  EXPECT_EQ(Get(exchange.request_head.headers, "x-trace").size(), 32u);
  EXPECT_TRUE(exchange.response_head.headers.empty());
}

TEST(RequestId, ASecondInstanceKeepsTheFirstOnes) {
  ModuleUnderTest module(genkan_module_request_id, nullptr);
  FakeExchange exchange;
  module.MakeFilter()->OnRequestHead(exchange);
  std::string first = exchange.noted_request_id;
  module.MakeFilter()->OnRequestHead(exchange);
  EXPECT_EQ(Get(exchange.request_head.headers), first);
}

TEST(RequestId, AFieldThatIsNoneIsAnError) {
  auto options = ModuleOptions("header = \"X Request\"");
  ModuleUnderTest module(genkan_module_request_id, options.get());
  EXPECT_THAT(module.errors, ElementsAre(HasSubstr("test.toml:3:1: \"header\"")));
}

}  // namespace
}  // namespace genkan
