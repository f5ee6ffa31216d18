#include "proxy/tls/rehearsal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "proxy/tls/handshake_state.h"
#include "proxy/tls/server_context.h"
#include "proxy/tls/tls13_handshake.h"
#include "proxy/tls/tls13_server.h"
#include "proxy/tls/tls_stream.h"

namespace genkan::tls {
namespace {

// Each step moves a flight; a whole handshake has four.
constexpr int kMaxSteps = 32;

class OneBundle final : public HandshakeDelegate {
 public:
  explicit OneBundle(BundlePtr bundle) : bundle_(std::move(bundle)) {}
  HandshakeChoice OnClientHello(const ClientHello&) override {
    HandshakeChoice choice;
    choice.bundle = bundle_;
    choice.session_context = std::string(32, 'r');
    return choice;
  }
  bool IsRevokedLeaf(std::string_view) override { return false; }

 private:
  BundlePtr bundle_;
};

// What the client takes down of the server's certificates; it does not judge them.
struct Seen {
  const CertificateBundle* bundle = nullptr;
  bool is_as_meant = false;
};

bool IsSame(const STACK_OF(X509) * sent, const std::vector<CertificatePtr>& meant) {
  if (meant.empty() || sk_X509_num(sent) != static_cast<int>(meant.size())) return false;
  for (size_t i = 0; i < meant.size(); ++i) {
    if (X509_cmp(sk_X509_value(sent, static_cast<int>(i)), meant[i]->x509()) != 0) return false;
  }
  return true;
}

int OnServerChain(X509_STORE_CTX* context, void*) noexcept {
  const auto* client =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto& seen = *static_cast<Seen*>(SSL_get_app_data(client));
  const STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(context);
  seen.is_as_meant = IsSame(sent, seen.bundle->chain()) || IsSame(sent, seen.bundle->long_chain());
  return 1;
}

SslCtxPtr MakeClient() {
  SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context) return context;
  // What a client thinks of keys and signatures is its profile's to say.
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_min_proto_version(context.get(), 0);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), &OnServerChain, nullptr);
  SSL_CTX_set_tlsext_status_type(context.get(), TLSEXT_STATUSTYPE_ocsp);
  return context;
}

bool HasStaple(SSL* client, const Staple& staple) {
  const unsigned char* bytes = nullptr;
  const long size = SSL_get_tlsext_status_ocsp_resp(client, &bytes);
  return size == static_cast<long>(staple.der.size()) &&
         std::memcmp(bytes, staple.der.data(), staple.der.size()) == 0;
}

// Of what has failed.
std::string TakeReason() {
  const std::string errors = TakeOpensslErrors();
  return errors.empty() ? "it ends without a reason" : errors;
}

// Why it fails; "" where it does not.
std::string Drive(SSL* client, SSL* server) {
  bool is_client_done = false, is_server_done = false;
  auto step = [](SSL* ssl, bool& is_done) {
    if (is_done) return true;
    const int result = SSL_do_handshake(ssl);
    is_done = result == 1;
    const int error = is_done ? SSL_ERROR_NONE : SSL_get_error(ssl, result);
    return is_done || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
  };
  for (int i = 0; i < kMaxSteps && !(is_client_done && is_server_done); ++i) {
    if (step(client, is_client_done) && step(server, is_server_done)) continue;
    return TakeReason();
  }
  return is_client_done && is_server_done ? "" : "it does not come to an end";
}

struct Stage {
  ServerContext& server;
  SSL_CTX* client;
  Seen& seen;
  std::string name;
};

// A client, and what goes between it and a server.
struct Connection {
  Connection(const Stage& stage, int version)
      : client(SSL_new(stage.client)),
        to_client(BIO_new(BIO_s_mem())),
        to_server(BIO_new(BIO_s_mem())) {
    if (!is_whole()) return;
    Connect(client.get(), to_client.get(), to_server.get());
    SSL_set_app_data(client.get(), &stage.seen);
    SSL_set_connect_state(client.get());
    SSL_set_max_proto_version(client.get(), version);
    if (!stage.name.empty()) SSL_set_tlsext_host_name(client.get(), stage.name.c_str());
  }
  static void Connect(SSL* ssl, BIO* in, BIO* out) {
    BIO_up_ref(in);
    BIO_up_ref(out);
    SSL_set0_rbio(ssl, in);
    SSL_set0_wbio(ssl, out);
  }
  bool is_whole() const { return client && to_client && to_server; }

  SslPtr client;
  BioPtr to_client, to_server;
};

