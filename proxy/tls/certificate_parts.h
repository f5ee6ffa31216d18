// A certificate taken apart without OpenSSL's X509, which decodes the public key of each one with
// machinery that takes five times as long as all the rest. For the plain leaves that servers have:
// whatever is unusual is left to X509. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "proxy/tls/openssl_ptr.h"

namespace genkan::tls {

// What tls::Certificate is made of, borrowed from whoever has parsed it.
struct CertificateFields {
  const X509_NAME* subject = nullptr;
  const X509_NAME* issuer = nullptr;
  const ASN1_INTEGER* serial = nullptr;
  const ASN1_TIME* not_before = nullptr;
  const ASN1_TIME* not_after = nullptr;
  const STACK_OF(X509_EXTENSION) * extensions = nullptr;  // null: none
  const ASN1_OCTET_STRING* subject_key_id = nullptr;
  const ASN1_OCTET_STRING* authority_key_id = nullptr;
};

class CertificateParts {
 public:
  // Nothing where it is not a plain leaf: DER of version 3, another's name as its issuer, no
  // authority, no proxy certificate, known extensions that can all be read and once each, an issuer
  // named by key id alone, one signature algorithm, and an uncompressed key on P-256, P-384 or
  // P-521 or an RSA key. What is plain is also what d2i_X509 takes.
  static std::optional<CertificateParts> ReadPlainLeaf(std::string_view der);
  CertificateParts(CertificateParts&&) noexcept;
  ~CertificateParts();

  CertificateFields fields() const;
  bool is_rsa() const { return is_rsa_; }  // otherwise ECDSA
  std::string_view public_key() const;     // SubjectPublicKeyInfo

 private:
  struct Body;
  struct Deleter {
    void operator()(Body* body) const noexcept;
  };
  CertificateParts() = default;
  bool ReadExtensions();
  bool ReadKey();

  std::unique_ptr<Body, Deleter> body_;
  OpensslPtr<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> subject_key_id_;
  OpensslPtr<AUTHORITY_KEYID, AUTHORITY_KEYID_free> authority_key_id_;
  bool is_rsa_ = false;
};

// What X509_verify says, of one that is a plain leaf.
bool IsPlainLeafSignedWith(std::string_view der, EVP_PKEY* key);

}  // namespace genkan::tls
