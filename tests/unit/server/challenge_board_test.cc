#include "proxy/server/challenge_board.h"

#include <gtest/gtest.h>

namespace genkan::server {
namespace {

const MonotonicTime kNow{};

ChallengeHit Hit(int status) {
  ChallengeHit hit;
  hit.status = status;
  hit.host = "a.test";
  return hit;
}

TEST(ChallengeBoard, AnswersWhatWasPutUpUntilItsTimeIsOver) {
  ChallengeBoard board;
  EXPECT_EQ(board.Answer("t", kNow), "");
  EXPECT_TRUE(board.Put("t", "t.print", kNow + Seconds(10)));
  EXPECT_EQ(board.Answer("t", kNow + Seconds(9)), "t.print");
  EXPECT_EQ(board.Answer("u", kNow), "");
  EXPECT_EQ(board.Answer("t", kNow + Seconds(10)), "");
  EXPECT_TRUE(board.Put("t", "t.print", kNow + Seconds(20)));
  board.Drop("t");
  EXPECT_EQ(board.Answer("t", kNow), "");
}

TEST(ChallengeBoard, FindsTheTokenOfARequest) {
  ChallengeBoard board;
  EXPECT_EQ(board.TokenOf("/.well-known/acme-challenge/a-_9", "curl"), "a-_9");
  EXPECT_EQ(board.TokenOf("/.well-known/acme-challenge/", ""), "");
  EXPECT_EQ(board.TokenOf("/.well-known/acme-challenge/a/b", ""), "");
  EXPECT_EQ(board.TokenOf("/elsewhere", PreflightAgent("t")), "") << "nobody watches";
  board.Put("t", "", kNow + Seconds(10));
  EXPECT_EQ(board.TokenOf("/elsewhere", PreflightAgent("t")), "t");
  EXPECT_EQ(board.TokenOf("/elsewhere", "Mozilla/5.0"), "");
  EXPECT_EQ(board.TokenOf("/elsewhere", "genkan-preflight ("), "");
}

TEST(ChallengeBoard, KeepsWhatWasAnsweredOrIsWatched) {
  ChallengeBoard board;
  board.Note("stranger", Hit(404), kNow);
  EXPECT_EQ(board.Find("stranger", kNow).count, 0u);
  board.Note("answered", Hit(200), kNow);
  board.Note("answered", Hit(404), kNow);
  EXPECT_EQ(board.Find("answered", kNow).count, 2u);
  board.Put("watched", "", kNow + Seconds(10));
  board.Note("watched", Hit(403), kNow);
  ASSERT_EQ(board.Find("watched", kNow).hits.size(), 1u);
  EXPECT_EQ(board.Find("watched", kNow).hits[0].status, 403);
  ASSERT_EQ(board.Recent(kNow).size(), 2u);
  EXPECT_EQ(board.Recent(kNow)[0].token, "watched") << "the newest first";
}

TEST(ChallengeBoard, IsBounded) {
  ChallengeBoard board;
  EXPECT_TRUE(board.Put("watched", "", kNow + Seconds(10)));
  board.Note("watched", Hit(404), kNow);
  for (int i = 0; i < 200; ++i) board.Note("t" + std::to_string(i), Hit(200), kNow);
  EXPECT_EQ(board.Recent(kNow).size(), ChallengeBoard::kMostTokens);
  EXPECT_EQ(board.Find("t0", kNow).count, 0u);
  EXPECT_EQ(board.Find("watched", kNow).count, 1u) << "what is watched stays";
  for (int i = 0; i < 100; ++i) board.Note("watched", Hit(404), kNow);
  EXPECT_EQ(board.Find("watched", kNow).hits.size(), ChallengeBoard::kMostHits);
  EXPECT_EQ(board.Find("watched", kNow).count, 101u);
  int put = 0;
  for (int i = 0; i < 100; ++i)
    put += board.Put("p" + std::to_string(i), "", kNow + Seconds(10)) ? 1 : 0;
  EXPECT_EQ(put + 1, static_cast<int>(ChallengeBoard::kMostWatched));
}

}  // namespace
}  // namespace genkan::server
