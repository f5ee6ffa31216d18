// Reads the files of the certificates: at a start and a reload, when the watcher says that they
// changed, and again soon while they look half-written. Knows the roots and the further pool that
// every reading needs. Decides nothing. Control thread; owned by the CertManager.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "proxy/control/cert_entry.h"
#include "proxy/control/certificate_source.h"
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
    // Some source needs to be read: ReadFlagged is wanted soon.
    std::function<void()> on_due;
    std::function<void(CertSource&, std::vector<FoundCertificate>)> on_reading;
  };

  explicit CertReader(Options options);

  // Takes the roots and the pool that these settings name; true where they may be others than
  // before. `again`: also where the settings are the same.
  bool LoadContext(const config::Certificates& wanted, bool again);
  // Watches what is to be watched, then reads what needs it.
  void ReadFlagged(const config::Certificates& wanted);
  const CertificateContext& context() const { return context_; }

 private:
  void LoadProfiles();
  void OnFiles(const std::vector<std::string>& paths);
  void WatchFiles();
  void Read(CertSource& source);

  Options options_;
  CertificateContext context_;
  std::string trust_store_;
  std::vector<std::string> pool_;
  bool has_context_ = false, is_pool_dirty_ = false;
  event::FileWatcher watcher_;
  std::vector<std::string> watched_;
  event::Timer retry_;
};

}  // namespace genkan::control
