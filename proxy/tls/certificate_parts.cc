#include "proxy/tls/certificate_parts.h"

#include <openssl/asn1t.h>
#include <openssl/objects.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "proxy/tls/asn1.h"

namespace genkan::tls {
namespace {

// RFC 5280 4.1, with the signed part and the key as bytes.
struct WholeSequence {
  ASN1_STRING* body;
  X509_ALGOR* algorithm;
  ASN1_BIT_STRING* signature;
};
struct DatesSequence {
  ASN1_TIME* not_before;
  ASN1_TIME* not_after;
};
struct BodySequence {
  ASN1_INTEGER* version;
  ASN1_INTEGER* serial;
  X509_ALGOR* algorithm;
  X509_NAME* issuer;
  DatesSequence* dates;
  X509_NAME* subject;
  ASN1_STRING* key;
  ASN1_BIT_STRING* issuer_id;
  ASN1_BIT_STRING* subject_id;
  STACK_OF(X509_EXTENSION) * extensions;
};
struct KeySequence {
  X509_ALGOR* algorithm;
  ASN1_BIT_STRING* bits;
};

ASN1_SEQUENCE(WholeSequence) = {
    ASN1_SIMPLE(WholeSequence, body, ASN1_SEQUENCE),
    ASN1_SIMPLE(WholeSequence, algorithm, X509_ALGOR),
    ASN1_SIMPLE(WholeSequence, signature, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END(WholeSequence);

ASN1_SEQUENCE(DatesSequence) = {
    ASN1_SIMPLE(DatesSequence, not_before, ASN1_TIME),
    ASN1_SIMPLE(DatesSequence, not_after, ASN1_TIME),
} static_ASN1_SEQUENCE_END(DatesSequence);

ASN1_SEQUENCE(BodySequence) = {
    ASN1_EXP_OPT(BodySequence, version, ASN1_INTEGER, 0),
    ASN1_SIMPLE(BodySequence, serial, ASN1_INTEGER),
    ASN1_SIMPLE(BodySequence, algorithm, X509_ALGOR),
    ASN1_SIMPLE(BodySequence, issuer, X509_NAME),
    ASN1_SIMPLE(BodySequence, dates, DatesSequence),
    ASN1_SIMPLE(BodySequence, subject, X509_NAME),
    ASN1_SIMPLE(BodySequence, key, ASN1_SEQUENCE),
    ASN1_IMP_OPT(BodySequence, issuer_id, ASN1_BIT_STRING, 1),
    ASN1_IMP_OPT(BodySequence, subject_id, ASN1_BIT_STRING, 2),
    ASN1_EXP_SEQUENCE_OF_OPT(BodySequence, extensions, X509_EXTENSION, 3),
} static_ASN1_SEQUENCE_END(BodySequence);

ASN1_SEQUENCE(KeySequence) = {
    ASN1_SIMPLE(KeySequence, algorithm, X509_ALGOR),
    ASN1_SIMPLE(KeySequence, bits, ASN1_BIT_STRING),
} static_ASN1_SEQUENCE_END(KeySequence);

template <class T, const ASN1_ITEM* (*Item)()>
struct ItemDeleter {
  void operator()(T* value) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(value), Item());
  }
};
template <class T, const ASN1_ITEM* (*Item)()>
using ItemPtr = std::unique_ptr<T, ItemDeleter<T, Item>>;

// Null also where the bytes are not its DER, or not all of them are.
template <class T, const ASN1_ITEM* (*Item)()>
ItemPtr<T, Item> ReadDer(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  ItemPtr<T, Item> value(
      reinterpret_cast<T*>(ASN1_item_d2i(nullptr, &at, static_cast<long>(der.size()), Item())));
  if (value == nullptr) return nullptr;
  unsigned char* again = nullptr;
  const int size = ASN1_item_i2d(reinterpret_cast<const ASN1_VALUE*>(value.get()), &again, Item());
  const bool is_same = size > 0 && der == std::string_view(reinterpret_cast<char*>(again),
                                                           static_cast<size_t>(size));
  OPENSSL_free(again);
  return is_same ? std::move(value) : nullptr;
}

ItemPtr<WholeSequence, WholeSequence_it> ReadWhole(std::string_view der) {
  return ReadDer<WholeSequence, WholeSequence_it>(der);
}

template <class T, auto Free>
OpensslPtr<T, Free> Decode(X509_EXTENSION* extension) {
  return OpensslPtr<T, Free>(static_cast<T*>(X509V3_EXT_d2i(extension)));
}

// Bits as RFC 5280 4.2.1.3 counts them.
constexpr int kKeyCertSign = 5, kLastUsage = 8;

bool IsLeafUsage(X509_EXTENSION* extension) {
  const auto usage = Decode<ASN1_BIT_STRING, ASN1_BIT_STRING_free>(extension);
  if (!usage || ASN1_BIT_STRING_get_bit(usage.get(), kKeyCertSign) != 0) return false;
  for (int bit = 0; bit <= kLastUsage; ++bit) {
    if (ASN1_BIT_STRING_get_bit(usage.get(), bit) != 0) return true;
  }
  return false;
}

bool IsLeafConstraint(X509_EXTENSION* extension) {
  const auto basic = Decode<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free>(extension);
  return basic && basic->ca == 0 && basic->pathlen == nullptr;
}

bool HasFullNames(X509_EXTENSION* extension) {
  const auto points = Decode<CRL_DIST_POINTS, CRL_DIST_POINTS_free>(extension);
  if (!points) return false;
  for (int i = 0; i < sk_DIST_POINT_num(points.get()); ++i) {
    const DIST_POINT_NAME* name = sk_DIST_POINT_value(points.get(), i)->distpoint;
    if (name != nullptr && name->type != 0) return false;
  }
  return true;
}

size_t PointSizeOf(int curve) {
  switch (curve) {
    case NID_X9_62_prime256v1:
      return 65;
    case NID_secp384r1:
      return 97;
    case NID_secp521r1:
      return 133;
    default:
      return 0;
  }
}

}  // namespace

struct CertificateParts::Body : BodySequence {};

void CertificateParts::Deleter::operator()(Body* body) const noexcept {
  ItemDeleter<BodySequence, BodySequence_it>()(body);
}
CertificateParts::CertificateParts(CertificateParts&&) noexcept = default;
CertificateParts::~CertificateParts() = default;

std::optional<CertificateParts> CertificateParts::ReadPlainLeaf(std::string_view der) {
  const ErrorQueueGuard guard;
  const auto whole = ReadWhole(der);
  if (!whole) return std::nullopt;
  CertificateParts parts;
  parts.body_.reset(
      static_cast<Body*>(ReadDer<BodySequence, BodySequence_it>(AsView(whole->body)).release()));
  const Body* body = parts.body_.get();
  constexpr long kVersion3 = 2;
  const bool is_plain = body != nullptr && body->version != nullptr &&
                        ASN1_INTEGER_get(body->version) == kVersion3 &&
                        X509_ALGOR_cmp(whole->algorithm, body->algorithm) == 0 &&
                        X509_NAME_cmp(body->issuer, body->subject) != 0 &&
                        body->issuer_id == nullptr && body->subject_id == nullptr;
  if (!is_plain || !parts.ReadExtensions() || !parts.ReadKey()) return std::nullopt;
  return parts;
}

bool CertificateParts::ReadExtensions() {
  std::set<int> seen;
  for (int i = 0; i < sk_X509_EXTENSION_num(body_->extensions); ++i) {
    X509_EXTENSION* extension = sk_X509_EXTENSION_value(body_->extensions, i);
    const int kind = OBJ_obj2nid(X509_EXTENSION_get_object(extension));
    bool is_plain = seen.insert(kind).second;
    switch (kind) {
      case NID_basic_constraints:
        is_plain &= IsLeafConstraint(extension);
        break;
      case NID_key_usage:
        is_plain &= IsLeafUsage(extension);
        break;
      case NID_subject_key_identifier:
        subject_key_id_.reset(static_cast<ASN1_OCTET_STRING*>(X509V3_EXT_d2i(extension)));
        is_plain &= subject_key_id_ != nullptr;
        break;
      case NID_authority_key_identifier:
        authority_key_id_.reset(static_cast<AUTHORITY_KEYID*>(X509V3_EXT_d2i(extension)));
        is_plain &= authority_key_id_ != nullptr && authority_key_id_->keyid != nullptr &&
                    authority_key_id_->issuer == nullptr && authority_key_id_->serial == nullptr;
        break;
      case NID_crl_distribution_points:
        is_plain &= HasFullNames(extension);
        break;
      case NID_ext_key_usage:
        is_plain &= Decode<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>(extension) != nullptr;
        break;
      case NID_subject_alt_name:
        is_plain &= Decode<GENERAL_NAMES, GENERAL_NAMES_free>(extension) != nullptr;
        break;
      // What nobody decodes before it is asked for.
      case NID_info_access:
      case NID_tlsfeature:
      case NID_certificate_policies:
      case NID_ct_precert_scts:
        break;
      default:
        return false;
    }
    if (!is_plain) return false;
  }
  return true;
}

bool CertificateParts::ReadKey() {
  const auto key = ReadDer<KeySequence, KeySequence_it>(AsView(body_->key));
  if (!key) return false;
  const ASN1_OBJECT* kind = nullptr;
  const void* parameter = nullptr;
  int parameter_type = 0;
  X509_ALGOR_get0(&kind, &parameter_type, &parameter, key->algorithm);
  const std::string_view bits = AsView(key->bits);
  is_rsa_ = OBJ_obj2nid(kind) == NID_rsaEncryption;
  if (is_rsa_) return parameter_type == V_ASN1_NULL && !bits.empty();
  if (OBJ_obj2nid(kind) != NID_X9_62_id_ecPublicKey || parameter_type != V_ASN1_OBJECT)
    return false;
  const size_t size = PointSizeOf(OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(parameter)));
  return size != 0 && bits.size() == size && bits[0] == POINT_CONVERSION_UNCOMPRESSED;
}

CertificateFields CertificateParts::fields() const {
  return {body_->subject,          body_->issuer,
          body_->serial,           body_->dates->not_before,
          body_->dates->not_after, body_->extensions,
          subject_key_id_.get(),   authority_key_id_ ? authority_key_id_->keyid : nullptr};
}

std::string_view CertificateParts::public_key() const { return AsView(body_->key); }

bool IsPlainLeafSignedWith(std::string_view der, EVP_PKEY* key) {
  const ErrorQueueGuard guard;
  const auto whole = ReadWhole(der);
  return whole && ASN1_item_verify(ASN1_ITEM_rptr(ASN1_SEQUENCE), whole->algorithm,
                                   whole->signature, whole->body, key) == 1;
}

}  // namespace genkan::tls
