// Session ticket keys (RFC 5077, RFC 8446 4.6.1): the newest encrypts, all decrypt. Immutable: rotation makes a new
// set and publishes it to each worker. Never on disk. Any thread.
#pragma once

#include <array>
#include <memory>
#include <vector>

namespace genkan::tls {

struct TicketKey {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> aes_key;
  std::array<unsigned char, 32> hmac_key;
};

class TicketKeys {
 public:
  static constexpr size_t kAccepted = 12;
  // One fresh random key in front of those of `before` (may be null), at most kAccepted in all.
  static std::shared_ptr<const TicketKeys> Rotate(const TicketKeys* before);
  explicit TicketKeys(std::vector<TicketKey> keys) : keys_(std::move(keys)) {}
  ~TicketKeys();  // wipes the keys

  const std::vector<TicketKey>& keys() const { return keys_; }

 private:
  std::vector<TicketKey> keys_;
};
using TicketKeysPtr = std::shared_ptr<const TicketKeys>;

}  // namespace genkan::tls
