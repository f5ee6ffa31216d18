// OCSP responses and CRLs of TestCa.
#include <openssl/x509v3.h>

#include "proxy/base/check.h"
#include "tests/support/test_asn1.h"
#include "tests/support/test_ca.h"

namespace genkan::testing {
namespace {

using TimePtr = tls::OpensslPtr<ASN1_TIME, ASN1_STRING_free>;
using ObjectPtr = tls::OpensslPtr<ASN1_OBJECT, ASN1_OBJECT_free>;
using OctetsPtr = tls::OpensslPtr<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;
using BignumPtr = tls::OpensslPtr<BIGNUM, BN_free>;
using RevokedPtr = tls::OpensslPtr<X509_REVOKED, X509_REVOKED_free>;

TimePtr Generalized(WallTime time) {
  TimePtr made(ASN1_GENERALIZEDTIME_set(nullptr, std::chrono::system_clock::to_time_t(time)));
  GENKAN_CHECK(made != nullptr);
  return made;
}

template <class T>
std::string Encode(int (*encode)(const T*, unsigned char**), const T* object) {
  unsigned char* bytes = nullptr;
  const int size = encode(object, &bytes);
  GENKAN_CHECK(size > 0);
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

void AddPadding(OCSP_BASICRESP* basic, size_t size) {
  const ObjectPtr object(OBJ_txt2obj("1.3.6.1.4.1.55555.1", 1));
  const OctetsPtr octets(ASN1_OCTET_STRING_new());
  const std::string junk(size, '\x5a');
  ASN1_OCTET_STRING_set(octets.get(), reinterpret_cast<const unsigned char*>(junk.data()),
                        static_cast<int>(junk.size()));
  X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object.get(), 0, octets.get());
  GENKAN_CHECK(OCSP_BASICRESP_add_ext(basic, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

}  // namespace

std::string MakeOcspResponse(const tls::Certificate& leaf, const Issued& issuer,
                             const OcspOptions& options) {
  const tls::ErrorQueueGuard guard;
  if (options.response_status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    const tls::OcspResponsePtr response(OCSP_response_create(options.response_status, nullptr));
    return Encode<OCSP_RESPONSE>(i2d_OCSP_RESPONSE, response.get());
  }
  const tls::Certificate& about = options.about != nullptr ? *options.about : leaf;
  const Issued& signer = options.signer != nullptr ? *options.signer : issuer;
  const WallTime this_update =
      options.this_update.value_or(std::chrono::system_clock::now() - std::chrono::hours(1));
  const TimePtr updated = Generalized(this_update);
  const TimePtr next =
      Generalized(options.next_update.value_or(this_update + std::chrono::hours(7 * 24)));
  const TimePtr revoked =
      Generalized(options.revoked_at.value_or(this_update - std::chrono::hours(1)));

  const tls::OcspCertIdPtr id(OCSP_cert_to_id(options.is_sha256_cert_id ? EVP_sha256() : EVP_sha1(),
                                              about.x509(), issuer.certificate->x509()));
  const tls::OcspBasicPtr basic(OCSP_BASICRESP_new());
  const bool is_revoked = options.state == V_OCSP_CERTSTATUS_REVOKED;
  GENKAN_CHECK(OCSP_basic_add1_status(basic.get(), id.get(), options.state, options.reason,
                                      is_revoked ? revoked.get() : nullptr, updated.get(),
                                      options.has_next_update ? next.get() : nullptr) != nullptr);
  if (options.padding > 0) AddPadding(basic.get(), options.padding);
  const bool sends_signer = options.signer != nullptr && options.sends_signer;
  GENKAN_CHECK(OCSP_basic_sign(basic.get(), signer.certificate->x509(), signer.key->get(),
                               DigestFor(signer.key->get()), nullptr,
                               sends_signer ? 0UL : static_cast<unsigned long>(OCSP_NOCERTS)) == 1);
  if (options.breaks_signature) {
    auto* signature = const_cast<ASN1_OCTET_STRING*>(OCSP_resp_get0_signature(basic.get()));
    auto* bytes = const_cast<unsigned char*>(ASN1_STRING_get0_data(signature));
    bytes[ASN1_STRING_length(signature) - 1] ^= 1;
  }
  const tls::OcspResponsePtr response(
      OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
  return Encode<OCSP_RESPONSE>(i2d_OCSP_RESPONSE, response.get());
}

std::string MakeCrl(const Issued& issuer, const CrlOptions& options) {
  const tls::ErrorQueueGuard guard;
  const tls::X509CrlPtr crl(X509_CRL_new());
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(issuer.certificate->x509()));
  const WallTime this_update =
      options.this_update.value_or(std::chrono::system_clock::now() - std::chrono::hours(1));
  X509_CRL_set1_lastUpdate(crl.get(), Generalized(this_update).get());
  if (options.has_next_update) {
    const WallTime next = options.next_update.value_or(this_update + std::chrono::hours(7 * 24));
    X509_CRL_set1_nextUpdate(crl.get(), Generalized(next).get());
  }
  for (const RevokedEntry& entry : options.revoked) {
    RevokedPtr revoked(X509_REVOKED_new());
    BIGNUM* number = nullptr;
    BN_hex2bn(&number, entry.serial_hex.c_str());
    const BignumPtr owned(number);
    ASN1_INTEGER* serial = BN_to_ASN1_INTEGER(number, nullptr);
    X509_REVOKED_set_serialNumber(revoked.get(), serial);
    ASN1_INTEGER_free(serial);
    X509_REVOKED_set_revocationDate(revoked.get(), Generalized(entry.revoked_at).get());
    if (entry.reason >= 0) {
      ASN1_ENUMERATED* reason = ASN1_ENUMERATED_new();
      ASN1_ENUMERATED_set(reason, entry.reason);
      X509_REVOKED_add1_ext_i2d(revoked.get(), NID_crl_reason, reason, 0, 0);
      ASN1_ENUMERATED_free(reason);
    }
    GENKAN_CHECK(X509_CRL_add0_revoked(crl.get(), revoked.release()) == 1);
  }
  ASN1_INTEGER* number = ASN1_INTEGER_new();
  ASN1_INTEGER_set_uint64(number, options.number);
  X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, number, 0, 0);
  ASN1_INTEGER_free(number);
  if (!options.distribution_point.empty()) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer.certificate->x509(), nullptr, nullptr, crl.get(), 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(
        nullptr, &context, NID_issuing_distribution_point, options.distribution_point.c_str());
    GENKAN_CHECK(extension != nullptr);
    X509_CRL_add_ext(crl.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  X509_CRL_sort(crl.get());
  GENKAN_CHECK(X509_CRL_sign(crl.get(), issuer.key->get(), DigestFor(issuer.key->get())) > 0);
  return Encode<X509_CRL>(i2d_X509_CRL, crl.get());
}

}  // namespace genkan::testing
