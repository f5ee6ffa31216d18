#include "proxy/server/listener.h"

#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/server/worker_core.h"

namespace genkan::server {
namespace {

// RFC 8446 6.2.
constexpr int kInternalError = 80;
constexpr int kUnrecognizedName = 112;

}  // namespace

void Listener::Apply(WorkerSnapshotPtr snapshot, const ListenerSpec& spec) {
  snapshot_ = std::move(snapshot);
  spec_ = &spec;
  if (!spec.config.tls) {
    context_ = nullptr;
    return;
  }
  const tls::TlsPolicy& policy = snapshot_->snapshot->tls_policy;
  if (context_ != nullptr && policy_ == policy && alpn_ == spec.config.alpn) return;
  auto context = tls::ServerContext::Make({.policy = policy, .alpn = spec.config.alpn},
                                          core_.ticket_keys(), core_.shared().clock);
  if (!context) {
    LOG_ERROR("tls_context_failed", "listener={} error=\"{}\"", spec.config.address,
              context.error().detail);
    // An older one still serves.
    return;
  }
  context_ = std::move(*context);
  policy_ = policy;
  alpn_ = spec.config.alpn;
}

void Listener::SetTicketKeys(const tls::TicketKeysPtr& keys) {
  if (context_ != nullptr) context_->SetTicketKeys(keys);
}

tls::HandshakeChoice Listener::OnClientHello(const tls::ClientHello& hello) {
  tls::HandshakeChoice choice;
  const Snapshot& snapshot = *snapshot_->snapshot;
  // The site comes from our own snapshot, the bundle from the store: either may be the first to be
  // new after a reload.
  std::optional<uint32_t> site;
  if (!hello.server_name.empty()) site = snapshot.router.FindSite(hello.server_name);
  if (!site && !hello.server_name.empty() && snapshot.config->tls.unknown_name == "reject") {
    choice.alert = kUnrecognizedName;
    return choice;
  }
  if (!site) site = snapshot.router.default_site();
  if (core_.cert_store() == nullptr || !site) {
    choice.alert = kInternalError;
    return choice;
  }
  tls::CertStore::Match match =
      core_.cert_store()->Find(hello.server_name, hello.offers_ecdsa, hello.offers_rsa);
  const SiteSpec& spec = snapshot.sites[*site];
  choice.bundle = std::move(match.bundle);
  choice.alert = kInternalError;
  // Also where it is the listener's own: the connection may have a context from before a reload, and
  // the session that it gets is one of this policy.
  choice.site_policy = &spec.tls_policy;
  choice.session_context = spec.session_context;
  return choice;
}

bool Listener::IsRevokedLeaf(std::string_view leaf_sha256) {
  const auto& revoked = core_.revoked_leaves();
  // Sorted by the CertPublisher; thousands after a mass revocation, and each resumption asks.
  return revoked != nullptr &&
         std::binary_search(revoked->begin(), revoked->end(), leaf_sha256, std::less<>());
}

}  // namespace genkan::server
