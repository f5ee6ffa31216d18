#include "proxy/control/ari.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace genkan::control {
namespace {

using ::testing::HasSubstr;

WallTime At(int64_t seconds) { return WallTime(Seconds(seconds)); }

TEST(Rfc3339, IsReadInAllItsForms) {
  const struct {
    const char* text;
    int64_t seconds;
  } cases[] = {
      {"2020-03-04T00:00:00Z", 1'583'280'000},
      {"2020-03-04t00:00:00z", 1'583'280'000},
      {"2020-03-04 00:00:00Z", 1'583'280'000},
      {"2020-03-04T00:00:00.987654321Z", 1'583'280'000},
      {"2020-03-04T09:00:00+09:00", 1'583'280'000},
      {"2020-03-03T19:30:00-04:30", 1'583'280'000},
      {"2020-02-29T23:59:60Z", 1'583'020'799},
      {"1970-01-01T00:00:00Z", 0},
  };
  for (const auto& one : cases) {
    const auto time = ParseRfc3339(one.text);
    ASSERT_TRUE(time) << one.text;
    EXPECT_EQ(*time, At(one.seconds)) << one.text;
  }
}

TEST(Rfc3339, AnythingElseIsRefused) {
  for (const char* text : {"",
                           "2020",
                           "2020-03-04",
                           "2020-03-04T00:00:00",
                           "2020-02-30T00:00:00Z",
                           "2021-02-29T00:00:00Z",
                           "2020-13-01T00:00:00Z",
                           "2020-00-01T00:00:00Z",
                           "2020-03-04T24:00:00Z",
                           "2020-03-04T00:60:00Z",
                           "2020-03-04T00:00:61Z",
                           "2020-03-04T00:00:00.Z",
                           "2020-03-04T00:00:00+0900",
                           "2020-03-04T00:00:00+24:00",
                           "2020-03-04T00:00:00Z ",
                           " 2020-03-04T00:00:00Z",
                           "20200304T000000Z",
                           "9999-12-31T23:59:59Z",
                           "1969-12-31T23:59:59Z",
                           "+2020-03-04T00:00:00Z",
                           "2020-3-4T00:00:00Z"})
    EXPECT_FALSE(ParseRfc3339(text)) << text;
}

TEST(RetryAfter, SecondsAndTheThreeDates) {
  const WallTime now = At(784'111'777 - 60);  // Sun, 06 Nov 1994 08:48:37 GMT
  const struct {
    const char* text;
    int64_t seconds;
  } cases[] = {
      {"0", 0},
      {" 120 ", 120},
      {"Sun, 06 Nov 1994 08:49:37 GMT", 60},
      {"Sunday, 06-Nov-94 08:49:37 GMT", 60},
      {"Sun Nov  6 08:49:37 1994", 60},
      {"Sun, 06 Nov 1994 08:00:00 GMT", 0},
      {"99999999999999", 1'000'000'000},
  };
  for (const auto& one : cases) {
    const auto wait = ParseRetryAfter(one.text, now);
    ASSERT_TRUE(wait) << one.text;
    EXPECT_EQ(*wait, Millis(one.seconds * 1000)) << one.text;
  }
  for (const char* text : {"", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:37", "Sun, 6 Nov 1994",
                           "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
                           "Sun, 06 Nov 1994 08:49:37 GMT x", "S"})
    EXPECT_FALSE(ParseRetryAfter(text, now)) << text;
}

TEST(RenewalInfo, HasItsWindowAndWhy) {
  auto info = ReadRenewalInfo(R"({
    "suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"},
    "explanationURL": "https://acme.example.com/docs/ari"})");
  ASSERT_TRUE(info) << info.error().detail;
  EXPECT_EQ(info->window_start, At(1'735'790'400));
  EXPECT_EQ(info->window_end, At(1'735'876'800));
  EXPECT_EQ(info->explanation_url, "https://acme.example.com/docs/ari");
}

TEST(RenewalInfo, AnExplanationThatIsNoUrlIsLeftOut) {
  for (const char* url : {"javascript:alert(1)", "https://a/\\u0007", "https://a b", "", "5"}) {
    auto info = ReadRenewalInfo(fmt::format(
        R"({{"suggestedWindow": {{"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"}},
             "explanationURL": "{}"}})",
        url));
    ASSERT_TRUE(info) << info.error().detail;
    EXPECT_EQ(info->explanation_url, "") << url;
  }
}

TEST(RenewalInfo, NonsenseIsRefused) {
  for (const char* text :
       {"", "[]", "null", "{}", "<html>", R"({"suggestedWindow": []})",
        R"({"suggestedWindow": {"start": "2025-01-02T04:00:00Z"}})",
        R"({"suggestedWindow": {"start": 1, "end": 2}})",
        R"({"suggestedWindow": {"start": "2025-01-03T04:00:00Z", "end": "2025-01-02T04:00:00Z"}})",
        R"({"suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-02T04:00:00Z"}})",
        R"({"suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2125-01-02T04:00:00Z"}})",
        R"({"suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"})"})
    EXPECT_FALSE(ReadRenewalInfo(text)) << text;
  EXPECT_FALSE(ReadRenewalInfo(std::string(60'000, '[')));
}

TEST(AcmeDirectory, MayOfferRenewalInfo) {
  auto with = ReadAcmeDirectory(
      R"({"newNonce": "https://ca/nonce", "renewalInfo": "https://ca/renewal", "meta": {}})");
  ASSERT_TRUE(with);
  EXPECT_EQ(*with, "https://ca/renewal");
  auto without = ReadAcmeDirectory(R"({"newNonce": "https://ca/nonce"})");
  ASSERT_TRUE(without);
  EXPECT_EQ(*without, "");
}

TEST(AcmeDirectory, WhatIsNoneIsRefused) {
  for (const char* text : {"", "{}", "[]", R"({"renewalInfo": "https://ca/renewal"})",
                           R"({"newNonce": "https://ca/n", "renewalInfo": "file:///etc/passwd"})"})
    EXPECT_FALSE(ReadAcmeDirectory(text)) << text;
}

}  // namespace
}  // namespace genkan::control
