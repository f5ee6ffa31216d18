#include "proxy/tls/server_context.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <cstring>
#include <optional>
#include <utility>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/alpn.h"
#include "proxy/tls/client_chain.h"
#include "proxy/tls/handshake_state.h"
#include "proxy/tls/hello_fields.h"
#include "proxy/tls/provider/provider.h"
#include "proxy/tls/session_ticket.h"
#include "proxy/tls/tls13_handshake.h"
#include "proxy/tls/tls13_server.h"

namespace genkan::tls {
namespace {

using EvpCipherPtr = OpensslPtr<EVP_CIPHER, EVP_CIPHER_free>;

struct NameStackDeleter {
  void operator()(STACK_OF(X509_NAME) * names) const noexcept {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
  }
};
using NameStackPtr = std::unique_ptr<STACK_OF(X509_NAME), NameStackDeleter>;

constexpr unsigned kHeartbeat = 15;  // RFC 6520; OpenSSL 3 has no name for it

// Mozilla's lists (Server Side TLS 5.7), without finite-field DH: its cost is the server's, and every client that
// has it has ECDHE too.
constexpr const char* kIntermediateSuites =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr const char* kOldSuites =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"
    "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:"
    "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA";

const char* SuitesOf(const TlsPolicy& policy) {
  return policy.profile == Profile::kOld ? kOldSuites : kIntermediateSuites;
}

int VerifyModeOf(const TlsPolicy& policy) {
  switch (policy.client_certificates) {
    case TlsPolicy::ClientCertificates::kOff: return SSL_VERIFY_NONE;
    case TlsPolicy::ClientCertificates::kRequest: return SSL_VERIFY_PEER;
    case TlsPolicy::ClientCertificates::kRequire:
      return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  }
  return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
}

// What client certificates are held against, parsed once for a policy.
struct ClientAuthorities {
  X509StorePtr store;
  NameStackPtr names;
};

Result<ClientAuthorities> ReadClientAuthorities(const std::string& pem) {
  ClientAuthorities authorities{X509StorePtr(X509_STORE_new()),
                                NameStackPtr(sk_X509_NAME_new_null())};
  GENKAN_CHECK(authorities.store && authorities.names);
  // An intermediate that the operator names is an anchor as good as a root.
  X509_STORE_set_flags(authorities.store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  while (X509Ptr ca{PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)}) {
    X509_STORE_add_cert(authorities.store.get(), ca.get());
    sk_X509_NAME_push(authorities.names.get(), X509_NAME_dup(X509_get_subject_name(ca.get())));
  }
  ERR_clear_error();
  if (sk_X509_NAME_num(authorities.names.get()) == 0)
    return Fail(ErrorCode::kTls, "client_ca: no certificate in it");
  return authorities;
}

}  // namespace

struct ServerContext::Impl {
  SslCtxPtr context;
  TlsPolicy policy;
  std::string alpn;  // wire form
  TicketKeysPtr tickets;
  const Clock* clock = nullptr;
  EvpCipherPtr ticket_cipher;  // fetched once; by name it costs more than the encryption
  std::optional<Tls13Server> tls13;
  struct SitePolicy {
    TlsPolicy policy;
    ClientAuthorities authorities;
  };
  // Sites that differ are few; what their policies need is parsed at their first handshake.
  std::vector<std::unique_ptr<SitePolicy>> site_policies;

  static Impl& Of(SSL* ssl) {
    return *static_cast<Impl*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  }
  void SetTicketKeys(TicketKeysPtr keys);
  bool Apply(SSL* ssl, const TlsPolicy& site);
  const ClientAuthorities* AuthoritiesFor(const TlsPolicy& site);

