#include "proxy/server/snapshot.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "proxy/base/text.h"
#include "proxy/config/module_table.h"
#include "proxy/config/site_names.h"
#include "proxy/config/upstream_url.h"
#include "proxy/module/watched_file.h"
#include "proxy/tls/session_context.h"

namespace genkan::server {
namespace {

constexpr std::string_view kGuard = "acme_challenge";
constexpr std::string_view kPathFilter = "url_filter";

http::CodecLimits CodecLimitsOf(const config::Limits& limits) {
  http::CodecLimits codec;
  codec.request_line = limits.request_line;
  codec.one_field = limits.header_field;
  codec.all_fields = limits.header_bytes;
  codec.field_count = limits.header_count;
  codec.concurrent_streams = limits.h2_streams;
  return codec;
}

// Builds one snapshot; notes every error instead of stopping at the first.
class Builder {
 public:
  Builder(std::shared_ptr<const config::Config> config, const ModuleFinder& find_module,
          const Snapshot* before)
      : config_(std::move(config)), find_module_(find_module), before_(before) {}

  tl::expected<SnapshotPtr, std::vector<std::string>> Build();

 private:
  void Note(const config::Position& at, std::string_view what) {
    std::string where = at.ToString();
    errors_.push_back(where.empty() ? std::string(what) : fmt::format("{}: {}", where, what));
  }

  std::vector<net::Network> ReadNetworks(const std::vector<std::string>& texts,
                                         const config::Position& at, std::string_view key);
  tls::TlsPolicy ReadTlsPolicy(const config::Tls& tls, const config::Position& at);
  void BuildModules();
  void AddModule(const std::string& name, const ModuleEntry& entry,
                 std::shared_ptr<const ModuleTable> options);
  // The instance of before, where it is the same.
  std::shared_ptr<const Module> FindUnchanged(const std::string& name, const ModuleEntry& entry,
                                              const ModuleTable* options) const;
  // The indices of the instances that `names` name.
  std::vector<uint32_t> ResolveModules(const std::vector<std::string>& names,
                                       const config::Position& at);
  bool HasPathFilter(const std::vector<uint32_t>& modules) const;
  void BuildListeners();
  uint32_t IdFor(const std::string& address);
  void BuildSites();
  void AddSite(const config::Site& site);
  void AddRoute(uint32_t site, const std::string& path, const std::string& upstream,
                const std::vector<std::string>& modules, const config::Position& at);
  int FindCluster(const std::string& name, const config::Position& at);
  void AddCluster(const std::string& name, const config::Upstream& upstream);
  upstream::ClusterSpec SpecOf(const config::Upstream& upstream) const;

