// The roots that an operator trusts: "system", a PEM file or a directory of them. Blocks on files; any thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/certificate.h"

namespace genkan::tls {

// Every certificate found, duplicates once. Blocks that cannot be read are passed over: distributions ship odd ones.
Result<std::vector<CertificatePtr>> LoadTrustStore(const std::string& source);

}  // namespace genkan::tls
