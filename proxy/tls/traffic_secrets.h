// The application traffic secrets and the resumption master secret (RFC 8446 7.1) of a handshake, on
// their way from where they are derived to the stream that goes on without OpenSSL and to the
// tickets that it writes. Nowhere else, and wiped. Worker's thread;
// owned by the TlsStream until its handshake is done.
#pragma once

#include <string_view>

#include "proxy/base/text.h"
#include "proxy/tls/provider/secret.h"

namespace genkan::tls {

struct TrafficSecrets {
  provider::Secret client, server;
  provider::Secret resumption;
  bool is_complete() const { return client.is_set() && server.is_set(); }
};

// While one lives, what this thread derives goes to `secrets` (null: nowhere). The handshake of one
// connection is driven by one thread at a time, and within one call of OpenSSL there is no other.
class TrafficSecretsScope {
 public:
  explicit TrafficSecretsScope(TrafficSecrets* secrets) : before_(current_) { current_ = secrets; }
  ~TrafficSecretsScope() { current_ = before_; }
  TrafficSecretsScope(const TrafficSecretsScope&) = delete;
  TrafficSecretsScope& operator=(const TrafficSecretsScope&) = delete;

  // For who derives: the label of HKDF-Expand-Label without its prefix, and what came of it.
  static void Note(std::string_view label, std::string_view secret) {
    if (current_ == nullptr) return;
    if (label == "c ap traffic") current_->client.Set(AsBytes(secret));
    if (label == "s ap traffic") current_->server.Set(AsBytes(secret));
    if (label == "res master") current_->resumption.Set(AsBytes(secret));
  }

 private:
  static inline thread_local constinit TrafficSecrets* current_ = nullptr;
  TrafficSecrets* before_;
};

}  // namespace genkan::tls
