#include "proxy/http/headers.h"

#include <gtest/gtest.h>

#include <array>

namespace genkan::http {
namespace {

std::string Text(const Headers& headers) {
  std::string text;
  for (Headers::Field field : headers) {
    text += std::string(field.name) + "=" + std::string(field.value) + "\n";
  }
  return text;
}

TEST(Headers, KeepOrderAndCaseAndCompareWithoutCase) {
  Headers headers;
  headers.Add("Set-Cookie", "a");
  headers.Add("X-Other", "b");
  headers.Add("set-cookie", "c");
  EXPECT_EQ(Text(headers), "Set-Cookie=a\nX-Other=b\nset-cookie=c\n");
  EXPECT_EQ(headers.Count("SET-COOKIE"), 2u);
  EXPECT_EQ(headers.Get("set-COOKIE"), "a");
  EXPECT_FALSE(headers.Has("cookie"));
  EXPECT_EQ(headers.bytes(), 2 * 10 + 7 + 3u);
}

TEST(Headers, SetReplacesAllOfTheName) {
  Headers headers;
  headers.Add("A", "1");
  headers.Add("B", "2");
  headers.Add("a", "3");
  headers.Set("A", "4");
  EXPECT_EQ(Text(headers), "B=2\nA=4\n");
}

TEST(Headers, SetTakesViewsIntoItself) {
  Headers headers;
  headers.Add("A", "one");
  headers.Add("B", "two");
  for (int i = 0; i < 100; ++i) headers.Set("B", *headers.Get("A"));
  for (int i = 0; i < 100; ++i) headers.Add(headers.at(0).name, headers.at(1).value);
  EXPECT_EQ(headers.Get("B"), "one");
  EXPECT_EQ(headers.at(101).value, "one");
  EXPECT_EQ(headers.at(101).name, "A");
}

TEST(Headers, SetValueAtKeepsThePlace) {
  Headers headers;
  headers.Add("A", "1");
  headers.Add("B", "2");
  headers.SetValueAt(0, "a much longer value than before");
  EXPECT_EQ(Text(headers), "A=a much longer value than before\nB=2\n");
}

TEST(Headers, RemoveSaysHowMany) {
  Headers headers;
  headers.Add("A", "1");
  headers.Add("B", "2");
  headers.Add("a", "3");
  EXPECT_EQ(headers.Remove("a"), 2u);
  EXPECT_EQ(headers.Remove("a"), 0u);
  EXPECT_EQ(Text(headers), "B=2\n");
}

TEST(Headers, HasTokenReadsListsOfAllFields) {
  Headers headers;
  headers.Add("Connection", "keep-alive,\tUpgrade");
  headers.Add("connection", " x-a ,,close");
  EXPECT_TRUE(headers.HasToken("connection", "upgrade"));
  EXPECT_TRUE(headers.HasToken("connection", "CLOSE"));
  EXPECT_TRUE(headers.HasToken("connection", "x-a"));
  EXPECT_FALSE(headers.HasToken("connection", "x"));
  EXPECT_FALSE(headers.HasToken("upgrade", "websocket"));
}

TEST(Headers, AddsFieldsThatAreViewsIntoThemselves) {
  for (size_t room : {size_t{0}, size_t{4096}}) {
    Headers headers;
    headers.Reserve(8, room);
    headers.Add("first", "a value that is longer than any small string is");
    const Headers::Field first = headers.at(0);
    headers.AddAll(std::array<Headers::Field, 3>{
        {{"second", first.value}, {first.name, "x"}, {"third", {}}}});
    ASSERT_EQ(headers.size(), 4u);
    EXPECT_EQ(headers.at(1).value, headers.at(0).value);
    EXPECT_EQ(headers.at(2).name, "first");
    EXPECT_EQ(headers.at(3).name, "third");
    EXPECT_EQ(headers.at(3).value, "");
  }
}

}  // namespace
}  // namespace genkan::http