  static int OnClientHello(SSL* ssl, int* alert, void* self) noexcept;
  static int OnServerName(SSL* ssl, int* alert, void* self) noexcept;
  static int OnCertificate(SSL* ssl, void* self) noexcept;
  static int OnStatus(SSL* ssl, void* self) noexcept;
  static int OnAlpn(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_length,
                    const unsigned char* offered, unsigned offered_length, void* self) noexcept;
  static int OnTicketKey(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                         EVP_MAC_CTX* mac, int encrypts) noexcept;
  static std::string_view LeafOf(SSL* ssl);
  static int OnTicketMade(SSL* ssl, void* self) noexcept;
  static SSL_TICKET_RETURN OnTicketRead(SSL* ssl, SSL_SESSION* session, const unsigned char* name,
                                        size_t name_length, SSL_TICKET_STATUS status,
                                        void* self) noexcept;
};

void ServerContext::Impl::SetTicketKeys(TicketKeysPtr keys) {
  tickets = std::move(keys);
  tls13->SetTicketKeys(tickets);
}

const ClientAuthorities* ServerContext::Impl::AuthoritiesFor(const TlsPolicy& site) {
  for (const auto& known : site_policies)
    if (known->policy.client_ca == site.client_ca) return &known->authorities;
  auto authorities = ReadClientAuthorities(site.client_ca);
  if (!authorities) return nullptr;
  constexpr size_t kMaxKept = 64;  // old snapshots' are dropped; handshakes under way hold references
  if (site_policies.size() >= kMaxKept) site_policies.clear();
  site_policies.push_back(std::make_unique<SitePolicy>(SitePolicy{site, std::move(*authorities)}));
  return &site_policies.back()->authorities;
}

bool ServerContext::Impl::Apply(SSL* ssl, const TlsPolicy& site) {
  if (MinVersionOf(site) != MinVersionOf(policy)) {
    if (SSL_set_min_proto_version(ssl, MinVersionOf(site)) != 1) return false;
    SSL_set_security_level(ssl, SecurityLevelOf(site));
  }
  // 15 us: only where it differs.
  if (SuitesOf(site) != SuitesOf(policy) && SSL_set_cipher_list(ssl, SuitesOf(site)) != 1)
    return false;
  if (site.client_certificates == policy.client_certificates && site.client_ca == policy.client_ca)
    return true;
  SSL_set_verify(ssl, VerifyModeOf(site), nullptr);
  if (site.client_certificates == TlsPolicy::ClientCertificates::kOff) return true;
  const ClientAuthorities* authorities = AuthoritiesFor(site);
  if (authorities == nullptr) return false;
  SSL_set1_verify_cert_store(ssl, authorities->store.get());
  SSL_set_client_CA_list(ssl, SSL_dup_CA_list(authorities->names.get()));
  return true;
}

int ServerContext::Impl::OnClientHello(SSL* ssl, int* alert, void* self) noexcept {
  auto& impl = *static_cast<Impl*>(self);
  HandshakeState& state = *GetHandshakeState(ssl);
  HelloFields fields;
  const unsigned char* bytes = nullptr;
  size_t length = SSL_client_hello_get0_ciphers(ssl, &bytes);
  fields.suites = {reinterpret_cast<const char*>(bytes), length};
  auto extension = [&](unsigned type) -> std::string_view {
    if (SSL_client_hello_get0_ext(ssl, type, &bytes, &length) != 1) return {};
    // Present but empty is not the same as absent.
    return length == 0 ? std::string_view("") : AsText({bytes, length});
  };
  fields.server_name = extension(TLSEXT_TYPE_server_name);
  fields.alpn = extension(TLSEXT_TYPE_application_layer_protocol_negotiation);
  fields.signatures = extension(TLSEXT_TYPE_signature_algorithms);
  fields.versions = extension(TLSEXT_TYPE_supported_versions);
  fields.authorities = extension(TLSEXT_TYPE_certificate_authorities);
  fields.heartbeat = extension(kHeartbeat);
  fields.encrypt_then_mac = extension(TLSEXT_TYPE_encrypt_then_mac);
  auto hello = InterpretHello(fields);
  if (!hello) {
    state.reason = "malformed ClientHello";
    *alert = SSL_AD_DECODE_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  state.hello = std::move(*hello);
  HandshakeChoice choice =
      state.choice ? *std::exchange(state.choice, {}) : state.delegate->OnClientHello(state.hello);
  if (choice.bundle == nullptr) {
    state.reason = "no certificate for the name";
    *alert = choice.alert;
    return SSL_CLIENT_HELLO_ERROR;
  }
  state.bundle = std::move(choice.bundle);
  // Sessions resume only where site and policy are the same. The leaf is no part of it, so swaps keep tickets valid.
  SSL_set_session_id_context(ssl, AsBytes(choice.session_context).data(),
                             static_cast<unsigned>(choice.session_context.size()));
  if (choice.site_policy != nullptr && !impl.Apply(ssl, *choice.site_policy)) {
    state.reason = "the site's TLS policy cannot be applied";
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  // A client's certificate is part of its session: libssl writes such. TLS 1.2 does not look at the number.
  if (state.takes_over_records && impl.tls13->tickets() > 0 &&
      (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0) {
    SSL_set_num_tickets(ssl, 0);
    state.owes_tickets = true;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

int ServerContext::Impl::OnServerName(SSL* ssl, int*, void*) noexcept {
  // RFC 6066 3: a server that used the name says so with an empty extension.
  const HandshakeState& state = *GetHandshakeState(ssl);
  return state.hello.server_name.empty() ? SSL_TLSEXT_ERR_NOACK : SSL_TLSEXT_ERR_OK;
}

int ServerContext::Impl::OnCertificate(SSL* ssl, void*) noexcept {
  const HandshakeState& state = *GetHandshakeState(ssl);
  const CertificateBundle& bundle = *state.bundle;
  auto* chain = WantsLongChain(state.hello, bundle) ? bundle.long_intermediates()
                                                    : bundle.intermediates();
  return SSL_use_cert_and_key(ssl, bundle.leaf().x509(), bundle.key().get(), chain, 1);
}

int ServerContext::Impl::OnStatus(SSL* ssl, void* self) noexcept {
  HandshakeState& state = *GetHandshakeState(ssl);
  const Staple* staple = state.bundle->staple().get();
  // Whoever attached it checked it then; what counts is now.
  if (staple == nullptr || static_cast<Impl*>(self)->clock->Wall() >= staple->next_update)
    return SSL_TLSEXT_ERR_NOACK;
  void* copy = OPENSSL_memdup(staple->der.data(), staple->der.size());
  if (copy == nullptr) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(staple->der.size()));
  state.has_sent_staple = true;
  return SSL_TLSEXT_ERR_OK;
}

int ServerContext::Impl::OnAlpn(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_length,
                                const unsigned char* offered, unsigned offered_length,
                                void* self) noexcept {
  const std::string& ours = static_cast<Impl*>(self)->alpn;
  const std::string_view selected =
      SelectProtocol(ours, AsText({offered, static_cast<size_t>(offered_length)}));
  if (!selected.empty()) {
    *chosen = AsBytes(selected).data();
    *chosen_length = static_cast<unsigned char>(selected.size());
    return SSL_TLSEXT_ERR_OK;
  }
  // RFC 7301 3.2: no_application_protocol, not a guess.
  GetHandshakeState(ssl)->reason = "no common application protocol";
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int ServerContext::Impl::OnTicketKey(SSL* ssl, unsigned char* name, unsigned char* iv,
                                     EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                                     int encrypts) noexcept {
  Impl& impl = Of(ssl);
  if (impl.tickets == nullptr || impl.tickets->keys().empty()) return encrypts ? -1 : 0;
  const auto& keys = impl.tickets->keys();
  const TicketKey* key = nullptr;
  if (encrypts) {
    key = &keys.front();
    std::memcpy(name, key->name.data(), key->name.size());
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(impl.ticket_cipher.get())) != 1) return -1;
  } else {
    for (const auto& candidate : keys)
      if (std::memcmp(candidate.name.data(), name, candidate.name.size()) == 0) key = &candidate;
    if (key == nullptr) return 0;
  }
  char digest[] = "SHA256";
  // OSSL_PARAM has no const; the key is only read.
  auto* mac_key = const_cast<unsigned char*>(key->hmac_key.data());
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, key->hmac_key.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end(),
  };
  if (EVP_MAC_CTX_set_params(mac, parameters) != 1) return -1;
  if (EVP_CipherInit_ex2(cipher, impl.ticket_cipher.get(), key->aes_key.data(), iv, encrypts,
                         nullptr) != 1)
    return -1;
  if (encrypts) return 1;
  // 2 = take it and send a new one: for an old key, and always in TLS 1.3, where a ticket is to be used once
  // (RFC 8446 C.4).
  return key == &keys.front() && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

// A resumed session goes on under the leaf that it began with.
std::string_view ServerContext::Impl::LeafOf(SSL* ssl) {
  void* present = nullptr;
  size_t length = 0;
  if (SSL_session_reused(ssl) == 1 &&
      SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &present, &length) == 1 && length > 0)
    return {static_cast<const char*>(present), length};
  return GetHandshakeState(ssl)->bundle->leaf().sha256();
}

int ServerContext::Impl::OnTicketMade(SSL* ssl, void*) noexcept {
  std::string_view leaf = LeafOf(ssl);
  SSL_SESSION* session = SSL_get_session(ssl);
  void* present = nullptr;
  size_t length = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &present, &length) == 1 && present == leaf.data())
    return 1;
  return SSL_SESSION_set1_ticket_appdata(session, leaf.data(), leaf.size());
}

std::string ServerContext::WriteTickets(SSL* ssl, provider::Bytes resumption_master_secret) const {
  if (!GetHandshakeState(ssl)->owes_tickets || SSL_version(ssl) != TLS1_3_VERSION) return {};
  TicketSession session;
  session.suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl));
  unsigned length = 0;
  const unsigned char* id_context = SSL_SESSION_get0_id_context(SSL_get_session(ssl), &length);
  session.context = AsText({id_context, length});
  session.leaf = Impl::LeafOf(ssl);
  // After a resumption one replaces the one that was used.
  const int count = SSL_session_reused(ssl) == 1 ? 1 : impl_->tls13->tickets();
  return impl_->tls13->WriteTickets(session, resumption_master_secret, count);
}

