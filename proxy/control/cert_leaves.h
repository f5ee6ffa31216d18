// What is known of each leaf beside its files: staple, revocation, and the certificate watchers
// (OCSP …) that find it out. Two sites with the same certificate share it. Control thread; owned by
// the CertManager.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/control/crl_store.h"
#include "proxy/control/fetcher.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/timer.h"
#include "proxy/module/api.h"
#include "proxy/tls/certificate_bundle.h"

namespace genkan::control {

// What the watchers reported of one leaf.
struct LeafState {
  std::string revocation = "unknown";  // good / revoked / unknown
  std::string source;                  // who says so: "ocsp", "crl"
  std::string why;                     // "ocsp: keyCompromise"
  WallTime since{};                    // of a revocation
  // The authority wants it renewed: from a moment in its window on; overdue: the window is past.
  bool must_renew = false, is_overdue = false;
  StateReport renewal;  // of ARI, also before that
};

class CertLeaves {
 public:
  struct Options {
    event::EventLoop& loop;
    Fetcher& fetcher;
    event::BlockingPool& pool;
    StateDir& state;
    const Clock& clock;
    // This leaf (SHA-256 in hex) has another staple, another state, or all its watchers let it go
    // on; "": every leaf may. Called in the midst of a watcher's hook: to be answered later.
    std::function<void(const std::string& sha256_hex)> on_change;
  };

  explicit CertLeaves(Options options);
  ~CertLeaves();

  // Whom to ask when to renew, best first. From the next question on.
  void SetAriAuthorities(std::vector<config::AriAuthority> authorities) {
    authorities_ = std::move(authorities);
  }
  // Also tells it of the leaves that are there already. Returns its number.
  size_t AddWatcher(std::unique_ptr<CertificateWatcher> watcher);
  // Its staples, states and timers go with it, and it holds nothing back any more. Not from within
  // a hook of a watcher.
  void RemoveWatcher(size_t number);
  // Begins to watch; nothing where the leaf is watched already. A staple from the disk is attached
  // before this returns. `issuer` may be null.
  void Watch(std::string name, std::string site, tls::CertificatePtr leaf,
             tls::CertificatePtr issuer);
  // Nobody has it any more.
  void Drop(const std::string& sha256_hex);
  void Refresh();
  // Removes what state_dir remembers of other leaves, and of lists that none of these names, unless
  // it was written after `before`. Returns how many files went.
  size_t SweepState(WallTime before);

  // Every watcher has let it go on.
  bool IsReleased(const std::string& sha256_hex) const;
  // Null where there is none, or none that is still valid.
  std::shared_ptr<const tls::Staple> StapleOf(const std::string& sha256_hex) const;
  LeafState StateOf(const std::string& sha256_hex) const;
  bool HasWatchers() const { return !slots_.empty(); }

 private:
  class Env;
  struct Slot;
  // What its view is made of: of thousands, the views themselves would be another copy of everything.
  struct Leaf {
    std::string name, site;
    tls::CertificatePtr leaf, issuer;
    CertificateView View() const;
    std::set<size_t> unreleased;  // watchers that still hold it back
    std::shared_ptr<const tls::Staple> staple;
    size_t stapled_by = 0;
    struct Report {
      size_t by = 0;
      StateReport what;
    };
    std::map<std::string, Report, std::less<>> reports;      // by source
    std::map<size_t, std::unique_ptr<event::Timer>> timers;  // by watcher
  };

  Leaf* Find(std::string_view sha256_hex);
  void Tell(Slot& slot, Leaf& leaf, const CertificateView& view);
  void Release(size_t watcher, const std::string& sha256_hex);

  Options options_;
  // Of the last one: what comes after it (fetches) sees that we are gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<config::AriAuthority> authorities_;
  std::map<std::string, Leaf, std::less<>> leaves_;
  CrlStore crls_;
  std::map<size_t, std::unique_ptr<Slot>> slots_;  // by number; gone before the leaves are
  size_t next_slot_ = 0;
};

}  // namespace genkan::control
