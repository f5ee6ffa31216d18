// `genkan doctor`: looks at running servers, at certificate files and at what ACME clients left
// behind, within a budget of time and memory, and says what is wrong. Blocks; any thread. Keeps to
// reading: nothing is written, and URLs in a certificate are asked only once it was verified.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/control/certificate_source.h"
#include "proxy/control/diagnosis/examination.h"
#include "proxy/net/address.h"
#include "proxy/upstream/endpoint.h"

namespace genkan::control {

struct ServerTarget {
  std::string host;  // a name in lower case, or an address
  uint16_t port = 443;
  bool is_address = false;
};
// "example.com", "example.com:8443", "[::1]:443", "https://example.com/path".
Result<ServerTarget> ParseServerTarget(std::string_view text);

struct DoctorOptions {
  Millis budget{4200};  // for each server: with all the rest, and on a busy machine, 5 s
  // OCSP and CRLs of files, all of them together.
  Millis files_budget{15'000};
  upstream::ResolveFunction resolve = upstream::ResolveWithSystem;
  bool asks_revocation = true;  // OCSP and CRL, http only
};

class Doctor {
 public:
  Doctor(const Diagnostician& diagnostician, FileAccess& files, DoctorOptions options)
      : diagnostician_(diagnostician), files_(files), options_(options) {}

  // A path where there is one of that name, or where it has a slash; otherwise a server.
  std::vector<Examination> Examine(const std::string& target) const;

  Examination ExamineServer(const ServerTarget& target, const std::string& as_asked) const;
  // A file, a directory with certificates, certbot's directory, or its logs.
  std::vector<Examination> ExaminePath(const std::string& path) const;

 private:
  const Diagnostician& diagnostician_;
  FileAccess& files_;
  const DoctorOptions options_;
};

// Asks for a leaf's state within the time: its staple, its responder, its CRL. `issuer`: who signed
// it. Blocks.
struct RevocationAnswer {
  std::optional<RevocationFacts> facts;  // where it is known
  std::string text;                      // "good (ocsp)", "revoked (crl)", "not known: …"
};
RevocationAnswer AskRevocation(const tls::Certificate& leaf, const tls::Certificate& issuer,
                               WallTime now, MonotonicTime deadline);

// One shape for all findings that are not about a certificate.
Finding MakeFinding(FindingCode code, std::string host, std::string detail);

}  // namespace genkan::control
