// The SSL_CTX of a TLS listener with the global policy; certificates come per connection from a HandshakeDelegate.
// One a worker and listener, on the worker's thread (so ticket keys and store need no locks).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/tls/certificate_bundle.h"
#include "proxy/tls/client_hello.h"
#include "proxy/tls/openssl_ptr.h"
#include "proxy/tls/provider/sha2.h"
#include "proxy/tls/ticket_keys.h"
#include "proxy/tls/tls_policy.h"

namespace genkan::tls {

class Tls13Handshake;
struct HandshakeInfo;
struct HandshakeState;

// What the delegate decides when the ClientHello is in.
struct HandshakeChoice {
  BundlePtr bundle;                    // null: refuse with `alert`
  int alert = 112;                     // unrecognized_name; 80 internal_error where the certificate is missing
  const TlsPolicy* site_policy = nullptr;  // null: the context's; outlives the handshake
  std::string session_context;         // 32 bytes: SHA-256 of site id + TLS and client-certificate policy
};

class HandshakeDelegate {
 public:
  // Called once a ClientHello, on the worker's thread: twice where the client is told to try another group.
  virtual HandshakeChoice OnClientHello(const ClientHello& hello) = 0;
  // True where a session of this leaf (SHA-256, 32 bytes) must not be resumed: revoked or force-removed.
  virtual bool IsRevokedLeaf(std::string_view leaf_sha256) = 0;
  // Whether a connection with such a hello is not ours to answer: its bytes, from the hello on, are then passed as they
  // are (TlsStream::is_raw). Asked only where there is somebody to pass them to.
  virtual bool has_raw_target() const { return false; }
  virtual bool IsForRawTarget(const ClientHello& /*hello*/) { return false; }

 protected:
  ~HandshakeDelegate() = default;
};

struct ServerContextOptions {
  TlsPolicy policy;
  std::vector<std::string> alpn;  // in our order of preference
  uint8_t tickets_per_handshake = 1;  // a client that uses its one gets another
};

class ServerContext {
 public:
  static Result<std::unique_ptr<ServerContext>> Make(const ServerContextOptions& options,
                                                     TicketKeysPtr tickets, const Clock& clock);
  ~ServerContext();

  void SetTicketKeys(TicketKeysPtr keys);
  // The NewSessionTicket messages of a connection of this context that has shaken TLS 1.3 hands and whose
  // HandshakeState owes them, "" where there are none. `resumption_master_secret` as in RFC 8446 7.1.
  std::string WriteTickets(SSL* ssl, provider::Bytes resumption_master_secret) const;
  // Tls13Server::Begin.
  std::unique_ptr<Tls13Handshake> Begin(std::string_view received, HandshakeState& state,
                                        HandshakeInfo& info, Buffer& out) const;
  // The NewSessionTicket messages of such a handshake that is done, as its HandshakeState says.
  std::string WriteTickets(const Tls13Handshake& handshake, const HandshakeState& state) const;
  SSL_CTX* get() const;

 private:
  struct Impl;
  explicit ServerContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The SSL_CTX for connections to TLS upstreams.
struct ClientContextOptions {
  bool verify = true;
  std::string trust_store = "system";   // "system", or a PEM file or directory
  std::vector<std::string> alpn;
};
class ClientContext {
 public:
  static Result<std::unique_ptr<ClientContext>> Make(const ClientContextOptions& options);
  ~ClientContext();
  SSL_CTX* get() const { return context_.get(); }
  bool verifies() const { return verifies_; }

 private:
  SslCtxPtr context_;
  bool verifies_ = true;
};

}  // namespace genkan::tls
