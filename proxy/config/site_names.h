// How names of sites are written and compared. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "proxy/base/result.h"

namespace genkan::config {

// Lower case, without trailing dot or port.
std::string NormalizeSiteName(std::string_view name);
// "example.com", "*.example.com", "*", or an address literal ("192.0.2.1", "::1").
Status CheckSiteName(std::string_view normalized);

}  // namespace genkan::config
