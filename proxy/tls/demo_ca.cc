#include "proxy/tls/demo_ca.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

namespace genkan::tls {
namespace {

using TimePtr = OpensslPtr<ASN1_TIME, ASN1_STRING_free>;
using ExtensionPtr = OpensslPtr<X509_EXTENSION, X509_EXTENSION_free>;
using BignumPtr = OpensslPtr<BIGNUM, BN_free>;

constexpr auto kBackdate = std::chrono::hours(1);
constexpr auto kDay = std::chrono::hours(24);

tl::unexpected<Error> OpensslFailed(std::string_view what) {
  return Fail(ErrorCode::kTls, "{}: {}", what, TakeOpensslErrors());
}

std::time_t ToSeconds(WallTime time) { return std::chrono::system_clock::to_time_t(time); }

bool IsAddress(const std::string& name) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

bool AddExtension(X509* x509, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  const ExtensionPtr made(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return made && X509_add_ext(x509, made.get(), -1) == 1;
}

// 127 random bits: RFC 5280 4.1.2.2 wants a positive number, CAs at least 64 bits of chance.
bool SetSerial(X509* x509) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x3f) | 0x40);
  const BignumPtr number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509)) != nullptr;
}

struct Wanted {
  std::string common_name;
  WallTime not_before, not_after;
  std::vector<std::pair<int, std::string>> extensions;
};

// Signed by `issuer_key`; without an issuer by itself.
Result<CertificatePtr> Sign(const Wanted& wanted, EVP_PKEY* key, X509* issuer,
                            EVP_PKEY* issuer_key) {
  X509Ptr x509(X509_new());
  if (!x509 || X509_set_version(x509.get(), X509_VERSION_3) != 1 || !SetSerial(x509.get()))
    return OpensslFailed("a certificate");
  X509_NAME* subject = X509_get_subject_name(x509.get());
  const auto add = [subject](const char* field, std::string_view text) {
    return X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1;
  };
  if (issuer == nullptr) issuer = x509.get();
  const bool is_filled =
      add("O", "genkan demo") && add("CN", wanted.common_name) &&
      X509_set_issuer_name(x509.get(), X509_get_subject_name(issuer)) == 1 &&
      ASN1_TIME_set(X509_getm_notBefore(x509.get()), ToSeconds(wanted.not_before)) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(x509.get()), ToSeconds(wanted.not_after)) != nullptr &&
      X509_set_pubkey(x509.get(), key) == 1;
  if (!is_filled) return OpensslFailed("a certificate's fields");
  for (const auto& [nid, value] : wanted.extensions) {
    if (!AddExtension(x509.get(), issuer, nid, value))
      return OpensslFailed(std::string(OBJ_nid2sn(nid)) + " = " + value);
  }
  if (X509_sign(x509.get(), issuer_key, EVP_sha256()) <= 0) return OpensslFailed("signing");
  return Certificate::FromX509(std::move(x509));
}

template <class Write>
std::string WritePem(Write write) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio || write(bio.get()) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

std::string ToPem(const Certificate& certificate) {
  return WritePem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate.x509()); });
}

Result<std::string> Encode(const OCSP_RESPONSE* response) {
  unsigned char* bytes = nullptr;
  const int size = response != nullptr ? i2d_OCSP_RESPONSE(response, &bytes) : -1;
  if (size <= 0) return OpensslFailed("an OCSP response");
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

Result<std::string> RefuseOcsp(int status) {
  return Encode(OcspResponsePtr(OCSP_response_create(status, nullptr)).get());
}

std::string SerialHex(const ASN1_INTEGER* serial) {
  const BignumPtr number(ASN1_INTEGER_to_BN(serial, nullptr));
  char* text = number ? BN_bn2hex(number.get()) : nullptr;
  std::string hex = text != nullptr ? text : "";
  OPENSSL_free(text);
  return hex;
}

const EVP_MD* DigestOf(OCSP_CERTID* id) {
  ASN1_OBJECT* algorithm = nullptr;
  OCSP_id_get0_info(nullptr, &algorithm, nullptr, nullptr, id);
  const int nid = OBJ_obj2nid(algorithm);
  return nid == NID_sha1 ? EVP_sha1() : nid == NID_sha256 ? EVP_sha256() : nullptr;
}

}  // namespace

Result<std::unique_ptr<DemoCa>> DemoCa::Make(WallTime now) {
  const ErrorQueueGuard guard;
  std::unique_ptr<DemoCa> ca(new DemoCa);
  const EvpPkeyPtr root_key(EVP_EC_gen("P-256"));
  ca->intermediate_key_.reset(EVP_EC_gen("P-256"));
  if (!root_key || !ca->intermediate_key_) return OpensslFailed("a key");

  Wanted wanted{"genkan demo root", now - kBackdate, now + 365 * kDay, {}};
  wanted.extensions = {{NID_basic_constraints, "critical,CA:TRUE"},
                       {NID_key_usage, "critical,keyCertSign,cRLSign"},
                       {NID_subject_key_identifier, "hash"}};
  auto root = Sign(wanted, root_key.get(), nullptr, root_key.get());
  if (!root) return PassOn(root);
  wanted.common_name = "genkan demo intermediate";
  // It signs the OCSP responses itself: digitalSignature (RFC 5280 4.2.1.3).
  wanted.extensions = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                       {NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature"},
                       {NID_subject_key_identifier, "hash"},
                       {NID_authority_key_identifier, "keyid"}};
  auto intermediate = Sign(wanted, ca->intermediate_key_.get(), (*root)->x509(), root_key.get());
  if (!intermediate) return PassOn(intermediate);

  ca->root_ = *root;
  ca->intermediate_ = *intermediate;
  ca->root_pem_ = ToPem(**root);
  ca->intermediate_pem_ = ToPem(**intermediate);
  return ca;
}

