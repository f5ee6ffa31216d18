// One parsed X.509 certificate. Immutable, shared between bundles: the same bytes give the same
// object, however many files have them, so 5,000 leaves share their intermediates and a file that
// is read again costs a hash. What OpenSSL makes of a leaf is large (8 KiB) and is kept only from
// its first use on. Any thread.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::tls {

class CertificateParts;
struct CertificateFields;
class Certificate;
using CertificatePtr = std::shared_ptr<const Certificate>;

// What a certificate says of its issuer: of thousands the same few.
struct IssuerNames {
  std::string name_der, name, organization, key_id;  // as Certificate has them
  bool operator==(const IssuerNames&) const = default;
};

class Certificate {
 public:
  static Result<CertificatePtr> FromDer(std::string_view der);
  static Result<CertificatePtr> FromX509(X509Ptr x509);
  // The same from its bytes, shared with nobody: what OpenSSL makes of it goes with it.
  CertificatePtr Apart() const;
  ~Certificate();

  // As OpenSSL takes it; parsed when somebody first asks, and kept. Ours.
  X509* x509() const;
  // The same for a moment, without keeping it: of each thread the last one is at hand.
  X509Ptr Borrow() const;
  const std::string& der() const { return der_; }
  const std::string& sha256() const { return sha256_; }  // 32 bytes of the DER
  std::string sha256_hex() const;
  const std::string& subject_der() const { return subject_der_; }  // canonical name bytes
  const std::string& issuer_der() const { return issuer_->name_der; }
  // The SKI, and the AKI's keyIdentifier; "" where there is none.
  const std::string& subject_key_id() const { return subject_key_id_; }
  const std::string& authority_key_id() const { return issuer_->key_id; }
  // SubjectPublicKeyInfo as DER, elliptic points uncompressed: equal bytes, equal keys.
  const std::string& public_key() const { return public_key_; }
  const std::string& subject() const { return subject_; }  // for people: "CN=R3,O=Let's Encrypt"
  const std::string& issuer() const { return issuer_->name; }
  // Of the issuer; its common name where it has none: whom conf/ari.toml means.
  const std::string& issuer_organization() const { return issuer_->organization; }
  // Upper case, as openssl x509 -serial prints it.
  const std::string& serial_hex() const { return serial_hex_; }
  WallTime not_before() const { return not_before_; }
  WallTime not_after() const { return not_after_; }
  bool is_ca() const { return is_ca_; }
  // Names and key ids fit, and the issuer may sign certificates (X509_check_issued).
  bool MayBeIssuedBy(const Certificate& issuer) const;
  // The signature verifies with the issuer's key. Known ones are not computed again.
  bool IsSignedBy(const Certificate& issuer) const;
  // The same of what is known: false also where nobody has looked.
  bool IsKnownSignedBy(const Certificate& issuer) const;
  bool is_self_named() const { return subject_der_ == issuer_der(); }
  // Its own issuer by name, and the signature verifies with its own key (RFC 5280 3.2): a root. A
  // name that equals its issuer's is not enough (key roll-over), nor is the same key under an older
  // name. Computed once.
  bool is_self_signed() const { return is_self_signed_; }
  // dNSNames in lower case, and IP addresses as text; the common name only where there is no
  // subjectAltName.
  const std::vector<std::string>& names() const { return names_; }
  // RFC 6125 6.4: exact, or one wildcard as the whole leftmost label, never directly below a
  // top-level domain.
  bool Covers(std::string_view host) const;
  const std::vector<std::string>& ca_issuer_urls() const { return ca_issuer_urls_; }
  const std::vector<std::string>& ocsp_urls() const { return ocsp_urls_; }
  const std::vector<std::string>& crl_urls() const { return crl_urls_; }
  bool has_must_staple() const { return has_must_staple_; }  // RFC 7633 status_request
  // Of its key and, unless it is self-signed, of its signature, as libssl's levels count (112: RSA
  // of 2048 bits); -1: unknown. Computed when somebody first asks.
  int security_bits() const;
  bool is_rsa() const { return is_rsa_; }
  bool is_ecdsa() const { return is_ecdsa_; }

 private:
  Certificate() = default;
  static Result<std::shared_ptr<Certificate>> Make(X509* x509);
  static Result<std::shared_ptr<Certificate>> Make(std::string_view der,
                                                   const CertificateParts& parts);
  Status Fill(X509* x509);
  Status Fill(const CertificateFields& fields);

  mutable std::atomic<X509*> x509_ = nullptr;  // ours; null: not parsed yet
  mutable std::atomic<int> security_bits_ = 0;  // 0: nobody has asked
  bool is_shared_ = false;
  bool is_plain_leaf_ = false;  // made from CertificateParts
  std::string der_, sha256_, subject_der_, subject_key_id_, public_key_, subject_, serial_hex_;
  std::shared_ptr<const IssuerNames> issuer_;
  WallTime not_before_{}, not_after_{};
  bool is_ca_ = false, is_self_signed_ = false, has_must_staple_ = false;
  bool is_rsa_ = false, is_ecdsa_ = false;
  std::vector<std::string> names_, ca_issuer_urls_, ocsp_urls_, crl_urls_;
};

// A DER distinguished name as subject_der() has it; "" where it is none.
std::string CanonicalNameOf(std::string_view der);

class PrivateKey;
using PrivateKeyPtr = std::shared_ptr<const PrivateKey>;

// A private key. Immutable, any thread.
class PrivateKey {
 public:
  explicit PrivateKey(EvpPkeyPtr key);
  // Unencrypted PKCS#8, SEC 1 or PKCS#1 that is decoded when somebody first asks (350 µs); its
  // public half is read from the structure. Null where the structure does not show it.
  static PrivateKeyPtr Undecoded(std::string_view der);
  // The same, decoded by nobody yet where that is possible.
  PrivateKeyPtr Apart() const;
  ~PrivateKey();
  PrivateKey(const PrivateKey&) = delete;
  PrivateKey& operator=(const PrivateKey&) = delete;

  EVP_PKEY* get() const;  // ours; null where it cannot be decoded
  const std::string& public_key() const { return public_key_; }  // as Certificate::public_key()
  // SHA-256 of the private key's bytes; of the public ones where it came decoded.
  const std::string& sha256() const { return sha256_; }
  const std::string& der() const { return der_; }  // "" where it came decoded

 private:
  PrivateKey() = default;

  mutable std::atomic<EVP_PKEY*> key_ = nullptr;  // ours
  std::string der_;                               // wiped at the end
  std::string public_key_, sha256_;
};

// Signatures that are known to verify, by the certificate's SHA-256 and that of the issuer's public
// key (32 bytes each): what an earlier run has proved. Thread-safe.
void RememberSignature(std::string_view certificate_sha256, std::string_view issuer_key_sha256);
std::string Sha256(std::string_view bytes);

}  // namespace genkan::tls
