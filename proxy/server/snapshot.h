// One configuration in force: sites, routes, modules, pools, listeners. Immutable; built whole by the Reloader on the
// control thread and published to each worker by Post. An exchange keeps the WorkerSnapshot it began with, so the old
// one dies by its last user.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/config/config.h"
#include "proxy/http/codec.h"
#include "proxy/http/forwarding.h"
#include "proxy/module/api.h"
#include "proxy/net/address.h"
#include "proxy/server/router.h"
#include "proxy/tls/tls_policy.h"
#include "proxy/upstream/cluster.h"

namespace genkan::server {

// A module instance; in `Snapshot::modules`.
struct ModuleSlot {
  std::string name;   // of the instance; for the built-in guard "acme_challenge"
  std::shared_ptr<const Module> module;
  // What it was made from: an instance of which neither changes goes on over a reload, with its state.
  const ModuleEntry* entry = nullptr;
  std::shared_ptr<const ModuleTable> options;
};

struct ListenerSpec {
  config::Listener config;
  net::Address address;
  config::Limits limits;               // the listener's, or the global ones
  http::CodecLimits codec_limits;
  std::vector<net::Network> proxy_protocol;
  std::vector<uint32_t> modules;       // indices of Snapshot::modules
  // Connections keep to the listener by this id; a listener that stays over a reload (same address) keeps its id and
  // its sockets.
  uint32_t id = 0;
  bool has_path_filter = false;        // one of its modules judges paths
};

struct SiteSpec {
  config::Site config;
  std::string name;                    // the first of its names
  tls::TlsPolicy tls_policy;
  std::string session_context;         // 32 bytes, see tls::HandshakeChoice
};

// Where a request goes.
struct RouteSpec {
  uint32_t site = 0;
  std::string path;
  int cluster = -1;                    // index of Snapshot::clusters; -1: no upstream: 404
  std::vector<uint32_t> modules;       // the site's, then the route's
  bool has_path_filter = false;        // escapes that cannot be judged are 400 here
};

struct Snapshot {
  uint64_t generation = 0;
  std::shared_ptr<const config::Config> config;
  std::vector<ListenerSpec> listeners;
  std::vector<SiteSpec> sites;
  std::vector<RouteSpec> routes;
  Router router;                       // host, path -> index of routes
  std::vector<ModuleSlot> modules;     // [0] is the challenge guard: always first, on every listener
  std::vector<std::shared_ptr<upstream::ClusterShared>> clusters;
  std::vector<http::ForwardingPolicy> forwarding;  // per cluster
  std::vector<config::Upstream> cluster_configs;   // per cluster: what its ClusterShared was made from
  uint32_t next_listener_id = 1;       // ids are never used twice
  std::vector<net::Network> trusted_proxies;
  tls::TlsPolicy tls_policy;
  std::optional<net::Address> tls_alpn;  // who answers tls-alpn-01
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

// Finds a module by the name in `use`: built in or loaded. nullptr: no such.
using ModuleFinder = std::function<const ModuleEntry*(std::string_view name)>;

// All or nothing; all errors at once, each with its position. `before` (may be null): clusters, listeners and modules
// that are the same go on with their state and ids.
tl::expected<SnapshotPtr, std::vector<std::string>> BuildSnapshot(
    std::shared_ptr<const config::Config> config, const ModuleFinder& find_module, const Snapshot* before);

}  // namespace genkan::server
