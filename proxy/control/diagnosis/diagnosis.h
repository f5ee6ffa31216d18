// Looks at certificates as a server sends them and says what is wrong, for whom, and how they say
// it. Pure: no I/O, no clock of its own; any thread. Bounded: at most 64 certificates are looked
// at.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/control/diagnosis/clients.h"
#include "proxy/control/diagnosis/finding.h"

namespace genkan::control {

// What is known of a leaf's revocation.
struct RevocationFacts {
  bool is_revoked = false;
  std::string source;  // "staple", "ocsp", "crl"
  std::string reason;  // "keyCompromise"; "" where none is given
  WallTime since{};
};

struct Served {
  std::string host;  // a name or an address that was asked for; "" where none was: files
  std::vector<tls::CertificatePtr> sent;  // as sent; the leaf is the first
  // Whether a staple could have been sent; files cannot.
  bool is_staple_expected = false;
  bool has_good_staple = false;
  std::string staple_problem;  // why the one that was sent is no good; "" for none or a good one
  std::optional<RevocationFacts> revocation;
};

struct Diagnosis {
  std::vector<Finding> findings;  // worst first
  std::vector<ClientVerdict> verdicts;
  // The way up from the leaf that was found in what was sent, without the root: what should be
  // sent, as far as it is there.
  std::vector<tls::CertificatePtr> chain;
  bool is_chain_complete = false;
};

class Diagnostician {
 public:
  // Trust anchors, mostly the system's, and the kinds of client (tls/trust_profiles.h). Without
  // roots nobody's verdict is known, and only what needs none is found.
  static Result<Diagnostician> Make(std::vector<tls::CertificatePtr> roots,
                                    const std::string& profiles = "builtin");

  Diagnosis Diagnose(const Served& served, WallTime now) const;

  const std::vector<ClientKind>& clients() const { return clients_; }
  const std::vector<tls::CertificatePtr>& roots() const { return roots_; }

  static constexpr size_t kMaxCertificates = 64;

 private:
  std::vector<tls::CertificatePtr> roots_;
  std::vector<ClientKind> clients_;
};

// Who signed the leaf: in what was sent, or a root. Null where it is not there.
tls::CertificatePtr IssuerIn(const Diagnosis& diagnosis,
                             const std::vector<tls::CertificatePtr>& roots);
// Whether any kind of client takes it: then its URLs may be asked.
bool IsVerified(const Diagnosis& diagnosis);

// The names of a certificate, a few of them: "a.test, www.a.test, … (98 more)".
std::string NamesOf(const tls::Certificate& leaf);
// Safe to print: no control bytes, valid UTF-8, at most 200 bytes.
std::string Printable(std::string_view text);

// Reported from the last third of a certificate's life on, of short ones (below ten days) from the
// last half.
bool IsNearItsEnd(const tls::Certificate& leaf, WallTime now);
// An intermediate that ends before its leaf, within a fortnight: an authority that replaces one
// says so weeks before.
bool EndsTooSoon(const tls::Certificate& intermediate, const tls::Certificate& leaf, WallTime now);

}  // namespace genkan::control
