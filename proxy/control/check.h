// What `genkan check` finds: every certificate of a configuration read as the proxy reads it, and
// seen as a client would see it. Blocks on files; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/control/certificate_source.h"

namespace genkan::control {

enum class Severity {
  kNote,       // good to know
  kWillBreak,  // works today
  kBroken,     // clients, or genkan itself, refuse it today
};
std::string_view ToString(Severity severity);  // "note", "will_break", "broken"

// The codes are stable: names are only ever added.
struct Finding {
  std::string code;  // "CHAIN_MISSING_INTERMEDIATE"
  Severity severity = Severity::kNote;
  std::string site;  // its first name; "" where no site is meant
  std::string file;  // the lineage or file that it is about; "" where there is none
  std::string text;  // what is wrong and what to do
};

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
};

struct CheckReport {
  std::vector<CheckedCertificate> certificates;
  std::vector<Finding> findings;

  Severity worst() const;
};

// Errors of the configuration, one line each.
CheckReport ReportOf(const std::vector<std::string>& config_errors);

// All sites. Trust store and pool are the configuration's.
CheckReport CheckCertificates(const config::Config& config, FileAccess& files, WallTime now);

// For people: a block for each certificate, then the findings, worst first, then one line.
std::string CheckText(const CheckReport& report, WallTime now);
// {"schema":1,"result":"good","certificates":[…],"findings":[{"code","severity","site","file","text"}]}
std::string CheckJson(const CheckReport& report);

}  // namespace genkan::control
