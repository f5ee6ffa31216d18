#include <array>
#include <thread>

#include "proxy/tls/handshake_state.h"
#include "tests/unit/tls/provider_support.h"
#include "tests/unit/tls/tls_pair.h"

namespace genkan::tls {
namespace {

struct Case {
  const char* name;
  int version;
  const char* groups;  // of the client, which sends a share for the first; in TLS 1.2 the
                       // certificate's curve too
  const char* suites;
  int group;  // agreed on
  bool is_retried = false;
  bool asks_for_certificates = false;  // then TLS 1.3 is libssl's from the first byte on
};

class ProviderHandshake : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ASSERT_NE(provider::PropertyQuery(), nullptr);
    const Case& given = GetParam();
    SSL_CTX* client = pair.client_context.get();
    SSL_CTX_set_max_proto_version(client, given.version);
    ASSERT_EQ(SSL_CTX_set1_groups_list(client, given.groups), 1);
    ASSERT_EQ(given.version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(client, given.suites)
                                              : SSL_CTX_set_cipher_list(client, given.suites),
              1);
    SSL_CTX_set_msg_callback(
        client, [](int writes, int, int type, const void* data, size_t size, SSL*, void* argument) {
          if (writes == 1 && type == SSL3_RT_HANDSHAKE && size > 0 &&
              *static_cast<const unsigned char*>(data) == SSL3_MT_CLIENT_HELLO)
            ++*static_cast<int*>(argument);
        });
    SSL_CTX_set_msg_callback_arg(client, &hellos);
    if (!given.asks_for_certificates) return;
    policy.client_certificates = TlsPolicy::ClientCertificates::kRequest;
    policy.client_ca = TlsPair::Ca().root().pem();
    pair.delegate.site_policy = &policy;
  }
  void ExpectAgreed() {
    const Case& given = GetParam();
    EXPECT_EQ(SSL_version(pair.client.get()), given.version);
    EXPECT_STREQ(SSL_get_cipher_name(pair.client.get()), given.suites);
    EXPECT_EQ(SSL_get_negotiated_group(pair.client.get()), given.group);
  }

  TlsPolicy policy;
  TlsPair pair;
  int hellos = 0;
};

constexpr const char* kAes128 = "TLS_AES_128_GCM_SHA256";
constexpr const char* kAes256 = "TLS_AES_256_GCM_SHA384";
constexpr const char* kChaCha = "TLS_CHACHA20_POLY1305_SHA256";
INSTANTIATE_TEST_SUITE_P(
    Groups, ProviderHandshake,
    ::testing::Values(
        Case{"X25519", TLS1_3_VERSION, "X25519:P-256", kAes128, NID_X25519},
        Case{"X25519Sha384", TLS1_3_VERSION, "X25519", kAes256, NID_X25519},
        Case{"X25519ChaCha", TLS1_3_VERSION, "X25519", kChaCha, NID_X25519},
        Case{"X25519ByLibssl", TLS1_3_VERSION, "X25519:P-256", kAes128, NID_X25519, false, true},
        Case{"X25519Sha384ByLibssl", TLS1_3_VERSION, "X25519", kAes256, NID_X25519, false, true},
        Case{"P256", TLS1_3_VERSION, "P-256:X25519", kAes128, NID_X9_62_prime256v1},
        Case{"P384Sha384", TLS1_3_VERSION, "P-384", kAes256, NID_secp384r1},
        Case{"RetryToX25519", TLS1_3_VERSION, "P-521:X25519", kAes128, NID_X25519, true},
        Case{"RetryToX25519Sha384", TLS1_3_VERSION, "X448:X25519", kAes256, NID_X25519, true},
        Case{"RetryToP384", TLS1_3_VERSION, "P-521:P-384", kAes256, NID_secp384r1, true},
        Case{"Tls12X25519", TLS1_2_VERSION, "X25519:P-256", "ECDHE-ECDSA-AES128-GCM-SHA256",
             NID_X25519},
        Case{"Tls12X25519Sha384", TLS1_2_VERSION, "X25519:P-256", "ECDHE-ECDSA-AES256-GCM-SHA384",
             NID_X25519},
        Case{"Tls12P256", TLS1_2_VERSION, "P-256", "ECDHE-ECDSA-CHACHA20-POLY1305",
             NID_X9_62_prime256v1},
        Case{"Tls12P384", TLS1_2_VERSION, "P-384:P-256", "ECDHE-ECDSA-AES256-GCM-SHA384",
             NID_secp384r1}),
    [](const auto& given) { return std::string(given.param.name); });

TEST_P(ProviderHandshake, IsWholeAndResumes) {
  for (const bool resumes : {false, true, true}) {
    SCOPED_TRACE(resumes);
    hellos = 0;
    pair.Open();
    if (resumes) {
      ASSERT_FALSE(pair.sessions.empty());
      SSL_set_session(pair.client.get(), pair.sessions.back().get());
    }
    ASSERT_TRUE(pair.Handshake()) << pair.client_error << " / " << pair.stream->error().detail;
    EXPECT_EQ(pair.stream->handshake().is_resumed, resumes);
    EXPECT_EQ(hellos, GetParam().is_retried ? 2 : 1);
    // A resumption of TLS 1.2 exchanges no keys.
    if (!resumes || GetParam().version == TLS1_3_VERSION) ExpectAgreed();
    // Bytes of both directions under the keys of both.
    ASSERT_EQ(SSL_write(pair.client.get(), "hello", 5), 5);
    ASSERT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.in.size() == 5; }));
    pair.Finish();
    EXPECT_EQ(pair.received, "bye");
  }
}

