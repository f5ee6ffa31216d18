#include "proxy/base/buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>

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

// Whatever is done, in whatever order.
TEST(Buffer, HoldsWhatATextWouldAfterAnyOperations) {
  std::mt19937 random(2018);
  auto below = [&random](size_t limit) { return random() % limit; };
  std::array<Buffer, 2> buffers;
  std::array<std::string, 2> texts;
  char next = 'a';
  auto some = [&] {
    next = next == 'z' ? 'a' : static_cast<char>(next + 1);
    return std::string(below(3) == 0 ? below(5'000) : below(9), next);
  };
  for (int step = 0; step < 20'000; ++step) {
    size_t one = below(2);
    Buffer& buffer = buffers[one];
    Buffer& other = buffers[1 - one];
    std::string& text = texts[one];
    std::string& other_text = texts[1 - one];
    switch (below(10)) {
      case 0:
      case 1: {
        std::string added = some();
        buffer.Append(std::string_view(added));
        text += added;
        break;
      }
      case 2: {
        std::string added = some();
        buffer.Prepend(added);
        text.insert(0, added);
        break;
      }
      case 3: {
        std::string added = some();
        std::span<char> room = buffer.Reserve(added.size() + 1);
        ASSERT_GE(room.size(), added.size() + 1);
        std::copy(added.begin(), added.end(), room.begin());
        buffer.Commit(added.size());
        text += added;
        break;
      }
      case 4: {
        size_t limit = below(6'000);
        size_t moved = buffer.MoveTo(other, limit);
        ASSERT_EQ(moved, std::min(limit, text.size()));
        other_text += text.substr(0, moved);
        text.erase(0, moved);
        break;
      }
      case 5: {
        size_t bytes = below(6'000);
        buffer.Drain(bytes);
        text.erase(0, bytes);
        break;
      }
      case 6: {
        std::string taken(below(3'000), '\0');
        taken.resize(buffer.Take(taken));
        ASSERT_EQ(taken, text.substr(0, taken.size()));
        text.erase(0, taken.size());
        break;
      }
      case 7:
        ASSERT_EQ(buffer.Linear(text.size() / 2), text.substr(0, text.size() / 2));
        break;
      case 9: {
        std::array<iovec, 3> pieces;
        size_t limit = below(6'000);
        int count = buffer.Peek(pieces, limit);
        std::string seen;
        for (int i = 0; i < count; ++i)
          seen.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
        ASSERT_EQ(seen, text.substr(0, seen.size()));
        ASSERT_LE(seen.size(), limit);
        if (count < 3) {
          ASSERT_EQ(seen.size(), std::min(limit, text.size()));
        }
        break;
      }
      case 8:
        if (below(20) == 0) {
          other.Append(buffer);
          other_text += text;
          text.clear();
        } else if (below(20) == 0) {
          std::swap(buffer, other);
          std::swap(text, other_text);
        }
        break;
    }
    ASSERT_EQ(buffer.size(), text.size()) << step;
    ASSERT_EQ(other.size(), other_text.size()) << step;
    ASSERT_EQ(buffer.ToText(), text) << step;
    ASSERT_EQ(buffer.Front(), text.substr(0, buffer.Front().size())) << step;
    ASSERT_EQ(buffer.Front().empty(), text.empty()) << step;
  }
}

TEST(Buffer, CommittingNothingAddsNothingAndKeepsNoBlock) {
  Buffer buffer;
  buffer.Reserve(1000);
  buffer.Commit(0);
  EXPECT_TRUE(buffer.empty());
  buffer.Append(std::string_view("a"));
  buffer.Reserve(100'000);
  buffer.Commit(0);
  buffer.Reserve(10);
  buffer.Commit(0);
  EXPECT_EQ(buffer.ToText(), "a");
}

TEST(Buffer, PartsOfAPieceAreNotCopiedAndOutliveEachOther) {
  Buffer whole(std::string(10'000, 'x')), part;
  const char* front = whole.Front().data();
  whole.MoveTo(part, 4'000);
  EXPECT_EQ(part.Front().data(), front);
  EXPECT_EQ(whole.Front().data(), front + 4'000);
  whole = Buffer();
  EXPECT_EQ(part.ToText(), std::string(4'000, 'x'));
}

// What is behind a part is the other part's.
TEST(Buffer, AppendingToAPartLeavesTheOtherPartAlone) {
  Buffer whole(std::string(10'000, 'x')), part;
  whole.MoveTo(part, 4'000);
  part.Append(std::string_view("yyy"));
  part.Reserve(10)[0] = 'z';
  part.Commit(1);
  EXPECT_EQ(whole.ToText(), std::string(6'000, 'x'));
  EXPECT_EQ(part.ToText(), std::string(4'000, 'x') + "yyyz");
  whole.Append(std::string_view("w"));
  EXPECT_EQ(whole.ToText(), std::string(6'000, 'x') + "w");
}

TEST(Buffer, OneThatNeverHadAByteIsAsEmptyAsOneThatLostThem) {
  Buffer fresh, other("x");
  std::array<char, 4> room;
  EXPECT_EQ(fresh.Take(room), 0u);
  EXPECT_EQ(fresh.CopyFront(room), 0u);
  EXPECT_EQ(fresh.MoveTo(other, 10), 0u);
  EXPECT_TRUE(fresh.Linear(10).empty());
  EXPECT_TRUE(fresh.Front().empty());
  fresh.Drain(10);
  fresh.Clear();
  other.Append(fresh);
  fresh.Append(other);
  EXPECT_EQ(fresh.ToText(), "x");
  EXPECT_TRUE(other.empty());
}

TEST(Buffer, ManySmallOnesAreJoinedAndNotKeptABlockEach) {
  // As a client's DATA frames of one byte come, or an origin's events, while nobody takes them.
  Buffer all;
  for (int i = 0; i < 4096; ++i) {
    Buffer one("x");
    all.Append(one);
    EXPECT_TRUE(one.empty());
  }
  EXPECT_EQ(all.ToText(), std::string(4096, 'x'));
  std::array<iovec, 4096> pieces;
  EXPECT_LE(all.Peek(pieces, all.size()), 16);
}

TEST(Buffer, AppendedToItselfItIsAsBefore) {
  Buffer buffer("abc");
  buffer.Append(buffer);
  EXPECT_EQ(buffer.ToText(), "abc");
}

}  // namespace
}  // namespace genkan
