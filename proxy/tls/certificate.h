// One parsed X.509 certificate. Immutable, shared between bundles (5,000 leaves share their
// intermediates); any thread.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::tls {

class Certificate;
using CertificatePtr = std::shared_ptr<const Certificate>;

class Certificate {
 public:
  static Result<CertificatePtr> FromDer(std::string_view der);
  static Result<CertificatePtr> FromX509(X509Ptr x509);
  ~Certificate();

  X509* x509() const { return x509_.get(); }
  const std::string& der() const { return der_; }
  const std::string& sha256() const { return sha256_; }  // 32 bytes of the DER
  std::string sha256_hex() const;
  const std::string& subject_der() const { return subject_der_; }  // canonical name bytes
  const std::string& issuer_der() const { return issuer_der_; }
  // The SKI, and the AKI's keyIdentifier; "" where there is none.
  const std::string& subject_key_id() const { return subject_key_id_; }
  const std::string& authority_key_id() const { return authority_key_id_; }
  // SubjectPublicKeyInfo as DER, elliptic points uncompressed: equal bytes, equal keys.
  const std::string& public_key() const { return public_key_; }
  std::string subject() const;  // for people: "CN=R3,O=Let's Encrypt"
  std::string issuer() const;
  std::string serial_hex() const;  // upper case, as openssl x509 -serial prints it
  WallTime not_before() const { return not_before_; }
  WallTime not_after() const { return not_after_; }
  bool is_ca() const { return is_ca_; }
  bool is_self_named() const { return subject_der_ == issuer_der_; }
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
  bool is_rsa() const { return is_rsa_; }
  bool is_ecdsa() const { return is_ecdsa_; }

 private:
  Certificate() = default;
  Status Fill();

  X509Ptr x509_;
  std::string der_, sha256_, subject_der_, issuer_der_, subject_key_id_, authority_key_id_,
      public_key_;
  WallTime not_before_{}, not_after_{};
  bool is_ca_ = false, is_self_signed_ = false, has_must_staple_ = false;
  bool is_rsa_ = false, is_ecdsa_ = false;
  std::vector<std::string> names_, ca_issuer_urls_, ocsp_urls_, crl_urls_;
};

// A DER distinguished name as subject_der() has it; "" where it is none.
std::string CanonicalNameOf(std::string_view der);

// A private key. Immutable, any thread.
class PrivateKey {
 public:
  explicit PrivateKey(EvpPkeyPtr key);
  EVP_PKEY* get() const { return key_.get(); }
  const std::string& public_key() const { return public_key_; }  // as Certificate::public_key()

 private:
  EvpPkeyPtr key_;
  std::string public_key_;
};
using PrivateKeyPtr = std::shared_ptr<const PrivateKey>;

}  // namespace genkan::tls
