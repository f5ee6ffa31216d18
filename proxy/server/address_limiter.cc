#include "proxy/server/address_limiter.h"

#include <algorithm>

namespace genkan::server {

// IPv6 clients own whole /64 networks; IPv4 clients one address. Unix sockets have none: they are not limited.
std::string AddressLimiter::KeyOf(const net::Address& client) {
  std::string_view bytes = client.HostBytes();
  return std::string(bytes.substr(0, std::min<size_t>(bytes.size(), 8)));
}

AddressLimiter::Shard& AddressLimiter::ShardOf(const std::string& key) {
  return shards_[std::hash<std::string>()(key) % shards_.size()];
}

bool AddressLimiter::TryAdd(const net::Address& client, uint32_t limit, uint32_t handshake_limit,
                            bool is_handshaking) {
  std::string key = KeyOf(client);
  if (key.empty()) return true;
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.counts.find(key);
  Counts counts = found == shard.counts.end() ? Counts() : found->second;
  if (limit != 0 && counts.connections >= limit) return false;
  if (is_handshaking && handshake_limit != 0 && counts.handshakes >= handshake_limit) return false;
  Counts& kept = found == shard.counts.end() ? shard.counts[std::move(key)] : found->second;
  ++kept.connections;
  if (is_handshaking) ++kept.handshakes;
  return true;
}

void AddressLimiter::HandshakeDone(const net::Address& client) {
  std::string key = KeyOf(client);
  if (key.empty()) return;
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.counts.find(key);
  if (found != shard.counts.end() && found->second.handshakes > 0) --found->second.handshakes;
}

void AddressLimiter::Remove(const net::Address& client, bool is_handshaking) {
  std::string key = KeyOf(client);
  if (key.empty()) return;
  Shard& shard = ShardOf(key);
  std::lock_guard lock(shard.mutex);
  auto found = shard.counts.find(key);
  if (found == shard.counts.end()) return;
  if (is_handshaking && found->second.handshakes > 0) --found->second.handshakes;
  if (--found->second.connections == 0) shard.counts.erase(found);
}

size_t AddressLimiter::addresses() const {
  size_t total = 0;
  for (const Shard& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    total += shard.counts.size();
  }
  return total;
}

}  // namespace genkan::server
