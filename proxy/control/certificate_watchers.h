// The modules that watch certificates, as [ocsp] and [revocation] want them: made at the start, and
// at a reload those that came or went. Control thread; owned by the Supervisor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/control/cert_manager.h"
#include "proxy/module/api.h"

namespace genkan::control {

class CertificateWatchers {
 public:
  explicit CertificateWatchers(CertManager& certificates) : certificates_(certificates) {}

  // What is wanted already goes on with what it knows; whom ARI asks is settled when it begins, so
  // other authorities begin it anew. What is not wanted any more takes its word back: its staples,
  // its states.
  std::vector<std::string> Configure(const config::Config& config);

 private:
  void Stop(const std::string& name);
  std::vector<std::string> Start(const char* name, const ModuleTable* table);

  struct Running {
    std::string name;
    std::unique_ptr<Module> module;  // outlives its watcher
    size_t watcher = 0;              // the CertManager's number
  };

  CertManager& certificates_;
  std::vector<Running> running_;
  std::vector<config::AriAuthority> authorities_;
  bool has_started_ = false;
};

}  // namespace genkan::control
