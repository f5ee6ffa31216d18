// Application protocols on the wire (RFC 7301 3.1): names with a length of one byte each. Pure; any
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace genkan::tls {

// A server's protocols in its order of preference.
std::string WireProtocols(const std::vector<std::string>& names);

// The first of `ours` that is `offered`, both as on the wire; "" = none. A view into either.
std::string_view SelectProtocol(std::string_view ours, std::string_view offered);

}  // namespace genkan::tls