std::string ServerContext::WriteTickets(const Tls13Handshake& handshake,
                                        const HandshakeState& state) const {
  TicketSession session;
  session.suite = handshake.suite();
  session.context = state.session_context;
  session.leaf = state.leaf;
  return impl_->tls13->WriteTickets(session, handshake.resumption_master_secret(), state.tickets);
}

std::unique_ptr<Tls13Handshake> ServerContext::Begin(std::string_view received,
                                                     HandshakeState& state, HandshakeInfo& info,
                                                     Buffer& out) const {
  return impl_->tls13->Begin(received, state, info, out);
}

SSL_TICKET_RETURN ServerContext::Impl::OnTicketRead(SSL* ssl, SSL_SESSION* session,
                                                    const unsigned char*, size_t,
                                                    SSL_TICKET_STATUS status, void*) noexcept {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  // In a resumption nobody is asked for a certificate: the session must have brought it.
  // Each resumption begins the session's time anew, but not the certificate's.
  const X509* client = SSL_SESSION_get0_peer(session);
  if (client != nullptr ? X509_cmp_current_time(X509_get0_notAfter(client)) <= 0
                        : (SSL_get_verify_mode(ssl) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) != 0)
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  void* leaf = nullptr;
  size_t length = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &leaf, &length) != 1 || length != 32 ||
      GetHandshakeState(ssl)->delegate->IsRevokedLeaf({static_cast<const char*>(leaf), length}))
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

