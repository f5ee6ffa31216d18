// The part of Validate about sites, routes and pools.
#include <map>
#include <set>

#include "proxy/config/checker.h"
#include "proxy/config/site_names.h"
#include "proxy/config/upstream_url.h"

namespace genkan::config {
namespace {

constexpr std::string_view kNoH2Yet =
    "this version of genkan speaks HTTP/1.1 to upstreams, not yet HTTP/2; write http/1.1 or http://";

void CheckUpstreamName(Checker& check, const std::string& path, const std::string& text) {
  if (IsUpstreamUrl(text)) {
    auto parsed = ParseUpstreamUrl(text);
    if (!parsed)
      check.Error(path, "{}", parsed.error().detail);
    else if (parsed->protocol == "h2")
      check.Error(path, "{}", kNoH2Yet);
    return;
  }
  std::vector<std::string_view> known;
  for (const Upstream& upstream : check.config().upstreams) {
    if (!IsUpstreamUrl(upstream.name)) known.push_back(upstream.name);
  }
  if (std::find(known.begin(), known.end(), text) != known.end()) return;
  if (auto status = CheckServerAddress(text); status) {
    check.Error(path, "\"{}\" is no pool's name; write the URL \"http://{}\"", text, text);
    return;
  }
  check.Reference(path, "upstream", text, known);
}

// Paths compare with what is left after normalisation, so a prefix that normalisation would change
// fits nothing.
void CheckRoutePath(Checker& check, const std::string& at, const std::string& path) {
  if (!path.starts_with('/')) {
    check.Error(at, "\"{}\" does not begin with a slash", EscapeControl(path));
    return;
  }
  if (path.find_first_of("?#\\") != std::string::npos || EscapeControl(path) != path ||
      path.find(' ') != std::string::npos) {
    check.Error(at, "\"{}\" is no path: no query, fragment, blank or control byte",
                EscapeControl(path));
    return;
  }
  std::vector<std::string_view> segments = Split(std::string_view(path).substr(1), '/');
  for (size_t i = 0; i < segments.size(); ++i) {
    bool is_last = i + 1 == segments.size();
    if (segments[i] == "." || segments[i] == ".." || (segments[i].empty() && !is_last)) {
      check.Error(at, "\"{}\" fits no request: dot segments and double slashes are gone by then",
                  path);
      return;
    }
  }
}

void CheckRoutes(Checker& check, const std::string& site_path, const Site& site) {
  std::set<std::string> seen;
  for (size_t i = 0; i < site.routes.size(); ++i) {
    const Route& route = site.routes[i];
    std::string path = fmt::format("{}.route[{}]", site_path, i);
    CheckRoutePath(check, path + ".path", route.path);
    if (!seen.insert(route.path).second)
      check.Error(path + ".path", "\"{}\" has a route already", EscapeControl(route.path));
    if (!route.upstream.empty()) CheckUpstreamName(check, path + ".upstream", route.upstream);
    if (route.upstream.empty() && site.upstream.empty() && route.modules.empty())
      check.Error(path + ".upstream", "a route without an upstream in a site without one");
    check.Modules(path + ".modules", route.modules);
  }
}

void CheckCertificates(Checker& check, const std::string& site_path, const Site& site) {
  for (size_t i = 0; i < site.certificates.size(); ++i) {
    const CertificateSource& source = site.certificates[i];
    std::string path = fmt::format("{}.certificates[{}]", site_path, i);
    if (source.path.empty() && source.certificate.empty())
      check.Error(path,
                  "a certificate needs a path: \"/etc/letsencrypt/live/…\" or certificate = \"…\"");
    check.Word(path + ".chain", source.chain, {"auto", "short", "long", "by_client"});
    if (!source.password_file.empty() && !source.password_env.empty())
      check.Error(path + ".password_env", "a password is in a file or in a variable, not in both");
  }
}

void CheckNames(Checker& check, const std::string& site_path, const Site& site,
                std::map<std::string, std::string>& seen) {
  if (site.names.empty())
    check.Error(site_path + ".names",
                "a site needs names = [\"example.com\"], or [\"*\"] for every host");
  for (size_t i = 0; i < site.names.size(); ++i) {
    std::string path = fmt::format("{}.names[{}]", site_path, i);
    if (auto status = CheckSiteName(site.names[i]); !status) {
      check.Error(path, "{}", status.error().detail);
      continue;
    }
    auto [at, is_new] = seen.emplace(site.names[i], path);
    if (!is_new) {
      check.Error(path, "\"{}\" has a site already, at {}", site.names[i],
                  check.config().origins.Find(at->second).ToString());
    }
  }
}

}  // namespace

void CheckSites(Checker& check) {
  const Config& config = check.config();
  if (config.sites.empty()) check.Error("site", "no [[site]]: nothing to serve");
  bool has_tls_listener = false, has_certificate = false;
  for (const Listener& listener : config.listeners) has_tls_listener |= listener.tls;
  std::map<std::string, std::string> seen;
  std::string default_at;
  for (size_t i = 0; i < config.sites.size(); ++i) {
    const Site& site = config.sites[i];
    std::string path = fmt::format("site[{}]", i);
    CheckNames(check, path, site, seen);
    if (site.is_default) {
      if (!default_at.empty())
        check.Error(path + ".default", "there is a default site already, at {}",
                    config.origins.Find(default_at).ToString());
      default_at = path + ".default";
    }
    CheckCertificates(check, path, site);
    has_certificate |= !site.certificates.empty();
    if (!site.certificates.empty() && !has_tls_listener)
      check.Warn(path + ".certificates",
                 "no [[listener]] has tls = true, so nobody sees this certificate");
    else if (site.redirects() && !has_tls_listener)
      check.Warn(path + ".redirect_to_https",
                 "redirects to https, where nothing listens with tls = true");
    if (!site.upstream.empty()) CheckUpstreamName(check, path + ".upstream", site.upstream);
    if (site.upstream.empty() && site.routes.empty() && site.modules.empty())
      check.Error(path + ".upstream",
                  "a site needs an upstream: a URL or the name of an [upstream.NAME]");
    if (site.challenge_to_upstream && site.upstream.empty())
      check.Error(path + ".challenge_to_upstream", "there is no upstream to pass challenges to");
    check.Thumbprint(path + ".thumbprint", site.thumbprint);
    check.Modules(path + ".modules", site.modules);
    CheckRoutes(check, path, site);
    if (site.tls) CheckTls(check, path + ".tls", *site.tls, true);
    if (site.tls && site.tls->ktls != config.tls.ktls)
      check.Error(path + ".tls.ktls", "it is for all sites alike; write it in [tls]");
    if (site.tls && site.tls->own_provider != config.tls.own_provider)
      check.Error(path + ".tls.own_provider", "it is for all sites alike; write it in [tls]");
  }
  if (has_tls_listener && !has_certificate && !config.sites.empty())
    check.Warn("site", "no site names a certificate, so every TLS handshake is refused");
}

void CheckUpstreams(Checker& check) {
  for (const Upstream& upstream : check.config().upstreams) {
    // Pools that URLs stand for were checked where the URL stands.
    std::string path = fmt::format("upstream.{}", upstream.name);
    if (IsUpstreamUrl(upstream.name) && !check.config().origins.Has(path)) continue;
    bool is_name = !upstream.name.empty();
    for (char c : upstream.name)
      is_name = is_name && (IsAlpha(c) || IsDigit(c) || c == '-' || c == '_' || c == '.');
    if (!is_name)
      check.Error(path, "\"{}\": a pool's name is letters, digits, - _ and .",
                  EscapeControl(upstream.name));
    bool has_first_line = false;
    for (size_t i = 0; i < upstream.servers.size(); ++i) {
      const Server& server = upstream.servers[i];
      std::string item = fmt::format("{}.servers[{}]", path, i);
      if (IsUpstreamUrl(server.address) && !server.address.starts_with("unix:"))
        check.Error(item, "\"{}\": a server is HOST:PORT; TLS is tls = true of the pool",
                    EscapeControl(server.address));
      else if (auto status = CheckServerAddress(server.address); !status)
        check.Error(item, "{}", status.error().detail);
      check.Range(item + ".weight", server.weight, 1u, 1000u);
      has_first_line |= !server.backup;
    }
    if (upstream.servers.empty())
      check.Error(path + ".servers", "[{}] has no servers", path);
    else if (!has_first_line)
      check.Error(path + ".servers", "every server of [{}] is a backup", path);
    check.Word(path + ".protocol", upstream.protocol, {"http/1.1", "h2"});
    if (upstream.protocol == "h2" && !IsUpstreamUrl(upstream.name))
      check.Error(path + ".protocol", "{}", kNoH2Yet);
    check.Word(path + ".balance", upstream.balance,
               {"round_robin", "least_connections", "consistent_hash"});
    check.Word(path + ".proxy_protocol", upstream.proxy_protocol, {"off", "v1", "v2"});
    check.Word(path + ".underscore_headers", upstream.underscore_headers,
               {"drop", "pass", "refuse"});
    check.Range(path + ".max_connections", upstream.max_connections, 1u, 1'000'000u);
    check.Range(path + ".queue", upstream.queue, 0u, 1'000'000u);
    check.Timeout(path + ".queue_timeout", upstream.queue_timeout);
    check.Timeout(path + ".connect_timeout", upstream.connect_timeout);
    check.Timeout(path + ".response_timeout", upstream.response_timeout);
    if (upstream.health_check) {
      if (!upstream.health_check->path.starts_with('/'))
        check.Error(path + ".health_check.path", "\"{}\" does not begin with a slash",
                    EscapeControl(upstream.health_check->path));
      if (upstream.health_check->interval < Millis(100))
        check.Error(path + ".health_check.interval", "is shorter than 100ms");
    }
    if (upstream.tls && upstream.tls->trust_store.empty())
      check.Error(path + ".tls.trust_store", "\"system\", a file or a directory");
  }
}

}  // namespace genkan::config
