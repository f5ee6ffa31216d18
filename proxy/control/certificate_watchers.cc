#include "proxy/control/certificate_watchers.h"

#include <algorithm>
#include <utility>

#include "proxy/base/log.h"
#include "proxy/config/ari_file.h"
#include "proxy/config/module_table.h"
#include "proxy/control/reloader.h"

namespace genkan::control {
namespace {

constexpr const char* kOcsp = "ocsp_stapling";
constexpr const char* kCrl = "crl_watch";
constexpr const char* kAri = "ari_watch";

}  // namespace

std::vector<std::string> CertificateWatchers::Configure(const config::Config& config) {
  auto authorities = config::AllAriAuthorities(config.revocation);
  if (authorities != authorities_) Stop(kAri);
  authorities_ = std::move(authorities);

  const auto ocsp = config::MakeOcspTable(config.ocsp);
  struct Wanted {
    const char* name;
    bool is_wanted;
    const ModuleTable* table;
  };
  for (const Wanted& one : {Wanted{kOcsp, config.ocsp.enabled, ocsp.get()},
                            Wanted{kCrl, config.revocation.crl, nullptr},
                            Wanted{kAri, config.revocation.ari, nullptr}}) {
    if (!one.is_wanted) {
      Stop(one.name);
    } else if (auto errors = Start(one.name, one.table); !errors.empty()) {
      return errors;
    }
  }
  has_started_ = true;
  return {};
}

void CertificateWatchers::Stop(const std::string& name) {
  auto found = std::find_if(running_.begin(), running_.end(),
                            [&](const Running& running) { return running.name == name; });
  if (found == running_.end()) return;
  certificates_.RemoveWatcher(found->watcher);
  running_.erase(found);
  LOG_INFO("certificate_watcher", "module={} state=off", name);
}

std::vector<std::string> CertificateWatchers::Start(const char* name, const ModuleTable* table) {
  const ModuleEntry* entry = FindBuiltinModule(name);
  const bool is_running = std::any_of(running_.begin(), running_.end(),
                                      [&](const Running& one) { return one.name == name; });
  if (is_running || entry == nullptr) return {};
  auto module = entry->make();
  if (auto errors = module->Configure(table); !errors.empty()) return errors;
  auto watcher = module->MakeWatcher();
  if (watcher == nullptr) return {};
  // Before its watcher, which is told of all certificates at once.
  running_.push_back({name, std::move(module)});
  running_.back().watcher = certificates_.AddWatcher(std::move(watcher));
  if (has_started_) LOG_INFO("certificate_watcher", "module={} state=on", name);
  return {};
}

}  // namespace genkan::control