ServerContext::ServerContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ServerContext::~ServerContext() = default;

SSL_CTX* ServerContext::get() const { return impl_->context.get(); }
void ServerContext::SetTicketKeys(TicketKeysPtr keys) { impl_->SetTicketKeys(std::move(keys)); }

Result<std::unique_ptr<ServerContext>> ServerContext::Make(const ServerContextOptions& options,
                                                           TicketKeysPtr tickets,
                                                           const Clock& clock) {
  auto impl = std::make_unique<Impl>();
  const char* properties = options.policy.own_provider ? provider::PropertyQuery() : nullptr;
  impl->context.reset(SSL_CTX_new_ex(nullptr, properties, TLS_server_method()));
  impl->ticket_cipher.reset(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr));
  if (!impl->context || !impl->ticket_cipher)
    return Fail(ErrorCode::kTls, "SSL_CTX_new: {}", TakeOpensslErrors());
  impl->policy = options.policy;
  impl->clock = &clock;
  impl->alpn = WireProtocols(options.alpn);
  SSL_CTX* context = impl->context.get();
  SetCommonOptions(context);
  SSL_CTX_set_app_data(context, impl.get());

  const TlsPolicy& policy = options.policy;
  if (SSL_CTX_set_min_proto_version(context, MinVersionOf(policy)) != 1 ||
      SSL_CTX_set_cipher_list(context, SuitesOf(policy)) != 1)
    return Fail(ErrorCode::kTls, "TLS policy: {}", TakeOpensslErrors());
  SSL_CTX_set_security_level(context, SecurityLevelOf(policy));
  if (policy.client_certificates != TlsPolicy::ClientCertificates::kOff) {
    auto authorities = ReadClientAuthorities(policy.client_ca);
    if (!authorities) return PassOn(authorities);
    SSL_CTX_set_verify(context, VerifyModeOf(policy), nullptr);
    SSL_CTX_set1_verify_cert_store(context, authorities->store.get());
    SSL_CTX_set_client_CA_list(context, authorities->names.release());
  }

  if (policy.ktls) SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
  SSL_CTX_set_timeout(context, kSessionSeconds);
  SSL_CTX_set_num_tickets(context, options.tickets_per_handshake);
  SSL_CTX_set_client_hello_cb(context, &Impl::OnClientHello, impl.get());
  SSL_CTX_set_tlsext_servername_callback(context, &Impl::OnServerName);
  SSL_CTX_set_cert_cb(context, &Impl::OnCertificate, impl.get());
  SSL_CTX_set_tlsext_status_cb(context, &Impl::OnStatus);
  SSL_CTX_set_tlsext_status_arg(context, impl.get());
  SSL_CTX_set_alpn_select_cb(context, &Impl::OnAlpn, impl.get());
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, &Impl::OnTicketKey);
  SSL_CTX_set_session_ticket_cb(context, &Impl::OnTicketMade, &Impl::OnTicketRead, nullptr);

  Tls13Server::Options tls13{.policy = policy, .alpn = impl->alpn, .libssl = context};
  // Without our provider the secrets never reach us; under kTLS the records are the kernel's.
  tls13.has_records = properties != nullptr && !policy.ktls;
  if (tls13.has_records) tls13.tickets = options.tickets_per_handshake;
  impl->tls13.emplace(std::move(tls13), impl->ticket_cipher.get(), clock);
  impl->SetTicketKeys(std::move(tickets));
  return std::unique_ptr<ServerContext>(new ServerContext(std::move(impl)));
}

}  // namespace genkan::tls
