// ReadPool on edited PEM, DER, PKCS#7 and PKCS#12: no crash, nothing left in OpenSSL's error queue,
// the limits hold, and what it calls a certificate is one.
#include "proxy/tls/certificate_pool.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/pkcs7.h>

#include "proxy/base/check.h"
#include "tests/fuzz/edited_seed.h"
#include "tests/support/test_ca.h"

namespace genkan::fuzz {
namespace {

using testing::Issued;

template <class Write>
std::string Written(Write write) {
  const tls::BioPtr bio(BIO_new(BIO_s_mem()));
  GENKAN_CHECK(write(bio.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

std::vector<std::string> MakeSeeds() {
  const tls::ErrorQueueGuard guard;
  testing::CertificateOptions options{.common_name = "Root",
                                      .not_before = WallTime(Seconds(1'700'000'000)),
                                      .not_after = WallTime(Seconds(1'900'000'000)),
                                      .key_kind = testing::KeyKind::kEd25519,
                                      .serial = 1};
  const Issued root = testing::MakeRoot(options);
  options.common_name = "Leaf";
  options.names = {"a.test", "*.a.test", "192.0.2.1"};
  options.ocsp_urls = {"http://o.test/"};
  options.ca_issuer_urls = {"http://i.test/"};
  options.crl_urls = {"http://c.test/"};
  options.must_staple = true;
  const Issued leaf = testing::MakeLeaf(root, options);

  PKCS7* pkcs7 = PKCS7_new();
  PKCS7_set_type(pkcs7, NID_pkcs7_signed);
  PKCS7_content_new(pkcs7, NID_pkcs7_data);
  PKCS7_add_certificate(pkcs7, leaf.certificate->x509());
  PKCS7_add_certificate(pkcs7, root.certificate->x509());
  // Neither encrypted nor with a MAC: both would be random, and a finding would not come again.
  PKCS12* pkcs12 =
      PKCS12_create("", "a", leaf.key->get(), leaf.certificate->x509(), nullptr, -1, -1, 1, -1, 0);
  std::vector<std::string> seeds = {
      leaf.pem() + "text\n" + root.pem(),
      leaf.key_pem() + leaf.pem(),
      leaf.certificate->der() + root.certificate->der(),
      Written([&](BIO* bio) { return i2d_PKCS8PrivateKeyInfo_bio(bio, leaf.key->get()); }),
      Written([&](BIO* bio) { return i2d_PKCS7_bio(bio, pkcs7); }),
      Written([&](BIO* bio) { return PEM_write_bio_PKCS7(bio, pkcs7); }),
      Written([&](BIO* bio) { return i2d_PKCS12_bio(bio, pkcs12); }),
      "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"
      "00112233445566778899AABBCCDDEEFF\n\nAAAAAAAAAAAAAAAAAAAAAA==\n-----END RSA PRIVATE "
      "KEY-----\n",
  };
  PKCS7_free(pkcs7);
  PKCS12_free(pkcs12);
  return seeds;
}

}  // namespace
}  // namespace genkan::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan;
  static const std::vector<std::string> seeds = fuzz::MakeSeeds();
  const fuzz::EditedSeed input = fuzz::ReadEditedSeed(data, size, seeds);
  const tls::CertificatePool pool = tls::ReadPool(input.bytes, "fuzz", "password");
  GENKAN_CHECK(ERR_peek_error() == 0);
  GENKAN_CHECK(pool.certificates.size() <= 64);
  GENKAN_CHECK(pool.keys.size() <= 64);
  GENKAN_CHECK(pool.problems.size() <= 64);
  for (const auto& certificate : pool.certificates) {
    const auto again = tls::Certificate::FromDer(certificate->der());
    GENKAN_CHECK(again.has_value());
    GENKAN_CHECK((*again)->sha256() == certificate->sha256());
    // Also what was read without OpenSSL's X509 is one for it.
    GENKAN_CHECK(certificate->Borrow() != nullptr);
    certificate->Covers("www.a.test");
    certificate->subject();
    certificate->serial_hex();
  }
  for (const auto& key : pool.keys) {
    GENKAN_CHECK(key->get() != nullptr);
    tls::FindLeaf(pool, *key, WallTime(Seconds(1'800'000'000)));
  }
  GENKAN_CHECK(ERR_peek_error() == 0);
  return 0;
}
