#include "proxy/tls/crl.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "proxy/tls/asn1.h"
#include "proxy/tls/pem.h"

namespace genkan::tls {
namespace {

using NamePtr = OpensslPtr<X509_NAME, X509_NAME_free>;
using AlgorithmPtr = OpensslPtr<X509_ALGOR, X509_ALGOR_free>;
using TimePtr = OpensslPtr<ASN1_TIME, ASN1_TIME_free>;
using PointPtr = OpensslPtr<ISSUING_DIST_POINT, ISSUING_DIST_POINT_free>;
using BitsPtr = OpensslPtr<ASN1_BIT_STRING, ASN1_BIT_STRING_free>;
using StringPtr = OpensslPtr<ASN1_STRING, ASN1_STRING_free>;
using DigestPtr = OpensslPtr<EVP_MD_CTX, EVP_MD_CTX_free>;

constexpr Seconds kSkew{300};
constexpr Seconds kWithoutNextUpdate{24 * 3600};

constexpr unsigned char kBoolean = 0x01, kInteger = 0x02, kBitString = 0x03, kOctets = 0x04,
                        kOid = 0x06, kEnumerated = 0x0a, kUtcTime = 0x17, kGeneralizedTime = 0x18,
                        kSequence = 0x30, kExtensions = 0xa0;

// The contents of object identifiers under 2.5.29 (RFC 5280 4.2, 5.2).
constexpr std::string_view kCrlNumber("\x55\x1d\x14", 3), kReasonCode("\x55\x1d\x15", 3),
    kDeltaIndicator("\x55\x1d\x1b", 3), kIssuingPoint("\x55\x1d\x1c", 3),
    kAuthorityKeyId("\x55\x1d\x23", 3);

struct Element {
  unsigned char tag = 0;
  std::string_view content;
  std::string_view whole;  // with its header
};

// Takes elements off the front of DER: definite lengths, tags of one byte.
class DerReader {
 public:
  explicit DerReader(std::string_view der) : rest_(der) {}

  bool is_empty() const { return rest_.empty(); }
  bool NextIs(unsigned char tag) const {
    return !rest_.empty() && static_cast<unsigned char>(rest_[0]) == tag;
  }
  std::optional<Element> Next() {
    if (rest_.size() < 2) return std::nullopt;
    Element element;
    element.tag = static_cast<unsigned char>(rest_[0]);
    size_t length = static_cast<unsigned char>(rest_[1]);
    size_t header = 2;
    if (length >= 0x80) {
      const size_t bytes = length & 0x7f;
      if (bytes == 0 || bytes > 4 || rest_.size() < 2 + bytes) return std::nullopt;
      length = 0;
      for (size_t i = 0; i < bytes; ++i) {
        length = length << 8 | static_cast<unsigned char>(rest_[2 + i]);
      }
      header += bytes;
    }
    if (rest_.size() - header < length) return std::nullopt;
    element.content = rest_.substr(header, length);
    element.whole = rest_.substr(0, header + length);
    rest_.remove_prefix(header + length);
    return element;
  }
  std::optional<Element> Next(unsigned char tag) { return NextIs(tag) ? Next() : std::nullopt; }

