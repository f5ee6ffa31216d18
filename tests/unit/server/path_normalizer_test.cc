#include "proxy/server/path_normalizer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace genkan::server {
namespace {

TEST(PathNormalizer, NormalisesAsRfc3986Does) {
  struct Case {
    const char *raw, *normal;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"/", "/"},
           {"/a/b", "/a/b"},
           {"/a//b///c", "/a/b/c"},
           {"/a/./b/../c", "/a/c"},
           {"/a/b/..", "/a/"},
           {"/a/b/.", "/a/b/"},
           {"/..", "/"},
           {"/../../a", "/a"},
           {"/a//../b", "/b"},
           {"/%61%2D%2e%7E%5f", "/a-.~_"},
           {"/%2e%2e/a", "/a"},
           {"/a/%2E%2e/b", "/b"},
           {"/.%2e/a", "/a"},
           {"/%c3%a9", "/%C3%A9"},
           {"/a%20b", "/a%20b"},
           {"/100%25", "/100%25"},
           {"/100%25/of%25it", "/100%25/of%25it"},
           {"/%c0propos", "/%C0propos"},  // Latin-1
           {"/\xe3\x83\x88", "/\xe3\x83\x88"},
           {"/.well-known/x", "/.well-known/x"},
           {"/a/...", "/a/..."},
           {"/a/", "/a/"},
           {"//", "/"},
           {"//a", "/a"},
       }) {
    NormalizedPath path = NormalizePath(c.raw);
    EXPECT_EQ(path.path, c.normal) << c.raw;
    EXPECT_EQ(path.doubt, "") << c.raw;
  }
}

TEST(PathNormalizer, IsIdempotent) {
  for (const char* raw : {"/a/./b/../c", "/%61//x/%2e%2e", "/a/b/..", "/%c3%a9/.%2e/y"}) {
    std::string once = NormalizePath(raw).path;
    EXPECT_EQ(NormalizePath(once).path, once) << raw;
  }
}

TEST(PathNormalizer, DoubtsWhatTwoReadersReadDifferently) {
  for (const char* raw : {"/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a;b", "/a%3bb", "/a%00", "/a%0d", "/a%7f", "/a%2541",
                          "/%252e%252e/", "/%25%32%65", "/%c0%ae", "/%C1%81", "/%e0%80%af", "/%f0%80%80%ae", "/a\xc0\xaf", "/a%", "/a%4", "/a%zz", "/a%2"}) {
    EXPECT_NE(NormalizePath(raw).doubt, "") << raw;
    EXPECT_FALSE(IsPlainPath(raw)) << raw;
  }
}

TEST(PathNormalizer, OtherReadingsAreThoseOfServersThatAreKnown) {
  struct Case {
    const char *raw, *reading;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"/x%2f..%2fadmin", "/admin"},
           {"/admin%2fx", "/admin/x"},
           {"/%2561dmin", "/admin"},
           {"/%252561dmin", "/admin"},
           {"/admin\\x", "/admin/x"},
           {"/x%5c..%5cadmin", "/admin"},
           {"/x/..;/admin", "/admin"},
           {"/;a=b/admin", "/admin"},
           {"/admin;x", "/admin"},
           {"/admin%3bx", "/admin"},
           {"/admin%00.css", "/admin"},
           {"/admin%23x", "/admin"},
           {"/x/%252e%252e/admin", "/admin"},
       }) {
    auto readings = OtherReadings(c.raw);
    EXPECT_NE(std::find(readings.begin(), readings.end(), c.reading), readings.end()) << c.raw;
    EXPECT_LE(readings.size(), 60u);
  }
  EXPECT_EQ(OtherReadings("/a/b"), std::vector<std::string>{"/a/b"});
}

TEST(PathNormalizer, ALongHostilePathIsReadQuickly) {
  std::string path = "/";
  while (path.size() < 8000) path += "%2525;\\%00#";
  EXPECT_LE(OtherReadings(path).size(), 60u);
}

TEST(PathNormalizer, PlainPathsAreThoseThatStayAsTheyAre) {
  EXPECT_TRUE(IsPlainPath("/"));
  EXPECT_TRUE(IsPlainPath("/a/b.html"));
  EXPECT_TRUE(IsPlainPath("/a.b/c..d"));
  EXPECT_FALSE(IsPlainPath("/a//b"));
  EXPECT_FALSE(IsPlainPath("/a/.b"));
  EXPECT_FALSE(IsPlainPath("*"));
  EXPECT_EQ(NormalizePath("*").path, "*");
}

}  // namespace
}  // namespace genkan::server
