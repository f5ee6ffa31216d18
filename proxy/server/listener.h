// A listener as one worker serves it: its settings in force and, with TLS, its context and the choice of certificates.
// Worker's thread; shared by the Worker and the listener's connections, so that those of a removed one can end in peace.
#pragma once

#include <memory>
#include <string_view>

#include "proxy/server/tls_alpn_pass.h"
#include "proxy/server/worker_snapshot.h"
#include "proxy/tls/server_context.h"

namespace genkan::server {

class WorkerCore;

class Listener final : public tls::HandshakeDelegate {
 public:
  Listener(WorkerCore& core, uint32_t id) : core_(core), id_(id) {}

  uint32_t id() const { return id_; }
  // What new requests on its connections are served by: the newest snapshot that has this listener.
  const WorkerSnapshotPtr& snapshot() const { return snapshot_; }
  const ListenerSpec& spec() const { return *spec_; }
  bool is_tls() const { return spec_->config.tls; }
  // nullptr: plain, or the context could not be made.
  const std::shared_ptr<tls::ServerContext>& context() const { return context_; }

  void Apply(WorkerSnapshotPtr snapshot, const ListenerSpec& spec);
  void SetTicketKeys(const tls::TicketKeysPtr& keys);

  // tls::HandshakeDelegate
  tls::HandshakeChoice OnClientHello(const tls::ClientHello& hello) override;
  bool IsRevokedLeaf(std::string_view leaf_sha256) override;
  bool has_raw_target() const override { return snapshot_->snapshot->tls_alpn.has_value(); }
  bool IsForRawTarget(const tls::ClientHello& hello) override { return IsTlsAlpnChallenge(hello); }

 private:
  WorkerCore& core_;
  uint32_t id_;
  WorkerSnapshotPtr snapshot_;
  const ListenerSpec* spec_ = nullptr;  // of snapshot_
  std::shared_ptr<tls::ServerContext> context_;
  // What context_ was made from.
  tls::TlsPolicy policy_;
  std::vector<std::string> alpn_;
};

}  // namespace genkan::server