// Whether the server's half of the exchange was ours shows in the key that it made: an
// encapsulation leaves none.
TEST(ProviderHandshakeOff, WithoutItOpensslDoesAllByItself) {
  for (const bool is_ours : {true, false}) {
    ServerContextOptions options = TlsPair::DefaultOptions();
    options.policy.own_provider = is_ours;
    TlsPair pair(options);
    SSL_CTX_set1_groups_list(pair.client_context.get(), "X25519");
    SslPtr server(SSL_new(pair.context->get())), client(SSL_new(pair.client_context.get()));
    HandshakeState state;
    state.delegate = &pair.delegate;
    SSL_set_app_data(server.get(), &state);
    BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
    SSL_set0_rbio(server.get(), up);
    SSL_set0_wbio(server.get(), down);
    BIO_up_ref(up);
    BIO_up_ref(down);
    SSL_set0_rbio(client.get(), down);
    SSL_set0_wbio(client.get(), up);
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    for (int i = 0; i < 4; ++i) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(server.get());
    }
    ASSERT_TRUE(SSL_is_init_finished(server.get()) && SSL_is_init_finished(client.get()));
    EVP_PKEY* made = nullptr;
    EXPECT_EQ(SSL_get_tmp_key(server.get(), &made) == 1, !is_ours);
    EVP_PKEY_free(made);
  }
}

// CBC suites of TLS 1.2 need the constant-time HMAC of the default provider.
TEST(ProviderHandshakeOld, CbcRecordsPassInBothDirections) {
  for (const char* suite :
       {"ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA"}) {
    for (const bool encrypts_then_macs : {true, false}) {
      SCOPED_TRACE(suite);
      ServerContextOptions options = TlsPair::DefaultOptions();
      options.policy.profile = Profile::kOld;
      TlsPair pair(options);
      SSL_CTX* client = pair.client_context.get();
      SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
      ASSERT_EQ(SSL_CTX_set_cipher_list(client, suite), 1);
      if (!encrypts_then_macs) SSL_CTX_set_options(client, SSL_OP_NO_ENCRYPT_THEN_MAC);
      pair.Open();
      ASSERT_TRUE(pair.Handshake()) << pair.client_error << " / " << pair.stream->error().detail;
      EXPECT_STREQ(SSL_get_cipher_name(pair.client.get()), suite);
      size_t sent = 0;
      for (const size_t size : {1, 15, 16, 300, 5000}) {
        const std::string text(size, 't');
        ASSERT_EQ(SSL_write(pair.client.get(), text.data(), static_cast<int>(size)),
                  static_cast<int>(size));
        sent += size;
        ASSERT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.in.size() == sent; }))
            << size;
      }
      pair.Finish();
      EXPECT_EQ(pair.received, "bye");
    }
  }
}

// A client whose share is a point of low order is told so.
TEST(ProviderHandshakeHostile, AShareOfLowOrderIsAnIllegalParameter) {
  TlsPair pair;
  SSL_CTX_set1_groups_list(pair.client_context.get(), "X25519");
  SSL_CTX_set_min_proto_version(pair.client_context.get(), TLS1_3_VERSION);
  // The hello as the client would send it, with another share.
  SslPtr client(SSL_new(pair.client_context.get()));
  BIO* wire = BIO_new(BIO_s_mem());
  SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), wire);
  SSL_set_tlsext_host_name(client.get(), "a.test");
  SSL_set_connect_state(client.get());
  ASSERT_NE(SSL_do_handshake(client.get()), 1);
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(wire, &bytes);
  std::string hello(bytes, static_cast<size_t>(size));
  const std::string head("\x00\x1d\x00\x20", 4);  // X25519, 32 bytes (RFC 8446 4.2.8)
  const size_t at = hello.rfind(head);
  ASSERT_NE(at, std::string::npos);
  hello.replace(at + head.size(), 32, std::string(32, '\0'));

  pair.Open();
  ASSERT_EQ(send(pair.fd.get(), hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
  testing::Eventually(pair.loop, [&] { return pair.reader.is_over; });
  EXPECT_TRUE(pair.reader.is_over);
  EXPECT_EQ(pair.stream->alert(), "illegal parameter");
}

// Workers shake hands at the same time, each with a context of its own.
TEST(ProviderHandshakeThreads, ManyAtOnce) {
  std::vector<std::thread> workers;
  std::array<int, 4> shaken{};
  TlsPair::Ca();
  for (int& count : shaken) {
    workers.emplace_back([&count] {
      TlsPair pair;
      for (int i = 0; i < 20; ++i) {
        pair.Open();
        if (i % 2 == 1) SSL_set_session(pair.client.get(), pair.sessions.back().get());
        if (!pair.Handshake() || pair.stream->handshake().is_resumed != (i % 2 == 1)) return;
        pair.Finish();
        ++count;
      }
    });
  }
  for (auto& worker : workers) worker.join();
  for (const int count : shaken) EXPECT_EQ(count, 20);
}

}  // namespace
}  // namespace genkan::tls
