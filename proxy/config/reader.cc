#include "proxy/config/reader.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "proxy/config/module_table.h"
#include "proxy/config/site_names.h"
#include "proxy/config/table_reader.h"
#include "proxy/config/upstream_url.h"

namespace genkan::config {
namespace {

void ReadLog(TableReader& table, Log& log) {
  table.Read("level", log.level);
  table.Read("output", log.output);
}

void ReadAccessLog(TableReader& table, AccessLog& log) {
  table.Read("output", log.output);
  table.Read("format", log.format);
}

void ReadLimits(TableReader& table, Limits& limits) {
  table.Read("handshake_timeout", limits.handshake_timeout);
  table.Read("header_timeout", limits.header_timeout);
  table.Read("body_timeout", limits.body_timeout);
  table.Read("write_timeout", limits.write_timeout);
  table.Read("idle_timeout", limits.idle_timeout);
  table.Read("h2_idle_timeout", limits.h2_idle_timeout);
  table.Read("stream_idle_timeout", limits.stream_idle_timeout);
  table.Read("body_min_rate", limits.body_min_rate);
  table.Read("connections", limits.connections);
  table.Read("connections_per_address", limits.connections_per_address);
  table.Read("handshakes_per_address", limits.handshakes_per_address);
  table.Read("requests_per_connection", limits.requests_per_connection);
  table.Read("h2_requests_per_connection", limits.h2_requests_per_connection);
  table.Read("h2_streams", limits.h2_streams);
  table.ReadSize("request_line", limits.request_line);
  table.ReadSize("header_field", limits.header_field);
  table.ReadSize("header_bytes", limits.header_bytes);
  table.Read("header_count", limits.header_count);
}

void ReadCertificates(TableReader& table, Certificates& certificates) {
  table.Read("trust_store", certificates.trust_store);
  table.Read("trust_profiles", certificates.trust_profiles);
  table.Read("pool", certificates.pool);
  table.Read("aia", certificates.aia);
  table.Read("incomplete_at_start", certificates.incomplete_at_start);
  table.Read("incomplete_at_swap", certificates.incomplete_at_swap);
  table.Read("keep_last_good", certificates.keep_last_good);
}

void ReadClientCertificates(TableReader& table, ClientCertificates& client) {
  table.Read("verify", client.verify);
  table.Read("ca", client.ca);
  table.Read("crl", client.crl);
}

void ReadTls(TableReader& table, Tls& tls) {
  table.Read("profile", tls.profile);
  table.Read("min_version", tls.min_version);
  table.Read("ticket_keys", tls.ticket_keys);
  table.Read("unknown_name", tls.unknown_name);
  table.Read("ktls", tls.ktls);
  table.Read("own_provider", tls.own_provider);
  table.ReadTable("client_certificates", [&](TableReader& inner) {
    ReadClientCertificates(inner, tls.client_certificates);
  });
}

void ReadListener(TableReader& table, const Limits& limits, Listener& listener) {
  listener.position = table.position();
  table.Read("address", listener.address);
  table.Read("tls", listener.tls);
  table.Read("alpn", listener.alpn);
  table.Read("proxy_protocol", listener.proxy_protocol);
  table.Read("modules", listener.modules);
  table.ReadTable("limits", [&](TableReader& inner) {
    listener.limits = limits;  // what it does not say is as for all
    ReadLimits(inner, *listener.limits);
  });
}

void ReadCertificateSource(TableReader& table, CertificateSource& source) {
  table.Read("certificate", source.certificate);
  table.Read("key", source.key);
  table.Read("password_file", source.password_file);
  table.Read("password_env", source.password_env);
  table.Read("chain", source.chain);
}

// Each item is a path or a table.
void ReadCertificateSources(TableReader& table, std::vector<CertificateSource>& sources) {
  const Value* list = table.FindOf("certificates", Value::Kind::kArray);
  if (list == nullptr) return;
  for (size_t i = 0; i < list->items.size(); ++i) {
    const Value& item = list->items[i];
    std::string path = table.Below("certificates", i);
    CertificateSource source;
    source.position = {table.notes().file, item.line, item.column};
    table.NoteItem("certificates", i, item);
    if (item.kind == Value::Kind::kString) {
      source.path = item.text;
    } else if (item.kind == Value::Kind::kTable) {
      TableReader inner(item, path, "[[site.certificates]]", table.notes());
      ReadCertificateSource(inner, source);
      inner.Finish();
    } else {
      table.FailAt(item, path,
                   fmt::format("a certificate is a path or {{ certificate = …, key = … }}, not {}",
                               Describe(item.kind)));
      continue;
    }
    sources.push_back(std::move(source));
  }
}

void ReadRewrite(TableReader& table, Rewrite& rewrite) {
  table.Read("location", rewrite.location);
  table.Read("cookies_secure", rewrite.cookies_secure);
}

void ReadRoute(TableReader& table, Route& route) {
  route.position = table.position();
  table.Read("path", route.path);
  table.Read("upstream", route.upstream);
  table.Read("modules", route.modules);
}

void ReadSite(TableReader& table, const Tls& tls, Site& site) {
  site.position = table.position();
  table.Read("names", site.names);
  for (std::string& name : site.names) name = NormalizeSiteName(name);
  table.Read("default", site.is_default);
  ReadCertificateSources(table, site.certificates);
  table.Read("standby", site.standby);
  table.Read("upstream", site.upstream);
  table.Read("redirect_to_https", site.redirect_to_https);
  table.Read("challenge_to_upstream", site.challenge_to_upstream);
  table.Read("thumbprint", site.thumbprint);
  table.ReadTable("rewrite", [&](TableReader& inner) { ReadRewrite(inner, site.rewrite); });
  table.ReadSize("max_body", site.max_body);
  table.Read("modules", site.modules);
  table.ReadTables("route",
                   [&](TableReader& inner) { ReadRoute(inner, site.routes.emplace_back()); });
  table.ReadTable("tls", [&](TableReader& inner) {
    site.tls = tls;  // what it does not say is as for all
    ReadTls(inner, *site.tls);
  });
}

void ReadServer(TableReader& table, Server& server) {
  table.Read("address", server.address);
  table.Read("weight", server.weight);
  table.Read("backup", server.backup);
}

// Each item is an address or a table.
void ReadServers(TableReader& table, std::vector<Server>& servers) {
  const Value* list = table.FindOf("servers", Value::Kind::kArray);
  if (list == nullptr) return;
  for (size_t i = 0; i < list->items.size(); ++i) {
    const Value& item = list->items[i];
    std::string path = table.Below("servers", i);
    table.NoteItem("servers", i, item);
    if (item.kind == Value::Kind::kString) {
      servers.push_back({item.text});
    } else if (item.kind == Value::Kind::kTable) {
      TableReader inner(item, path, "[[upstream.servers]]", table.notes());
      ReadServer(inner, servers.emplace_back());
      inner.Finish();
    } else {
      table.FailAt(item, path,
                   fmt::format("a server is \"HOST:PORT\" or {{ address = … }}, not {}",
                               Describe(item.kind)));
    }
  }
}

void ReadHealthCheck(TableReader& table, HealthCheck& check) {
  table.Read("path", check.path);
  table.Read("interval", check.interval);
}

// true, false, or a table.
void ReadUpstreamTls(TableReader& table, std::optional<UpstreamTls>& tls) {
  const Value* value = table.Find("tls");
  if (value == nullptr) return;
  if (value->kind == Value::Kind::kBool) {
    if (value->boolean) tls.emplace();
    return;
  }
  table.ReadTable("tls", [&](TableReader& inner) {
    tls.emplace();
    inner.Read("verify", tls->verify);
    inner.Read("name", tls->name);
    inner.Read("trust_store", tls->trust_store);
  });
}

void ReadUpstream(TableReader& table, Upstream& upstream) {
  upstream.position = table.position();
  ReadServers(table, upstream.servers);
  table.Read("protocol", upstream.protocol);
  table.Read("balance", upstream.balance);
  table.ReadTable("health_check", [&](TableReader& inner) {
    ReadHealthCheck(inner, upstream.health_check.emplace());
  });
  ReadUpstreamTls(table, upstream.tls);
  table.Read("proxy_protocol", upstream.proxy_protocol);
  table.Read("max_connections", upstream.max_connections);
  table.Read("queue", upstream.queue);
  table.Read("queue_timeout", upstream.queue_timeout);
  table.Read("connect_timeout", upstream.connect_timeout);
  table.Read("response_timeout", upstream.response_timeout);
  table.Read("idle_timeout", upstream.idle_timeout);
  table.Read("underscore_headers", upstream.underscore_headers);
  table.Read("forwarded", upstream.forwarded);
  table.Read("via", upstream.via);
}

void ReadAcmeChallenge(TableReader& table, AcmeChallenge& acme) {
  table.Read("webroot", acme.webroot);
  table.Read("standalone", acme.standalone);
  table.Read("thumbprint", acme.thumbprint);
  table.Read("tls_alpn", acme.tls_alpn);
  table.Read("mode", acme.mode);
}

void ReadOcsp(TableReader& table, Ocsp& ocsp) {
  table.Read("enabled", ocsp.enabled);
  table.Read("first_response_wait", ocsp.first_response_wait);
}

void ReadRevocation(TableReader& table, Revocation& revocation) {
  table.Read("crl", revocation.crl);
  table.Read("ari", revocation.ari);
  table.Read("ari_file", revocation.ari_file);
  table.Read("on_revoked", revocation.on_revoked);
  table.Read("on_revoked_timeout", revocation.on_revoked_timeout);
}

// The module itself reads the rest, when it is made.
void ReadModule(TableReader& table, ModuleInstance& instance) {
  instance.position = table.position();
  table.Read("use", instance.use);
  table.SkipAll();
  instance.options =
      MakeModuleTable(table.value(), table.path(), "[" + table.path() + "]", table.notes().file);
}

void ReadTop(TableReader& table, Config& config) {
  table.Read("workers", config.workers);
  table.Read("user", config.user);
  config.has_state_dir = table.value().Find("state_dir") != nullptr;
  table.Read("state_dir", config.state_dir);
  table.Read("drain_timeout", config.drain_timeout);
  table.Read("handover_timeout", config.handover_timeout);
  table.Read("trusted_proxies", config.trusted_proxies);
  table.Read("load_modules", config.load_modules);
  table.ReadTable("log", [&](TableReader& t) { ReadLog(t, config.log); });
  table.ReadTable("access_log", [&](TableReader& t) { ReadAccessLog(t, config.access_log); });
  table.ReadTable("admin", [&](TableReader& t) { t.Read("listen", config.admin.listen); });
  table.ReadTable("limits", [&](TableReader& t) { ReadLimits(t, config.limits); });
  table.ReadTable("certificates",
                  [&](TableReader& t) { ReadCertificates(t, config.certificates); });
  table.ReadTable("tls", [&](TableReader& t) { ReadTls(t, config.tls); });
  table.ReadTables("listener", [&](TableReader& t) {
    ReadListener(t, config.limits, config.listeners.emplace_back());
  });
  table.ReadTables("site",
                   [&](TableReader& t) { ReadSite(t, config.tls, config.sites.emplace_back()); });
  table.ReadNamedTables("upstream", [&](const std::string& name, TableReader& t) {
    config.upstreams.emplace_back().name = name;
    ReadUpstream(t, config.upstreams.back());
  });
  table.ReadTable("acme_challenge",
                  [&](TableReader& t) { ReadAcmeChallenge(t, config.acme_challenge); });
  table.ReadTable("ocsp", [&](TableReader& t) { ReadOcsp(t, config.ocsp); });
  table.ReadTable("revocation", [&](TableReader& t) { ReadRevocation(t, config.revocation); });
  table.ReadNamedTables("module", [&](const std::string& name, TableReader& t) {
    config.modules.emplace_back().name = name;
    ReadModule(t, config.modules.back());
  });
}

}  // namespace

const Environment& ProcessEnvironment() {
  static const Environment environment = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  return environment;
}

Reading Read(std::string_view text, const std::string& file, const Environment& environment) {
  Reading reading;
  Value root = ParseToml(text, file, reading.problems);
  if (!reading.problems.empty()) {
    reading.is_readable = false;
    return reading;
  }
  ReadingNotes notes;
  notes.file = file;
  SubstituteVariables(root, environment, file, notes.problems);
  TableReader top(root, "", "", notes);
  ReadTop(top, reading.config);
  top.Finish();
  reading.problems = std::move(notes.problems);
  reading.config.origins = std::move(notes.origins);
  reading.known_keys = std::move(notes.known_keys);
  AddUrlUpstreams(reading.config);
  return reading;
}

OrErrors<Config> ReadConfigText(std::string_view text, const std::string& file,
                                const Environment& environment) {
  Reading reading = Read(text, file, environment);
  if (!reading.problems.empty()) return tl::unexpected(ToLines(std::move(reading.problems)));
  return std::move(reading.config);
}

Result<std::string> ReadText(const std::string& path) {
  constexpr size_t kMaxBytes = 16 * 1024 * 1024;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                       &std::fclose);
  if (file == nullptr) {
    ErrorCode code = errno == ENOENT   ? ErrorCode::kNotFound
                     : errno == EACCES ? ErrorCode::kPermission
                                       : ErrorCode::kIo;
    return Fail(code, "{}: {}", path, std::strerror(errno));
  }
  std::string text;
  char piece[65536];
  for (;;) {
    size_t got = std::fread(piece, 1, sizeof piece, file.get());
    text.append(piece, got);
    if (text.size() > kMaxBytes) return Fail(ErrorCode::kTooLarge, "{}: over 16 MiB", path);
    if (got < sizeof piece) break;
  }
  if (std::ferror(file.get()) != 0)
    return Fail(ErrorCode::kIo, "{}: {}", path, std::strerror(errno));
  return text;
}

OrErrors<Config> ReadConfigFile(const std::string& path) {
  auto text = ReadText(path);
  if (!text) return tl::unexpected(std::vector<std::string>{text.error().detail});
  return ReadConfigText(*text, path);
}

}  // namespace genkan::config
