#include "proxy/server/challenge_board.h"

#include <algorithm>

#include "proxy/base/text.h"

namespace genkan::server {
namespace {

constexpr std::string_view kAgent = "genkan-preflight (";

}  // namespace

bool IsChallengeToken(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
    return IsAlpha(c) || IsDigit(c) || c == '-' || c == '_';
  });
}

std::string PreflightAgent(std::string_view token) {
  return std::string(kAgent).append(token).append(")");
}

ChallengeBoard::Entries::iterator ChallengeBoard::Locate(std::string_view token) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return entry.record.token == token; });
}

void ChallengeBoard::Count() {
  auto watched = std::count_if(entries_.begin(), entries_.end(),
                               [](const Entry& entry) { return entry.record.is_watched; });
  watched_.store(static_cast<size_t>(watched), std::memory_order_relaxed);
}

void ChallengeBoard::Expire(MonotonicTime now) {
  for (Entry& entry : entries_) {
    if (!entry.record.is_watched || now < entry.until) continue;
    entry.record.is_watched = false;
    entry.answer.clear();
  }
  Count();
}

bool ChallengeBoard::Put(std::string_view token, std::string answer, MonotonicTime until) {
  std::lock_guard lock(mutex_);
  auto found = Locate(token);
  bool is_new = found == entries_.end() || !found->record.is_watched;
  if (is_new && watched_.load(std::memory_order_relaxed) >= kMostWatched) return false;
  if (found == entries_.end()) {
    entries_.emplace_front();
    found = entries_.begin();
    found->record.token = token;
  }
  found->record.is_watched = true;
  found->answer = std::move(answer);
  found->until = until;
  Count();
  return true;
}

void ChallengeBoard::Drop(std::string_view token) {
  std::lock_guard lock(mutex_);
  auto found = Locate(token);
  if (found != entries_.end()) entries_.erase(found);
  Count();
}

std::string ChallengeBoard::Answer(std::string_view token, MonotonicTime now) {
  if (watched_.load(std::memory_order_relaxed) == 0) return {};
  std::lock_guard lock(mutex_);
  Expire(now);
  auto found = Locate(token);
  return found == entries_.end() ? std::string() : found->answer;
}

std::string ChallengeBoard::TokenOf(std::string_view path, std::string_view user_agent) const {
  std::string_view token;
  if (path.starts_with(kChallengePrefix)) {
    token = path.substr(kChallengePrefix.size());
  } else if (watched_.load(std::memory_order_relaxed) > 0 && user_agent.starts_with(kAgent) &&
             user_agent.ends_with(')')) {
    token = user_agent.substr(kAgent.size(), user_agent.size() - kAgent.size() - 1);
  }
  return IsChallengeToken(token) ? std::string(token) : std::string();
}

void ChallengeBoard::Note(std::string_view token, ChallengeHit hit, MonotonicTime now) {
  std::lock_guard lock(mutex_);
  Expire(now);
  auto found = Locate(token);
  if (found == entries_.end()) {
    if (hit.status != 200) return;
    entries_.emplace_front();
    entries_.front().record.token = token;
  } else {
    entries_.splice(entries_.begin(), entries_, found);
  }
  ChallengeRecord& record = entries_.front().record;
  ++record.count;
  record.hits.push_back(std::move(hit));
  if (record.hits.size() > kMostHits) record.hits.pop_front();
  if (entries_.size() <= kMostTokens) return;
  auto oldest = std::find_if(entries_.rbegin(), entries_.rend(),
                             [](const Entry& entry) { return !entry.record.is_watched; });
  entries_.erase(std::next(oldest).base());
}

ChallengeRecord ChallengeBoard::Find(std::string_view token, MonotonicTime now) {
  std::lock_guard lock(mutex_);
  Expire(now);
  auto found = Locate(token);
  return found == entries_.end() ? ChallengeRecord() : found->record;
}

std::vector<ChallengeRecord> ChallengeBoard::Recent(MonotonicTime now) {
  std::lock_guard lock(mutex_);
  Expire(now);
  std::vector<ChallengeRecord> records;
  for (const Entry& entry : entries_) {
    if (entry.record.count > 0) records.push_back(entry.record);
  }
  return records;
}

}  // namespace genkan::server
