#include "proxy/tls/ari.h"

#include "proxy/base/text.h"

namespace genkan::tls {
namespace {

std::string EntryOf(X509_NAME* name, int nid) {
  const int at = X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0) return {};
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return {};
  std::string entry(reinterpret_cast<char*>(text), static_cast<size_t>(size));
  OPENSSL_free(text);
  return entry;
}

}  // namespace

Result<std::string> AriCertId(const Certificate& certificate) {
  const ErrorQueueGuard guard;
  if (certificate.authority_key_id().empty())
    return Fail(ErrorCode::kTls, "the certificate has no authority key identifier");
  // The bytes of the DER INTEGER, with the zero that keeps a high first bit from being a sign.
  unsigned char* bytes = nullptr;
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate.x509());
  const int size = i2d_ASN1_INTEGER(serial, &bytes);
  // Serial numbers have 20 bytes (RFC 5280 4.1.2.2), so the header of the INTEGER has two.
  if (size < 3 || size > 0x7f + 2) {
    OPENSSL_free(bytes);
    return Fail(ErrorCode::kTls, "a serial number of {} bytes", size);
  }
  std::string id = Base64UrlEncode(AsBytes(certificate.authority_key_id())) + "." +
                   Base64UrlEncode({bytes + 2, static_cast<size_t>(size) - 2});
  OPENSSL_free(bytes);
  return id;
}

std::string IssuerOrganization(const Certificate& certificate) {
  const ErrorQueueGuard guard;
  X509_NAME* issuer = X509_get_issuer_name(certificate.x509());
  std::string organization = EntryOf(issuer, NID_organizationName);
  return organization.empty() ? EntryOf(issuer, NID_commonName) : organization;
}

}  // namespace genkan::tls