  std::shared_ptr<const config::Config> config_;
  const ModuleFinder& find_module_;
  const Snapshot* before_;
  std::shared_ptr<Snapshot> snapshot_ = std::make_shared<Snapshot>();
  std::vector<std::string> errors_;
  std::unordered_map<std::string, uint32_t> module_by_name_;
  std::vector<bool> is_path_filter_;  // by module
  std::unordered_map<std::string, int> cluster_by_name_;
  std::unordered_map<std::string, std::string> site_of_name_;
};

tl::expected<SnapshotPtr, std::vector<std::string>> Builder::Build() {
  snapshot_->config = config_;
  snapshot_->generation = before_ != nullptr ? before_->generation + 1 : 1;
  if (before_ != nullptr) snapshot_->next_listener_id = before_->next_listener_id;
  snapshot_->trusted_proxies = ReadNetworks(config_->trusted_proxies, {}, "trusted_proxies");
  snapshot_->tls_policy = ReadTlsPolicy(config_->tls, {});
  const config::AcmeChallenge& challenge = config_->acme_challenge;
  if (!challenge.tls_alpn.empty() && challenge.mode != "off") {
    auto address = net::Address::Parse(challenge.tls_alpn);
    if (address) {
      snapshot_->tls_alpn = *address;
    } else {
      Note({}, fmt::format("acme_challenge.tls_alpn: {}", address.error().detail));
    }
  }
  BuildModules();
  BuildListeners();
  BuildSites();
  if (!errors_.empty()) return tl::unexpected<std::vector<std::string>>(std::move(errors_));
  return SnapshotPtr(std::move(snapshot_));
}

std::vector<net::Network> Builder::ReadNetworks(const std::vector<std::string>& texts,
                                                const config::Position& at, std::string_view key) {
  std::vector<net::Network> networks;
  for (const std::string& text : texts) {
    auto network = net::Network::Parse(text);
    if (network) {
      networks.push_back(*network);
    } else {
      Note(at, fmt::format("{}: {}", key, network.error().detail));
    }
  }
  return networks;
}

tls::TlsPolicy Builder::ReadTlsPolicy(const config::Tls& tls, const config::Position& at) {
  tls::TlsPolicy policy;
  if (auto profile = tls::ParseProfile(tls.profile); profile) {
    policy.profile = *profile;
  } else {
    Note(at, fmt::format("tls.profile: {}", profile.error().detail));
  }
  if (auto version = tls::ParseTlsVersion(tls.min_version); version) {
    policy.min_version = *version;
  } else {
    Note(at, fmt::format("tls.min_version: {}", version.error().detail));
  }
  policy.ktls = tls.ktls;
  policy.own_provider = tls.own_provider;
  const config::ClientCertificates& clients = tls.client_certificates;
  if (clients.verify == "off") return policy;
  if (clients.verify != "request" && clients.verify != "require") {
    Note(at, fmt::format("client_certificates.verify: \"{}\" is not \"off\", \"request\" or \"require\"",
                         EscapeControl(clients.verify)));
    return policy;
  }
  policy.client_certificates = clients.verify == "require"
                                   ? tls::TlsPolicy::ClientCertificates::kRequire
                                   : tls::TlsPolicy::ClientCertificates::kRequest;
  if (clients.ca.empty()) {
    Note(at, fmt::format("client_certificates.verify = \"{}\" needs `ca`: the files of the CAs that "
                         "client certificates come from",
                         clients.verify));
  }
  for (const std::string& path : clients.ca) {
    constexpr size_t kMostBytes = 16 * 1024 * 1024;
    auto text = ReadWholeFile(path, kMostBytes);
    if (!text) {
      Note(at, fmt::format("client_certificates.ca: {} cannot be read", text.error().detail));
      continue;
    }
    policy.client_ca += *text;
    policy.client_ca += '\n';
  }
  return policy;
}

// ---- modules

std::shared_ptr<const Module> Builder::FindUnchanged(const std::string& name,
                                                     const ModuleEntry& entry,
                                                     const ModuleTable* options) const {
  if (before_ == nullptr) return nullptr;
  for (const ModuleSlot& slot : before_->modules) {
    if (slot.name != name || slot.entry != &entry || slot.module == nullptr) continue;
    if (options == nullptr || slot.options == nullptr)
      return options == slot.options.get() ? slot.module : nullptr;
    return slot.options->Equals(*options) ? slot.module : nullptr;
  }
  return nullptr;
}

void Builder::AddModule(const std::string& name, const ModuleEntry& entry,
                        std::shared_ptr<const ModuleTable> options) {
  std::shared_ptr<const Module> module = FindUnchanged(name, entry, options.get());
  if (module == nullptr) {
    std::unique_ptr<Module> made = entry.make();
    for (std::string& error : made->Configure(options.get())) errors_.push_back(std::move(error));
    module = std::move(made);
  }
  module_by_name_[name] = static_cast<uint32_t>(snapshot_->modules.size());
  is_path_filter_.push_back(entry.name == kPathFilter);
  snapshot_->modules.push_back({name, std::move(module), &entry, std::move(options)});
}

void Builder::BuildModules() {
  const config::ModuleInstance* guard_settings = nullptr;
  for (const config::ModuleInstance& instance : config_->modules) {
    if (instance.name == kGuard || instance.use == kGuard) guard_settings = &instance;
  }
  if (const ModuleEntry* guard = find_module_(kGuard); guard != nullptr) {
    // Its keys stand in [acme_challenge]; an instance of that name is for programs that bring a guard of their own.
    auto table = config::MakeAcmeChallengeTable(config_->acme_challenge);
    AddModule(std::string(kGuard), *guard,
              guard_settings != nullptr ? guard_settings->options : table);
  } else {
    // A program without the guard (tests of single parts) keeps its place free.
    snapshot_->modules.push_back({std::string(kGuard), nullptr, nullptr, nullptr});
    is_path_filter_.push_back(false);
  }
  for (const config::ModuleInstance& instance : config_->modules) {
    if (&instance == guard_settings) continue;
    if (module_by_name_.contains(instance.name)) {
      Note(instance.position, fmt::format("[module.{}] stands here twice", instance.name));
      continue;
    }
    const ModuleEntry* entry = find_module_(instance.use);
    if (entry == nullptr) {
      Note(instance.position,
           fmt::format("[module.{}]: no module \"{}\"; `genkan modules` lists them", instance.name,
                       EscapeControl(instance.use)));
      // So that whoever names it is not told that it does not exist.
      module_by_name_[instance.name] = 0;
      continue;
    }
    AddModule(instance.name, *entry, instance.options);
  }
}

std::vector<uint32_t> Builder::ResolveModules(const std::vector<std::string>& names,
                                              const config::Position& at) {
  std::vector<uint32_t> indices;
  for (const std::string& name : names) {
    auto found = module_by_name_.find(name);
    if (found == module_by_name_.end()) {
      // A module's own name stands for an instance with its defaults.
      if (const ModuleEntry* entry = find_module_(name); entry != nullptr) {
        AddModule(name, *entry, nullptr);
        found = module_by_name_.find(name);
      }
    }
    if (found == module_by_name_.end()) {
      std::vector<std::string_view> known;
      for (const auto& [instance, index] : module_by_name_) known.push_back(instance);
      std::string_view nearest = NearestWord(name, known);
      std::string hint = nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
      Note(at, fmt::format("modules: no [module.{}]{}", EscapeControl(name), hint));
      continue;
    }
    // The guard is there anyway, in front.
    if (found->second != 0) indices.push_back(found->second);
  }
  return indices;
}

bool Builder::HasPathFilter(const std::vector<uint32_t>& modules) const {
  return std::any_of(modules.begin(), modules.end(),
                     [&](uint32_t module) { return is_path_filter_[module]; });
}

// ---- listeners

uint32_t Builder::IdFor(const std::string& address) {
  if (before_ != nullptr) {
    for (const ListenerSpec& old : before_->listeners) {
      // "127.0.0.1:0" may stand there several times.
      bool is_used = std::any_of(snapshot_->listeners.begin(), snapshot_->listeners.end(),
                                 [&](const ListenerSpec& spec) { return spec.id == old.id; });
      if (old.config.address == address && !is_used) return old.id;
    }
  }
  return snapshot_->next_listener_id++;
}

void Builder::BuildListeners() {
  for (const config::Listener& listener : config_->listeners) {
    ListenerSpec spec;
    spec.config = listener;
    auto address = net::Address::Parse(listener.address);
    if (!address) {
      Note(listener.position, fmt::format("listener.address: {}", address.error().detail));
      continue;
    }
    bool is_taken = std::any_of(
        snapshot_->listeners.begin(), snapshot_->listeners.end(), [&](const ListenerSpec& other) {
          // Port 0 is another port each time.
          return other.address == *address && (address->is_unix() || address->port() != 0);
        });
    if (is_taken) {
      Note(listener.position, fmt::format("two listeners on {}", listener.address));
      continue;
    }
    spec.address = *address;
    spec.limits = listener.limits.value_or(config_->limits);
    spec.codec_limits = CodecLimitsOf(spec.limits);
    spec.proxy_protocol = ReadNetworks(listener.proxy_protocol, listener.position, "proxy_protocol");
    spec.modules = ResolveModules(listener.modules, listener.position);
    spec.has_path_filter = HasPathFilter(spec.modules);
    spec.id = IdFor(listener.address);
    for (const std::string& protocol : listener.alpn) {
      if (protocol != "h2" && protocol != "http/1.1") {
        Note(listener.position, fmt::format("alpn: \"{}\" is neither \"h2\" nor \"http/1.1\"",
                                            EscapeControl(protocol)));
      }
    }
    snapshot_->listeners.push_back(std::move(spec));
  }
}

// ---- sites, routes, clusters

void Builder::BuildSites() {
  for (const config::Site& site : config_->sites) AddSite(site);
}

void Builder::AddSite(const config::Site& site) {
  auto index = static_cast<uint32_t>(snapshot_->sites.size());
  SiteSpec spec;
  spec.config = site;
  if (site.names.empty()) Note(site.position, "[[site]] without names");
  std::vector<std::string> names;
  for (const std::string& written : site.names) {
    std::string name = config::NormalizeSiteName(written);
    auto [other, is_new] = site_of_name_.emplace(name, site.names.front());
    if (!is_new) {
      Note(site.position, fmt::format("the name {} stands in two sites", name));
      continue;
    }
    names.push_back(std::move(name));
  }
  spec.name = names.empty() ? "" : names.front();
  spec.tls_policy = site.tls ? ReadTlsPolicy(*site.tls, site.position) : snapshot_->tls_policy;
  spec.session_context = tls::SessionContextOf(spec.name, spec.tls_policy);
  snapshot_->router.AddSite(index, names, site.is_default);
  snapshot_->sites.push_back(std::move(spec));

  bool has_root = false;
  for (const config::Route& route : site.routes) {
    if (!route.path.starts_with('/')) {
      Note(route.position, fmt::format("route.path: \"{}\" does not begin with a slash",
                                       EscapeControl(route.path)));
      continue;
    }
    has_root = has_root || route.path == "/";
    const std::string& target = route.upstream.empty() ? site.upstream : route.upstream;
    AddRoute(index, route.path, target, route.modules, route.position);
  }
  // Also without an upstream: the site's modules answer or refuse what no route takes.
  if (!has_root) AddRoute(index, "/", site.upstream, {}, site.position);
}

void Builder::AddRoute(uint32_t site, const std::string& path, const std::string& upstream,
                       const std::vector<std::string>& modules, const config::Position& at) {
  RouteSpec route;
  route.site = site;
  route.path = path;
  const config::Site& owner = snapshot_->sites[site].config;
  route.modules = ResolveModules(owner.modules, owner.position);
  for (uint32_t module : ResolveModules(modules, at)) route.modules.push_back(module);
  route.has_path_filter = HasPathFilter(route.modules);
  if (!upstream.empty()) route.cluster = FindCluster(upstream, at);
  snapshot_->router.AddRoute(site, path, static_cast<uint32_t>(snapshot_->routes.size()));
  snapshot_->routes.push_back(std::move(route));
}

int Builder::FindCluster(const std::string& name, const config::Position& at) {
  if (auto found = cluster_by_name_.find(name); found != cluster_by_name_.end()) return found->second;
  if (const config::Upstream* upstream = config_->FindUpstream(name); upstream != nullptr) {
    AddCluster(name, *upstream);
    return cluster_by_name_[name];
  }
  if (config::IsUpstreamUrl(name)) {
    if (auto upstream = config::ParseUpstreamUrl(name); upstream) {
      AddCluster(name, *upstream);
      return cluster_by_name_[name];
    } else {
      Note(at, fmt::format("upstream: {}", upstream.error().detail));
    }
  } else {
    std::vector<std::string_view> known;
    for (const config::Upstream& upstream : config_->upstreams) known.push_back(upstream.name);
    std::string_view nearest = NearestWord(name, known);
    std::string hint = nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
    Note(at, fmt::format("upstream: no [upstream.{}]{}", EscapeControl(name), hint));
  }
  cluster_by_name_[name] = -1;
  return -1;
}

upstream::ClusterSpec Builder::SpecOf(const config::Upstream& upstream) const {
  upstream::ClusterSpec spec;
  spec.name = upstream.name;
  for (const config::Server& server : upstream.servers) {
    spec.servers.push_back({server.address, server.weight, server.backup});
  }
  if (upstream.balance == "least_connections") spec.balance = upstream::Balance::kLeastConnections;
  if (upstream.balance == "consistent_hash") spec.balance = upstream::Balance::kConsistentHash;
  if (upstream.tls) {
    spec.tls = true;
    spec.tls_verify = upstream.tls->verify;
    spec.tls_name = upstream.tls->name;
    spec.trust_store = upstream.tls->trust_store;
  }
  if (upstream.proxy_protocol == "v1") spec.proxy_protocol = upstream::ProxyProtocolOut::kV1;
  if (upstream.proxy_protocol == "v2") spec.proxy_protocol = upstream::ProxyProtocolOut::kV2;
  spec.max_connections = upstream.max_connections;
  spec.queue = upstream.queue;
  spec.queue_timeout = upstream.queue_timeout;
  spec.connect_timeout = upstream.connect_timeout;
  spec.response_timeout = upstream.response_timeout;
  spec.idle_timeout = upstream.idle_timeout;
  spec.write_timeout = config_->limits.write_timeout;
  spec.stream_idle_timeout = config_->limits.stream_idle_timeout;
  if (upstream.health_check) {
    spec.health_path = upstream.health_check->path;
    spec.health_interval = upstream.health_check->interval;
  }
  return spec;
}

void Builder::AddCluster(const std::string& name, const config::Upstream& upstream) {
  http::ForwardingPolicy policy;
  policy.forwarded = upstream.forwarded;
  policy.via = upstream.via;
  if (upstream.underscore_headers == "pass") policy.underscores = http::UnderscoreHeaders::kPass;
  if (upstream.underscore_headers == "refuse") policy.underscores = http::UnderscoreHeaders::kRefuse;

  std::shared_ptr<upstream::ClusterShared> shared;
  if (before_ != nullptr && before_->config->limits == config_->limits) {
    for (size_t i = 0; i < before_->clusters.size(); ++i) {
      if (before_->cluster_configs[i] == upstream) shared = before_->clusters[i];
    }
  }
  if (shared == nullptr) shared = std::make_shared<upstream::ClusterShared>(SpecOf(upstream));
  cluster_by_name_[name] = static_cast<int>(snapshot_->clusters.size());
  snapshot_->clusters.push_back(std::move(shared));
  snapshot_->cluster_configs.push_back(upstream);
  snapshot_->forwarding.push_back(policy);
}

}  // namespace

tl::expected<SnapshotPtr, std::vector<std::string>> BuildSnapshot(
    std::shared_ptr<const config::Config> config, const ModuleFinder& find_module,
    const Snapshot* before) {
  return Builder(std::move(config), find_module, before).Build();
}

}  // namespace genkan::server
