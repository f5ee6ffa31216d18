// Tries what came into service without a trial (a start, a new site): handshakes in memory with
// each kind of client, and what each says to the chain, on a helper thread, one certificate after
// the other and with rests, while it serves already. What was proved, and which signatures
// verified, is kept in state_dir/proofs, so that the next start has neither to do again. Control
// thread; owned by the CertManager.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proxy/control/certificate_source.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"
#include "proxy/tls/rehearsal.h"
#include "proxy/tls/trust_profiles.h"

namespace genkan::control {

// What is to be found out of one bundle.
struct ProofTask {
  tls::BundlePtr bundle;
  tls::TlsPolicy policy;
  std::string server_name;
  bool has_trial = true;  // false: an earlier run has tried it
};

struct ProofResult {
  std::optional<tls::Rehearsed> rehearsed;  // of the trial
  std::vector<tls::ChainProof> proofs;      // what each kind of client says to the chain
};

class CertProver {
 public:
  struct Options {
    event::EventLoop& loop;
    event::BlockingPool* pool;  // null: on the loop itself, one a turn
    StateDir& state;
    const Clock& clock;
    std::function<void(const std::string& fingerprint, ProofResult)> on_result;
    // The bundles whose proofs are worth keeping.
    std::function<std::vector<tls::BundlePtr>()> in_service;
  };

  explicit CertProver(Options options);

  // What earlier runs have proved with these roots and profiles; nothing where they are the same as
  // at the last call.
  void Load(const CertificateContext& context);
  bool IsProved(const std::string& fingerprint) const { return proved_.contains(fingerprint); }
  // It had its trial elsewhere.
  void MarkProved(const std::string& fingerprint);
  // The answer comes by on_result.
  void Prove(ProofTask task);
  // How many bundles have had a trial here, each time counted.
  uint64_t trials() const { return trials_; }
  // All that was asked for has been answered.
  bool IsIdle() const { return !is_busy_ && waiting_.empty(); }
  // Writes what is to be kept, soon.
  void SaveSoon();

 private:
  struct Answer {
    ProofResult result;
    Millis took{};
  };

  void Next();
  void Finish(const std::string& fingerprint, Answer answer);
  void Save();

  Options options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<tls::CertificatePtr> roots_;
  std::vector<tls::TrustProfilePtr> profiles_;
  std::string trust_;  // hex SHA-256 of roots and profiles: the file's name
  std::set<std::string> proved_;
  std::deque<ProofTask> waiting_;
  uint64_t trials_ = 0;
  size_t answered_ = 0;  // since nothing was waiting
  bool is_busy_ = false;
  event::Timer next_, save_;
};

}  // namespace genkan::control
