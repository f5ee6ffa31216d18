#include "proxy/server/router.h"

#include <gtest/gtest.h>

namespace genkan::server {
namespace {

Router MakeRouter() {
  Router router;
  router.AddSite(0, {"example.com", "www.example.com"}, false);
  router.AddSite(1, {"*.example.com"}, true);
  router.AddSite(2, {"*.deep.example.com"}, false);
  return router;
}

TEST(Router, ExactNameWinsOverWildcard) {
  Router router = MakeRouter();
  EXPECT_EQ(router.FindSite("www.example.com"), 0u);
  EXPECT_EQ(router.FindSite("other.example.com"), 1u);
}

TEST(Router, TheLongestWildcardWins) {
  Router router = MakeRouter();
  EXPECT_EQ(router.FindSite("a.deep.example.com"), 2u);
  EXPECT_EQ(router.FindSite("deep.example.com"), 1u);
}

TEST(Router, NoSiteForAnUnknownHost) {
  Router router = MakeRouter();
  EXPECT_EQ(router.FindSite("example.org"), std::nullopt);
  EXPECT_EQ(router.FindSite(""), std::nullopt);
  EXPECT_EQ(router.FindSite(".example.com"), std::nullopt);
}

TEST(Router, AStarTakesEveryHost) {
  Router router = MakeRouter();
  router.AddSite(3, {"*"}, false);
  EXPECT_EQ(router.FindSite("example.org"), 3u);
  EXPECT_EQ(router.FindSite("example.com"), 0u);
}

TEST(Router, DefaultIsTheMarkedSiteOrTheFirst) {
  EXPECT_EQ(MakeRouter().default_site(), 1u);
  Router router;
  EXPECT_EQ(router.default_site(), std::nullopt);
  router.AddSite(0, {"a"}, false);
  router.AddSite(1, {"b"}, false);
  EXPECT_EQ(router.default_site(), 0u);
}

TEST(Router, RoutesAreLongestPrefixesOnSegmentBorders) {
  Router router;
  router.AddSite(0, {"a"}, true);
  router.AddRoute(0, "/", 0);
  router.AddRoute(0, "/api/", 1);
  router.AddRoute(0, "/api/v2", 2);
  EXPECT_EQ(router.FindRoute(0, "/"), 0u);
  EXPECT_EQ(router.FindRoute(0, "/apix"), 0u);
  EXPECT_EQ(router.FindRoute(0, "/api"), 1u);
  EXPECT_EQ(router.FindRoute(0, "/api/x"), 1u);
  EXPECT_EQ(router.FindRoute(0, "/api/v2"), 2u);
  EXPECT_EQ(router.FindRoute(0, "/api/v2/x"), 2u);
  EXPECT_EQ(router.FindRoute(0, "/api/v23"), 1u);
  EXPECT_EQ(router.FindRoute(0, "*"), 0u);
  EXPECT_EQ(router.FindRoute(7, "/"), std::nullopt);
}

}  // namespace
}  // namespace genkan::server
