#include "proxy/tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/core_names.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/asn1.h"
#include "proxy/tls/certificate_memory.h"
#include "proxy/tls/certificate_parts.h"
#include "proxy/tls/key_outline.h"
#include "proxy/tls/provider/sha2.h"

namespace genkan::tls {
namespace {

using GeneralNamesPtr = OpensslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;
using AccessPtr = OpensslPtr<AUTHORITY_INFO_ACCESS, AUTHORITY_INFO_ACCESS_free>;
using PointsPtr = OpensslPtr<CRL_DIST_POINTS, CRL_DIST_POINTS_free>;
using FeaturePtr = OpensslPtr<TLS_FEATURE, TLS_FEATURE_free>;

// The bytes of an i2d function that allocates.
template <class T, class Encode>
std::string ToDer(Encode encode, T* object) {
  unsigned char* bytes = nullptr;
  const int size = encode(object, &bytes);
  if (size <= 0) return {};
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

void AppendSized(std::string& out, std::string_view bytes) {
  out += std::to_string(bytes.size());
  out += ':';
  out += bytes;
}

bool IsNameBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// RFC 5280 7.1 asks for stringprep; every verifier in use does what OpenSSL does: UTF-8, ASCII
// letters in lower case, blanks trimmed and folded. OpenSSL keeps its result to itself, so it is
// made here once more.
void AppendCanonicalValue(std::string& out, const ASN1_STRING* value) {
  switch (ASN1_STRING_type(value)) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_BMPSTRING:
    case V_ASN1_UNIVERSALSTRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_T61STRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_VISIBLESTRING:
      break;
    default:
      out += std::to_string(ASN1_STRING_type(value)) + "=";
      AppendSized(out, AsView(value));
      return;
  }
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, value);
  if (size < 0) {  // not text after all: the bytes as they are
    out += "?=";
    AppendSized(out, AsView(value));
    return;
  }
  std::string_view text(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  std::string folded;
  for (const char c : text) {
    if (!IsNameBlank(c)) {
      folded += ToLower(c);
    } else if (!folded.empty() && folded.back() != ' ') {
      folded += ' ';
    }
  }
  if (!folded.empty() && folded.back() == ' ') folded.pop_back();
  OPENSSL_free(utf8);
  out += "=";
  AppendSized(out, folded);
}

std::string CanonicalName(const X509_NAME* name) {
  std::string out;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, i);
    const ASN1_OBJECT* object = X509_NAME_ENTRY_get_object(entry);
    out += std::to_string(X509_NAME_ENTRY_set(entry)) + "/";
    AppendSized(out, {reinterpret_cast<const char*>(OBJ_get0_data(object)), OBJ_length(object)});
    AppendCanonicalValue(out, X509_NAME_ENTRY_get_data(entry));
  }
  return out;
}

std::string ReadableName(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (!bio) return {};
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

std::string TextOf(const X509_NAME* name, int kind) {
  const int at = X509_NAME_get_index_by_NID(name, kind, -1);
  if (at < 0) return {};
  unsigned char* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return {};
  std::string entry(reinterpret_cast<char*>(text), static_cast<size_t>(size));
  OPENSSL_free(text);
  return entry;
}

std::string OrganizationOf(const X509_NAME* name) {
  std::string organization = TextOf(name, NID_organizationName);
  return organization.empty() ? TextOf(name, NID_commonName) : organization;
}

// Equal keys must give equal bytes, whatever form of the point a file has.
std::string PublicKeyDer(const EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_EC) {
    const EvpPkeyPtr copy(EVP_PKEY_dup(const_cast<EVP_PKEY*>(key)));
    if (copy && EVP_PKEY_set_utf8_string_param(
                    copy.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") == 1) {
      return ToDer(i2d_PUBKEY, static_cast<const EVP_PKEY*>(copy.get()));
    }
  }
  return ToDer(i2d_PUBKEY, key);
}

// The bytes as the certificate has them, where they are in the form that PublicKeyDer would give
// (OpenSSL takes 100 µs to write them anew); "" otherwise.
std::string PlainPublicKey(const X509* x509) {
  const X509_PUBKEY* key = X509_get_X509_PUBKEY(x509);
  ASN1_OBJECT* kind = nullptr;
  const unsigned char* bits = nullptr;
  int size = 0;
  X509_ALGOR* algorithm = nullptr;
  if (key == nullptr || X509_PUBKEY_get0_param(&kind, &bits, &size, &algorithm, key) != 1)
    return {};
  int parameter_type = 0;
  const ASN1_OBJECT* unused = nullptr;
  X509_ALGOR_get0(&unused, &parameter_type, nullptr, algorithm);
  const int nid = OBJ_obj2nid(kind);
  const bool is_plain_ec = nid == NID_X9_62_id_ecPublicKey && parameter_type == V_ASN1_OBJECT &&
                           size > 0 && bits[0] == POINT_CONVERSION_UNCOMPRESSED;
  const bool is_plain_rsa = nid == NID_rsaEncryption && parameter_type == V_ASN1_NULL;
  return is_plain_ec || is_plain_rsa ? ToDer(i2d_X509_PUBKEY, key) : std::string();
}

std::string SerialHex(const ASN1_INTEGER* serial) {
  std::string hex = HexEncode(AsBytes(AsView(serial)));
  for (char& c : hex) {
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 32);
  }
  if (hex.empty()) hex = "00";
  return ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ? "-" + hex : hex;
}

