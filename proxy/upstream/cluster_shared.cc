#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/upstream/cluster.h"

namespace genkan::upstream {
namespace {

constexpr uint32_t kFailuresToEject = 3;
constexpr Millis kFirstEjection{5'000};
constexpr Millis kLongestEjection{60'000};

int64_t ToMillis(MonotonicTime time) {
  return std::chrono::duration_cast<Millis>(time.time_since_epoch()).count();
}

}  // namespace

struct ClusterShared::Member {
  event::EventLoop& loop;
  std::function<void()> wake;  // its loop's thread; empty once it has left
  std::atomic<bool> is_woken{false};
};

ClusterShared::ClusterShared(ClusterSpec spec)
    : spec_(std::move(spec)), states_(spec_.servers.size()) {}

bool ClusterShared::ServerState::is_ejected(MonotonicTime now) const {
  int64_t until = ejected_until.load(std::memory_order_relaxed);
  return until != 0 && until > ToMillis(now);
}

bool ClusterShared::TakeSlot(size_t server) {
  auto& connections = states_[server].connections;
  uint32_t taken = connections.load(std::memory_order_relaxed);
  while (taken < spec_.max_connections)
    if (connections.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed)) return true;
  return false;
}

void ClusterShared::ReleaseSlot(size_t server) {
  states_[server].connections.fetch_sub(1, std::memory_order_relaxed);
}

void ClusterShared::ReportConnected(size_t server) {
  ServerState& state = states_[server];
  // Nearly always they are 0: then a shared line of the cache stays unwritten.
  if (state.failures_in_row.load(std::memory_order_relaxed) == 0) return;
  state.failures_in_row.store(0, std::memory_order_relaxed);
  state.ejections.store(0, std::memory_order_relaxed);
  state.ejected_until.store(0, std::memory_order_relaxed);
}

void ClusterShared::ReportConnectFailure(size_t server, MonotonicTime now) {
  ServerState& state = states_[server];
  state.failures_total.fetch_add(1, std::memory_order_relaxed);
  if (state.failures_in_row.fetch_add(1, std::memory_order_relaxed) + 1 < kFailuresToEject) return;
  // Connections that were begun before the ejection fail during it; they say nothing new.
  if (state.is_ejected(now)) return;
  bool is_last = true;
  for (size_t i = 0; i < states_.size(); ++i)
    if (i != server && spec_.servers[i].weight > 0 && states_[i].is_up(now)) is_last = false;
  if (is_last) return;
  uint32_t times = std::min(state.ejections.fetch_add(1, std::memory_order_relaxed), 10u);
  Millis length = std::min(kFirstEjection * (1 << times), kLongestEjection);
  state.ejected_until.store(ToMillis(now + length), std::memory_order_relaxed);
  LOG_WARN("upstream_ejected", "upstream={} server={} seconds={}", spec_.name,
           spec_.servers[server].address, length.count() / 1000);
}

std::shared_ptr<ClusterShared::Member> ClusterShared::Join(event::EventLoop& loop,
                                                           std::function<void()> wake) {
  std::shared_ptr<Member> member(new Member{loop, std::move(wake)});
  std::lock_guard lock(mutex_);
  members_.push_back(member);
  member_count_.store(static_cast<uint32_t>(members_.size()), std::memory_order_relaxed);
  return member;
}

void ClusterShared::Leave(const std::shared_ptr<Member>& member) {
  member->wake = nullptr;
  std::lock_guard lock(mutex_);
  std::erase(members_, member);
  member_count_.store(static_cast<uint32_t>(members_.size()), std::memory_order_relaxed);
}

void ClusterShared::Wake(const std::shared_ptr<Member>& from) {
  // Under the lock no member leaves, so each one's loop is there.
  std::lock_guard lock(mutex_);
  for (const auto& member : members_) {
    if (member == from || member->is_woken.exchange(true)) continue;
    member->loop.Post([member] {
      member->is_woken.store(false);
      if (member->wake) member->wake();
    });
  }
}

}  // namespace genkan::upstream
