// What to do about a finding, as steps with commands for nginx, Apache and genkan. Part of the
// letter; pure.
#pragma once

#include <string>
#include <vector>

#include "proxy/control/diagnosis/examination.h"

namespace genkan::control {

// One way to put things right; several findings may share it.
enum class Remedy {
  kChain,        // build the file anew and name it
  kCrossSign,    // leave the old cross-sign out
  kRenew,        // get a new certificate, and have it taken up
  kName,         // one for the right name
  kKey,          // bring key and certificate together
  kRevoked,      // a new key and certificate, today
  kStaple,       // switch stapling on, or do without must-staple
  kVersion,      // switch TLS 1.2 and 1.3 on
  kSelfSigned,   // get a certificate that clients trust
  kTrust,        // hand the private root out
  kAcme,         // a newer ACME client
  kAlert,        // find out why the handshake is refused
  kPlain,        // switch TLS on
  kReach,        // start it, open the way
  kEveryServer,  // do the same on each server
  kFiles,        // make them readable and whole
};
Remedy RemedyFor(FindingCode code);

// Indented lines.
std::string StepsFor(Remedy remedy, const Finding& finding, const Examination& examination,
                     Language language);

// "'…'" for a shell.
std::string ShellQuoted(std::string_view text);
// A URL out of a stranger's certificate that may stand in a command; "" for others.
std::string UrlForCommand(std::string_view url);

}  // namespace genkan::control
