#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_security_headers;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using testing::ModuleOptions;
using testing::ModuleUnderTest;

void Pass(FakeExchange& exchange, const std::string& keys = "") {
  auto options = ModuleOptions(keys);
  ModuleUnderTest module(genkan_module_security_headers, options.get());
  EXPECT_EQ(module.MakeFilter()->OnResponseHead(exchange), Verdict::kContinue);
}

std::string Get(const FakeExchange& exchange, std::string_view name) {
  EXPECT_LE(exchange.response_head.headers.Count(name), 1u) << name;
  return std::string(exchange.response_head.headers.Get(name).value_or("-"));
}

TEST(SecurityHeaders, SetsItsDefaults) {
  FakeExchange exchange;
  exchange.view.is_tls = true;
  Pass(exchange);
  EXPECT_EQ(Get(exchange, "strict-transport-security"), "max-age=63072000");
  EXPECT_EQ(Get(exchange, "x-content-type-options"), "nosniff");
  EXPECT_EQ(Get(exchange, "x-frame-options"), "SAMEORIGIN");
  EXPECT_EQ(Get(exchange, "referrer-policy"), "strict-origin-when-cross-origin");
  EXPECT_EQ(Get(exchange, "content-security-policy"), "-");
}

TEST(SecurityHeaders, HstsNeverGoesOverPlainHttp) {
  FakeExchange exchange;
  exchange.response_head.headers.Add("Strict-Transport-Security", "max-age=1");
  Pass(exchange);
  EXPECT_EQ(Get(exchange, "strict-transport-security"), "-");
}

TEST(SecurityHeaders, ATrustedBalancersTlsIsTls) {
  FakeExchange exchange;
  exchange.request_head.headers.Add("X-Forwarded-Proto", "https");
  Pass(exchange);
  EXPECT_EQ(Get(exchange, "strict-transport-security"), "-") << "anybody may say so";
  exchange.is_trusted = true;
  Pass(exchange);
  EXPECT_EQ(Get(exchange, "strict-transport-security"), "max-age=63072000");
}

TEST(SecurityHeaders, TheNewerPoliciesAreThereToBeSet) {
  FakeExchange exchange;
  Pass(exchange,
       "permissions_policy = \"camera=()\"\ncross_origin_opener_policy = \"same-origin\"\n"
       "cross_origin_resource_policy = \"same-site\"");
  EXPECT_EQ(Get(exchange, "permissions-policy"), "camera=()");
  EXPECT_EQ(Get(exchange, "cross-origin-opener-policy"), "same-origin");
  EXPECT_EQ(Get(exchange, "cross-origin-resource-policy"), "same-site");
}

TEST(SecurityHeaders, EmptyIsNotSet) {
  FakeExchange exchange;
  Pass(exchange, "frame_options = \"\"\ncontent_security_policy = \"default-src 'self'\"");
  EXPECT_EQ(Get(exchange, "x-frame-options"), "-");
  EXPECT_EQ(Get(exchange, "content-security-policy"), "default-src 'self'");
}

TEST(SecurityHeaders, TheApplicationsOwnValueStandsUnlessOverridden) {
  FakeExchange exchange;
  exchange.response_head.headers.Add("X-Frame-Options", "DENY");
  Pass(exchange);
  EXPECT_EQ(Get(exchange, "x-frame-options"), "DENY");
  Pass(exchange, "override = true");
  EXPECT_EQ(Get(exchange, "x-frame-options"), "SAMEORIGIN");
}

TEST(SecurityHeaders, ALineBreakInAValueIsAnError) {
  auto options = ModuleOptions("hsts = \"a\\r\\nX: y\"");
  EXPECT_THAT(ModuleUnderTest(genkan_module_security_headers, options.get()).errors,
              ElementsAre(HasSubstr("test.toml:3:1: \"hsts\"")));
}

TEST(SecurityHeaders, CostsNothingOnRequests) {
  EXPECT_EQ(ModuleUnderTest(genkan_module_security_headers, nullptr).hooks(),
            unsigned{kHookResponseHead});
}

}  // namespace
}  // namespace genkan
