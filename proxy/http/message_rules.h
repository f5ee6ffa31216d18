// The rules that a byte of a message is held to (RFC 9110, 9112, 9113). Pure functions; both codecs
// use them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/headers.h"
#include "proxy/http/messages.h"

namespace genkan::http {

// RFC 9110 5.6.2: 1*tchar.
bool IsToken(std::string_view text);
bool IsTokenByte(char c);
// No CR, LF or NUL and no other control byte but tab (RFC 9110 5.5). obs-text is allowed.
bool IsFieldValue(std::string_view value);
// Exactly one valid host name, IPv4 or [IPv6] with an optional port 0-65535: no userinfo, path,
// comma, blank, quote, backslash, control or non-ASCII byte. Empty is not valid.
bool IsAuthority(std::string_view authority);
// Origin-form: begins with '/', no byte below 0x21, no 0x7f, no '#'.
bool IsOriginForm(std::string_view target);

// The host of an authority, in lower case, without port, brackets and trailing dot: how names
// compare.
std::string NormalizeHost(std::string_view authority);

// Fields of one connection only (RFC 9110 7.6.1): Connection, Keep-Alive, Proxy-Connection, TE,
// Transfer-Encoding, Upgrade, HTTP2-Settings, Proxy.
bool IsHopByHop(std::string_view name);
// Removes them, and every field that Connection names, except Host, Content-Length and
// X-Forwarded-*. `TE: trailers` stays for requests when `keeps_te_trailers`.
void RemoveHopByHop(Headers& headers, bool keeps_te_trailers);

// Fields that must not stand in trailers: framing, routing, Host, authentication, Content-*… (RFC
// 9110 6.5.1).
bool IsForbiddenTrailer(std::string_view name);

}  // namespace genkan::http
