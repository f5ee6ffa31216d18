// All certificates in service: reads them, watches their files, swaps renewed ones in by the rules,
// runs the certificate watchers (OCSP …) and publishes an immutable CertStore. Alone owns their
// state. Control thread; owned by the Supervisor.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/control/barred_leaves.h"
#include "proxy/control/certificate_source.h"
#include "proxy/control/fetcher.h"
#include "proxy/control/hook_runner.h"
#include "proxy/control/state_dir.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/file_view.h"
#include "proxy/module/api.h"
#include "proxy/server/snapshot.h"
#include "proxy/tls/cert_store.h"

namespace genkan::control {

// For `genkan status`, the status page and metrics. A copy.
struct CertificateStatus {
  std::string site, name;
  std::vector<std::string> names, files;
  bool is_in_service = false;
  std::string serial, subject, issuer, sha256;
  WallTime not_before{}, not_after{}, since{};
  std::string
      proof;  // "proved": handshakes with it have been tried; "proving"; "" of none in service
  bool is_chain_complete = false;
  std::vector<std::string> chain;    // subjects, leaf first, as sent
  std::vector<std::string> dropped;  // "CN=…: expired"
  std::string missing_issuer;
  std::vector<std::string> long_chain;  // of chain = "by_client": what some clients get instead
  struct Client {
    std::string profile, client;  // "openssl_1_0", "OpenSSL 1.0.x (CentOS 6 and 7 …)"
    bool is_accepted = false;
    bool is_by_long = false;  // the long chain alone
    std::string reason;       // "CN=R3: certificate has expired"
  };
  std::vector<Client> clients;  // what the trust profiles say
  std::string staple;                 // "good until …", "none", "waiting", "not offered by the CA"
  WallTime staple_next_update{};
  std::string revocation = "unknown", revocation_why;  // good / revoked / unknown
  std::string revocation_source;                       // "ocsp", "crl"
  WallTime revocation_since{};
  // Of the authority's renewal information: "" (none), "keep", "renew" (its moment has come), "overdue".
  std::string renewal, renewal_why, explanation_url;
  WallTime renewal_moment{};
  std::string hook;         // of on_revoked: "", "running", "ran", "failed: exit 1"
  bool is_standby = false;  // the site's standby certificate
  bool is_serving = false;  // what handshakes get: not where a standby takes its place
  uint64_t swaps = 0;
  std::string last_refusal;  // why new files were not taken; "" when none stands
  WallTime last_refusal_at{};
  uint64_t refusals = 0;
  std::string refused_last;  // the newest refusal, also when good files have followed
  WallTime refused_last_at{};
  std::vector<std::string> findings;  // warnings in words: "expires in 3 days", "does not cover www.example.com"
  std::vector<std::string> finding_codes;  // of each of them: "LEAF_EXPIRES_SOON" (conf/doctor.md)
};

struct DrillReport;

struct CertManagerOptions {
  event::EventLoop& loop;
  Fetcher& fetcher;
  event::BlockingPool& pool;
  HookRunner& hooks;
  StateDir& state;
  FileAccess& files;
  const Clock& clock;
  // A new store is to be published to the workers; with the SHA-256 (32 bytes) of leaves that may
  // not resume.
  std::function<void(tls::CertStorePtr, std::shared_ptr<const std::vector<std::string>>)> publish;
  // How the files are watched; outlives the manager.
  event::FileView& view = event::DirectFileView();
};

class CertManager {
 public:
  static std::unique_ptr<CertManager> Make(CertManagerOptions options);
  virtual ~CertManager() = default;

  // The certificates of this snapshot's sites; those that stay go on with their state. At the first call everything is read at once and published,
  // before this returns; `ready` is called when every first staple is there or
  // `first_response_wait` has passed (at once where none is to be waited for).
  virtual void Apply(server::SnapshotPtr snapshot, std::function<void()> ready) = 0;
  // Returns its number.
  virtual size_t AddWatcher(std::unique_ptr<CertificateWatcher> watcher) = 0;
  // What it said of certificates is taken back.
  virtual void RemoveWatcher(size_t number) = 0;
  // SIGHUP, `genkan reload`: read all files now. force: take what parses, matches and is not
  // expired.
  virtual void ReadAgain(bool force) = 0;
  // `genkan status --refresh`.
  virtual void Refresh() = 0;
  virtual std::vector<CertificateStatus> Status() const = 0;
  // `genkan drill revocation`; the report fills up behind it.
  virtual genkan::Status StartDrill(const std::string& site) = 0;
  virtual const DrillReport& Drill() const = 0;
  // Leaves whose sessions may not resume: for the next process, and those of the one before (before
  // the first Apply).
  virtual const BarredLeaves& Barred() const = 0;
  virtual void RestoreBarred(BarredLeaves barred) = 0;
  // How many entries of `certificates` have been read, each time counted.
  virtual uint64_t reads() const = 0;
  // How many certificates have been looked at for what changed about them, and how many have been
  // tried while they served, each time counted: a change of one is one.
  virtual uint64_t looks() const = 0;
  virtual uint64_t trials() const = 0;
};

}  // namespace genkan::control
