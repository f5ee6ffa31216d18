#include "proxy/tls/ocsp.h"

#include <openssl/err.h>

#include <algorithm>

#include "proxy/base/text.h"
#include "proxy/tls/asn1.h"

namespace genkan::tls {
namespace {

constexpr Seconds kSkew{300};
constexpr Seconds kWithoutNextUpdate{3600};

using X509StackPtr =
    std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;

// The CertID of the leaf with the hash that the response uses, SHA-1 or SHA-256.
bool IsAbout(const OCSP_CERTID* id, const Certificate& leaf, const Certificate& issuer) {
  ASN1_OBJECT* algorithm = nullptr;
  OCSP_id_get0_info(nullptr, &algorithm, nullptr, nullptr, const_cast<OCSP_CERTID*>(id));
  const EVP_MD* digest = nullptr;
  switch (OBJ_obj2nid(algorithm)) {
    case NID_sha1:
      digest = EVP_sha1();
      break;
    case NID_sha256:
      digest = EVP_sha256();
      break;
    default:
      return false;
  }
  const OcspCertIdPtr own(OCSP_cert_to_id(digest, leaf.Borrow().get(), issuer.x509()));
  return own && OCSP_id_cmp(own.get(), id) == 0;
}

bool IsNamedResponder(const OCSP_BASICRESP* basic, X509* signer) {
  const ASN1_OCTET_STRING* key_hash = nullptr;
  const X509_NAME* name = nullptr;
  if (OCSP_resp_get0_id(basic, &key_hash, &name) != 1) return false;
  if (name != nullptr) return X509_NAME_cmp(name, X509_get_subject_name(signer)) == 0;
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  return X509_pubkey_digest(signer, EVP_sha1(), hash, &size) == 1 &&
         ASN1_STRING_length(key_hash) == static_cast<int>(size) &&
         std::equal(hash, hash + size, ASN1_STRING_get0_data(key_hash));
}

// RFC 6960 4.2.2.2: OCSPSigning in a certificate that the issuer itself has signed. Its own
// revocation is not asked for: browsers do not either, and id-pkix-ocsp-nocheck is what CAs put in.
bool MayAnswerFor(X509* signer, const Certificate& issuer, WallTime now) {
  const uint32_t flags = X509_get_extension_flags(signer);
  if ((flags & (EXFLAG_INVALID | EXFLAG_CRITICAL)) != 0 || (flags & EXFLAG_XKUSAGE) == 0 ||
      (X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) == 0) {
    return false;
  }
  if ((X509_get_key_usage(signer) & KU_DIGITAL_SIGNATURE) == 0) return false;
  if (X509_check_issued(issuer.x509(), signer) != X509_V_OK) return false;
  EVP_PKEY* key = X509_get0_pubkey(issuer.x509());
  if (key == nullptr || X509_verify(signer, key) != 1) return false;
  const auto begin = ToWallTime(X509_get0_notBefore(signer));
  const auto end = ToWallTime(X509_get0_notAfter(signer));
  return begin && end && *begin <= now + kSkew && now - kSkew < *end;
}

// The signature over exactly one certificate: nothing of the response's own is trusted on the way.
bool IsSignedBy(OCSP_BASICRESP* basic, X509* signer) {
  const X509StackPtr only(sk_X509_new_null());
  if (!only || sk_X509_push(only.get(), signer) <= 0) return false;
  return OCSP_basic_verify(basic, only.get(), nullptr, OCSP_NOINTERN | OCSP_NOVERIFY) == 1;
}

Status CheckSignature(OCSP_BASICRESP* basic, const Certificate& issuer, WallTime now) {
  // A delegated signer may carry the issuer's own name, so a failure here is not yet the end.
  const bool is_issuers = IsNamedResponder(basic, issuer.x509());
  if (is_issuers && IsSignedBy(basic, issuer.x509())) return {};
  const STACK_OF(X509)* sent = OCSP_resp_get0_certs(basic);
  // A few at most are ever there; each costs a signature check.
  const int count = std::min(sk_X509_num(sent), 8);
  for (int i = 0; i < count; ++i) {
    X509* signer = sk_X509_value(sent, i);
    if (!IsNamedResponder(basic, signer)) continue;
    // Some responders send the issuer itself along: that has been tried.
    if (X509_cmp(signer, issuer.x509()) == 0) continue;
    if (!MayAnswerFor(signer, issuer, now)) {
      return Fail(ErrorCode::kTls,
                  "OCSP response of a signer whom the issuer did not allow to sign (OCSPSigning)");
    }
    if (IsSignedBy(basic, signer)) return {};
    return Fail(ErrorCode::kTls, "OCSP response with a bad signature");
  }
  return is_issuers ? Fail(ErrorCode::kTls, "OCSP response with a bad signature of the issuer")
                    : Fail(ErrorCode::kTls, "OCSP response of an unknown signer");
}

// RFC 6960 4.4: what is critical and not understood refuses the response. None of those in use is.
bool HasCriticalExtension(OCSP_BASICRESP* basic, OCSP_SINGLERESP* single) {
  return OCSP_BASICRESP_get_ext_by_critical(basic, 1, -1) >= 0 ||
         OCSP_SINGLERESP_get_ext_by_critical(single, 1, -1) >= 0;
}

OcspState StateOf(int status) {
  if (status == V_OCSP_CERTSTATUS_GOOD) return OcspState::kGood;
  return status == V_OCSP_CERTSTATUS_REVOKED ? OcspState::kRevoked : OcspState::kUnknown;
}

Result<OcspAnswer> ReadSingle(OCSP_SINGLERESP* single, const Certificate& leaf, WallTime now) {
  int reason = -1;
  ASN1_GENERALIZEDTIME *revoked = nullptr, *updated = nullptr, *next = nullptr;
  const int status = OCSP_single_get0_status(single, &reason, &revoked, &updated, &next);
  const auto this_update = ToWallTime(updated);
  if (!this_update) return Fail(ErrorCode::kTls, "OCSP response without thisUpdate");
  if (*this_update > now + kSkew) {
    return Fail(ErrorCode::kTls, "OCSP response from the future ({})", FormatIso8601(*this_update));
  }
  WallTime next_update = *this_update + kWithoutNextUpdate;
  if (next != nullptr) {
    const auto given = ToWallTime(next);
    if (!given || *given <= *this_update) {
      return Fail(ErrorCode::kTls, "OCSP response with a bad nextUpdate");
    }
    next_update = *given;
  }
  if (next_update + kSkew <= now) {
    return Fail(ErrorCode::kTls, "OCSP response that expired at {}", FormatIso8601(next_update));
  }
  OcspAnswer answer;
  answer.state = StateOf(status);
  answer.staple.this_update = *this_update;
  answer.staple.next_update = std::min(next_update, leaf.not_after());
  if (answer.state == OcspState::kRevoked) {
    if (const auto at = ToWallTime(revoked)) answer.revoked_at = *at;
    if (reason >= 0) answer.reason = OCSP_crl_reason_str(reason);
  }
  return answer;
}

}  // namespace

std::string_view ToString(OcspState state) {
  switch (state) {
    case OcspState::kGood:
      return "good";
    case OcspState::kRevoked:
      return "revoked";
    case OcspState::kUnknown:
      return "unknown";
  }
  return "unknown";
}

Result<std::string> MakeOcspRequest(const Certificate& leaf, const Certificate& issuer) {
  const ErrorQueueGuard guard;
  // RFC 5019 2.1.1: SHA-1 CertIDs and no nonce, so that a responder may answer from a cache.
  OcspCertIdPtr id(OCSP_cert_to_id(EVP_sha1(), leaf.Borrow().get(), issuer.x509()));
  const OcspRequestPtr request(OCSP_REQUEST_new());
  if (!id || !request || OCSP_request_add0_id(request.get(), id.get()) == nullptr) {
    return Fail(ErrorCode::kTls, "no OCSP request for {}: {}", leaf.subject(), TakeOpensslErrors());
  }
  id.release();  // the request's now
  unsigned char* bytes = nullptr;
  const int size = i2d_OCSP_REQUEST(request.get(), &bytes);
  if (size <= 0) {
    return Fail(ErrorCode::kTls, "no OCSP request for {}: {}", leaf.subject(), TakeOpensslErrors());
  }
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

std::string OcspGetPath(std::string_view request_der) {
  std::string path;
  for (const char c : Base64Encode(AsBytes(request_der))) {
    switch (c) {
      case '+':
        path += "%2B";
        break;
      case '/':
        path += "%2F";
        break;
      case '=':
        path += "%3D";
        break;
      default:
        path += c;
    }
  }
  return path;
}

Result<OcspAnswer> VerifyOcsp(std::string_view der, const Certificate& leaf,
                              const Certificate& issuer, WallTime now) {
  const ErrorQueueGuard guard;
  if (der.size() > Staple::kMost) {
    return Fail(ErrorCode::kTooLarge, "OCSP response of {} bytes", der.size());
  }
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  const OcspResponsePtr response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(der.size())));
  if (!response) return Fail(ErrorCode::kTls, "not an OCSP response: {}", TakeOpensslErrors());
  if (at != end) return Fail(ErrorCode::kTls, "{} bytes after the OCSP response", end - at);
  const int status = OCSP_response_status(response.get());
  if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return Fail(ErrorCode::kTls, "the OCSP responder says {}", OCSP_response_status_str(status));
  }
  const OcspBasicPtr basic(OCSP_response_get1_basic(response.get()));
  if (!basic) return Fail(ErrorCode::kTls, "an OCSP response of an unknown type");

  // A response may speak of several certificates; never of one twice.
  OCSP_SINGLERESP* single = nullptr;
  for (int i = 0; i < OCSP_resp_count(basic.get()); ++i) {
    OCSP_SINGLERESP* one = OCSP_resp_get0(basic.get(), i);
    if (!IsAbout(OCSP_SINGLERESP_get0_id(one), leaf, issuer)) continue;
    if (single != nullptr) return Fail(ErrorCode::kTls, "two OCSP answers for one certificate");
    single = one;
  }
  if (single == nullptr) {
    return Fail(ErrorCode::kTls, "an OCSP response for another certificate");
  }
  if (HasCriticalExtension(basic.get(), single)) {
    return Fail(ErrorCode::kUnsupported, "an OCSP response with an unknown critical extension");
  }
  if (const Status good = CheckSignature(basic.get(), issuer, now); !good) return PassOn(good);
  auto answer = ReadSingle(single, leaf, now);
  if (answer) answer->staple.der = std::string(der);
  return answer;
}

}  // namespace genkan::tls
