// The roots that an operator trusts: "system", a PEM file or a directory of them. Blocks on files; any thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/certificate.h"

namespace genkan::tls {

// Every certificate found, duplicates once. Blocks that cannot be read are passed over: distributions ship odd ones.
Result<std::vector<CertificatePtr>> LoadTrustStore(const std::string& source);

// The same in two steps, for whoever has parsed these bytes before: what each of its files holds (none of "system" on a
// machine without roots), then the certificates.
Result<std::vector<std::string>> ReadTrustStore(const std::string& source);
Result<std::vector<CertificatePtr>> ParseTrustStore(const std::string& source,
                                                    const std::vector<std::string>& texts);

// Adds them to what a client's SSL_CTX trusts; as a pointer without a type, because it is libcurl that has it.
void AddTrust(void* ssl_context, const std::vector<CertificatePtr>& roots);

}  // namespace genkan::tls
