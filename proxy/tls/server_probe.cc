#include "proxy/tls/server_probe.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/base/text.h"
#include "proxy/net/fd.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::tls {
namespace {

// What a server may send before the handshake is done, all in all.
constexpr size_t kMaxHandshakeBytes = 512 * 1024;
// As many as anybody looks at; each costs a signature check or so.
constexpr size_t kMaxCertificates = 64;
constexpr size_t kFirstBytes = 64;

// What is on the other side of OpenSSL: the certificates as they came, and the first bytes, which
// say what a server speaks that speaks no TLS.
struct Seen {
  MonotonicTime deadline;
  ProbeResult result;
  int alert = -1;
};

int SeenIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}
Seen& SeenOf(const SSL* ssl) { return *static_cast<Seen*>(SSL_get_ex_data(ssl, SeenIndex())); }

int MillisUntil(MonotonicTime deadline) {
  const auto left = std::chrono::ceil<Millis>(deadline - SystemClock().Now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

void Keep(Seen& seen, STACK_OF(X509) * chain) {
  const int count = sk_X509_num(chain);
  seen.result.sent = static_cast<size_t>(std::max(0, count));
  for (int i = 0; i < count && seen.result.certificates.size() < kMaxCertificates; ++i) {
    if (MillisUntil(seen.deadline) == 0) return;
    X509* x509 = sk_X509_value(chain, i);
    X509_up_ref(x509);
    auto certificate = Certificate::FromX509(X509Ptr(x509));
    if (certificate) {
      seen.result.certificates.push_back(*std::move(certificate));
    } else {
      ++seen.result.broken;
    }
  }
}

// In place of OpenSSL's verification, which would look for paths through whatever a stranger sent.
int OnChain(X509_STORE_CTX* context, void*) noexcept {
  const auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  STACK_OF(X509)* chain = X509_STORE_CTX_get0_untrusted(context);
  if (ssl != nullptr && chain != nullptr) Keep(SeenOf(ssl), chain);
  return 1;
}

void OnInfo(const SSL* ssl, int where, int value) noexcept {
  if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL)
    SeenOf(ssl).alert = value & 0xff;
}

int OnClientCertificate(SSL* ssl, X509**, EVP_PKEY**) noexcept {
  SeenOf(ssl).result.wants_client_certificate = true;
  return 0;  // none
}

SslCtxPtr MakeContext(ProbeKey key) {
  SslCtxPtr context(SSL_CTX_new(TLS_client_method()));
  if (!context) return nullptr;
  SSL_CTX_set_security_level(context.get(), 0);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_LEGACY_SERVER_CONNECT | SSL_OP_NO_TICKET);
  SSL_CTX_set_max_cert_list(context.get(), kMaxProbeCertificateBytes);
  SSL_CTX_set_cert_verify_callback(context.get(), &OnChain, nullptr);
  SSL_CTX_set_info_callback(context.get(), &OnInfo);
  SSL_CTX_set_client_cert_cb(context.get(), &OnClientCertificate);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_tlsext_status_type(context.get(), TLSEXT_STATUSTYPE_ocsp);
  static const unsigned char kProtocols[] = "\x02h2\x08http/1.1";
  SSL_CTX_set_alpn_protos(context.get(), kProtocols, sizeof kProtocols - 1);
  const char* ciphers = key == ProbeKey::kRsa     ? "aRSA:@SECLEVEL=0"
                        : key == ProbeKey::kEcdsa ? "aECDSA:@SECLEVEL=0"
                                                  : "ALL:@SECLEVEL=0";
  SSL_CTX_set_cipher_list(context.get(), ciphers);
  // TLS 1.3 chooses by signature algorithm alone.
  if (key == ProbeKey::kRsa) {
    SSL_CTX_set1_sigalgs_list(context.get(),
                              "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
                              "RSA+SHA256:RSA+SHA384:RSA+SHA512:RSA+SHA1");
  } else if (key == ProbeKey::kEcdsa) {
    SSL_CTX_set1_sigalgs_list(context.get(), "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ECDSA+SHA1");
  }
  ERR_clear_error();
  return context;
}

