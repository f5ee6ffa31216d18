#include "proxy/upstream/pool.h"

#include <algorithm>

namespace genkan::upstream {
namespace {

// Idle longer, an origin may just be closing it; a request that must not be sent twice does not
// take the risk.
constexpr Millis kFreshEnough{1'000};

}  // namespace

Pool::Pool(event::EventLoop& loop, ClusterShared& shared, Owner& owner)
    : loop_(loop), shared_(shared), owner_(owner) {}

Pool::~Pool() {
  while (!connections_.empty()) {
    shared_.ReleaseSlot(connections_.back()->server());
    loop_.Retire(std::move(connections_.back()));
    connections_.pop_back();
  }
}

Status Pool::AddServers(event::BlockingPool& blocking, const tls::ClientContext* tls) {
  tls_ = tls;
  const ClusterSpec& spec = shared_.spec();
  for (const auto& server : spec.servers) {
    auto endpoint = Endpoint::Make(loop_, blocking, server.address);
    if (!endpoint) return PassOn(endpoint, "upstream {}", spec.name);
    Server& added = servers_.emplace_back();
    added.endpoint = std::move(*endpoint);
    added.tls_name = spec.tls_name.empty() ? added.endpoint->host() : spec.tls_name;
  }
  return {};
}

bool Pool::HasRoom(size_t server) const {
  return !servers_[server].idle.empty() ||
         shared_.server(server).connections.load(std::memory_order_relaxed) <
             shared_.spec().max_connections;
}

UpstreamConnection* Pool::TakeIdle(size_t index, const Wish& wish, ConnectionUser& user) {
  if (wish.wants_new) return nullptr;
  auto& idle = servers_[index].idle;
  MonotonicTime now = loop_.now();
  for (size_t i = idle.size(); i-- > 0;) {
    UpstreamConnection& connection = *idle[i];
    if (!wish.is_idempotent && now - connection.idle_since() >= kFreshEnough) return nullptr;
    // Its timer fires in a moment; the ones before it are older still.
    if (connection.is_expired(now)) return nullptr;
    if (connection.sharing_key != wish.proxy_header) continue;
    // What cannot be sent a second time is worth a look before it is sent the first time.
    if ((!wish.is_idempotent || wish.has_body) && !connection.Probe()) {
      Remove(connection);
      i = std::min(i, idle.size());
      continue;
    }
    idle.erase(idle.begin() + static_cast<std::ptrdiff_t>(i));
    connection.Take(user);
    return &connection;
  }
  return nullptr;
}

UpstreamConnection* Pool::Connect(size_t index, const Wish& wish, ConnectionUser& user) {
  Server& server = servers_[index];
  if (!shared_.TakeSlot(index)) {
    // Ours are idle, but not what was asked for: one makes room.
    if (server.idle.empty()) return nullptr;
    Remove(*server.idle.front());
    if (!shared_.TakeSlot(index)) return nullptr;
  }
  ++server.connections;
  UpstreamConnection::Owner& self = *this;
  auto made = std::make_unique<UpstreamConnection>(loop_, shared_.spec(), index, self);
  UpstreamConnection& connection = *made;
  connection.slot = connections_.size();
  connection.sharing_key = wish.proxy_header;
  connections_.push_back(std::move(made));
  ConnectOptions options;
  options.timeout = shared_.spec().connect_timeout;
  options.proxy_header = wish.proxy_header;
  options.tls = tls_;
  options.tls_name = server.tls_name;
  connection.Connect(*server.endpoint, std::move(options), user);
  return &connection;
}

size_t Pool::CloseIdle(size_t server, size_t most) {
  auto& idle = servers_[server].idle;
  size_t closed = 0;
  for (; closed < most && !idle.empty(); ++closed) Remove(*idle.front());
  return closed;
}

void Pool::CloseAllIdle() {
  for (size_t i = 0; i < servers_.size(); ++i) CloseIdle(i, servers_[i].idle.size());
}

size_t Pool::idle_count() const {
  size_t count = 0;
  for (const auto& server : servers_) count += server.idle.size();
  return count;
}

void Pool::RunTurn() {
  // Those that become dirty meanwhile have a turn of their own.
  size_t count = dirty_.size();
  for (size_t i = 0; i < count; ++i) {
    UpstreamConnection* connection = dirty_[i];
    if (connection == nullptr) continue;
    dirty_[i] = nullptr;
    connection->is_dirty = false;
    connection->RunTurn();
  }
  dirty_.erase(dirty_.begin(), dirty_.begin() + static_cast<std::ptrdiff_t>(count));
  if (!dirty_.empty()) owner_.OnPoolDirty();
}

void Pool::OnConnectionDirty(UpstreamConnection& connection) {
  connection.is_dirty = true;
  dirty_.push_back(&connection);
  owner_.OnPoolDirty();
}

void Pool::OnConnectionUp(UpstreamConnection& connection) {
  shared_.ReportConnected(connection.server());
}

void Pool::OnConnectionDown(UpstreamConnection& connection) {
  shared_.ReportConnectFailure(connection.server(), loop_.now());
}

void Pool::OnConnectionFree(UpstreamConnection& connection) {
  if (owner_.MustGiveUp(connection.server())) return Remove(connection);
  servers_[connection.server()].idle.push_back(&connection);
  owner_.OnRoom();
}

void Pool::OnConnectionClosed(UpstreamConnection& connection) { Remove(connection); }

void Pool::Remove(UpstreamConnection& connection) {
  Server& server = servers_[connection.server()];
  std::erase(server.idle, &connection);
  if (connection.is_dirty)
    std::replace(dirty_.begin(), dirty_.end(), &connection,
                 static_cast<UpstreamConnection*>(nullptr));
  --server.connections;
  shared_.ReleaseSlot(connection.server());
  size_t slot = connection.slot;
  std::swap(connections_[slot], connections_.back());
  connections_[slot]->slot = slot;
  loop_.Retire(std::move(connections_.back()));
  connections_.pop_back();
  owner_.OnRoom();
}

}  // namespace genkan::upstream
