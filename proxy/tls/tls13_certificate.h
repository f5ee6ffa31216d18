// What a TLS 1.3 server proves itself with: the messages Certificate and CertificateVerify (RFC
// 8446 4.4.2, 4.4.3). Any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/tls/certificate_bundle.h"
#include "proxy/tls/provider/sha2.h"

namespace genkan::tls {

// The SignatureSchemes (RFC 8446 4.2.3) that OpenSSL, as this machine has it configured, would
// sign with. Asked of it once.
std::span<const uint16_t> ConfiguredSchemes();

// The first of the client's `signatures` (the body of signature_algorithms) that is one of
// `allowed` and that this key makes. 0: none, or a key that is libssl's to judge: it is neither
// P-256, P-384 nor RSA of 2048 bits or more.
uint16_t ChooseScheme(std::string_view signatures, std::span<const uint16_t> allowed,
                      const PrivateKey& key);

// Appends a Certificate: `chain`, leaf first, with an OCSPResponse for the leaf where it is not "",
// of at most Staple::kMost.
void AppendCertificate(const std::vector<CertificatePtr>& chain, std::string_view staple,
                       std::string& messages);

// Appends a CertificateVerify of a server over the hash of the handshake so far. False: the key
// does not sign, and nothing is appended.
bool AppendCertificateVerify(const PrivateKey& key, uint16_t scheme, provider::Bytes transcript,
                             std::string& messages);

}  // namespace genkan::tls