X509Ptr ParseX509(std::string_view der) {
  const ErrorQueueGuard guard;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509Ptr x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  // Reads and caches the extensions now, so that no thread writes into the X509 later.
  if (x509) X509_check_purpose(x509.get(), -1, 0);
  return x509;
}

// An address as inet_ntop writes it; "" for what is no address.
std::string NormalAddress(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  if (text.size() >= INET6_ADDRSTRLEN) return {};
  const std::string copy(text);
  unsigned char bytes[16];
  char out[INET6_ADDRSTRLEN];
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, copy.c_str(), bytes) == 1)
      return inet_ntop(family, bytes, out, sizeof out);
  }
  return {};
}

bool IsPlainText(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

void AddDnsName(std::vector<std::string>& names, std::string_view text) {
  if (!text.empty() && text.back() == '.') text.remove_suffix(1);
  // A NUL or a blank inside is an attack or an accident; an address as dNSName matches nothing (RFC
  // 6125 1.7.2).
  if (!IsPlainText(text) || !NormalAddress(text).empty()) return;
  std::string name = ToLower(text);
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

void AddAddress(std::vector<std::string>& names, std::string_view bytes) {
  char out[INET6_ADDRSTRLEN];
  if (bytes.size() != 4 && bytes.size() != 16) return;
  names.emplace_back(
      inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), out, sizeof out));
}

using Extensions = STACK_OF(X509_EXTENSION);

// As X509_get_ext_d2i: null also where it is there twice.
void* Decode(const Extensions* extensions, int kind) {
  return X509V3_get_d2i(extensions, kind, nullptr, nullptr);
}

std::vector<std::string> ReadNames(const X509_NAME* subject, const Extensions* extensions) {
  std::vector<std::string> names;
  if (X509v3_get_ext_by_NID(extensions, NID_subject_alt_name, -1) >= 0) {
    const GeneralNamesPtr all(
        static_cast<GENERAL_NAMES*>(Decode(extensions, NID_subject_alt_name)));
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
      if (name->type == GEN_DNS) AddDnsName(names, AsView(name->d.dNSName));
      if (name->type == GEN_IPADD) AddAddress(names, AsView(name->d.iPAddress));
    }
    return names;
  }
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
    AddDnsName(names, AsView(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at))));
  }
  return names;
}

void AddUrl(std::vector<std::string>& urls, const GENERAL_NAME* name) {
  if (name == nullptr || name->type != GEN_URI) return;
  const std::string_view url = AsView(name->d.uniformResourceIdentifier);
  if (IsPlainText(url)) urls.emplace_back(url);
}

void ReadAccess(const Extensions* extensions, std::vector<std::string>& issuers,
                std::vector<std::string>& ocsp) {
  const AccessPtr access(static_cast<AUTHORITY_INFO_ACCESS*>(Decode(extensions, NID_info_access)));
  for (int i = 0; access && i < sk_ACCESS_DESCRIPTION_num(access.get()); ++i) {
    const ACCESS_DESCRIPTION* one = sk_ACCESS_DESCRIPTION_value(access.get(), i);
    const int method = OBJ_obj2nid(one->method);
    if (method == NID_ad_ca_issuers) AddUrl(issuers, one->location);
    if (method == NID_ad_OCSP) AddUrl(ocsp, one->location);
  }
}