Result<DemoCa::Leaf> DemoCa::Issue(const std::vector<std::string>& names,
                                   const std::string& ocsp_url, WallTime now) {
  const ErrorQueueGuard guard;
  if (names.empty()) return Fail(ErrorCode::kInvalid, "a leaf without a name");
  const EvpPkeyPtr key(EVP_EC_gen("P-256"));
  if (!key) return OpensslFailed("a key");
  std::string alternative_names;
  for (const std::string& name : names) {
    alternative_names += alternative_names.empty() ? "" : ",";
    alternative_names += (IsAddress(name) ? "IP:" : "DNS:") + name;
  }
  Wanted wanted{names.front(), now - kBackdate, now + 90 * kDay, {}};
  wanted.extensions = {{NID_basic_constraints, "critical,CA:FALSE"},
                       {NID_key_usage, "critical,digitalSignature"},
                       {NID_ext_key_usage, "serverAuth"},
                       {NID_subject_key_identifier, "hash"},
                       {NID_authority_key_identifier, "keyid"},
                       {NID_subject_alt_name, alternative_names}};
  if (!ocsp_url.empty()) wanted.extensions.emplace_back(NID_info_access, "OCSP;URI:" + ocsp_url);
  auto certificate = Sign(wanted, key.get(), intermediate_->x509(), intermediate_key_.get());
  if (!certificate) return PassOn(certificate);

  Leaf leaf;
  leaf.certificate = *certificate;
  leaf.pem = ToPem(**certificate);
  leaf.key_pem = WritePem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  if (leaf.pem.empty() || leaf.key_pem.empty()) return OpensslFailed("PEM");
  issued_.insert(SerialHex(X509_get0_serialNumber((*certificate)->x509())));
  return leaf;
}

Result<std::string> DemoCa::AnswerOcsp(std::string_view request_der, WallTime now) const {
  const ErrorQueueGuard guard;
  const auto* bytes = reinterpret_cast<const unsigned char*>(request_der.data());
  const OcspRequestPtr request(
      d2i_OCSP_REQUEST(nullptr, &bytes, static_cast<long>(request_der.size())));
  if (!request) return RefuseOcsp(OCSP_RESPONSE_STATUS_MALFORMEDREQUEST);

  const OcspBasicPtr basic(OCSP_BASICRESP_new());
  const TimePtr this_update(ASN1_GENERALIZEDTIME_set(nullptr, ToSeconds(now)));
  const TimePtr next_update(ASN1_GENERALIZEDTIME_set(nullptr, ToSeconds(now + kDay)));
  const int count = OCSP_request_onereq_count(request.get());
  if (!basic || !this_update || !next_update || count < 1)
    return RefuseOcsp(OCSP_RESPONSE_STATUS_MALFORMEDREQUEST);
  for (int i = 0; i < count; ++i) {
    OCSP_CERTID* id = OCSP_onereq_get0_id(OCSP_request_onereq_get0(request.get(), i));
    const EVP_MD* digest = DigestOf(id);
    const OcspCertIdPtr ours(
        digest != nullptr ? OCSP_cert_to_id(digest, nullptr, intermediate_->x509()) : nullptr);
    // RFC 5019 2.2.3: not ours to answer for.
    if (!ours || OCSP_id_issuer_cmp(ours.get(), id) != 0)
      return RefuseOcsp(OCSP_RESPONSE_STATUS_UNAUTHORIZED);
    ASN1_INTEGER* serial = nullptr;
    OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial, id);
    const bool is_ours = issued_.count(SerialHex(serial)) > 0;
    if (OCSP_basic_add1_status(basic.get(), id,
                               is_ours ? V_OCSP_CERTSTATUS_GOOD : V_OCSP_CERTSTATUS_UNKNOWN, 0,
                               nullptr, this_update.get(), next_update.get()) == nullptr) {
      return OpensslFailed("an OCSP answer");
    }
  }
  OCSP_copy_nonce(basic.get(), request.get());
  if (OCSP_basic_sign(basic.get(), intermediate_->x509(), intermediate_key_.get(), EVP_sha256(),
                      nullptr, OCSP_NOCERTS) != 1) {
    return OpensslFailed("signing an OCSP response");
  }
  return Encode(
      OcspResponsePtr(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get())).get());
}

}  // namespace genkan::tls
