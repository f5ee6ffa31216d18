#include "proxy/upstream/balancer.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace genkan::upstream {
namespace {

using Outcome = Choice::Outcome;

std::vector<ServerSpec> Servers(std::vector<uint32_t> weights) {
  std::vector<ServerSpec> servers;
  for (size_t i = 0; i < weights.size(); ++i)
    servers.push_back({"10.0.0." + std::to_string(i + 1) + ":80", weights[i], false});
  return servers;
}

std::string Picks(Balancer& balancer, std::vector<Candidate>& candidates, int count) {
  std::string letters;
  for (int i = 0; i < count; ++i) {
    Choice choice = balancer.Pick(candidates, 0);
    letters += choice.outcome == Outcome::kServer ? static_cast<char>('a' + choice.server)
               : choice.outcome == Outcome::kWait ? '?'
                                                  : '-';
  }
  return letters;
}

TEST(Balancer, RoundRobinFollowsTheWeightsSmoothly) {
  struct Row {
    std::vector<uint32_t> weights;
    std::string picks;
  };
  for (const auto& row : std::vector<Row>{{{1}, "aaaa"},
                                          {{1, 1}, "abab"},
                                          {{1, 1, 1}, "abcabc"},
                                          {{5, 1, 1}, "aabacaaaabacaa"},
                                          {{2, 1}, "abaaba"},
                                          {{0, 1}, "bbb"},
                                          {{0}, "--"}}) {
    Balancer balancer(Balance::kRoundRobin, Servers(row.weights));
    std::vector<Candidate> candidates(row.weights.size());
    EXPECT_EQ(Picks(balancer, candidates, static_cast<int>(row.picks.size())), row.picks);
  }
}

TEST(Balancer, SkipsWhatIsDownTriedOrFull) {
  Balancer balancer(Balance::kRoundRobin, Servers({1, 1, 1}));
  std::vector<Candidate> candidates(3);
  candidates[0].is_up = false;
  EXPECT_EQ(Picks(balancer, candidates, 4), "bcbc");
  candidates[1].was_tried = true;
  EXPECT_EQ(Picks(balancer, candidates, 2), "cc");
  candidates[2].has_room = false;
  EXPECT_EQ(Picks(balancer, candidates, 1), "?")
      << "full is waited for, rather than the down asked";
  candidates[2].was_tried = true;
  EXPECT_EQ(Picks(balancer, candidates, 1), "a") << "rather than refuse";
  candidates[0].was_tried = true;
  EXPECT_EQ(Picks(balancer, candidates, 1), "-");
}

TEST(Balancer, BackupsServeOnlyWhenNoPrimaryIsUp) {
  auto servers = Servers({1, 1, 1});
  servers[2].backup = true;
  Balancer balancer(Balance::kRoundRobin, servers);
  std::vector<Candidate> candidates(3);
  EXPECT_EQ(Picks(balancer, candidates, 4), "abab");
  candidates[0].has_room = candidates[1].has_room = false;
  EXPECT_EQ(Picks(balancer, candidates, 1), "?") << "full is not down";
  candidates[0].is_up = candidates[1].is_up = false;
  EXPECT_EQ(Picks(balancer, candidates, 2), "cc");
  candidates[2].is_up = false;
  candidates[0].has_room = candidates[1].has_room = true;
  EXPECT_NE(Picks(balancer, candidates, 1), "-") << "all are down: one is tried all the same";
}

TEST(Balancer, LeastConnectionsCountsByWeight) {
  Balancer balancer(Balance::kLeastConnections, Servers({1, 1, 4}));
  std::vector<Candidate> candidates(3);
  candidates[0].requests = 1;
  candidates[1].requests = 0;
  candidates[2].requests = 3;
  EXPECT_EQ(balancer.Pick(candidates, 0).server, 1u);
  candidates[1].requests = 1;
  EXPECT_EQ(balancer.Pick(candidates, 0).server, 2u) << "3 of 4 is less than 1 of 1";
  candidates[2].requests = 5;
  EXPECT_NE(balancer.Pick(candidates, 0).server, 2u);
  for (auto& candidate : candidates) candidate.requests = 0;
  std::map<size_t, int> counts;
  for (int i = 0; i < 60; ++i) ++counts[balancer.Pick(candidates, 0).server];
  EXPECT_NEAR(counts[0], 10, 1) << "idle ones share by weight";
  EXPECT_NEAR(counts[2], 40, 1);
}

TEST(Balancer, ConsistentHashKeepsAClientAndMovesOnlyTheLost) {
  Balancer balancer(Balance::kConsistentHash, Servers({1, 1, 2, 1}));
  std::vector<Candidate> candidates(4);
  std::map<size_t, int> counts;
  int moved = 0;
  for (int i = 0; i < 5000; ++i) {
    uint64_t key = Balancer::HashKey("192.0.2." + std::to_string(i));
    size_t before = balancer.Pick(candidates, key).server;
    EXPECT_EQ(balancer.Pick(candidates, key).server, before);
    ++counts[before];
    candidates[1].is_up = false;
    size_t after = balancer.Pick(candidates, key).server;
    candidates[1].is_up = true;
    if (before != 1) {
      EXPECT_EQ(after, before);
    } else {
      ++moved;
    }
  }
  EXPECT_EQ(moved, counts[1]);
  EXPECT_NEAR(counts[0], 1000, 150);
  EXPECT_NEAR(counts[2], 2000, 200);
}

}  // namespace
}  // namespace genkan::upstream
