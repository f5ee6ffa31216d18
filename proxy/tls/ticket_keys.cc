#include "proxy/tls/ticket_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>

#include "proxy/base/check.h"

namespace genkan::tls {

std::shared_ptr<const TicketKeys> TicketKeys::Rotate(const TicketKeys* before) {
  std::vector<TicketKey> keys;
  size_t kept = before == nullptr ? 0 : std::min(before->keys_.size(), kAccepted - 1);
  // No growth later: that would leave a copy of the keys behind in freed memory.
  keys.reserve(kept + 1);
  TicketKey& fresh = keys.emplace_back();
  // Without randomness there is no TLS at all.
  GENKAN_CHECK(RAND_bytes(fresh.name.data(), static_cast<int>(fresh.name.size())) == 1);
  GENKAN_CHECK(RAND_priv_bytes(fresh.aes_key.data(), static_cast<int>(fresh.aes_key.size())) == 1);
  GENKAN_CHECK(RAND_priv_bytes(fresh.hmac_key.data(), static_cast<int>(fresh.hmac_key.size())) == 1);
  for (size_t i = 0; i < kept; ++i) keys.push_back(before->keys_[i]);
  return std::make_shared<const TicketKeys>(std::move(keys));
}

TicketKeys::~TicketKeys() {
  if (!keys_.empty()) OPENSSL_cleanse(keys_.data(), keys_.size() * sizeof(TicketKey));
}

}  // namespace genkan::tls