// The server as a TlsStream has it where libssl is not needed. Nothing: it is needed, and the
// client's first flight is still there.
std::optional<std::string> DriveWithoutLibssl(const Stage& stage, Connection& connection,
                                              HandshakeState& state) {
  using State = Tls13Handshake::State;
  SSL* const client = connection.client.get();
  if (SSL_do_handshake(client) == 1 || SSL_get_error(client, -1) != SSL_ERROR_WANT_READ)
    return TakeReason();
  char* bytes = nullptr;
  long size = BIO_get_mem_data(connection.to_server.get(), &bytes);
  HandshakeInfo info;
  Buffer out;
  const auto server = stage.server.Begin({bytes, static_cast<size_t>(size)}, state, info, out);
  if (server == nullptr) return std::nullopt;
  BIO_reset(connection.to_server.get());
  const std::string_view flight = out.Linear(out.size());
  BIO_write(connection.to_client.get(), flight.data(), static_cast<int>(flight.size()));
  if (SSL_do_handshake(client) != 1) return TakeReason();
  size = BIO_get_mem_data(connection.to_server.get(), &bytes);
  Buffer in(std::string_view(bytes, static_cast<size_t>(size)));
  if (server->Receive(in, out) == State::kDone) return "";
  return server->reason().empty() ? "it does not come to an end" : std::string(server->reason());
}

std::string DriveLibssl(const Stage& stage, Connection& connection, HandshakeState& state) {
  const SslPtr server(SSL_new(stage.server.get()));
  if (!server) return "no memory";
  Connection::Connect(server.get(), connection.to_server.get(), connection.to_client.get());
  SSL_set_app_data(server.get(), &state);
  SSL_set_accept_state(server.get());
  SSL_set_options(server.get(), SSL_OP_NO_TICKET);
  return Drive(connection.client.get(), server.get());
}

// One handshake; why it fails, "" where it does not.
std::string PlayOnce(const Stage& stage, const BundlePtr& bundle, int version, bool by_libssl,
                     const Clock& clock) {
  OneBundle delegate(bundle);
  HandshakeState state;
  state.delegate = &delegate;
  Connection connection(stage, version);
  if (!connection.is_whole()) return "no memory";
  stage.seen.is_as_meant = false;
  std::optional<std::string> played;
  if (!by_libssl) played = DriveWithoutLibssl(stage, connection, state);
  if (!played) played = DriveLibssl(stage, connection, state);
  if (!played->empty()) return *played;
  if (!stage.seen.is_as_meant) return "the chain that arrives is not the one that was meant";
  const Staple* staple = bundle->staple().get();
  const bool has_staple = staple != nullptr && clock.Wall() < staple->next_update;
  return has_staple && !HasStaple(connection.client.get(), *staple) ? "the staple does not arrive"
                                                                    : "";
}

// A name as a client sends it; of "*.example.com" one below it.
std::string ClientName(std::string_view site_name) {
  if (site_name == "*") return {};
  if (site_name.starts_with("*.")) return "www" + std::string(site_name.substr(1));
  return std::string(site_name);
}

}  // namespace

Rehearsed Rehearse(const BundlePtr& bundle, TlsPolicy policy, std::string_view server_name,
                   const std::vector<TrustProfilePtr>& profiles, const Clock& clock) {
  const ErrorQueueGuard guard;
  Rehearsed rehearsed;
  if (bundle->key().get() == nullptr) {
    rehearsed.failure = "the private key cannot be decoded";
    return rehearsed;
  }
  policy.client_certificates = TlsPolicy::ClientCertificates::kOff;
  policy.client_ca.clear();
  ServerContextOptions options;
  options.policy = policy;
  options.tickets_per_handshake = 0;
  auto server = ServerContext::Make(options, nullptr, clock);
  Seen seen{bundle.get()};
  // All clients are one but for what they trust, which is not tried here. Never destroyed.
  static SSL_CTX* const client = MakeClient().release();
  if (!server || !client) {
    rehearsed.failure = server ? "no memory" : server.error().detail;
    return rehearsed;
  }
  const Stage stage{**server, client, seen, ClientName(server_name)};
  const bool has_tls12 = policy.profile != Profile::kModern && policy.min_version < TLS1_3_VERSION;
  const bool has_tls13 = HasTls13(stage.server.get());
  // Those of one kind are one client here: who comes second would see the same.
  const auto play = [&](bool is_modern) {
    const auto one = std::find_if(profiles.begin(), profiles.end(), [&](const auto& profile) {
      return profile->is_required() == is_modern;
    });
    const bool is_tls13 = has_tls13 && (is_modern || !has_tls12);
    std::string failure =
        PlayOnce(stage, bundle, is_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION, !is_modern, clock);
    if (failure.empty() || !rehearsed.failure.empty()) return;
    rehearsed.failure =
        fmt::format("TLS {} with {}: {}", is_tls13 ? "1.3" : "1.2",
                    one == profiles.end() ? "any client" : (*one)->client(), failure);
  };
  play(true);
  play(false);
  return rehearsed;
}

std::string_view LibraryVersion() { return OpenSSL_version(OPENSSL_VERSION); }

}  // namespace genkan::tls
