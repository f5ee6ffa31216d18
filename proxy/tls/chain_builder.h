// Builds what a server sends from an unordered pool: leaf first, then each issuer, no root. Pure:
// no I/O, no clock of its own. Any thread. Paths are found by name, AKI/SKI and signature, at most
// 8 deep and with at most 256 signature checks; every certificate that is left out has a reason.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/tls/certificate.h"

namespace genkan::tls {

enum class DropReason {
  kDuplicate,    // the same DER again
  kUnrelated,    // on no path from the leaf
  kRoot,         // self-signed: clients have it or do not trust it
  kExpired,      // past its notAfter
  kNotYetValid,  // before its notBefore
  kExpiredRoot,  // a cross-sign that only leads to an expired root
  kOtherPath,    // on a path that was not chosen
  kTooMany,      // over the limits
};
std::string_view ToString(DropReason reason);

struct DroppedCertificate {
  CertificatePtr certificate;
  DropReason reason;
};

// Which of several chains is sent.
enum class ChainChoice {
  kAuto,      // what most trust profiles accept, then the shortest
  kShort,     // the shortest that any accepts
  kLong,      // the longest that any accepts: for old clients that only know an old root
  kByClient,  // short, with the long one beside it
};
ChainChoice ChainChoiceOf(std::string_view word);  // "auto", "short", "long", "by_client"

struct ChainInput {
  CertificatePtr leaf;
  std::vector<CertificatePtr> pool;  // in any order; may hold the leaf and roots
  // Trust anchors that are known (trust_store, the stores of the profiles); may be empty. One that
  // is not self-signed is sent like any other.
  std::vector<CertificatePtr> roots;
  WallTime now;
  // How many trust profiles accept this chain; empty: nobody is asked. Called for a few candidates
  // at most, and only where there are several.
  std::function<int(const std::vector<CertificatePtr>&)> score;
  ChainChoice choice = ChainChoice::kAuto;
};

struct Chain {
  std::vector<CertificatePtr> certificates;  // leaf first, without the root
  // kByClient: the long one, where there is one that is longer; otherwise empty.
  std::vector<CertificatePtr> long_certificates;
  std::vector<DroppedCertificate> dropped;
  // The last certificate's issuer is in `roots`, was in the pool as a self-signed root, or the leaf
  // is self-signed.
  bool is_complete = false;
  // What is above the last certificate, where it is known. Of the pool alone: a private
  // authority's.
  CertificatePtr root, long_root;
  bool is_root_trusted = false;  // in `roots`
  // Where it is not: who is missing, for messages ("CN=R3,O=…"), and where the certificate says to
  // fetch it.
  std::string missing_issuer;
  std::vector<std::string> missing_urls;
  int signature_checks = 0;
};

class ChainBuilder {
 public:
  static constexpr int kMaxDepth = 8;
  static constexpr size_t kMaxCertificates = 64;
  static constexpr int kMaxSignatureChecks = 256;
  static constexpr int kMaxScored = 16;

  // Always gives a chain (at least the leaf); is_complete says how good it is. kAuto: the best
  // score wins, then a path to a root of `roots`, then one to a self-signed certificate of the
  // pool, then the shortest, then the one that lasts longest. Where kShort or kLong finds nothing
  // that is accepted, it is as kAuto. The same for every order of the pool.
  static Chain Build(const ChainInput& input);
};

}  // namespace genkan::tls
