#include "proxy/config/from_flags.h"

#include <fmt/core.h>

#include <utility>

#include "proxy/config/site_names.h"
#include "proxy/config/upstream_url.h"

namespace genkan::config {

Config ConfigFromFlags(const RunFlags& flags) {
  Config config;
  Origins& origins = config.origins;

  Listener tls;
  tls.address = flags.listen;
  tls.tls = true;
  origins.Note("listener[0]", {"--listen"});
  config.listeners.push_back(std::move(tls));
  if (flags.http != "off") {
    Listener plain;
    plain.address = flags.http;
    origins.Note("listener[1]", {"--http"});
    config.listeners.push_back(std::move(plain));
  }

  Site site;
  for (const std::string& name : flags.names) site.names.push_back(NormalizeSiteName(name));
  if (site.names.empty()) site.names.emplace_back("*");
  for (const std::string& path : flags.certs) {
    CertificateSource source;
    source.path = path;
    source.position = {"--cert"};
    site.certificates.push_back(std::move(source));
  }
  site.upstream = flags.upstream;
  site.is_default = true;
  origins.Note("site[0].names", {"--name"});
  origins.Note("site[0].certificates", {"--cert"});
  origins.Note("site[0].upstream", {"--upstream"});
  config.sites.push_back(std::move(site));

  config.acme_challenge.webroot = flags.acme_webroot;
  origins.Note("acme_challenge.webroot", {"--acme-webroot"});
  AddUrlUpstreams(config);
  return config;
}

}  // namespace genkan::config
