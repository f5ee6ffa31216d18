// What ACME Renewal Information needs of a certificate (RFC 9773). Pure; any thread.
#pragma once

#include <string>

#include "proxy/base/result.h"
#include "proxy/tls/certificate.h"

namespace genkan::tls {

// The keyIdentifier of its AKI and its serial number, each as base64url (RFC 9773 4.1):
// "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE". Fails where it has no AKI keyIdentifier.
Result<std::string> AriCertId(const Certificate& certificate);

}  // namespace genkan::tls
