// The answers of ACME Renewal Information (RFC 9773), read. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "proxy/module/api.h"

namespace genkan::control {

// The renewalInfo URL of an ACME directory (RFC 8555 7.1.1); "" where it offers none. An error
// where it is no directory.
Result<std::string> ReadAcmeDirectory(std::string_view json);

// suggestedWindow and explanationURL (RFC 9773 4.2). A window that ends before it begins is an
// error, and so is one of more than ten years.
Result<RenewalInfo> ReadRenewalInfo(std::string_view json);

// RFC 3339, as 2026-03-04T05:06:07.123+09:00. Fractions of a second are dropped.
std::optional<WallTime> ParseRfc3339(std::string_view text);

// Of a Retry-After: seconds, or an HTTP date in any of its three forms (RFC 9110 5.6.7). Not
// negative.
std::optional<Millis> ParseRetryAfter(std::string_view text, WallTime now);

}  // namespace genkan::control