std::vector<std::string> ReadCrlUrls(const Extensions* extensions) {
  std::vector<std::string> urls;
  const PointsPtr points(
      static_cast<CRL_DIST_POINTS*>(Decode(extensions, NID_crl_distribution_points)));
  for (int i = 0; points && i < sk_DIST_POINT_num(points.get()); ++i) {
    const DIST_POINT* point = sk_DIST_POINT_value(points.get(), i);
    // A CRL of another issuer (indirect) says nothing that the certificate's issuer has signed.
    if (point->CRLissuer != nullptr) continue;
    if (point->distpoint == nullptr || point->distpoint->type != 0) continue;
    const GENERAL_NAMES* names = point->distpoint->name.fullname;
    for (int j = 0; j < sk_GENERAL_NAME_num(names); ++j) {
      AddUrl(urls, sk_GENERAL_NAME_value(names, j));
    }
  }
  return urls;
}

bool HasMustStaple(const Extensions* extensions) {
  constexpr long kStatusRequest = 5;  // RFC 6066 8
  const FeaturePtr features(static_cast<TLS_FEATURE*>(Decode(extensions, NID_tlsfeature)));
  for (int i = 0; features && i < sk_ASN1_INTEGER_num(features.get()); ++i) {
    if (ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features.get(), i)) == kStatusRequest) return true;
  }
  return false;
}

}  // namespace

