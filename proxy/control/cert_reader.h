// Reads the files of the certificates: at a start and a reload, when the watcher says that they
// changed, and again soon while they look half-written. Knows the roots and the further pool that
// every reading needs. Decides nothing. Control thread; owned by the CertManager.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/control/cert_entry.h"
#include "proxy/control/certificate_source.h"
#include "proxy/control/issuer_fetcher.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/event/event_loop.h"
#include "proxy/event/file_watcher.h"
#include "proxy/event/timer.h"

namespace genkan::control {

class CertReader {
 public:
  struct Options {
    event::EventLoop& loop;
    FileAccess& files;
    event::FileView& view;
    const Clock& clock;
    CertSources& sources;
    event::BlockingPool* pool;  // null: nobody helps with reading many
    // Some source needs to be read: ReadFlagged is wanted soon.
    std::function<void()> on_due;
    std::function<void(CertSource&, std::vector<FoundCertificate>)> on_reading;
    // The files of this source still settle: what they hold so far, where it can be read.
    std::function<void(const CertSource&, const std::vector<FoundCertificate>&)> on_ahead;
    // Of a source that has no entry yet, before on_reading; on whatever thread has read it.
    std::function<void(const CertSource&, FoundCertificate&)> on_first_found;
    // For what only the address in a certificate has (AIA).
    Fetcher& fetcher;
    StateDir& state;
  };

  explicit CertReader(Options options);

  // Takes the roots and the pool that these settings name; true where they may be others than
  // before. `again`: also where the settings are the same.
  bool LoadContext(const config::Certificates& wanted, bool again);
  // Sources have come or gone.
  void TakeSources();
  // It is to be read.
  void Flag(CertSource& source);
  // Watches what is to be watched, then reads what needs it.
  void ReadFlagged(const config::Certificates& wanted);
  const CertificateContext& context() const { return context_; }
  const IssuerFetcher& issuers() const { return issuers_; }
  // How many entries of the configuration have been read, each time counted; a look ahead is none.
  uint64_t reads() const { return reads_; }

 private:
  void OnFiles(const std::vector<std::string>& paths);
  void LookAhead(const std::vector<std::string>& paths);
  void LoadTrust(const config::Certificates& wanted);
  struct Work;
  void WatchFiles(const std::vector<CertSource*>& wanted,
                  std::vector<std::optional<std::vector<event::WatchedPath>>> watches);
  std::shared_ptr<Work> StartReading(const std::vector<CertSource*>& wanted);
  void Take(CertSource& source, SourceReading reading);
  bool WantIssuers(CertSource& source, const std::vector<FoundCertificate>& found);
  void OnIssuer(const std::string& sha256);
  void KeepWanted();
  void FillPool();

  Options options_;
  CertificateContext context_;
  std::string trust_store_, trust_profiles_;
  std::string trust_digest_;  // of the bytes that gave roots and profiles; "" of what had an error
  std::vector<std::string> pool_;
  std::vector<tls::CertificatePtr> extra_pool_;  // context_.pool without what was fetched
  bool uses_aia_ = false;
  bool has_context_ = false, is_pool_dirty_ = false;
  event::FileWatcher watcher_;
  std::unordered_map<std::string, std::vector<CertSource*>> by_path_;  // that is watched
  bool is_watch_dirty_ = true;
  std::vector<CertSource*> flagged_;
  std::set<CertSource*> retrying_;
  bool is_wants_dirty_ = true;
  event::Timer retry_;
  IssuerFetcher issuers_;
  uint64_t reads_ = 0;
};

}  // namespace genkan::control
