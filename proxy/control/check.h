// What `genkan check` finds: every certificate of a configuration read as the proxy reads it, and
// seen as a client would see it. Blocks on files; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/control/certificate_source.h"
#include "proxy/control/diagnosis/clients.h"
#include "proxy/control/diagnosis/finding.h"

namespace genkan::control {

// One certificate as it would be served.
struct CheckedCertificate {
  std::string site, name;
  std::vector<std::string> files;
  bool is_usable = false;  // the rest is empty where it is not
  std::string subject, serial;
  std::vector<std::string> names;
  WallTime not_before{}, not_after{};
  bool is_chain_complete = false;
  std::vector<std::string> chain;    // subjects, leaf first, as sent
  std::vector<std::string> dropped;  // "CN=…: expired"
  std::string missing_issuer;
  std::vector<ClientVerdict> verdicts;  // what each kind of client says to it
};

struct CheckReport {
  std::vector<CheckedCertificate> certificates;
  std::vector<Finding> findings;

  Severity worst() const { return WorstOf(findings); }
};

// Errors of the configuration, one line each.
CheckReport ReportOf(const std::vector<std::string>& config_errors);
void AddWarnings(CheckReport& report, const std::vector<std::string>& config_warnings);

// All sites. Trust store and pool are the configuration's. `state_dir`: where a running proxy
// stores what it was told of revocations and the issuers that it fetched; "" for none.
CheckReport CheckCertificates(const config::Config& config, FileAccess& files, WallTime now,
                              const std::string& state_dir = {});

// For people: a block for each certificate, then the findings, worst first, then one line.
std::string CheckText(const CheckReport& report, WallTime now);
// As conf/doctor.md describes it: {"schema":1,"result":"good","certificates":[…],"findings":[…]}
std::string CheckJson(const CheckReport& report);

}  // namespace genkan::control
