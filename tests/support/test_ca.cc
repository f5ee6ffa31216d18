#include "tests/support/test_ca.h"

#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "proxy/base/check.h"
#include "tests/support/test_asn1.h"

namespace genkan::testing {
namespace {

using tls::BioPtr;
using tls::Certificate;
using tls::CertificatePtr;
using tls::EvpPkeyPtr;
using tls::X509Ptr;

constexpr auto kDay = std::chrono::hours(24);

tls::EvpPkeyPtr MakeKey(KeyKind kind, std::string_view label) {
  switch (kind) {
    case KeyKind::kEcdsa:
      return EvpPkeyPtr(EVP_EC_gen("P-256"));
    case KeyKind::kRsa:
      return EvpPkeyPtr(EVP_RSA_gen(2048));
    case KeyKind::kEd25519: {
      unsigned char seed[SHA256_DIGEST_LENGTH];
      SHA256(reinterpret_cast<const unsigned char*>(label.data()), label.size(), seed);
      return EvpPkeyPtr(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed, sizeof seed));
    }
  }
  return nullptr;
}

bool IsAddress(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

std::string Join(const std::vector<std::string>& urls, std::string_view prefix) {
  std::string joined;
  for (const std::string& url : urls) {
    if (!joined.empty()) joined += ",";
    joined += std::string(prefix) + url;
  }
  return joined;
}

void AddExtension(X509* x509, X509* issuer, int nid, const std::string& value) {
  if (value.empty()) return;
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  GENKAN_CHECK(extension != nullptr);
  GENKAN_CHECK(X509_add_ext(x509, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

void AddSubject(X509* x509, const CertificateOptions& options) {
  X509_NAME* subject = X509_get_subject_name(x509);
  const auto add = [subject](const char* field, const std::string& value) {
    if (value.empty()) return;
    X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.data()),
                               static_cast<int>(value.size()), -1, 0);
  };
  add("O", options.organization);
  add("CN", options.common_name);
}

enum class Role { kCa, kLeaf };

void AddExtensions(X509* x509, X509* issuer, const CertificateOptions& options, Role role) {
  const bool is_ca = role == Role::kCa;
  std::string constraints = is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
  if (is_ca && options.path_length >= 0) {
    constraints += ",pathlen:" + std::to_string(options.path_length);
  }
  AddExtension(x509, issuer, NID_basic_constraints, constraints);
  const std::string usage =
      is_ca ? "critical,keyCertSign,cRLSign,digitalSignature" : "critical,digitalSignature";
  AddExtension(x509, issuer, NID_key_usage, options.key_usage.empty() ? usage : options.key_usage);
  const std::string extended = is_ca ? "" : "serverAuth";
  AddExtension(x509, issuer, NID_ext_key_usage,
               options.extended_key_usage.empty() ? extended : options.extended_key_usage);
  if (options.has_key_ids) {
    AddExtension(x509, issuer, NID_subject_key_identifier, "hash");
    if (issuer != x509 && X509_get0_subject_key_id(issuer) != nullptr) {
      AddExtension(x509, issuer, NID_authority_key_identifier, "keyid");
    }
  }
  std::string names;
  for (const std::string& name : options.names) {
    names += (names.empty() ? "" : ",") + std::string(IsAddress(name) ? "IP:" : "DNS:") + name;
  }
  AddExtension(x509, issuer, NID_subject_alt_name, names);
  std::string access = Join(options.ocsp_urls, "OCSP;URI:");
  if (!options.ca_issuer_urls.empty()) {
    access += (access.empty() ? "" : ",") + Join(options.ca_issuer_urls, "caIssuers;URI:");
  }
  AddExtension(x509, issuer, NID_info_access, access);
  AddExtension(x509, issuer, NID_crl_distribution_points, Join(options.crl_urls, "URI:"));
  if (options.must_staple) AddExtension(x509, issuer, NID_tlsfeature, "status_request");
}

Issued Make(const Issued* issuer, CertificateOptions options, Role role) {
  const tls::ErrorQueueGuard guard;
  static std::atomic<uint64_t> next_serial = 0x1000;
  if (options.common_name.empty() && !options.names.empty()) options.common_name = options.names[0];
  if (options.key_label.empty()) options.key_label = options.common_name;
  if (options.serial == 0) options.serial = ++next_serial;

  const X509Ptr x509(X509_new());
  X509_set_version(x509.get(), X509_VERSION_3);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509.get()), options.serial);
  const WallTime now = std::chrono::system_clock::now();
  const WallTime manual = ManualClock().Wall();
  SetTime(X509_getm_notBefore(x509.get()),
          options.not_before.value_or(std::min(now, manual) - kDay));
  SetTime(X509_getm_notAfter(x509.get()),
          options.not_after.value_or(std::max(now, manual) + 90 * kDay));
  AddSubject(x509.get(), options);

  const tls::PrivateKeyPtr key = KeyFor(options.key_kind, options.key_label);
  GENKAN_CHECK(X509_set_pubkey(x509.get(), key->get()) == 1);
  X509* issuer_x509 = issuer != nullptr ? issuer->certificate->x509() : x509.get();
  const EvpPkeyPtr issuer_key(issuer != nullptr ? issuer->key->get() : key->get());
  EVP_PKEY_up_ref(issuer_key.get());
  X509_set_issuer_name(x509.get(), X509_get_subject_name(issuer_x509));
  AddExtensions(x509.get(), issuer_x509, options, role);
  GENKAN_CHECK(X509_sign(x509.get(), issuer_key.get(), DigestFor(issuer_key.get())) > 0);

  // From the bytes, as every certificate in the program.
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(x509.get(), &bytes);
  GENKAN_CHECK(size > 0);
  auto certificate =
      Certificate::FromDer({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)});
  OPENSSL_free(bytes);
  GENKAN_CHECK(certificate.has_value());
  return {*certificate, key, std::move(options)};
}

