// Counts connections per client address (IPv4, IPv6 by /64) over all workers, before and after the handshake.
// Sharded by address; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "proxy/net/address.h"

namespace genkan::server {

class AddressLimiter {
 public:
  // False: over the limit (0 = none); nothing is counted then.
  bool TryAdd(const net::Address& client, uint32_t limit, uint32_t handshake_limit, bool is_handshaking);
  void HandshakeDone(const net::Address& client);
  void Remove(const net::Address& client, bool is_handshaking);
  size_t addresses() const;

 private:
  struct Counts {
    uint32_t connections = 0, handshakes = 0;
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::string, Counts> counts;  // guarded by mutex
  };
  static std::string KeyOf(const net::Address& client);
  Shard& ShardOf(const std::string& key);
  std::array<Shard, 64> shards_;
};

}  // namespace genkan::server
