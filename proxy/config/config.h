// The configuration as plain structs with their defaults; equal text gives equal structs. Read by
// config/reader.h, checked by config/validate.h, turned into a server::Snapshot by the Reloader. A
// value; any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/config/position.h"
#include "proxy/module/module_config.h"

namespace genkan::config {

struct Log {
  std::string level = "info";
  std::string output = "stderr";
  bool operator==(const Log&) const = default;
};

struct AccessLog {
  std::string output = "stdout";    // a path, "stdout", "stderr", "off"
  std::string format = "combined";  // "json", or a format string
  bool operator==(const AccessLog&) const = default;
};

struct Admin {
  std::vector<std::string> listen = {"unix:/run/genkan/admin.sock"};
  bool operator==(const Admin&) const = default;
};

struct Limits {
  Millis handshake_timeout{10'000};
  Millis header_timeout{10'000};
  Millis body_timeout{30'000};
  Millis write_timeout{30'000};
  Millis idle_timeout{60'000};
  Millis h2_idle_timeout{180'000};
  Millis stream_idle_timeout{3'600'000};
  uint32_t body_min_rate = 500;  // bytes a second, the slowest average of a request body after 20 s
  uint32_t connections_per_address = 256;  // 0 = no limit
  uint32_t handshakes_per_address = 32;
  uint32_t requests_per_connection = 1000;       // h1
  uint32_t h2_requests_per_connection = 10'000;  // then a graceful GOAWAY
  uint32_t connections = 0;                      // in all; 0 = from RLIMIT_NOFILE
  uint64_t request_line = 8 * 1024;
  uint64_t header_field = 16 * 1024;
  uint64_t header_bytes = 32 * 1024;
  uint32_t header_count = 100;
  uint32_t h2_streams = 100;
  bool operator==(const Limits&) const = default;
};

struct Certificates {
  std::string trust_store = "system";
  std::string trust_profiles = "builtin";  // or a directory of *.profile files
  std::vector<std::string> pool;
  bool aia = true;
  std::string incomplete_at_start = "serve";
  std::string incomplete_at_swap = "refuse";
  bool keep_last_good = true;
  bool operator==(const Certificates&) const = default;
};

struct ClientCertificates {
  std::string verify = "off";  // "request", "require"
  std::vector<std::string> ca, crl;
  bool operator==(const ClientCertificates&) const = default;
};

struct Tls {
  std::string profile = "intermediate";
  std::string min_version = "1.2";
  std::string ticket_keys = "rotate";
  std::string unknown_name = "default";
  bool ktls = false;         // [tls] alone
  bool own_provider = true;  // [tls] alone
  ClientCertificates client_certificates;
  bool operator==(const Tls&) const = default;
};

struct Listener {
  std::string address;
  bool tls = false;
  std::vector<std::string> alpn = {"h2", "http/1.1"};
  std::vector<std::string> proxy_protocol;  // networks; from these a PROXY header is mandatory
  std::optional<Limits> limits;             // where the listener differs
  std::vector<std::string> modules;
  Position position;
  bool operator==(const Listener&) const = default;
};

// One entry of `certificates`: a lineage directory, a file, a glob, or a table.
struct CertificateSource {
  std::string path;              // of the string form
  std::string certificate, key;  // of the table form
  std::string password_file, password_env;  // where the password of an encrypted key or PKCS#12 is
  std::string chain = "auto";
  Position position;
  bool operator==(const CertificateSource&) const = default;
};

struct Rewrite {
  bool location = false, cookies_secure = false;
  bool operator==(const Rewrite&) const = default;
};

struct Route {
  std::string path = "/";  // a prefix on segment borders; "/api/" also takes "/api"
  std::string upstream;
  std::vector<std::string> modules;
  Position position;
  bool operator==(const Route&) const = default;
};

struct Site {
  std::vector<std::string> names;
  bool is_default = false;
  std::vector<CertificateSource> certificates;
  std::string standby;
  std::string upstream;                   // a URL or the name of a pool
  std::optional<bool> redirect_to_https;  // default: where certificates are configured
  bool challenge_to_upstream = false;
  Rewrite rewrite;
  uint64_t max_body = 0;  // bytes; 0 = no limit
  std::vector<std::string> modules;
  std::vector<Route> routes;
  std::optional<Tls> tls;
  std::string thumbprint;
  Position position;
  bool redirects() const { return redirect_to_https.value_or(!certificates.empty()); }
  bool operator==(const Site&) const = default;
};

struct Server {
  std::string address;  // host:port or unix:/path
  uint32_t weight = 1;
  bool backup = false;
  bool operator==(const Server&) const = default;
};

struct HealthCheck {
  std::string path;
  Millis interval{5000};
  bool operator==(const HealthCheck&) const = default;
};

struct UpstreamTls {
  bool verify = true;
  std::string name;
  std::string trust_store = "system";
  bool operator==(const UpstreamTls&) const = default;
};

struct Upstream {
  std::string name;  // of the pool; of a URL in a site: the URL itself
  std::vector<Server> servers;
  std::string protocol = "http/1.1";
  std::string balance = "round_robin";
  std::optional<HealthCheck> health_check;
  std::optional<UpstreamTls> tls;
  std::string proxy_protocol = "off";
  uint32_t max_connections = 100;
  uint32_t queue = 1000;
  Millis queue_timeout{10'000};
  Millis connect_timeout{5'000};
  Millis response_timeout{60'000};  // silence before the response head: 504
  Millis idle_timeout{4'000};
  std::string underscore_headers = "drop";
  bool forwarded = false;
  bool via = false;
  Position position;
  bool operator==(const Upstream&) const = default;
};

struct AcmeChallenge {
  std::vector<std::string> webroot;
  std::string standalone, thumbprint, tls_alpn;
  std::string mode = "auto";
  bool operator==(const AcmeChallenge&) const = default;
};

struct Ocsp {
  bool enabled = true;
  Millis first_response_wait{2'000};
  bool operator==(const Ocsp&) const = default;
};

// Whom to ask when certificates of an issuer should be renewed (RFC 9773).
struct AriAuthority {
  std::string issuer;     // its organization, or its common name where it has none
  std::string directory;  // of ACME; "" = nobody
  bool operator==(const AriAuthority&) const = default;
};

struct Revocation {
  bool crl = true, ari = true;
  std::string ari_file;                   // further authorities, before the built-in ones
  std::vector<AriAuthority> authorities;  // what that file says
  std::vector<std::string> on_revoked;    // an argv, or one https:// URL
  Millis on_revoked_timeout{600'000};
  bool operator==(const Revocation&) const = default;
};

// [module.NAME]: an instance. Its own keys are read by the module (module/module_config.h).
struct ModuleInstance {
  std::string name, use;
  std::shared_ptr<const ModuleTable> options;
  Position position;
  bool operator==(const ModuleInstance& other) const;
};

struct Config {
  uint32_t workers = 0;
  std::string user;  // "" = genkan where root and the user exists
  std::string state_dir = "/var/lib/genkan";
  bool has_state_dir = false;  // set in the file or by flag
  Millis drain_timeout{30'000};
  Millis handover_timeout{3'600'000};
  std::vector<std::string> trusted_proxies;
  std::vector<std::string> load_modules;
  Log log;
  AccessLog access_log;
  Admin admin;
  Limits limits;
  Certificates certificates;
  Tls tls;
  std::vector<Listener> listeners;
  std::vector<Site> sites;
  std::vector<Upstream> upstreams;  // named pools, then the ones that URLs in sites stand for
  AcmeChallenge acme_challenge;
  Ocsp ocsp;
  Revocation revocation;
  std::vector<ModuleInstance> modules;
  Origins origins;  // where each value stands

  const Upstream* FindUpstream(const std::string& name) const;
  const ModuleInstance* FindModule(const std::string& name) const;
  bool operator==(const Config&) const = default;
};

}  // namespace genkan::config
