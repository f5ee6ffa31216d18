// The application traffic secrets (RFC 8446 7.1) of a handshake, on their way from where they are
// derived to the stream that goes on without OpenSSL. Nowhere else, and wiped. Worker's thread;
// owned by the TlsStream until its handshake is done.
#pragma once

#include <openssl/crypto.h>

#include <array>
#include <cstring>
#include <string_view>

namespace genkan::tls {

struct TrafficSecret {
  TrafficSecret() = default;
  ~TrafficSecret() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  TrafficSecret(const TrafficSecret&) = delete;
  TrafficSecret& operator=(const TrafficSecret&) = delete;

  // Longer than any of ours is not taken.
  void Set(std::string_view secret) {
    if (secret.size() > bytes.size()) return;
    std::memcpy(bytes.data(), secret.data(), secret.size());
    length = secret.size();
  }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), length}; }

  std::array<unsigned char, 48> bytes{};
  size_t length = 0;
};

struct TrafficSecrets {
  TrafficSecret client, server;
  bool is_complete() const { return client.length > 0 && server.length > 0; }
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
    if (label == "c ap traffic") current_->client.Set(secret);
    if (label == "s ap traffic") current_->server.Set(secret);
  }

 private:
  static inline thread_local constinit TrafficSecrets* current_ = nullptr;
  TrafficSecrets* before_;
};

}  // namespace genkan::tls
