// Tries what came into service without a trial (a start, a new site): handshakes in memory with
// each kind of client, on a helper thread, one certificate after the other and with rests, while it
// serves already. What was proved, and which signatures verified, is kept in state_dir/proofs, so
// that the next start has neither to do again. Control thread; owned by the CertManager.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proxy/control/certificate_source.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"
#include "proxy/tls/rehearsal.h"

namespace genkan::control {

class CertProver {
 public:
  struct Options {
    event::EventLoop& loop;
    event::BlockingPool* pool;  // null: on the loop itself, one a turn
    StateDir& state;
    const Clock& clock;
    std::function<void(const std::string& fingerprint, const tls::Rehearsed&)> on_result;
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
  void Prove(tls::BundlePtr bundle, tls::TlsPolicy policy, std::string server_name);
  // All that was asked for has been answered.
  bool IsIdle() const { return !is_busy_ && waiting_.empty(); }
  // Writes what is to be kept, soon.
  void SaveSoon();

 private:
  struct Task {
    tls::BundlePtr bundle;
    tls::TlsPolicy policy;
    std::string server_name;
  };
  struct Trial {
    tls::Rehearsed rehearsed;
    Millis took{};
  };

  void Next();
  void Finish(const std::string& fingerprint, const Trial& trial);
  void Save();

  Options options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<tls::TrustProfilePtr> profiles_;
  std::string trust_;  // hex SHA-256 of roots and profiles: the file's name
  std::set<std::string> proved_;
  std::deque<Task> waiting_;
  bool is_busy_ = false;
  event::Timer next_, save_;
};

}  // namespace genkan::control
