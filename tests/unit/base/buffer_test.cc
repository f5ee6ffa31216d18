#include "proxy/base/buffer.h"

#include <gtest/gtest.h>

#include <array>

namespace genkan {
namespace {

// Two pieces, so that nothing lies together by luck.
Buffer TwoPieces() {
  Buffer buffer("one");
  buffer.Append(Buffer("two"));
  return buffer;
}

TEST(Buffer, CopyFrontLeavesTheBytes) {
  Buffer buffer = TwoPieces();
  std::array<char, 4> into{};
  EXPECT_EQ(buffer.CopyFront(into), 4u);
  EXPECT_EQ(std::string_view(into.data(), 4), "onet");
  EXPECT_EQ(buffer.ToText(), "onetwo");
}

TEST(Buffer, TakeRemovesWhatItCopied) {
  Buffer buffer = TwoPieces();
  std::array<char, 4> into{};
  EXPECT_EQ(buffer.Take(into), 4u);
  EXPECT_EQ(buffer.ToText(), "wo");
  EXPECT_EQ(buffer.Take(into), 2u);
  EXPECT_EQ(buffer.Take(into), 0u);
}

TEST(Buffer, MoveToMovesAtMostTheLimit) {
  Buffer from = TwoPieces(), to("zero");
  EXPECT_EQ(from.MoveTo(to, 4), 4u);
  EXPECT_EQ(to.ToText(), "zeroonet");
  EXPECT_EQ(from.MoveTo(to, 100), 2u);
  EXPECT_TRUE(from.empty());
}

TEST(Buffer, LinearJoinsPieces) {
  Buffer buffer = TwoPieces();
  EXPECT_EQ(buffer.Linear(5), "onetw");
  EXPECT_EQ(buffer.Linear(100), "onetwo");
  EXPECT_EQ(buffer.size(), 6u);
}

TEST(Buffer, CommitAddsWhatWasWrittenIntoTheReserve) {
  Buffer buffer("a");
  auto room = buffer.Reserve(100);
  ASSERT_GE(room.size(), 100u);
  room[0] = 'b';
  buffer.Commit(1);
  EXPECT_EQ(buffer.ToText(), "ab");
}

}  // namespace
}  // namespace genkan
