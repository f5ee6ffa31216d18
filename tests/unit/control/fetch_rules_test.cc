#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/fetcher.h"
#include "tests/support/scripted_origin.h"

namespace genkan::control {
namespace {

using genkan::testing::OriginRequest;
using genkan::testing::ScriptedOrigin;
using ::testing::HasSubstr;

std::string RedirectTo(const std::string& url) {
  return "HTTP/1.1 302 Found\r\nLocation: " + url + "\r\nContent-Length: 0\r\n\r\n";
}

FetchRequest Following(const std::string& url) {
  FetchRequest request;
  request.url = url;
  request.follows_redirects = true;
  return request;
}

// 169.254.169.254 is where clouds keep the credentials of a machine.
TEST(FetchRules, NeverConnectsToALinkLocalAddress) {
  for (const char* url : {"http://169.254.169.254/latest/", "http://[fe80::1]/",
                          "http://[::ffff:169.254.169.254]/", "http://0251.0376.0xa9fe/"}) {
    const auto direct = FetchBlocking(Following(url));
    ASSERT_FALSE(direct.has_value()) << url;
    EXPECT_THAT(direct.error().detail, HasSubstr("link-local")) << url;
    ScriptedOrigin origin(
        ScriptedOrigin::Respond([url](const OriginRequest&) { return RedirectTo(url); }));
    const auto redirected = FetchBlocking(Following(origin.url()));
    ASSERT_FALSE(redirected.has_value()) << url;
    EXPECT_THAT(redirected.error().detail, HasSubstr("link-local")) << url;
  }
}

TEST(FetchRules, RulesSayHowFarARedirectMayLead) {
  ScriptedOrigin origin(ScriptedOrigin::Respond([&](const OriginRequest& request) -> std::string {
    const int left = std::stoi(request.target.substr(1));
    if (left > 0) return RedirectTo("/" + std::to_string(left - 1));
    return "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere";
  }));
  const FetchRules rules{.is_http_only = true, .max_redirects = 4};
  const auto near = FetchBlocking(Following(origin.url() + "/4"), {}, {}, -1, rules);
  ASSERT_TRUE(near.has_value()) << near.error().detail;
  EXPECT_EQ(near->body, "here");
  EXPECT_FALSE(FetchBlocking(Following(origin.url() + "/5"), {}, {}, -1, rules).has_value());
  EXPECT_TRUE(FetchBlocking(Following(origin.url() + "/5")).has_value());
}

TEST(FetchRules, HttpOnlyMeansRedirectsToo) {
  ScriptedOrigin origin(ScriptedOrigin::Respond(
      [](const OriginRequest&) { return RedirectTo("https://127.0.0.1:1/"); }));
  const FetchRules rules{.is_http_only = true, .max_redirects = 4};
  const auto redirected = FetchBlocking(Following(origin.url()), {}, {}, -1, rules);
  ASSERT_FALSE(redirected.has_value());
  EXPECT_THAT(redirected.error().detail, HasSubstr("https"));
  EXPECT_FALSE(FetchBlocking(Following("https://127.0.0.1:1/"), {}, {}, -1, rules).has_value());
}

TEST(FetchRules, StopsAtTheSizeThatIsAllowed) {
  ScriptedOrigin origin(ScriptedOrigin::Always(std::string(2000, 'x')));
  FetchRequest request;
  request.url = origin.url();
  request.max_bytes = 1999;
  const auto response = FetchBlocking(request);
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace genkan::control
