#include "proxy/base/host_gate.h"

namespace genkan {

bool HostGate::Enter(std::string_view host, MonotonicTime now) {
  std::lock_guard lock(mutex_);
  if (under_way_ >= limits_.under_way) return false;
  auto found = recent_.find(host);
  if (found == recent_.end()) {
    if (recent_.size() >= limits_.hosts) Forget(now);
    // So many hosts within a second are nobody's real ones.
    found = recent_.try_emplace(std::string(recent_.size() < limits_.hosts ? host : "")).first;
  }
  std::deque<MonotonicTime>& times = found->second;
  while (!times.empty() && now - times.front() >= Seconds(1)) times.pop_front();
  if (times.size() >= limits_.per_second) return false;
  times.push_back(now);
  ++under_way_;
  return true;
}

void HostGate::Leave() {
  std::lock_guard lock(mutex_);
  --under_way_;
}

void HostGate::Forget(MonotonicTime now) {
  std::erase_if(recent_, [&](const auto& entry) {
    return entry.second.empty() || now - entry.second.back() >= Seconds(1);
  });
}

}  // namespace genkan
