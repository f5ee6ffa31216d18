#include "proxy/upstream/balancer.h"

#include <cmath>

#include "proxy/base/check.h"

namespace genkan::upstream {
namespace {

// splitmix64's finisher: every bit of the input reaches every bit of the output.
uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

// Rendezvous: the highest score wins. A server that goes moves only its own clients, one that comes
// takes an equal part of everybody's, and the weights are kept exactly; with the few servers of a
// pool that beats a ring.
double Score(uint64_t key, uint64_t server, uint32_t weight) {
  uint64_t bits = Mix(key ^ server) >> 11;  // 53 bits, as many as a double has
  double uniform = (static_cast<double>(bits) + 0.5) * 0x1.0p-53;
  return static_cast<double>(weight) / -std::log(uniform);
}

}  // namespace

uint64_t Balancer::HashKey(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return Mix(hash);
}

Balancer::Balancer(Balance balance, const std::vector<ServerSpec>& servers) : balance_(balance) {
  for (const auto& server : servers)
    servers_.push_back({server.weight, server.backup, HashKey(server.address)});
}

template <class Allowed>
std::optional<size_t> Balancer::PickAmong(std::span<const Candidate> candidates, uint64_t key,
                                          Allowed allowed) {
  std::optional<size_t> best;
  if (balance_ == Balance::kConsistentHash) {
    double best_score = 0;
    for (size_t i = 0; i < servers_.size(); ++i) {
      if (!allowed(i)) continue;
      double score = Score(key, servers_[i].hash, servers_[i].weight);
      if (!best || score > best_score) {
        best = i;
        best_score = score;
      }
    }
    return best;
  }
  // Smooth weighted round robin: everybody earns its weight, the richest serves and pays what all
  // earned. With weights 5, 1, 1 that gives a a b a c a a, never five in a row. Among equally
  // loaded servers it also breaks the ties of least connections.
  int64_t earned = 0;
  auto is_better = [&](size_t a, size_t b) {
    if (balance_ == Balance::kLeastConnections) {
      uint64_t left = uint64_t{candidates[a].requests} * servers_[b].weight;
      uint64_t right = uint64_t{candidates[b].requests} * servers_[a].weight;
      if (left != right) return left < right;
    }
    return servers_[a].credit > servers_[b].credit;
  };
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (!allowed(i)) continue;
    servers_[i].credit += servers_[i].weight;
    earned += servers_[i].weight;
    if (!best || is_better(i, *best)) best = i;
  }
  if (best) servers_[*best].credit -= earned;
  return best;
}

Choice Balancer::Pick(std::span<const Candidate> candidates, uint64_t key) {
  GENKAN_CHECK(candidates.size() == servers_.size());
  enum Tier { kPrimariesUp, kBackupsUp, kAnybody };
  for (Tier tier : {kPrimariesUp, kBackupsUp, kAnybody}) {
    bool is_waiting = false;
    auto allowed = [&](size_t i) {
      const Candidate& candidate = candidates[i];
      if (servers_[i].weight == 0 || candidate.was_tried) return false;
      if (tier == kPrimariesUp && (servers_[i].is_backup || !candidate.is_up)) return false;
      if (tier == kBackupsUp && (!servers_[i].is_backup || !candidate.is_up)) return false;
      if (!candidate.has_room) is_waiting = true;
      return candidate.has_room;
    };
    if (auto server = PickAmong(candidates, key, allowed)) {
      return {Choice::Outcome::kServer, *server};
    }
    // Full is not down: a backup is for those that are down.
    if (is_waiting) return {Choice::Outcome::kWait, 0};
  }
  return {};
}

}  // namespace genkan::upstream
