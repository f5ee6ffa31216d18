#include "proxy/config/site_names.h"

#include <algorithm>

#include "proxy/base/text.h"
#include "proxy/config/upstream_url.h"
#include "proxy/net/address.h"

namespace genkan::config {

std::string NormalizeSiteName(std::string_view name) {
  std::string lower = ToLower(name);
  std::string_view text = lower;
  if (text.starts_with('[')) {
    // "[::1]:443" and "[::1]"; a bare "::1" has colons but no port.
    size_t end = text.find(']');
    if (end != std::string_view::npos) return std::string(text.substr(1, end - 1));
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    size_t colon = text.find(':');
    if (ParseDecimal(text.substr(colon + 1))) text = text.substr(0, colon);
  }
  if (text.ends_with('.')) text.remove_suffix(1);
  return std::string(text);
}

Status CheckSiteName(std::string_view name) {
  if (name == "*" || net::Address::ParseHost(name, 0)) return {};
  std::string_view host = name.starts_with("*.") ? name.substr(2) : name;
  for (char c : host) {
    if (static_cast<unsigned char>(c) >= 0x80)
      return Fail(ErrorCode::kInvalid, "\"{}\": write the name as clients send it, xn--…", name);
  }
  if (host.find("://") != std::string_view::npos || host.find('/') != std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "\"{}\" is a URL; a site has names alone",
                EscapeControl(name));
  if (host.find('*') != std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "\"{}\": a wildcard is the whole first label, \"*.{}\"",
                EscapeControl(name), "example.com");
  if (!IsHostName(host))
    return Fail(ErrorCode::kInvalid, "\"{}\" is no host name", EscapeControl(name));
  return {};
}

}  // namespace genkan::config
