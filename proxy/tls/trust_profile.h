// One kind of client: the roots that it holds and how it looks for a path to them. A chain is
// proved against several before it is served, and `doctor` sees a server through their eyes.
// Immutable; any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::tls {

class TrustProfile;
using TrustProfilePtr = std::shared_ptr<const TrustProfile>;

struct TrustProfileOptions {
  std::string name;    // "modern", for messages
  std::string client;  // who that is, for people: "OpenSSL 1.0.x (CentOS 6 and 7)"
  std::vector<CertificatePtr> roots;
  // A chain that this client refuses is no candidate, however many others take it.
  bool is_required = false;
  // Follows what the server sent as far as it goes and asks the store only for the end, once:
  // OpenSSL before 1.1 and GnuTLS before 3.6.14. Others look into the store at every step.
  bool follows_sent_chain = false;
  // Takes a root as a name and a key without an end: Android before 7.1.1 trusted DST Root CA X3
  // after 2021.
  bool ignores_root_dates = false;
  // OpenSSL's security level for keys and signatures; modern clients refuse SHA-1 and RSA below
  // 2048 bits.
  int security_level = 0;
};

// The behaviours that are known by name; the roots are what the store of such a client holds.
TrustProfileOptions ModernProfile(std::vector<CertificatePtr> roots);
TrustProfileOptions OpenSsl10Profile(std::vector<CertificatePtr> roots);
TrustProfileOptions OldAndroidProfile(std::vector<CertificatePtr> roots);
TrustProfileOptions GnuTls2020Profile(std::vector<CertificatePtr> roots);

// What a client says to a chain.
struct TrustVerdict {
  bool is_accepted = false;
  int code = 0;         // X509_V_ERR_…, what openssl prints as the verify return code; 0 for yes
  std::string subject;  // of the certificate at fault
  std::string reason;   // "certificate has expired"; "" for yes
  bool operator==(const TrustVerdict&) const = default;
};

class TrustProfile {
 public:
  static Result<TrustProfilePtr> Make(TrustProfileOptions options);
  ~TrustProfile();

  // What this client thinks of the chain, leaf first, as a TLS server's at `now`: the first error
  // that it meets. It fetches nothing. `leaf`: what OpenSSL makes of the first, where the caller
  // has it already; nothing of a leaf is kept otherwise.
  Result<TrustVerdict> Judge(const std::vector<CertificatePtr>& chain, WallTime now,
                             X509* leaf = nullptr) const;
  // The same as yes or no. The error names the certificate and the reason: "old_android: CN=R3:
  // unable to get local issuer certificate".
  Status Prove(const std::vector<CertificatePtr>& chain, WallTime now) const;

  const std::string& name() const { return options_.name; }
  const std::string& client() const { return options_.client.empty() ? name() : options_.client; }
  bool is_required() const { return options_.is_required; }
  const std::vector<CertificatePtr>& roots() const { return options_.roots; }

 private:
  TrustProfile() = default;
  static int OnVerify(int is_good, X509_STORE_CTX* context);

  TrustProfileOptions options_;
  std::unordered_map<const X509*, CertificatePtr> by_x509_;  // the roots
  X509StorePtr store_;
};

// How many of the profiles take a chain, 0 where a required one does not: what ChainInput::score
// wants.
std::function<int(const std::vector<CertificatePtr>&)> ScoreBy(
    std::vector<TrustProfilePtr> profiles, WallTime now);

// The certificates of a trust store's PEM file: as many as there are (4,096 in 8 MiB at most), each
// once. What is broken is passed over and counted in `broken`, as every client does.
struct RootFile {
  std::vector<CertificatePtr> roots;
  int broken = 0;
};
Result<RootFile> ReadRoots(std::string_view pem);

}  // namespace genkan::tls
