#include "proxy/control/ticket_rotator.h"

#include <algorithm>

#include "proxy/base/log.h"

namespace genkan::control {
Result<tls::TicketKeysPtr> ParseTicketKeys(std::string_view bytes) {
  constexpr size_t kSize = TicketRotator::kBytesPerKey;
  if (bytes.empty() || bytes.size() % kSize != 0 ||
      bytes.size() > kSize * tls::TicketKeys::kAccepted) {
    return Fail(ErrorCode::kInvalid,
                "{} bytes are no ticket keys: 1 to {} keys of {} random bytes each; "
                "make one with: openssl rand {}",
                bytes.size(), tls::TicketKeys::kAccepted, kSize, kSize);
  }
  std::vector<tls::TicketKey> keys;
  for (; !bytes.empty(); bytes.remove_prefix(kSize)) {
    tls::TicketKey key;
    std::copy_n(bytes.begin(), 16, key.name.begin());
    std::copy_n(bytes.begin() + 16, 32, key.aes_key.begin());
    std::copy_n(bytes.begin() + 48, 32, key.hmac_key.begin());
    keys.push_back(key);
  }
  return tls::TicketKeysPtr(std::make_shared<tls::TicketKeys>(std::move(keys)));
}

TicketRotator::TicketRotator(event::EventLoop& loop, FileAccess& files,
                             std::function<void(tls::TicketKeysPtr)> publish)
    : files_(files), publish_(std::move(publish)), timer_(loop, [this] { Rotate(); }) {}

Status TicketRotator::Configure(const std::string& source) {
  if (source == "rotate") {
    if (source_ == source) return {};
    source_ = source;
    Rotate();
    return {};
  }
  auto bytes = files_.Read(source, kBytesPerKey * tls::TicketKeys::kAccepted);
  if (!bytes) return PassOn(bytes, "ticket_keys");
  auto keys = ParseTicketKeys(*bytes);
  if (!keys) return PassOn(keys, "ticket_keys: {}", source);
  timer_.Cancel();
  source_ = source;
  keys_ = *std::move(keys);
  publish_(keys_);
  return {};
}

void TicketRotator::Rotate() {
  keys_ = tls::TicketKeys::Rotate(keys_.get());
  publish_(keys_);
  timer_.Start(kRotation);
}

}  // namespace genkan::control
