// Connects to a TLS server as a client that trusts nobody and only looks: the certificates exactly
// as they were sent, the staple, the version, or why there are none. Blocks, never beyond its
// deadline and never for more memory than stated, whatever the server does; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/net/address.h"
#include "proxy/tls/certificate.h"

namespace genkan::tls {

enum class ProbeOutcome {
  kHandshake,      // finished
  kRefused,        // connection refused
  kUnreachable,    // no route, network down, reset while connecting
  kTimeout,        // the deadline passed
  kClosed,         // the server hung up in the middle
  kNotTls,         // what came back is no TLS
  kAlert,          // the server sent a fatal alert
  kTooLarge,       // more certificates than any client takes
  kBadSignature,   // the server's key is not the certificate's
  kBadTls,         // any other mistake of the server's
  kNoCertificate,  // a handshake without any
};

enum class ProbeKey { kAny, kRsa, kEcdsa };

struct ProbeOptions {
  std::string server_name;  // SNI; "" for none: addresses
  MonotonicTime deadline;
  ProbeKey key = ProbeKey::kAny;  // which kind of certificate is asked for
};

struct ProbeResult {
  ProbeOutcome outcome = ProbeOutcome::kBadTls;
  std::string detail;  // of a failure: "handshake failure", "HTTP/1.1 400 Bad Request"
  // As sent, leaf first; also where the handshake failed after they came. What is no certificate is
  // left out and counted.
  std::vector<CertificatePtr> certificates;
  size_t sent = 0;                        // how many there were, read or not
  size_t broken = 0;                      // not readable
  std::string version, cipher, protocol;  // "TLSv1.3", "TLS_AES_…", "h2"
  std::string staple;                     // DER; "" where none was sent
  bool wants_client_certificate = false;
};

// What a server may send in its Certificate message; OpenSSL's own limit as a client is 100 KiB.
inline constexpr size_t kMaxProbeCertificateBytes = 256 * 1024;

// Everything from TLS 1.0 on is offered, weak ciphers too: who can be talked to is asked, not who
// should be.
ProbeResult ProbeServer(const net::Address& address, const ProbeOptions& options);

}  // namespace genkan::tls
