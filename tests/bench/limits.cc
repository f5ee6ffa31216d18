// What nobody can avoid with this OpenSSL: the server's side of handshakes, and records of 16 KiB,
// in memory, without a socket and without a line of ours; then the same handshakes with our OpenSSL
// provider (proxy/tls/provider), which is what genkan's servers use. `real_time` is the server's CPU
// time alone. The difference between genkan's figures in compare and these is the kernel's and ours.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <time.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "proxy/tls/provider/provider.h"

namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using SslPtr = std::unique_ptr<SSL, Deleter<SSL_free>>;
using ContextPtr = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using CertPtr = std::unique_ptr<X509, Deleter<X509_free>>;
using SessionPtr = std::unique_ptr<SSL_SESSION, Deleter<SSL_SESSION_free>>;

double ThreadSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

void Demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "genkan_limits: %s\n", what);
  std::abort();
}

// A self-signed certificate: what a server sends is the same work for any.
CertPtr SelfSigned(EVP_PKEY* key) {
  CertPtr cert(X509_new());
  X509_set_version(cert.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(cert.get()), 86400);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("bench.test"), -1, -1, 0);
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  X509_set_pubkey(cert.get(), key);
  Demand(X509_sign(cert.get(), key, EVP_sha256()) != 0, "X509_sign");
  return cert;
}

class Pair {
 public:
  Pair(bool is_rsa, int tickets, const char* properties = nullptr)
      : server_(SSL_CTX_new_ex(nullptr, properties, TLS_server_method())),
        client_(SSL_CTX_new(TLS_client_method())) {
    KeyPtr key(is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256"));
    CertPtr cert = SelfSigned(key.get());
    Demand(SSL_CTX_use_certificate(server_.get(), cert.get()) == 1 &&
               SSL_CTX_use_PrivateKey(server_.get(), key.get()) == 1,
           "the certificate");
    SSL_CTX_set_num_tickets(server_.get(), static_cast<size_t>(tickets));
    SSL_CTX_set_session_cache_mode(server_.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_ciphersuites(client_.get(), "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(client_.get(), "X25519");
    SSL_CTX_set_session_cache_mode(client_.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(client_.get(), this);
    SSL_CTX_sess_set_new_cb(client_.get(), [](SSL* ssl, SSL_SESSION* session) {
      static_cast<Pair*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)))->session_.reset(session);
      return 1;
    });
  }

  // Seconds of the server, from SSL_new to SSL_free; tickets are read by the client.
  double Handshake(bool resumes) {
    SessionPtr session = std::move(session_);
    Open(resumes ? session.get() : nullptr);
    double spent = spent_;
    char byte;
    Demand(SSL_read(client_ssl_.get(), &byte, 1) <= 0, "a byte from nowhere");
    if (resumes) Demand(SSL_session_reused(server_ssl_.get()) == 1, "not resumed");
    double before = ThreadSeconds();
    server_ssl_.reset();
    spent += ThreadSeconds() - before;
    SSL_shutdown(client_ssl_.get());
    client_ssl_.reset();
    return spent;
  }

  void Open(SSL_SESSION* session) {
    client_ssl_.reset(SSL_new(client_.get()));
    SSL_set_connect_state(client_ssl_.get());
    if (session != nullptr) SSL_set_session(client_ssl_.get(), session);
    BIO* up = BIO_new(BIO_s_mem());
    BIO* down = BIO_new(BIO_s_mem());
    SSL_set_bio(client_ssl_.get(), down, up);
    double before = ThreadSeconds();
    server_ssl_.reset(SSL_new(server_.get()));
    SSL_set_accept_state(server_ssl_.get());
    BIO_up_ref(up);
    BIO_up_ref(down);
    SSL_set_bio(server_ssl_.get(), up, down);
    spent_ = ThreadSeconds() - before;
    bool is_done = false;
    while (!is_done) {
      bool client_done = SSL_do_handshake(client_ssl_.get()) == 1;
      before = ThreadSeconds();
      is_done = SSL_do_handshake(server_ssl_.get()) == 1 && client_done;
      spent_ += ThreadSeconds() - before;
    }
  }

  SSL* server() { return server_ssl_.get(); }
  SSL* client() { return client_ssl_.get(); }

 private:
  ContextPtr server_, client_;
  SslPtr server_ssl_, client_ssl_;
  SessionPtr session_;
  double spent_ = 0;
};

const char* OurProvider() {
  const char* properties = genkan::tls::provider::PropertyQuery();
  Demand(properties != nullptr, "our provider does not load");
  return properties;
}

void FullHandshake(benchmark::State& state, bool is_rsa, bool is_ours) {
  Pair pair(is_rsa, static_cast<int>(state.range(0)), is_ours ? OurProvider() : nullptr);
  for (auto _ : state) state.SetIterationTime(pair.Handshake(false));
}
BENCHMARK_CAPTURE(FullHandshake, ecdsa_p256_tickets, false, false)
    ->Arg(0)
    ->Arg(1)
    ->Arg(2)
    ->UseManualTime();
BENCHMARK_CAPTURE(FullHandshake, rsa_2048_tickets, true, false)->Arg(1)->UseManualTime();
BENCHMARK_CAPTURE(FullHandshake, our_provider_ecdsa_p256_tickets, false, true)
    ->Arg(0)
    ->Arg(1)
    ->UseManualTime();
BENCHMARK_CAPTURE(FullHandshake, our_provider_rsa_2048_tickets, true, true)
    ->Arg(1)
    ->UseManualTime();

void ResumedHandshake(benchmark::State& state, bool is_ours) {
  Pair pair(false, 1, is_ours ? OurProvider() : nullptr);
  pair.Handshake(false);
  for (auto _ : state) state.SetIterationTime(pair.Handshake(true));
}
BENCHMARK_CAPTURE(ResumedHandshake, openssl, false)->UseManualTime();
BENCHMARK_CAPTURE(ResumedHandshake, our_provider, true)->UseManualTime();

// A MiB in records of 16 KiB.
void Records(benchmark::State& state, bool writes) {
  Pair pair(false, 0);
  pair.Open(nullptr);
  SSL* from = writes ? pair.server() : pair.client();
  SSL* to = writes ? pair.client() : pair.server();
  std::string record(16 * 1024, 'r'), got(16 * 1024, '\0');
  for (auto _ : state) {
    double spent = 0;
    for (int i = 0; i < 64; ++i) {
      double before = ThreadSeconds();
      Demand(SSL_write(from, record.data(), static_cast<int>(record.size())) > 0, "SSL_write");
      double between = ThreadSeconds();
      Demand(SSL_read(to, got.data(), static_cast<int>(got.size())) > 0, "SSL_read");
      spent += writes ? between - before : ThreadSeconds() - between;
    }
    state.SetIterationTime(spent);
  }
}
BENCHMARK_CAPTURE(Records, write_mebibyte, true)->UseManualTime();
BENCHMARK_CAPTURE(Records, read_mebibyte, false)->UseManualTime();

}  // namespace

BENCHMARK_MAIN();