// Thousands of certificates are dozens of thousands of hashes of a few hundred bytes: OpenSSL's
// SHA256() looks its algorithm up and makes a context for each, which takes longer than the hash.
std::string Sha256(std::string_view bytes) {
  std::string hash(SHA256_DIGEST_LENGTH, '\0');
  provider::Sha2Hash running(provider::Sha2::kSha256);
  running.Update(AsBytes(bytes));
  running.Finish(reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

Certificate::~Certificate() {
  if (is_shared_) SharedCertificates::Get().Drop(sha256_);
  X509_free(x509_.load(std::memory_order_acquire));
}

Result<CertificatePtr> Certificate::FromDer(std::string_view der) {
  if (CertificatePtr known = SharedCertificates::Get().Find(Sha256(der))) return known;
  const ErrorQueueGuard guard;
  if (const auto parts = CertificateParts::ReadPlainLeaf(der)) {
    auto certificate = Make(der, *parts);
    if (!certificate) return PassOn(certificate);
    (*certificate)->is_shared_ = true;
    return SharedCertificates::Get().Add(*std::move(certificate));
  }
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  X509Ptr x509(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!x509) return Fail(ErrorCode::kInvalid, "not a certificate: {}", TakeOpensslErrors());
  if (at != end) return Fail(ErrorCode::kInvalid, "{} bytes after the certificate", end - at);
  return FromX509(std::move(x509));
}

Result<CertificatePtr> Certificate::FromX509(X509Ptr x509) {
  auto certificate = Make(x509.get());
  if (!certificate) return PassOn(certificate);
  (*certificate)->is_shared_ = true;
  if ((*certificate)->is_ca()) (*certificate)->x509_ = x509.release();
  return SharedCertificates::Get().Add(*std::move(certificate));
}

Result<std::shared_ptr<Certificate>> Certificate::Make(X509* x509) {
  const ErrorQueueGuard guard;
  std::shared_ptr<Certificate> certificate(new Certificate());
  if (const Status status = certificate->Fill(x509); !status) return PassOn(status);
  return certificate;
}

Result<std::shared_ptr<Certificate>> Certificate::Make(std::string_view der,
                                                       const CertificateParts& parts) {
  std::shared_ptr<Certificate> certificate(new Certificate());
  certificate->is_plain_leaf_ = true;
  certificate->der_ = der;
  certificate->public_key_ = parts.public_key();
  certificate->is_rsa_ = parts.is_rsa();
  certificate->is_ecdsa_ = !parts.is_rsa();
  if (const Status status = certificate->Fill(parts.fields()); !status) return PassOn(status);
  return certificate;
}

CertificatePtr Certificate::Apart() const {
  X509Ptr x509 = ParseX509(der_);
  GENKAN_CHECK(x509 != nullptr);  // it was parsed before
  auto copy = Make(x509.get());
  GENKAN_CHECK(copy.has_value());
  (*copy)->x509_ = x509.release();
  return *std::move(copy);
}

X509* Certificate::x509() const {
  if (X509* known = x509_.load(std::memory_order_acquire)) return known;
  X509Ptr parsed = Borrow();
  X509* before = nullptr;
  if (x509_.compare_exchange_strong(before, parsed.get(), std::memory_order_acq_rel))
    return parsed.release();
  return before;
}

X509Ptr Certificate::Borrow() const {
  X509* known = x509_.load(std::memory_order_acquire);
  if (known != nullptr) {
    X509_up_ref(known);
    return X509Ptr(known);
  }
  // Whoever scores, judges and tries a certificate borrows it one after the other.
  thread_local struct {
    std::string sha256;
    X509Ptr x509;
  } last;
  if (last.x509 == nullptr || last.sha256 != sha256_) {
    last.x509 = ParseX509(der_);
    GENKAN_CHECK(last.x509 != nullptr);  // it was parsed before
    last.sha256 = sha256_;
  }
  X509_up_ref(last.x509.get());
  return X509Ptr(last.x509.get());
}

int Certificate::security_bits() const {
  if (const int known = security_bits_.load(std::memory_order_relaxed); known != 0) return known;
  const ErrorQueueGuard guard;
  const X509Ptr x509 = Borrow();
  const EVP_PKEY* key = X509_get0_pubkey(x509.get());
  int bits = key == nullptr ? -1 : EVP_PKEY_get_security_bits(key);
  if ((X509_get_extension_flags(x509.get()) & EXFLAG_SS) == 0) {
    int of_signature = -1;
    if (X509_get_signature_info(x509.get(), nullptr, nullptr, &of_signature, nullptr) != 1)
      of_signature = -1;
    bits = std::min(bits, of_signature);
  }
  if (bits == 0) bits = -1;
  security_bits_.store(bits, std::memory_order_relaxed);
  return bits;
}

bool Certificate::MayBeIssuedBy(const Certificate& issuer) const {
  X509* above = issuer.x509();
  if (is_plain_leaf_ && (X509_get_extension_flags(above) & EXFLAG_INVALID) == 0) {
    const bool has_both_ids = !authority_key_id().empty() && !issuer.subject_key_id_.empty();
    return issuer_der() == issuer.subject_der_ &&
           (!has_both_ids || authority_key_id() == issuer.subject_key_id_) &&
           (X509_get_key_usage(above) & KU_KEY_CERT_SIGN) != 0;
  }
  return X509_check_issued(above, Borrow().get()) == X509_V_OK;
}

bool Certificate::IsKnownSignedBy(const Certificate& issuer) const {
  return KnownSignatures::Get().Has(sha256_, Sha256(issuer.public_key()));
}

bool Certificate::IsSignedBy(const Certificate& issuer) const {
  const std::string key_sha256 = Sha256(issuer.public_key());
  if (KnownSignatures::Get().Has(sha256_, key_sha256)) return true;
  const ErrorQueueGuard guard;
  EVP_PKEY* key = X509_get0_pubkey(issuer.x509());
  if (key == nullptr) return false;
  const bool is_signed =
      is_plain_leaf_ ? IsPlainLeafSignedWith(der_, key) : X509_verify(Borrow().get(), key) == 1;
  if (!is_signed) return false;
  if (!issuer.public_key().empty()) KnownSignatures::Get().Add(sha256_, key_sha256);
  return true;
}

void RememberSignature(std::string_view certificate_sha256, std::string_view issuer_key_sha256) {
  KnownSignatures::Get().Add(certificate_sha256, issuer_key_sha256);
}

Status Certificate::Fill(X509* x509) {
  // What goes on the wire, should the file have been BER.
  der_ = ToDer(i2d_X509, static_cast<const X509*>(x509));
  if (der_.empty()) return Fail(ErrorCode::kInvalid, "a certificate that cannot be encoded");
  // Reads and caches the extensions now, so that no thread writes into the X509 later.
  X509_check_purpose(x509, -1, 0);

  CertificateFields fields;
  fields.subject = X509_get_subject_name(x509);
  fields.issuer = X509_get_issuer_name(x509);
  fields.serial = X509_get0_serialNumber(x509);
  fields.not_before = X509_get0_notBefore(x509);
  fields.not_after = X509_get0_notAfter(x509);
  fields.extensions = X509_get0_extensions(x509);
  fields.subject_key_id = X509_get0_subject_key_id(x509);
  fields.authority_key_id = X509_get0_authority_key_id(x509);
  if (const Status status = Fill(fields); !status) return status;

  is_ca_ = X509_check_ca(x509) != 0;
  if (EVP_PKEY* key = X509_get0_pubkey(x509)) {
    public_key_ = PlainPublicKey(x509);
    if (public_key_.empty()) public_key_ = PublicKeyDer(key);
    const int type = EVP_PKEY_get_base_id(key);
    is_rsa_ = type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS;
    is_ecdsa_ = type == EVP_PKEY_EC;
    is_self_signed_ = is_self_named() && X509_verify(x509, key) == 1;
  }
  return {};
}

// What needs no X509.
Status Certificate::Fill(const CertificateFields& fields) {
  sha256_ = Sha256(der_);
  subject_ = ReadableName(fields.subject);
  serial_hex_ = SerialHex(fields.serial);
  subject_der_ = CanonicalName(fields.subject);
  subject_key_id_ = AsView(fields.subject_key_id);
  issuer_ = SharedIssuers::Get().Share({CanonicalName(fields.issuer), ReadableName(fields.issuer),
                                        OrganizationOf(fields.issuer),
                                        std::string(AsView(fields.authority_key_id))});

  const auto not_before = ToWallTime(fields.not_before);
  const auto not_after = ToWallTime(fields.not_after);
  if (!not_before || !not_after) return Fail(ErrorCode::kInvalid, "{}: bad dates", subject());
  not_before_ = *not_before;
  not_after_ = *not_after;

  names_ = ReadNames(fields.subject, fields.extensions);
  ReadAccess(fields.extensions, ca_issuer_urls_, ocsp_urls_);
  crl_urls_ = ReadCrlUrls(fields.extensions);
  has_must_staple_ = HasMustStaple(fields.extensions);
  return {};
}

std::string CanonicalNameOf(std::string_view der) {
  const ErrorQueueGuard guard;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const OpensslPtr<X509_NAME, X509_NAME_free> name(
      d2i_X509_NAME(nullptr, &at, static_cast<long>(der.size())));
  return name ? CanonicalName(name.get()) : std::string();
}

std::string Certificate::sha256_hex() const { return HexEncode(AsBytes(sha256_)); }
bool Certificate::Covers(std::string_view host) const {
  const auto has = [this](std::string_view name) {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  };
  if (const std::string address = NormalAddress(host); !address.empty()) return has(address);
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  if (host.empty() || host.find('*') != std::string_view::npos) return false;
  const std::string name = ToLower(host);
  if (has(name)) return true;
  const size_t dot = name.find('.');
  if (dot == std::string::npos || dot == 0) return false;
  // "*.com" is what no client takes.
  if (name.find('.', dot + 1) == std::string::npos) return false;
  return has("*" + name.substr(dot));
}

PrivateKey::PrivateKey(EvpPkeyPtr key) {
  const ErrorQueueGuard guard;
  if (!key) return;
  public_key_ = PublicKeyDer(key.get());
  sha256_ = Sha256(public_key_);
  key_ = key.release();
}

PrivateKeyPtr PrivateKey::Undecoded(std::string_view der) {
  std::string public_key = PublicKeyOf(der);
  if (public_key.empty()) return nullptr;
  std::shared_ptr<PrivateKey> key(new PrivateKey());
  key->der_ = der;
  key->public_key_ = std::move(public_key);
  key->sha256_ = Sha256(der);
  return key;
}

PrivateKeyPtr PrivateKey::Apart() const {
  if (!der_.empty()) return Undecoded(der_);
  EVP_PKEY* key = get();
  if (key != nullptr) EVP_PKEY_up_ref(key);
  return std::make_shared<const PrivateKey>(EvpPkeyPtr(key));
}

PrivateKey::~PrivateKey() {
  OPENSSL_cleanse(der_.data(), der_.size());
  EVP_PKEY_free(key_.load(std::memory_order_acquire));
}

EVP_PKEY* PrivateKey::get() const {
  EVP_PKEY* known = key_.load(std::memory_order_acquire);
  if (known != nullptr || der_.empty()) return known;
  const ErrorQueueGuard guard;
  const auto* at = reinterpret_cast<const unsigned char*>(der_.data());
  EvpPkeyPtr decoded(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(der_.size())));
  if (!decoded) return nullptr;
  if (key_.compare_exchange_strong(known, decoded.get(), std::memory_order_acq_rel))
    return decoded.release();
  return known;
}

}  // namespace genkan::tls
