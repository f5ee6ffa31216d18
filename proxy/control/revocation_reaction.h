// What genkan does when an authority takes a certificate back, or wants it renewed now: says so
// once at error, and runs the operator's on_revoked (a command, or a POST), at most once an hour a
// certificate. The standby certificate is the publisher's matter, by the same states. Control
// thread; owned by the CertManager.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "proxy/config/config.h"
#include "proxy/control/cert_entry.h"
#include "proxy/control/fetcher.h"
#include "proxy/control/hook_runner.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"

namespace genkan::control {

// How much is wrong, least first. kRenew: the authority's moment has come; kOverdue: its window is
// past; both without being revoked.
enum class Alarm { kNone, kRenew, kOverdue, kRevoked };
Alarm AlarmOf(const LeafState& state);
std::string_view ToString(Alarm alarm);  // "none", "renew", "overdue", "revoked"

// What the hook is told of one certificate.
struct AlarmReport {
  Alarm alarm = Alarm::kNone;
  std::string site, name, serial, sha256;
  std::string why, explanation_url;
  WallTime since{};
  bool is_drill = false;
};

// The command for a report: "{lineage}" and "{name}" as whole arguments are the certificate's and
// the site's name.
HookRequest HookFor(const config::Revocation& settings, const AlarmReport& report);
// The body of the POST, JSON, schema 1.
std::string PostBodyOf(const AlarmReport& report);

class RevocationReaction {
 public:
  struct Options {
    event::EventLoop& loop;
    const Clock& clock;
    HookRunner& hooks;
    Fetcher& fetcher;
    StateDir& state;
  };
  // How the hook ended; "" is success.
  using HookDone = std::function<void(std::string failure, std::string output)>;

  explicit RevocationReaction(Options options);
  ~RevocationReaction();

  void Configure(const config::Revocation& settings) { settings_ = settings; }
  // Looks at what is known of a certificate in service, and acts on what is new.
  void Look(const CertEntry& entry, const LeafState& state);
  // No entry serves it any more (SHA-256 in hex).
  void Drop(const std::string& sha256_hex);
  // Runs the hook now, whatever it ran before: for a drill too.
  void RunHook(const AlarmReport& report, HookDone done);
  bool HasHook() const { return !settings_.on_revoked.empty(); }

  // Of the last hook of this certificate: "ran", "failed: exit 1", "running"; "" where none was
  // run.
  std::string HookOf(const std::string& name) const;

 private:
  struct Seen {
    Alarm alarm = Alarm::kNone;
    AlarmReport report;
  };
  struct Hook {
    WallTime begun{};
    bool is_running = false,
         is_owed = false;  // owed: an alarm that it was not run for with success
    uint32_t failures = 0;
    std::string outcome;
    // For which leaf and alarm it ran with success; kept in state_dir, so that a restart calls
    // nobody again.
    std::string done_sha256;
    Alarm done_alarm = Alarm::kNone;
  };

  Hook& HookAt(const std::string& name);
  void Save(const std::string& name, const Hook& hook);
  void OnHookEnd(const AlarmReport& report, const std::string& failure);
  void RunOwed();
  WallTime DueOf(const Hook& hook) const;

  Options options_;
  config::Revocation settings_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<std::string, Seen> seen_;   // by SHA-256 of the leaf; of what had an alarm
  std::map<std::string, Hook> hooks_;  // by the certificate's name: a renewed one has the same
  event::Timer next_;
};

}  // namespace genkan::control
