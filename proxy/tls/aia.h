// Authority Information Access (RFC 5280 4.2.2.1): what a `caIssuers` address gave, judged. Pure,
// no I/O; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/certificate.h"

namespace genkan::tls {

inline constexpr size_t kMaxAiaBytes = 64 * 1024;

// "http" alone (https would ask for a chain to complete a chain), no user, at most 2,048 printable
// bytes.
bool IsAiaUrl(std::string_view url);

// From `bytes` (DER, PKCS#7; some give PEM) the certificate that signed `subject`, then the one
// that signed that, and so on as far as they are there. Others are left out. Fails where none
// signed `subject` or the one that did is not valid at `now`.
Result<std::vector<CertificatePtr>> AcceptIssuers(const Certificate& subject,
                                                  std::string_view bytes, WallTime now);

}  // namespace genkan::tls
