#include "proxy/control/trial_ahead.h"

#include <algorithm>
#include <utility>

namespace genkan::control {
namespace {

constexpr size_t kMost = 8;
constexpr Millis kLife{3'000};  // files settle within one

}  // namespace

TrialAhead::TrialAhead(Options options)
    : options_(options), forget_(options_.loop, [this] { trials_.clear(); }) {}

void TrialAhead::Begin(ProofTask task, const Profiles& profiles) {
  std::string fingerprint = task.bundle->fingerprint();
  const bool is_known = std::any_of(trials_.begin(), trials_.end(), [&](const auto& trial) {
    return trial->IsOf(fingerprint, task.policy, task.server_name, profiles);
  });
  if (is_known || trials_.size() >= kMost || options_.pool == nullptr) return;
  const auto trial = std::make_shared<Trial>(
      Trial{std::move(fingerprint), std::move(task), profiles, std::nullopt});
  std::weak_ptr<bool> alive = alive_;
  // The time of the question: the clock is this thread's.
  const bool is_taken =
      options_.pool->Submit([alive, trial, now = options_.clock.Wall(), loop = &options_.loop] {
        const ManualClock clock(now);
        tls::Rehearsed rehearsed = tls::Rehearse(trial->task.bundle, trial->task.policy,
                                                 trial->task.server_name, trial->profiles, clock);
        loop->Post([alive, trial, failure = std::move(rehearsed.failure)]() mutable {
          if (alive.lock()) trial->failure = std::move(failure);
        });
      });
  if (!is_taken) return;
  trials_.push_back(trial);
  forget_.Start(kLife);
}

std::optional<TrialAhead::Outcome> TrialAhead::Find(const std::string& fingerprint,
                                                    const tls::TlsPolicy& policy,
                                                    const std::string& server_name,
                                                    const Profiles& profiles) const {
  for (const auto& trial : trials_) {
    if (trial->failure && trial->IsOf(fingerprint, policy, server_name, profiles))
      return Outcome{trial->task.bundle, *trial->failure};
  }
  return std::nullopt;
}

}  // namespace genkan::control
