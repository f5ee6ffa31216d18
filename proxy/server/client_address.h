// Who asks, behind proxies that are trusted: the last address of X-Forwarded-For that is no trusted
// proxy itself. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/http/headers.h"
#include "proxy/net/address.h"

namespace genkan::server {

// `peer` is in `trusted`. Each proxy has written behind what it was given, so the list is read from
// its end; what stands before the first stranger, anybody may have written. Where an element is no
// address, or all are trusted, it is the one behind it.
net::Address ConveyedAddress(const http::Headers& headers, const net::Address& peer,
                             const std::vector<net::Network>& trusted);

}  // namespace genkan::server
