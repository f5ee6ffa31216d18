// An origin as a URL, the short form of a pool of one server. Pure functions.
#pragma once

#include <string_view>

#include "proxy/base/result.h"
#include "proxy/config/config.h"

namespace genkan::config {

// "http://127.0.0.1:8080", "https://app.internal", "h2c://127.0.0.1:8080", "unix:/run/app.sock": an
// address, not the name of a pool.
bool IsUpstreamUrl(std::string_view text);
// A pool named by the URL itself. A path, a query or a user in it is an error: requests keep their
// own.
Result<Upstream> ParseUpstreamUrl(std::string_view text);

// "host:port", "[::1]:port", "10.0.0.1:port" with a port from 1 to 65535, or "unix:/path".
Status CheckServerAddress(std::string_view address);
bool IsHostName(std::string_view host);

// Adds a pool for every URL that a site or route names and that is well-formed; behind the named
// pools, each once.
void AddUrlUpstreams(Config& config);

}  // namespace genkan::config
