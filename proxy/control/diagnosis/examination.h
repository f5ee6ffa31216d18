// What `genkan doctor` saw of one server, of one set of files or of one ACME client, with what it
// found. A value; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/control/diagnosis/diagnosis.h"

namespace genkan::control {

// One certificate with what came along; a server with an RSA and an ECDSA certificate has two.
struct SeenChain {
  std::string key;  // "rsa", "ecdsa", "other"
  std::vector<tls::CertificatePtr> sent;
  size_t sent_count = 0;  // with those that could not be read
  std::vector<ClientVerdict> verdicts;
  std::vector<tls::CertificatePtr> right;  // what should be sent, as far as it is there
  std::string staple;      // "good until …", "none", why it is no good; "" for files
  std::string revocation;  // "good (crl)", "revoked (…)", "not known: …"
};

struct SeenAddress {
  std::string address;  // "127.0.0.1:443"
  std::string outcome;  // "answers", "connection refused", …
};

enum class TargetKind { kServer, kFiles, kAcme };
std::string_view ToString(TargetKind kind);  // "server", "files", "acme"

struct Examination {
  std::string target;  // as it was asked for
  TargetKind kind = TargetKind::kServer;
  std::string host;  // of a server
  uint16_t port = 0;
  bool is_seen = false;  // false: it could not be looked at; a finding says why
  std::string version, cipher, protocol;
  std::vector<SeenAddress> addresses;
  std::vector<std::string> files;
  std::vector<SeenChain> chains;
  std::vector<Finding> findings;  // worst first
  std::vector<std::string>
      notes;  // what could not be found out, and other things that are no fault
};

// "example.com:443", "[::1]:443".
std::string HostPort(const Examination& examination);

struct DoctorReport {
  std::vector<Examination> examinations;
  WallTime at{};
  // 0 where nothing was found, 1 for findings, 2 where something could not be looked at.
  int exit_code() const;
};

// For people.
std::string DoctorText(const DoctorReport& report, Language language);
// Schema 1, described in conf/doctor.md.
std::string DoctorJson(const DoctorReport& report, Language language);

// A text ready to send to whoever runs the server: what was found, who fails and how, what to do
// with nginx, Apache and genkan, how to see that it worked. About these findings of it. "" for
// none.
std::string LetterFor(const Examination& examination, const std::vector<Finding>& findings,
                      WallTime at, Language language);

}  // namespace genkan::control
