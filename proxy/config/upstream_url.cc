#include "proxy/config/upstream_url.h"

#include <utility>

#include "proxy/base/text.h"
#include "proxy/net/address.h"

namespace genkan::config {
namespace {

struct Scheme {
  std::string_view prefix;
  uint16_t port;
  bool has_tls;
  std::string_view protocol;
};
constexpr Scheme kSchemes[] = {{"http://", 80, false, "http/1.1"},
                               {"https://", 443, true, "http/1.1"},
                               {"h2c://", 80, false, "h2"},
                               {"h2://", 443, true, "h2"}};

// Where the port's colon stands, npos without a port. Colons within brackets do not count.
size_t FindPort(std::string_view authority) {
  size_t bracket = authority.find(']');
  return authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
}

}  // namespace

bool IsHostName(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  if (host.ends_with('.')) host.remove_suffix(1);
  for (std::string_view label : Split(host, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-')
      return false;
    for (char c : label) {
      if (!IsAlpha(c) && !IsDigit(c) && c != '-' && c != '_') return false;
    }
  }
  return true;
}

bool IsUpstreamUrl(std::string_view text) {
  return text.find("://") != std::string_view::npos || text.starts_with("unix:");
}

Status CheckServerAddress(std::string_view address) {
  if (address.starts_with("unix:")) {
    if (auto parsed = net::Address::Parse(address); !parsed) return PassOn(parsed);
    return {};
  }
  size_t colon = FindPort(address);
  if (colon == std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "\"{}\" has no port; write HOST:PORT", EscapeControl(address));
  std::string_view host = address.substr(0, colon);
  auto port = ParseDecimal(address.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535)
    return Fail(ErrorCode::kInvalid, "\"{}\" has no port from 1 to 65535", EscapeControl(address));
  bool is_literal = host.starts_with('[');
  if (is_literal) {
    if (!host.ends_with(']') ||
        !net::Address::ParseHost(host.substr(1, host.size() - 2), static_cast<uint16_t>(*port)))
      return Fail(ErrorCode::kInvalid, "\"{}\" is no IPv6 address in brackets",
                  EscapeControl(host));
  } else if (!IsHostName(host)) {
    return Fail(ErrorCode::kInvalid, "\"{}\" is no host name or address", EscapeControl(host));
  }
  return {};
}

Result<Upstream> ParseUpstreamUrl(std::string_view text) {
  Upstream upstream;
  upstream.name = text;
  std::string shown = EscapeControl(text);
  if (text.starts_with("unix:")) {
    if (auto status = CheckServerAddress(text); !status) return PassOn(status);
    upstream.servers.push_back({std::string(text)});
    return upstream;
  }
  const Scheme* scheme = nullptr;
  for (const Scheme& known : kSchemes) {
    if (text.starts_with(known.prefix)) scheme = &known;
  }
  if (scheme == nullptr)
    return Fail(ErrorCode::kInvalid, "\"{}\": write http://, https://, h2c://, h2:// or unix:/path",
                shown);
  std::string_view authority = text.substr(scheme->prefix.size());
  size_t end = authority.find_first_of("/?#");
  if (end != std::string_view::npos && authority.substr(end) != "/")
    return Fail(ErrorCode::kInvalid,
                "\"{}\": an upstream has no path, query or fragment; requests keep their own",
                shown);
  authority = authority.substr(0, end);
  if (authority.find('@') != std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "\"{}\": an upstream has no user or password", shown);
  std::string address(authority);
  if (FindPort(authority) == std::string_view::npos) address += ":" + std::to_string(scheme->port);
  if (auto status = CheckServerAddress(address); !status) return PassOn(status);
  upstream.servers.push_back({address});
  upstream.protocol = scheme->protocol;
  if (scheme->has_tls) {
    UpstreamTls tls;
    std::string_view host = authority.substr(0, FindPort(authority));
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    tls.name = host;
    upstream.tls = std::move(tls);
  }
  return upstream;
}

void AddUrlUpstreams(Config& config) {
  auto add = [&](const std::string& text, const std::string& path) {
    if (!IsUpstreamUrl(text) || config.FindUpstream(text) != nullptr) return;
    auto upstream = ParseUpstreamUrl(text);
    if (!upstream) return;
    upstream->position = config.origins.Find(path);
    config.upstreams.push_back(*std::move(upstream));
  };
  for (size_t i = 0; i < config.sites.size(); ++i) {
    const Site& site = config.sites[i];
    std::string path = fmt::format("site[{}]", i);
    add(site.upstream, path + ".upstream");
    for (size_t k = 0; k < site.routes.size(); ++k)
      add(site.routes[k].upstream, fmt::format("{}.route[{}].upstream", path, k));
  }
}

}  // namespace genkan::config
