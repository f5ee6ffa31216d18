#include "proxy/tls/ari.h"

#include "proxy/base/text.h"

namespace genkan::tls {
Result<std::string> AriCertId(const Certificate& certificate) {
  const ErrorQueueGuard guard;
  if (certificate.authority_key_id().empty())
    return Fail(ErrorCode::kTls, "the certificate has no authority key identifier");
  // The bytes of the DER INTEGER, with the zero that keeps a high first bit from being a sign.
  unsigned char* bytes = nullptr;
  const X509Ptr x509 = certificate.Borrow();
  const ASN1_INTEGER* serial = X509_get0_serialNumber(x509.get());
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

}  // namespace genkan::tls
