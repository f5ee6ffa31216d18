#include "proxy/base/text.h"

#include <gtest/gtest.h>

namespace genkan {
namespace {

TEST(Text, ParseDecimalTakesDigitsAlone) {
  EXPECT_EQ(ParseDecimal("0"), 0u);
  EXPECT_EQ(ParseDecimal("007"), 7u);
  EXPECT_EQ(ParseDecimal("9223372036854775807"), 9223372036854775807u);
  for (const char* text : {"", " 1", "1 ", "+1", "-1", "0x1", "1_0", "9223372036854775808",
                           "99999999999999999999999999"})
    EXPECT_FALSE(ParseDecimal(text)) << text;
}

TEST(Text, ParseHexTakesSixteenDigits) {
  EXPECT_EQ(ParseHex("ffffffffffffffff"), ~uint64_t{0});
  EXPECT_EQ(ParseHex("0aF"), 0xafu);
  for (const char* text : {"", "0x1", "g", " 1", "-1", "10000000000000000", "00000000000000001"})
    EXPECT_FALSE(ParseHex(text)) << text;
}

TEST(Text, TrimAndSplitKnowBlanksAndTabsOnly) {
  EXPECT_EQ(Trim(" \ta b\t "), "a b");
  EXPECT_EQ(Trim(" \t"), "");
  EXPECT_EQ(Trim("\r\n"), "\r\n");
  EXPECT_EQ(Split("a, b,,c ", ','), (std::vector<std::string_view>{"a", "b", "", "c"}));
  EXPECT_EQ(Split("", ','), std::vector<std::string_view>{""});
}

TEST(Text, CaseIsAsciiCase) {
  EXPECT_TRUE(EqualsIgnoreCase("Content-Length", "content-lENGTH"));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
  EXPECT_FALSE(EqualsIgnoreCase("[", "{"));
  EXPECT_EQ(ToLower("A\xc4Z"), "a\xc4z");
}

TEST(Text, Base64AndBack) {
  for (auto [plain, coded] : {std::pair{"", ""},
                              {"f", "Zg=="},
                              {"fo", "Zm8="},
                              {"foo", "Zm9v"},
                              {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(Base64Encode(AsBytes(plain)), coded);
    EXPECT_EQ(Base64Decode(coded), plain);
  }
  EXPECT_EQ(Base64UrlEncode(AsBytes("\xfb\xff\xfe?")), "-__-Pw");
  for (const char* text : {"Z", "Zg", "Zg=", "Zh==", "Zm9v\n", "Zg==Zg==", "====", "Z===", "Zm 8="})
    EXPECT_FALSE(Base64Decode(text)) << text;
}

TEST(Text, Base64OfEveryLengthComesBackAndAWrongLetterAnywhereIsRefused) {
  std::string plain;
  for (int i = 0; i < 70; ++i) {
    const std::string coded = Base64Encode(AsBytes(plain));
    EXPECT_EQ(coded.size(), (plain.size() + 2) / 3 * 4);
    EXPECT_EQ(Base64Decode(coded), plain);
    EXPECT_EQ(Base64UrlEncode(AsBytes(plain)).size(), (plain.size() * 4 + 2) / 3);
    for (size_t at = 0; at < coded.size(); ++at) {
      std::string wrong = coded;
      wrong[at] = '-';
      EXPECT_FALSE(Base64Decode(wrong)) << wrong;
    }
    plain += static_cast<char>(i * 151 + 7);
  }
}

TEST(Text, EscapedTextHasNoControlByteAndOneReading) {
  EXPECT_EQ(EscapeControl("plain text"), "plain text");
  EXPECT_EQ(EscapeControl("a\r\nb\x7f\xc3"), "a\\x0d\\x0ab\\x7f\\xc3");
  EXPECT_EQ(EscapeControl("\\x0a"), "\\x5cx0a");
  EXPECT_EQ(EscapeControl(std::string_view("\0", 1)), "\\x00");
}

TEST(Text, GlobMatches) {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  for (const Case& c : {Case{"*.pem", "a.pem", true},
                        {"*.pem", ".pem", true},
                        {"*.pem", "a.pem2", false},
                        {"a?c", "abc", true},
                        {"a?c", "ac", false},
                        {"*", "", true},
                        {"", "", true},
                        {"", "a", false},
                        {"**a**", "bab", true},
                        {"a*b*c", "aXbYbZc", true},
                        {"a*b*c", "aXcYb", false}})
    EXPECT_EQ(GlobMatch(c.pattern, c.text), c.matches) << c.pattern << " " << c.text;
}

TEST(Text, GlobIsQuickOnHostilePatterns) {
  std::string pattern, text(20'000, 'a');
  for (int i = 0; i < 1'000; ++i) pattern += "a*";
  EXPECT_FALSE(GlobMatch(pattern + "b", text));
}

TEST(Text, NearestWordGuessesTyposOnly) {
  const std::string_view known[] = {"listener", "upstream", "certificates", "user"};
  EXPECT_EQ(NearestWord("listner", known), "listener");
  EXPECT_EQ(NearestWord("Upstreams", known), "upstream");
  EXPECT_EQ(NearestWord("certificate", known), "certificates");
  EXPECT_EQ(NearestWord("banana", known), "");
}

TEST(Text, HexIsLowerCase) { EXPECT_EQ(HexEncode(AsBytes("\x01\xab\xff")), "01abff"); }

}  // namespace
}  // namespace genkan
