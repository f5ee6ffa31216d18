// OCSP (RFC 6960, 5019): request, verification, freshness. No I/O, no clock of its own; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/certificate_bundle.h"

namespace genkan::tls {

enum class OcspState { kGood, kRevoked, kUnknown };
std::string_view ToString(OcspState state);

struct OcspAnswer {
  OcspState state = OcspState::kUnknown;
  Staple staple;  // to be served only while state is good
  WallTime revoked_at{};
  std::string reason;  // of the revocation, "keyCompromise"; "" where none is given
};

// The request for one certificate, SHA-1 CertID (RFC 5019), no nonce, as DER.
Result<std::string> MakeOcspRequest(const Certificate& leaf, const Certificate& issuer);

// The request as the last segment of a GET's path (RFC 6960 A.1.1): base64, percent-encoded.
std::string OcspGetPath(std::string_view request_der);

// Checks the response for this very certificate: response status, CertID, signature (the issuer, or
// a signer with OCSPSigning that the issuer certified), thisUpdate/nextUpdate with a skew of 300 s.
// No nextUpdate counts as one hour; never past the leaf's notAfter. At most 64 KiB.
Result<OcspAnswer> VerifyOcsp(std::string_view der, const Certificate& leaf,
                              const Certificate& issuer, WallTime now);

}  // namespace genkan::tls
