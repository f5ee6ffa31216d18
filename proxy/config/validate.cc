#include "proxy/config/validate.h"

#include <map>

#include "proxy/config/ari_file.h"
#include "proxy/config/checker.h"
#include "proxy/config/units.h"
#include "proxy/net/address.h"

namespace genkan::config {

void Checker::Reference(const std::string& path, std::string_view kind, std::string_view name,
                        const std::vector<std::string_view>& known) {
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  std::string_view nearest = NearestWord(name, known);
  if (!nearest.empty())
    Error(path, "there is no [{}.{}]; did you mean \"{}\"?", kind, EscapeControl(name), nearest);
  else
    Error(path, "there is no [{}.{}]", kind, EscapeControl(name));
}

void Checker::Modules(const std::string& path, const std::vector<std::string>& names) {
  // A module's own name stands for an instance with its defaults; a loaded module's is not known
  // yet.
  bool knows_all = !modules_.empty() && config_.load_modules.empty();
  std::vector<std::string_view> known = modules_;
  for (const ModuleInstance& instance : config_.modules) known.push_back(instance.name);
  for (size_t i = 0; i < names.size(); ++i) {
    std::string item = fmt::format("{}[{}]", path, i);
    if (knows_all) Reference(item, "module", names[i], known);
    if (std::find(names.begin(), names.begin() + static_cast<ptrdiff_t>(i), names[i]) !=
        names.begin() + static_cast<ptrdiff_t>(i))
      Error(item, "\"{}\" stands here twice", EscapeControl(names[i]));
  }
}

void Checker::Networks(const std::string& path, const std::vector<std::string>& networks) {
  for (size_t i = 0; i < networks.size(); ++i) {
    if (!net::Network::Parse(networks[i]))
      Error(fmt::format("{}[{}]", path, i),
            "\"{}\" is no network; write \"10.0.0.0/8\" or \"2001:db8::/32\"",
            EscapeControl(networks[i]));
  }
}

void Checker::Texts(const std::string& path, const std::vector<std::string>& texts,
                    std::string_view what) {
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) Error(fmt::format("{}[{}]", path, i), "an empty {}", what);
  }
}

void Checker::Timeout(const std::string& path, Millis timeout) {
  if (timeout <= Millis(0)) Error(path, "must be longer than nothing");
}

void Checker::Thumbprint(const std::string& path, std::string_view thumbprint) {
  if (thumbprint.empty()) return;
  // RFC 8555 8.1, RFC 7638: base64url of a SHA-256, which is 43 letters.
  bool is_base64url = thumbprint.size() == 43;
  for (char c : thumbprint)
    is_base64url = is_base64url && (IsAlpha(c) || IsDigit(c) || c == '-' || c == '_');
  if (!is_base64url)
    Error(path, "\"{}\" is no account thumbprint: 43 letters of base64url",
          EscapeControl(thumbprint));
}

void CheckTls(Checker& check, const std::string& path, const Tls& tls, bool is_site) {
  check.Word(path + ".profile", tls.profile, {"modern", "intermediate", "old"});
  check.Word(path + ".min_version", tls.min_version, {"1.0", "1.1", "1.2", "1.3"});
  check.Word(path + ".unknown_name", tls.unknown_name, {"default", "reject"});
  if (tls.ticket_keys.empty()) check.Error(path + ".ticket_keys", "\"rotate\" or a file");
  if (tls.profile == "old") {
    if (is_site)
      check.Warn(path + ".profile", "\"old\" lets in TLS 1.0 and CBC suites; only for this site");
    else
      check.Error(path + ".profile", "\"old\" is for single sites; write it in [site.tls]");
  } else if (tls.min_version == "1.0" || tls.min_version == "1.1") {
    check.Error(path + ".min_version", "TLS {} needs profile = \"old\" in [site.tls]",
                tls.min_version);
  }
  const ClientCertificates& client = tls.client_certificates;
  std::string below = path + ".client_certificates";
  check.Word(below + ".verify", client.verify, {"off", "request", "require"});
  if (client.verify != "off" && client.ca.empty())
    check.Error(below + ".ca",
                "client certificates need the authorities they come from: ca = [\"…\"]");
  check.Texts(below + ".ca", client.ca, "path");
  check.Texts(below + ".crl", client.crl, "path");
}

