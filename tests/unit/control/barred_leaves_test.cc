#include "proxy/control/barred_leaves.h"

#include <gtest/gtest.h>

namespace genkan::control {
namespace {

std::string Hash(char fill) { return std::string(32, fill); }
WallTime At(int64_t seconds) { return WallTime(Seconds(seconds)); }

TEST(BarredLeaves, AreReadAsTheyWereWritten) {
  const BarredLeaves leaves{
      {Hash('a'), At(1'800'000'000)}, {Hash('\0'), At(1)}, {Hash('\xff'), At(9'000'000'000)}};
  auto memory = WriteBarred(leaves);
  ASSERT_TRUE(memory) << memory.error().detail;
  auto read = ReadBarred(*memory);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(*read, leaves);
}

TEST(BarredLeaves, NoneAreNone) {
  auto memory = WriteBarred({});
  ASSERT_TRUE(memory);
  auto read = ReadBarred(*memory);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->empty());
}

TEST(BarredLeaves, PartsOfASecondAreRoundedUpAndTimesAreHeldInBounds) {
  const BarredLeaves leaves{{Hash('a'), At(5) + Millis(1)}, {Hash('b'), At(-7)}};
  auto read = ParseBarred(PackBarred(leaves));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at(Hash('a')), At(6));
  EXPECT_EQ(read->at(Hash('b')), At(0));
}

TEST(BarredLeaves, DamageIsRefused) {
  const std::string one = PackBarred({{Hash('a'), At(5)}});
  ASSERT_EQ(one.size(), 40u);
  for (size_t cut = 1; cut < one.size(); ++cut)
    EXPECT_FALSE(ParseBarred(one.substr(0, cut))) << cut;
  EXPECT_FALSE(ParseBarred(one + "x"));
  EXPECT_FALSE(ParseBarred(Hash('a') + std::string(8, '\xff'))) << "a time beyond all clocks";
  EXPECT_FALSE(ReadBarred(net::Fd())) << "no descriptor";
}

}  // namespace
}  // namespace genkan::control
