// Tries a renewed certificate while its files still settle: what is read and decided on a moment
// later has had its trial by then. An outcome counts for the very same bundle and question alone,
// and for a few seconds. Control thread, the trials on helpers; owned by the CertManager.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/control/cert_prover.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"

namespace genkan::control {

class TrialAhead {
 public:
  struct Options {
    event::EventLoop& loop;
    event::BlockingPool* pool;  // null: nothing is tried ahead
    const Clock& clock;
  };
  using Profiles = std::vector<tls::TrustProfilePtr>;
  struct Outcome {
    tls::BundlePtr bundle;  // the same, with its key decoded
    std::string failure;    // as Rehearsed
  };

  explicit TrialAhead(Options options);

  // In the background; what is asked again is tried once.
  void Begin(ProofTask task, const Profiles& profiles);
  // Nothing where it was not asked, or is not known yet.
  std::optional<Outcome> Find(const std::string& fingerprint, const tls::TlsPolicy& policy,
                              const std::string& server_name, const Profiles& profiles) const;

 private:
  struct Trial {
    std::string fingerprint;
    ProofTask task;
    Profiles profiles;
    std::optional<std::string> failure;  // nothing: it is under way
    bool IsOf(const std::string& other, const tls::TlsPolicy& policy,
              const std::string& server_name, const Profiles& other_profiles) const {
      return fingerprint == other && task.policy == policy && task.server_name == server_name &&
             profiles == other_profiles;
    }
  };

  Options options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<std::shared_ptr<Trial>> trials_;
  event::Timer forget_;
};

}  // namespace genkan::control
