#include "proxy/base/percent.h"

#include <gtest/gtest.h>

namespace genkan {
namespace {

TEST(Percent, AnEscapeIsTwoHexDigitsAndNothingLess) {
  EXPECT_EQ(EscapedByte("%41", 0), 0x41);
  EXPECT_EQ(EscapedByte("a%fF", 1), 0xff);
  EXPECT_EQ(EscapedByte("%00", 0), 0);
  for (const char* text : {"%", "%4", "%g1", "%1g", "%-1", "% 1", "41%", "A"})
    EXPECT_EQ(EscapedByte(text, 0), -1) << text;
}

TEST(Percent, EachEscapeBecomesItsByteOnce) {
  EXPECT_EQ(Unescape("/a%20b%2Fc"), "/a b/c");
  EXPECT_EQ(Unescape("%2541"), "%41") << "not twice";
  EXPECT_EQ(Unescape("100%"), "100%");
  EXPECT_EQ(Unescape("%4%41"), "%4A");
  EXPECT_EQ(Unescape("%c3%A4"), "\xc3\xa4");
  EXPECT_EQ(Unescape(std::string_view("%00")), std::string(1, '\0'));
  EXPECT_EQ(Unescape(""), "");
}

}  // namespace
}  // namespace genkan
