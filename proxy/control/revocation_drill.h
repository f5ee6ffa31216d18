// `genkan drill revocation`: walks the whole reaction to a revocation and touches nothing. Who
// would notice, what would be logged, the hook (run with GENKAN_DRILL=1), the standby certificate,
// whether renewed files would be seen. Control thread; owned by the CertManager.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/control/cert_entry.h"
#include "proxy/control/revocation_reaction.h"

namespace genkan::control {

struct DrillStep {
  std::string name;  // "noticed by", "log", "hook", "standby", "staple and sessions", "renewal"
  bool is_good = true;
  std::string text;
};

struct DrillReport {
  std::string site;
  bool is_running = false;  // the hook has not ended yet
  std::vector<DrillStep> steps;
};

class RevocationDrill {
 public:
  struct Options {
    const Clock& clock;
    const CertLeaves& leaves;
    const CertSources& sources;
    RevocationReaction& reaction;
  };

  explicit RevocationDrill(Options options) : options_(options) {}

  // Fails where the site has no certificate in service, and while a drill is under way. The report
  // fills up behind it.
  Status Start(const server::Snapshot& snapshot, const std::string& site);
  const DrillReport& report() const { return report_; }

 private:
  void Add(std::string name, bool is_good, std::string text) {
    report_.steps.push_back({std::move(name), is_good, std::move(text)});
  }
  void AddNoticedBy(const CertEntry& entry, const config::Config& config);
  void AddStandby(const server::SiteSpec& site, const CertEntry& entry);
  void AddRenewal(const CertEntry& entry);
  void StartHook(const AlarmReport& alarm, const config::Revocation& settings);

  Options options_;
  DrillReport report_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// JSON, schema 1, for the admin.
std::string DrillJson(const DrillReport& report);

}  // namespace genkan::control
