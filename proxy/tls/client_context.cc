#include <openssl/err.h>
#include <sys/stat.h>

#include "proxy/base/text.h"
#include "proxy/tls/handshake_state.h"
#include "proxy/tls/server_context.h"

namespace genkan::tls {
namespace {

// The first list that this OpenSSL knows; newer ones have the post-quantum hybrid.
void SetGroups(SSL_CTX* context) {
  for (const char* groups : {"X25519MLKEM768:X25519:P-256:P-384", "X25519:P-256:P-384"})
    if (SSL_CTX_set1_groups_list(context, groups) == 1) break;
  ERR_clear_error();
}

Status LoadTrust(SSL_CTX* context, const std::string& trust_store) {
  if (trust_store == "system") {
    if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
    return Fail(ErrorCode::kTls, "the system's trust store: {}", TakeOpensslErrors());
  }
  struct stat status;
  if (stat(trust_store.c_str(), &status) != 0)
    return Fail(ErrorCode::kNotFound, "trust_store {}: no such file", trust_store);
  int loaded = S_ISDIR(status.st_mode) ? SSL_CTX_load_verify_dir(context, trust_store.c_str())
                                       : SSL_CTX_load_verify_file(context, trust_store.c_str());
  if (loaded != 1)
    return Fail(ErrorCode::kTls, "trust_store {}: {}", trust_store, TakeOpensslErrors());
  // Whoever names a certificate here trusts it, root or not.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  return {};
}

}  // namespace

void OnSslInfo(const SSL* ssl, int where, int value) noexcept {
  if ((where & SSL_CB_ALERT) == 0) return;
  // A warning ends nothing, and close_notify is no alarm.
  if (value >> 8 != SSL3_AL_FATAL) return;
  if (HandshakeState* state = GetHandshakeState(ssl))
    state->alert = SSL_alert_desc_string_long(value);
}

void SetCommonOptions(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION);
  SSL_CTX_clear_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS |
                                SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_info_callback(context, &OnSslInfo);
  SetGroups(context);
}

ClientContext::~ClientContext() = default;

Result<std::unique_ptr<ClientContext>> ClientContext::Make(const ClientContextOptions& options) {
  auto made = std::unique_ptr<ClientContext>(new ClientContext());
  made->context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!made->context_) return Fail(ErrorCode::kTls, "SSL_CTX_new: {}", TakeOpensslErrors());
  SSL_CTX* context = made->context_.get();
  SetCommonOptions(context);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  made->verifies_ = options.verify;
  if (options.verify) {
    auto loaded = LoadTrust(context, options.trust_store);
    if (!loaded) return PassOn(loaded);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  }
  std::string wire;
  for (const auto& name : options.alpn) {
    if (name.empty() || name.size() > 255)
      return Fail(ErrorCode::kInvalid, "\"{}\" is no application protocol", name);
    wire.push_back(static_cast<char>(name.size()));
    wire.append(name);
  }
  // Unlike nearly everything else here, 0 is success.
  if (!wire.empty() && SSL_CTX_set_alpn_protos(context, AsBytes(wire).data(),
                                               static_cast<unsigned>(wire.size())) != 0)
    return Fail(ErrorCode::kTls, "application protocols: {}", TakeOpensslErrors());
  return made;
}

}  // namespace genkan::tls