template <class Write>
std::string WritePem(Write write) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  GENKAN_CHECK(write(bio.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

}  // namespace

tls::PrivateKeyPtr KeyFor(KeyKind kind, std::string_view label) {
  static std::mutex mutex;
  static std::map<std::pair<KeyKind, std::string>, tls::PrivateKeyPtr> keys;
  const std::lock_guard lock(mutex);
  tls::PrivateKeyPtr& key = keys[{kind, std::string(label)}];
  if (!key) {
    EvpPkeyPtr made = MakeKey(kind, label);
    GENKAN_CHECK(made != nullptr);
    key = std::make_shared<const tls::PrivateKey>(std::move(made));
  }
  return key;
}

std::string Issued::pem() const { return ToPem(*certificate); }
std::string Issued::key_pem() const { return ToPem(*key); }

tls::PrivateKeyPtr KeyThatLies(const tls::PrivateKey& key) {
  const tls::PrivateKeyPtr other = KeyFor(KeyKind::kEcdsa, "the private half of a key that lies");
  BIGNUM* number = nullptr;
  EVP_PKEY_get_bn_param(other->get(), OSSL_PKEY_PARAM_PRIV_KEY, &number);
  unsigned char point[256];
  size_t size = 0;
  EVP_PKEY_get_octet_string_param(key.get(), OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
                                  &size);
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, number);
  OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, size);
  OSSL_PARAM* params = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY* made = nullptr;
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr);
  EVP_PKEY_fromdata_init(context);
  EVP_PKEY_fromdata(context, &made, EVP_PKEY_KEYPAIR, params);
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(params);
  OSSL_PARAM_BLD_free(builder);
  BN_free(number);
  return std::make_shared<const tls::PrivateKey>(tls::EvpPkeyPtr(made));
}

Issued MakeRoot(CertificateOptions options) { return Make(nullptr, std::move(options), Role::kCa); }
Issued MakeIntermediate(const Issued& issuer, CertificateOptions options) {
  return Make(&issuer, std::move(options), Role::kCa);
}
Issued MakeLeaf(const Issued& issuer, CertificateOptions options) {
  return Make(&issuer, std::move(options), Role::kLeaf);
}
Issued MakeSelfSignedLeaf(CertificateOptions options) {
  return Make(nullptr, std::move(options), Role::kLeaf);
}

std::string ToPem(const Certificate& certificate) {
  return WritePem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.x509()); });
}
std::string ToPem(const tls::PrivateKey& key) {
  return WritePem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

TestCa::TestCa(std::string_view name, KeyKind kind) {
  CertificateOptions options;
  options.organization = "genkan tests";
  options.key_kind = kind;
  options.common_name = std::string(name) + " Root";
  root_ = MakeRoot(options);
  options.common_name = std::string(name) + " Intermediate";
  intermediate_ = MakeIntermediate(root_, options);
}

Issued TestCa::Leaf(std::vector<std::string> names, KeyKind kind) const {
  CertificateOptions options;
  options.names = std::move(names);
  options.key_kind = kind;
  return LeafWith(std::move(options));
}

Issued TestCa::LeafWith(CertificateOptions options) const {
  return MakeLeaf(intermediate_, std::move(options));
}

std::string TestCa::FullChainPem(const Issued& leaf) const {
  return leaf.pem() + intermediate_.pem();
}

tls::BundlePtr TestCa::BundleOf(const Issued& leaf) const {
  auto bundle =
      tls::CertificateBundle::Make({leaf.certificate, intermediate_.certificate}, leaf.key);
  GENKAN_CHECK(bundle.has_value());
  return *bundle;
}

tls::BundlePtr TestCa::Bundle(std::vector<std::string> names, KeyKind kind) const {
  return BundleOf(Leaf(std::move(names), kind));
}

}  // namespace genkan::testing