 private:
  std::string_view rest_;
};

// The whole of `der` as OpenSSL's type.
template <class Ptr, class Decode>
Ptr Decoded(Decode decode, std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  Ptr object(decode(nullptr, &at, static_cast<long>(der.size())));
  return at == end ? std::move(object) : nullptr;
}

std::optional<WallTime> ReadTime(const std::optional<Element>& element) {
  if (!element || (element->tag != kUtcTime && element->tag != kGeneralizedTime)) {
    return std::nullopt;
  }
  const TimePtr time = Decoded<TimePtr>(d2i_ASN1_TIME, element->whole);
  return time ? ToWallTime(time.get()) : std::nullopt;
}

struct Extension {
  std::string_view oid;
  bool is_critical = false;
  std::string_view value;
};

std::optional<Extension> ReadExtension(DerReader& list) {
  const auto whole = list.Next(kSequence);
  if (!whole) return std::nullopt;
  DerReader parts(whole->content);
  const auto oid = parts.Next(kOid);
  const auto critical = parts.Next(kBoolean);
  const auto value = parts.Next(kOctets);
  if (!oid || !value || !parts.is_empty()) return std::nullopt;
  return Extension{oid->content, critical && critical->content != std::string_view("\0", 1),
                   value->content};
}

struct Parts {
  std::string_view signed_bytes, algorithm, inner_algorithm, signature, issuer;
  WallTime this_update;
  std::optional<WallTime> next_update;
  std::string_view entries, extensions;
};

std::optional<Parts> Split(std::string_view crl) {
  Parts parts;
  DerReader outside(crl);
  const auto all = outside.Next(kSequence);
  if (!all || !outside.is_empty()) return std::nullopt;
  DerReader list(all->content);
  const auto tbs = list.Next(kSequence);
  const auto algorithm = list.Next(kSequence);
  const auto signature = list.Next(kBitString);
  if (!tbs || !algorithm || !signature || !list.is_empty()) return std::nullopt;
  parts.signed_bytes = tbs->whole;
  parts.algorithm = algorithm->whole;
  parts.signature = signature->whole;

  DerReader body(tbs->content);
  body.Next(kInteger);  // the version, in version 2
  const auto inner = body.Next(kSequence);
  const auto issuer = body.Next(kSequence);
  const auto this_update = ReadTime(body.Next());
  if (!inner || !issuer || !this_update) return std::nullopt;
  parts.inner_algorithm = inner->whole;
  parts.issuer = issuer->whole;
  parts.this_update = *this_update;
  if (body.NextIs(kUtcTime) || body.NextIs(kGeneralizedTime)) {
    parts.next_update = ReadTime(body.Next());
    if (!parts.next_update) return std::nullopt;
  }
  if (const auto entries = body.Next(kSequence)) parts.entries = entries->content;
  if (const auto wrapped = body.Next(kExtensions)) {
    DerReader inside(wrapped->content);
    const auto extensions = inside.Next(kSequence);
    if (!extensions || !inside.is_empty()) return std::nullopt;
    parts.extensions = extensions->content;
  }
  if (!body.is_empty()) return std::nullopt;
  return parts;
}

bool IsSignedBy(const Parts& parts, const Certificate& issuer) {
  EVP_PKEY* key = X509_get0_pubkey(issuer.x509());
  const AlgorithmPtr algorithm = Decoded<AlgorithmPtr>(d2i_X509_ALGOR, parts.algorithm);
  const BitsPtr bits = Decoded<BitsPtr>(d2i_ASN1_BIT_STRING, parts.signature);
  if (key == nullptr || !algorithm || !bits) return false;
  const auto* bytes = reinterpret_cast<const unsigned char*>(parts.signed_bytes.data());
  int digest = NID_undef, key_type = NID_undef;
  if (OBJ_find_sigid_algs(OBJ_obj2nid(algorithm->algorithm), &digest, &key_type) == 1 &&
      digest != NID_undef) {
    const DigestPtr verify(EVP_MD_CTX_new());
    const EVP_MD* method = EVP_get_digestbynid(digest);
    return verify && method != nullptr && EVP_PKEY_type(key_type) == EVP_PKEY_get_base_id(key) &&
           EVP_DigestVerifyInit(verify.get(), nullptr, method, nullptr, key) == 1 &&
           EVP_DigestVerify(verify.get(), ASN1_STRING_get0_data(bits.get()),
                            static_cast<size_t>(ASN1_STRING_length(bits.get())), bytes,
                            parts.signed_bytes.size()) == 1;
  }
  // RSA-PSS and EdDSA keep more in the algorithm than a digest. OpenSSL reads it; that takes a copy
  // of the list.
  const StringPtr whole(ASN1_STRING_type_new(V_ASN1_SEQUENCE));
  return whole &&
         ASN1_STRING_set(whole.get(), bytes, static_cast<int>(parts.signed_bytes.size())) == 1 &&
         ASN1_item_verify(ASN1_ITEM_rptr(ASN1_SEQUENCE), algorithm.get(), bits.get(), whole.get(),
                          key) == 1;
}

// RFC 5280 6.3.3 (b)(2): the list's distribution point is one of the certificate's.
bool NamesPointOf(const DIST_POINT_NAME* point, const Certificate& leaf) {
  if (point->type != 0) return false;
  for (int i = 0; i < sk_GENERAL_NAME_num(point->name.fullname); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(point->name.fullname, i);
    if (name->type != GEN_URI) continue;
    const auto& urls = leaf.crl_urls();
    if (std::find(urls.begin(), urls.end(), AsView(name->d.uniformResourceIdentifier)) !=
        urls.end()) {
      return true;
    }
  }
  return false;
}

Status CheckPoint(std::string_view value, const Certificate& leaf) {
  const PointPtr point = Decoded<PointPtr>(d2i_ISSUING_DIST_POINT, value);
  if (!point) return Fail(ErrorCode::kTls, "CRL with a bad IssuingDistributionPoint");
  if (point->indirectCRL > 0) return Fail(ErrorCode::kUnsupported, "an indirect CRL");
  if (point->onlysomereasons != nullptr) {
    return Fail(ErrorCode::kUnsupported, "a CRL for some reasons only");
  }
  if (point->onlyattr > 0 || (leaf.is_ca() ? point->onlyuser > 0 : point->onlyCA > 0)) {
    return Fail(ErrorCode::kTls, "a CRL for other kinds of certificates");
  }
  if (point->distpoint != nullptr && !NamesPointOf(point->distpoint, leaf)) {
    return Fail(ErrorCode::kTls, "a CRL of another distribution point");
  }
  return {};
}

Status CheckExtensions(std::string_view extensions, const Certificate& leaf) {
  DerReader list(extensions);
  while (!list.is_empty()) {
    const auto extension = ReadExtension(list);
    if (!extension) return Fail(ErrorCode::kTls, "a CRL with a bad extension");
    if (extension->oid == kDeltaIndicator) return Fail(ErrorCode::kUnsupported, "a delta CRL");
    if (extension->oid == kIssuingPoint) {
      if (const Status fits = CheckPoint(extension->value, leaf); !fits) return fits;
    } else if (extension->is_critical && extension->oid != kCrlNumber &&
               extension->oid != kAuthorityKeyId) {
      return Fail(ErrorCode::kUnsupported, "a CRL with an unknown critical extension");
    }
  }
  return {};
}

std::string ReadReason(std::string_view extensions) {
  DerReader list(extensions);
  while (!list.is_empty()) {
    const auto extension = ReadExtension(list);
    if (!extension) return {};
    if (extension->oid != kReasonCode) continue;
    DerReader value(extension->value);
    const auto code = value.Next(kEnumerated);
    if (code && code->content.size() == 1) {
      return OCSP_crl_reason_str(static_cast<unsigned char>(code->content[0]));
    }
  }
  return {};
}

std::string SerialDer(const Certificate& certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_ASN1_INTEGER(X509_get0_serialNumber(certificate.Borrow().get()), &bytes);
  if (size <= 0) return {};
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

// Whose serial it is, and where the answer goes.
using Wanted = std::unordered_multimap<std::string, CrlAnswer*>;

Status WalkEntries(std::string_view entries, const Wanted& wanted, uint64_t& count) {
  DerReader list(entries);
  std::string serial;
  while (!list.is_empty()) {
    const auto entry = list.Next(kSequence);
    if (!entry) return Fail(ErrorCode::kTls, "a CRL with a bad entry");
    ++count;
    DerReader parts(entry->content);
    const auto number = parts.Next(kInteger);
    if (!number) return Fail(ErrorCode::kTls, "a CRL with a bad entry");
    serial.assign(number->whole);
    const auto [first, last] = wanted.equal_range(serial);
    if (first == last) continue;
    const auto revoked_at = ReadTime(parts.Next());
    if (!revoked_at) return Fail(ErrorCode::kTls, "a CRL with a bad revocation date");
    const auto extensions = parts.Next(kSequence);
    for (auto it = first; it != last; ++it) {
      it->second->is_revoked = true;
      it->second->revoked_at = *revoked_at;
      if (extensions) it->second->reason = ReadReason(extensions->content);
    }
  }
  return {};
}

// What holds or does not for all certificates.
Result<Parts> CheckList(std::string_view crl, const Certificate& issuer, WallTime now) {
  const auto parts = Split(crl);
  if (!parts) return Fail(ErrorCode::kTls, "not a CRL");
  const NamePtr name = Decoded<NamePtr>(d2i_X509_NAME, parts->issuer);
  if (!name || X509_NAME_cmp(name.get(), X509_get_subject_name(issuer.x509())) != 0) {
    return Fail(ErrorCode::kTls, "a CRL of another issuer");
  }
  if ((X509_get_key_usage(issuer.x509()) & KU_CRL_SIGN) == 0) {
    return Fail(ErrorCode::kTls, "a CRL of an issuer that may not sign any");
  }
  // RFC 5280 5.1.1.2: the algorithm outside is the one that was signed.
  if (parts->algorithm != parts->inner_algorithm || !IsSignedBy(*parts, issuer)) {
    return Fail(ErrorCode::kTls, "a CRL with a bad signature");
  }
  if (parts->this_update > now + kSkew) {
    return Fail(ErrorCode::kTls, "a CRL from the future ({})", FormatIso8601(parts->this_update));
  }
  const WallTime end = parts->next_update.value_or(parts->this_update + kWithoutNextUpdate);
  if (end + kSkew <= now) {
    return Fail(ErrorCode::kTls, "a CRL that expired at {}", FormatIso8601(end));
  }
  return *parts;
}

Status CheckLeaf(const Parts& parts, const Certificate& leaf, const Certificate& issuer) {
  if (leaf.issuer_der() != issuer.subject_der()) {
    return Fail(ErrorCode::kTls, "a CRL of another issuer than the certificate's");
  }
  return CheckExtensions(parts.extensions, leaf);
}

using Answers = std::vector<Result<CrlAnswer>>;

Answers AllFail(size_t count, const Error& error) {
  return Answers(count, Result<CrlAnswer>(tl::unexpected<Error>(error)));
}

Answers LookUp(std::string_view crl, std::span<const Certificate* const> leaves,
               const Certificate& issuer, WallTime now) {
  auto parts = CheckList(crl, issuer, now);
  if (!parts) return AllFail(leaves.size(), parts.error());
  CrlAnswer blank;
  blank.this_update = parts->this_update;
  blank.next_update = parts->next_update.value_or(parts->this_update + kWithoutNextUpdate);
  Answers answers;
  for (const Certificate* leaf : leaves) {
    const Status fits = CheckLeaf(*parts, *leaf, issuer);
    answers.push_back(fits ? Result<CrlAnswer>(blank) : Result<CrlAnswer>(PassOn(fits)));
  }
  Wanted wanted;
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (answers[i]) wanted.emplace(SerialDer(*leaves[i]), &*answers[i]);
  }
  if (wanted.empty()) return answers;
  uint64_t entries = 0;
  if (const Status walked = WalkEntries(parts->entries, wanted, entries); !walked) {
    return AllFail(leaves.size(), walked.error());
  }
  for (auto& answer : answers) {
    if (answer) answer->entries = entries;
  }
  return answers;
}

}  // namespace

Answers LookUpAllInCrl(std::string_view crl, std::span<const Certificate* const> leaves,
                       const Certificate& issuer, WallTime now) {
  const ErrorQueueGuard guard;
  if (crl.size() > kMaxCrlBytes) {
    return AllFail(leaves.size(),
                   Error{ErrorCode::kTooLarge, fmt::format("a CRL of {} bytes", crl.size())});
  }
  if (crl.starts_with('\x30') || !LooksLikePem(crl)) return LookUp(crl, leaves, issuer, now);
  std::string der;
  ScanPem(
      crl,
      [&der](const PemBlock& block) {
        if (der.empty() && block.label == "X509 CRL") DecodePemBody(block.base64, der);
      },
      [](const std::string&) {});
  return LookUp(der, leaves, issuer, now);
}

Result<CrlAnswer> LookUpInCrl(std::string_view crl, const Certificate& leaf,
                              const Certificate& issuer, WallTime now) {
  const Certificate* const only = &leaf;
  return std::move(LookUpAllInCrl(crl, std::span(&only, 1), issuer, now).front());
}

}  // namespace genkan::tls