// Until the descriptor is ready; false when the time is over.
bool WaitFor(int fd, short events, MonotonicTime deadline) {
  for (;;) {
    pollfd one{fd, events, 0};
    const int ready = poll(&one, 1, MillisUntil(deadline));
    if (ready > 0) return true;
    if (ready == 0 && MillisUntil(deadline) == 0) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

ProbeOutcome OutcomeOf(int error) {
  switch (error) {
    case ECONNREFUSED:
      return ProbeOutcome::kRefused;
    case ETIMEDOUT:
      return ProbeOutcome::kTimeout;
    default:
      return ProbeOutcome::kUnreachable;
  }
}

class Probe {
 public:
  Probe(const net::Address& address, const ProbeOptions& options)
      : address_(address), options_(options) {
    seen_.deadline = options.deadline;
  }

  ProbeResult Run() {
    const ErrorQueueGuard guard;
    if (Connect()) Handshake();
    return std::move(seen_.result);
  }

 private:
  void End(ProbeOutcome outcome, std::string detail) {
    seen_.result.outcome = outcome;
    seen_.result.detail = std::move(detail);
  }

  bool Connect() {
    fd_ = net::Fd(socket(address_.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_.is_open()) {
      End(ProbeOutcome::kUnreachable, std::strerror(errno));
      return false;
    }
    if (connect(fd_.get(), address_.get(), address_.length()) == 0) return true;
    int error = errno;
    if (error == EINPROGRESS) {
      if (!WaitFor(fd_.get(), POLLOUT, options_.deadline)) {
        End(ProbeOutcome::kTimeout, "no answer to the connection");
        return false;
      }
      socklen_t length = sizeof error;
      getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (error == 0) return true;
    End(OutcomeOf(error), std::strerror(error));
    return false;
  }

  void Handshake() {
    const SslCtxPtr context = MakeContext(options_.key);
    ssl_.reset(context ? SSL_new(context.get()) : nullptr);
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    if (!ssl_ || in == nullptr || out == nullptr) {
      BIO_free(in);
      BIO_free(out);
      return End(ProbeOutcome::kBadTls, "no memory");
    }
    BIO_set_mem_eof_return(in, -1);
    SSL_set_bio(ssl_.get(), in, out);
    SSL_set_ex_data(ssl_.get(), SeenIndex(), &seen_);
    if (!options_.server_name.empty())
      SSL_set_tlsext_host_name(ssl_.get(), options_.server_name.c_str());
    SSL_set_connect_state(ssl_.get());
    for (;;) {
      ERR_clear_error();
      const int done = SSL_do_handshake(ssl_.get());
      if (done == 1) {
        Flush();
        return Finish();
      }
      const int error = SSL_get_error(ssl_.get(), done);
      const bool is_sent = Flush();
      if (error != SSL_ERROR_WANT_READ) return FailHandshake();
      if (!is_sent || !Receive()) return;
    }
  }

  // What OpenSSL wants to send, sent. False where that is the end of it.
  bool Flush() {
    char* data = nullptr;
    long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &data);
    size_t at = 0;
    while (at < static_cast<size_t>(size)) {
      const ssize_t sent = send(fd_.get(), data + at, static_cast<size_t>(size) - at, MSG_NOSIGNAL);
      if (sent > 0) {
        at += static_cast<size_t>(sent);
      } else if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (!WaitFor(fd_.get(), POLLOUT, options_.deadline)) {
          End(ProbeOutcome::kTimeout, "it takes nothing of the handshake");
          return false;
        }
      } else {
        break;  // what it said before is still to be read
      }
    }
    static_cast<void>(BIO_reset(SSL_get_wbio(ssl_.get())));
    return true;
  }

  bool Receive() {
    char block[16 * 1024];
    for (;;) {
      // Also where bytes come without end, one at a time.
      if (MillisUntil(options_.deadline) == 0 || !WaitFor(fd_.get(), POLLIN, options_.deadline)) {
        End(ProbeOutcome::kTimeout, received_ == 0
                                        ? std::string("connected, but it says nothing")
                                        : fmt::format("{} bytes, then no end", received_));
        return false;
      }
      const ssize_t got = recv(fd_.get(), block, sizeof block, 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0) {
        EndOfStream(got < 0 ? std::strerror(errno) : "it closed the connection");
        return false;
      }
      received_ += static_cast<size_t>(got);
      if (first_.size() < kFirstBytes)
        first_.append(block, std::min(static_cast<size_t>(got), kFirstBytes - first_.size()));
      if (received_ > kMaxHandshakeBytes) {
        End(ProbeOutcome::kTooLarge, fmt::format("more than {} bytes", kMaxHandshakeBytes));
        return false;
      }
      BIO_write(SSL_get_rbio(ssl_.get()), block, static_cast<int>(got));
      return true;
    }
  }

  void EndOfStream(std::string why) {
    if (!first_.empty() && !LooksLikeTls()) return EndNotTls();
    End(ProbeOutcome::kClosed,
        received_ == 0 ? why + " without a word" : why + " in the middle of the handshake");
  }

  // A record begins with its type and 3.x (RFC 8446 5.1).
  bool LooksLikeTls() const {
    const auto type = static_cast<unsigned char>(first_[0]);
    return type >= 20 && type <= 24 && (first_.size() < 2 || first_[1] == 3);
  }
  void EndNotTls() {
    std::string line = first_.substr(0, first_.find_first_of("\r\n"));
    End(ProbeOutcome::kNotTls, "it begins with \"" + EscapeControl(line) + "\"");
  }

  void FailHandshake() {
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_REASON(error);
    if (seen_.alert >= 0) return End(ProbeOutcome::kAlert, SSL_alert_desc_string_long(seen_.alert));
    if (!first_.empty() && !LooksLikeTls()) return EndNotTls();
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason == SSL_R_EXCESSIVE_MESSAGE_SIZE)
      return End(ProbeOutcome::kTooLarge,
                 fmt::format("more than {} bytes of certificates", kMaxProbeCertificateBytes));
    if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason == SSL_R_BAD_SIGNATURE)
      return End(ProbeOutcome::kBadSignature, "bad signature");
    const std::string text = TakeOpensslErrors();
    End(ProbeOutcome::kBadTls, text.empty() ? "the handshake fails" : text);
  }

  void Finish() {
    ProbeResult& result = seen_.result;
    result.version = SSL_get_version(ssl_.get());
    result.cipher = SSL_get_cipher_name(ssl_.get());
    const unsigned char* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
    result.protocol.assign(AsText({protocol, size}));
    const unsigned char* staple = nullptr;
    const long staple_size = SSL_get_tlsext_status_ocsp_resp(ssl_.get(), &staple);
    if (staple != nullptr && staple_size > 0)
      result.staple.assign(AsText({staple, static_cast<size_t>(staple_size)}));
    SSL_shutdown(ssl_.get());
    Flush();
    End(result.certificates.empty() ? ProbeOutcome::kNoCertificate : ProbeOutcome::kHandshake, "");
  }

  const net::Address& address_;
  const ProbeOptions& options_;
  Seen seen_;
  net::Fd fd_;
  SslPtr ssl_;
  std::string first_;
  size_t received_ = 0;
};

}  // namespace

ProbeResult ProbeServer(const net::Address& address, const ProbeOptions& options) {
  return Probe(address, options).Run();
}

}  // namespace genkan::tls
