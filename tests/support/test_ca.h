// Certificates, keys, OCSP responses and CRLs made at run time. Keys are made once a process and
// label, so tests stay quick, and a cross-sign (the same name under another issuer) has the same
// key without further ado. Test code: a mistake in the arguments aborts. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/tls/certificate.h"
#include "proxy/tls/certificate_bundle.h"

namespace genkan::testing {

// kEd25519: key and signatures depend on the label and the content alone, for fuzzers whose
// findings must come again.
enum class KeyKind { kEcdsa, kRsa, kEd25519 };

struct CertificateOptions {
  std::string common_name;  // "": the first of `names`
  std::string organization;
  std::vector<std::string> names;      // subjectAltName: DNS names and addresses
  std::optional<WallTime> not_before;  // default: a day before now (and before ManualClock's start)
  std::optional<WallTime> not_after;   // default: 90 days after now (and after ManualClock's start)
  KeyKind key_kind = KeyKind::kEcdsa;
  std::string key_label;           // "": the common name
  std::string key_usage;           // as openssl's config spells it; "": what fits the role
  std::string extended_key_usage;  // "": serverAuth for a leaf, nothing for a CA
  std::vector<std::string> ca_issuer_urls, ocsp_urls, crl_urls;
  bool must_staple = false;
  bool has_key_ids = true;  // SKI and AKI
  int path_length = -1;     // of a CA
  uint64_t serial = 0;      // 0: the next one of this process
};

struct Issued {
  tls::CertificatePtr certificate;
  tls::PrivateKeyPtr key;
  CertificateOptions options;

  const tls::Certificate& operator*() const { return *certificate; }
  std::string pem() const;
  std::string key_pem() const;  // PKCS#8
};

tls::PrivateKeyPtr KeyFor(KeyKind kind, std::string_view label);
// An ECDSA key whose file has the public half of `key` beside another private one: every comparison
// of public keys is content, no signature verifies.
tls::PrivateKeyPtr KeyThatLies(const tls::PrivateKey& key);

Issued MakeRoot(CertificateOptions options);
// A CA certificate. A cross-sign: the same options under another issuer.
Issued MakeIntermediate(const Issued& issuer, CertificateOptions options);
Issued MakeLeaf(const Issued& issuer, CertificateOptions options);
Issued MakeSelfSignedLeaf(CertificateOptions options);

std::string ToPem(const tls::Certificate& certificate);
std::string ToPem(const tls::PrivateKey& key);

struct OcspOptions {
  int response_status = OCSP_RESPONSE_STATUS_SUCCESSFUL;
  int state = V_OCSP_CERTSTATUS_GOOD;
  int reason = -1;                      // OCSP_REVOKED_STATUS_KEYCOMPROMISE …
  std::optional<WallTime> revoked_at;   // default: an hour before this_update
  std::optional<WallTime> this_update;  // default: an hour before now
  std::optional<WallTime> next_update;  // default: 7 days after this_update
  bool has_next_update = true;
  const Issued* signer = nullptr;  // default: the issuer; another one is sent along
  bool sends_signer = true;
  const tls::Certificate* about = nullptr;  // answers for this certificate instead
  bool breaks_signature = false;
  bool is_sha256_cert_id = false;
  size_t padding = 0;  // bytes of junk in an extension
};
// An OCSPResponse for `leaf` of `issuer`, as DER.
std::string MakeOcspResponse(const tls::Certificate& leaf, const Issued& issuer,
                             const OcspOptions& options = {});

struct RevokedEntry {
  std::string serial_hex;  // as Certificate::serial_hex()
  WallTime revoked_at;
  int reason = -1;  // CRL_REASON_KEY_COMPROMISE …
};
struct CrlOptions {
  std::optional<WallTime> this_update;  // default: an hour before now
  std::optional<WallTime> next_update;  // default: 7 days after this_update
  bool has_next_update = true;
  std::vector<RevokedEntry> revoked;
  std::string
      distribution_point;  // openssl's config text: "critical,onlyuser:TRUE"; "": no extension
  uint64_t number = 1;
};
// A CRL of `issuer`, as DER.
std::string MakeCrl(const Issued& issuer, const CrlOptions& options);

// A root and an intermediate under it, which is what most tests need.
class TestCa {
 public:
  explicit TestCa(std::string_view name = "Test", KeyKind kind = KeyKind::kEcdsa);

  const Issued& root() const { return root_; }
  const Issued& intermediate() const { return intermediate_; }
  Issued Leaf(std::vector<std::string> names, KeyKind kind = KeyKind::kEcdsa) const;
  Issued LeafWith(CertificateOptions options) const;
  // Leaf and intermediate, as a lineage's fullchain.pem.
  std::string FullChainPem(const Issued& leaf) const;
  tls::BundlePtr BundleOf(const Issued& leaf) const;
  tls::BundlePtr Bundle(std::vector<std::string> names, KeyKind kind = KeyKind::kEcdsa) const;

 private:
  Issued root_, intermediate_;
};

}  // namespace genkan::testing