namespace {

void CheckLimits(Checker& check, const std::string& path, const Limits& limits) {
  check.Timeout(path + ".handshake_timeout", limits.handshake_timeout);
  check.Timeout(path + ".header_timeout", limits.header_timeout);
  check.Timeout(path + ".body_timeout", limits.body_timeout);
  check.Timeout(path + ".write_timeout", limits.write_timeout);
  check.Timeout(path + ".idle_timeout", limits.idle_timeout);
  check.Timeout(path + ".h2_idle_timeout", limits.h2_idle_timeout);
  check.Timeout(path + ".stream_idle_timeout", limits.stream_idle_timeout);
  constexpr uint64_t kLeast = 64, kMost = 16 * 1024 * 1024;
  check.Range(path + ".request_line", limits.request_line, kLeast, kMost);
  check.Range(path + ".header_field", limits.header_field, kLeast, kMost);
  check.Range(path + ".header_bytes", limits.header_bytes, kLeast, kMost);
  check.Range(path + ".header_count", limits.header_count, 1u, 100'000u);
  check.Range(path + ".h2_streams", limits.h2_streams, 1u, 10'000u);
  check.Range(path + ".requests_per_connection", limits.requests_per_connection, 1u, ~0u);
  check.Range(path + ".h2_requests_per_connection", limits.h2_requests_per_connection, 1u, ~0u);
}

void CheckListeners(Checker& check) {
  const Config& config = check.config();
  if (config.listeners.empty()) check.Error("listener", "no [[listener]]: nothing to listen on");
  std::map<std::string, std::string> seen;  // address -> path
  for (size_t i = 0; i < config.listeners.size(); ++i) {
    const Listener& listener = config.listeners[i];
    std::string path = fmt::format("listener[{}]", i);
    auto address = net::Address::Parse(listener.address);
    if (listener.address.empty()) {
      check.Error(path + ".address", "a listener needs an address: \":443\", \"127.0.0.1:80\"");
    } else if (!address) {
      check.Error(path + ".address",
                  "\"{}\" is no address; write \":443\", \"127.0.0.1:443\", \"[::]:443\" or "
                  "\"unix:/path\"",
                  EscapeControl(listener.address));
    } else if (address->is_unix() || address->port() != 0) {
      std::string key = address->is_dual_stack() ? "*" + address->ToString() : address->ToString();
      auto [at, is_new] = seen.emplace(std::move(key), path + ".address");
      if (!is_new)
        check.Error(path + ".address", "\"{}\" is listened on already, at {}", listener.address,
                    config.origins.Find(at->second).ToString());
    }
    for (size_t k = 0; k < listener.alpn.size(); ++k)
      check.Word(fmt::format("{}.alpn[{}]", path, k), listener.alpn[k], {"h2", "http/1.1"});
    if (listener.alpn.empty()) check.Error(path + ".alpn", "an empty list; leave it out for both");
    check.Networks(path + ".proxy_protocol", listener.proxy_protocol);
    check.Modules(path + ".modules", listener.modules);
    if (listener.limits) CheckLimits(check, path + ".limits", *listener.limits);
  }
}

bool IsLoopback(const net::Address& address) {
  static const auto kLoopback4 = net::Network::Parse("127.0.0.0/8");
  static const auto kLoopback6 = net::Network::Parse("::1/128");
  return kLoopback4->Contains(address) || kLoopback6->Contains(address);
}

void CheckAdmin(Checker& check) {
  const Admin& admin = check.config().admin;
  for (size_t i = 0; i < admin.listen.size(); ++i) {
    std::string path = fmt::format("admin.listen[{}]", i);
    auto address = net::Address::Parse(admin.listen[i]);
    if (!address) {
      check.Error(
          path, "\"{}\" is no address; write \"unix:/run/genkan/admin.sock\" or \"127.0.0.1:9443\"",
          EscapeControl(admin.listen[i]));
    } else if (address->is_ip() && !IsLoopback(*address)) {
      check.Warn(path,
                 "the status page at \"{}\" can be read from other machines, without a password",
                 admin.listen[i]);
    }
  }
}

void CheckAcmeChallenge(Checker& check) {
  const AcmeChallenge& acme = check.config().acme_challenge;
  check.Word("acme_challenge.mode", acme.mode, {"auto", "always", "off"});
  check.Texts("acme_challenge.webroot", acme.webroot, "path");
  check.Thumbprint("acme_challenge.thumbprint", acme.thumbprint);
  auto address = [&](const std::string& path, const std::string& text) {
    if (text.empty()) return;
    auto parsed = net::Address::Parse(text);
    if (!parsed || parsed->is_dual_stack() || (parsed->is_ip() && parsed->port() == 0)) {
      check.Error(path, "\"{}\" is no address; write \"127.0.0.1:8888\"", EscapeControl(text));
    } else if (parsed->is_ip() && !IsLoopback(*parsed)) {
      // A stranger's request must not become a way to ask other machines things.
      check.Error(path, "\"{}\" is another machine; only loopback such as \"127.0.0.1:8888\"",
                  EscapeControl(text));
    }
  };
  address("acme_challenge.standalone", acme.standalone);
  address("acme_challenge.tls_alpn", acme.tls_alpn);
}

void CheckRevocation(Checker& check) {
  const std::vector<std::string>& hook = check.config().revocation.on_revoked;
  const Millis limit = check.config().revocation.on_revoked_timeout;
  if (limit < Millis(1'000) || limit > Millis(3'600'000))
    check.Error("revocation.on_revoked_timeout", "between \"1s\" and \"1h\"");
  if (hook.empty()) return;
  const std::string path = "revocation.on_revoked";
  if (hook[0].empty()) check.Error(path + "[0]", "an empty command");
  if (hook[0] == "{lineage}" || hook[0] == "{name}")
    check.Error(path + "[0]", "a command comes first");
  if (hook[0].starts_with("http://"))
    check.Error(path + "[0]", "\"{}\": only https:// URLs get a POST", EscapeControl(hook[0]));
  if (hook[0].starts_with("https://") && hook.size() > 1)
    check.Error(path + "[1]", "an https:// URL stands alone");
}

void CheckModules(Checker& check) {
  const Config& config = check.config();
  check.Texts("load_modules", config.load_modules, "path");
  for (const ModuleInstance& instance : config.modules) {
    std::string path = fmt::format("module.{}", instance.name);
    if (instance.use.empty()) {
      check.Error(path + ".use", "[{}] says no module: use = \"url_filter\"", path);
    } else if (instance.use == "acme_challenge" || instance.use == "ocsp_stapling" ||
               instance.use == "crl_watch" || instance.use == "ari_watch") {
      check.Error(path + ".use", "\"{}\" is always there; its keys stand in [{}]", instance.use,
                  instance.use == "ocsp_stapling"    ? "ocsp"
                  : instance.use == "acme_challenge" ? "acme_challenge"
                                                     : "revocation");
    } else if (!check.modules().empty() && config.load_modules.empty() &&
               std::find(check.modules().begin(), check.modules().end(), instance.use) ==
                   check.modules().end()) {
      std::string_view nearest = NearestWord(instance.use, check.modules());
      check.Error(path + ".use", "there is no module \"{}\"{}", EscapeControl(instance.use),
                  nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest));
    }
  }
}

void CheckTop(Checker& check) {
  const Config& config = check.config();
  check.Range("workers", config.workers, 0u, 1024u);
  if (config.user == "root") check.Warn("user", "the proxy stays root; a user of its own is safer");
  if (config.state_dir.empty()) check.Error("state_dir", "an empty path");
  check.Timeout("drain_timeout", config.drain_timeout);
  check.Timeout("handover_timeout", config.handover_timeout);
  check.Networks("trusted_proxies", config.trusted_proxies);
  check.Word("log.level", config.log.level, {"debug", "info", "warn", "error", "off"});
  if (config.log.output.empty()) check.Error("log.output", "\"stderr\", \"stdout\" or a path");
  if (config.access_log.output.empty())
    check.Error("access_log.output", "\"stdout\", \"stderr\", \"off\" or a path");
  const std::string& format = config.access_log.format;
  if (format != "combined" && format != "json" && format.find('{') == std::string::npos)
    check.Error("access_log.format",
                "\"{}\" is none of \"combined\", \"json\", nor a format with {{fields}}",
                EscapeControl(format));
  const Certificates& certificates = config.certificates;
  if (certificates.trust_store.empty())
    check.Error("certificates.trust_store", "\"system\", a file or a directory");
  if (certificates.trust_profiles.empty())
    check.Error("certificates.trust_profiles", "\"builtin\" or a directory");
  check.Texts("certificates.pool", certificates.pool, "path");
  check.Word("certificates.incomplete_at_start", certificates.incomplete_at_start,
             {"serve", "refuse"});
  check.Word("certificates.incomplete_at_swap", certificates.incomplete_at_swap,
             {"serve", "refuse"});
  if (config.ocsp.first_response_wait > Millis(60'000))
    check.Error("ocsp.first_response_wait", "a start waits a minute at most");
  CheckLimits(check, "limits", config.limits);
  CheckTls(check, "tls", config.tls, false);
}

// Whether somebody complained already about this value or about what it stands in.
bool IsCovered(const std::string& path, const std::vector<Problem>& problems) {
  for (const Problem& problem : problems) {
    if (problem.path.empty() || !path.starts_with(problem.path)) continue;
    if (path.size() == problem.path.size()) return true;
    char next = path[problem.path.size()];
    if (next == '.' || next == '[') return true;
  }
  return false;
}

std::vector<std::string> ReadAriFile(Revocation& revocation) {
  if (revocation.ari_file.empty()) return {};
  auto text = ReadText(revocation.ari_file);
  if (!text) return {"[revocation] ari_file: " + text.error().detail};
  auto read = ReadAriText(*text, revocation.ari_file);
  if (!read) return read.error();
  revocation.authorities = *std::move(read);
  return {};
}

// Better a line in the log than a key that an operator relies on in vain.
void WarnOfWhatIsToCome(Checker& check) {
  const Config& config = check.config();
  if (!config.tls.client_certificates.crl.empty())
    check.NoEffectYet("tls.client_certificates.crl");
}

}  // namespace

Findings Validate(const Config& config, const std::vector<std::string_view>& modules) {
  Findings findings;
  Checker check(config, modules, findings);
  CheckTop(check);
  CheckAdmin(check);
  CheckListeners(check);
  CheckSites(check);
  CheckUpstreams(check);
  CheckAcmeChallenge(check);
  CheckRevocation(check);
  CheckModules(check);
  WarnOfWhatIsToCome(check);
  return findings;
}

OrErrors<Checked> LoadConfigText(std::string_view text, const std::string& file,
                                 const std::vector<std::string_view>& modules,
                                 const Environment& environment) {
  Reading reading = Read(text, file, environment);
  if (!reading.is_readable) return tl::unexpected(ToLines(std::move(reading.problems)));
  Findings findings = Validate(reading.config, modules);
  std::vector<Problem> problems = reading.problems;
  for (Problem& problem : findings.errors) {
    if (!IsCovered(problem.path, reading.problems)) problems.push_back(std::move(problem));
  }
  std::vector<std::string> ari_errors = ReadAriFile(reading.config.revocation);
  if (!ari_errors.empty()) {
    std::vector<std::string> lines = ToLines(std::move(problems));
    lines.insert(lines.end(), ari_errors.begin(), ari_errors.end());
    return tl::unexpected(std::move(lines));
  }
  if (!problems.empty()) return tl::unexpected(ToLines(std::move(problems)));
  return Checked{std::move(reading.config), ToLines(std::move(findings.warnings))};
}

OrErrors<Checked> LoadConfigFile(const std::string& path,
                                 const std::vector<std::string_view>& modules) {
  auto text = ReadText(path);
  if (!text) return tl::unexpected(std::vector<std::string>{text.error().detail});
  return LoadConfigText(*text, path, modules);
}

OrErrors<Checked> CheckConfig(Config config) {
  Findings findings = Validate(config);
  if (!findings.errors.empty()) return tl::unexpected(ToLines(std::move(findings.errors)));
  return Checked{std::move(config), ToLines(std::move(findings.warnings))};
}

}  // namespace genkan::config
