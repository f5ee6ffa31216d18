// The session id context of a site: tickets made under it resume only under it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "proxy/tls/tls_policy.h"

namespace genkan::tls {

// SHA-256 over the site's name and everything in its policy; never the leaf, so that swaps keep sessions. 32 bytes.
std::string SessionContextOf(std::string_view site, const TlsPolicy& policy);

}  // namespace genkan::tls
