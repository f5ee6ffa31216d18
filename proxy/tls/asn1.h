// Small readings of OpenSSL's ASN.1 values, shared inside tls/. Pure; any thread.
#pragma once

#include <openssl/asn1.h>

#include <optional>
#include <string_view>

#include "proxy/base/clock.h"

namespace genkan::tls {

// Nothing where there is no time or a bad one. What a clock of nanoseconds cannot hold becomes its
// end: RFC 5280 4.1.2.5 uses the year 9999 for "no end", and the clock ends in 2262.
std::optional<WallTime> ToWallTime(const ASN1_TIME* time);

// The bytes of a string, borrowed; "" for null.
std::string_view AsView(const ASN1_STRING* text);

}  // namespace genkan::tls
