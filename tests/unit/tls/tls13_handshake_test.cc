#include "proxy/tls/tls13_handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include "proxy/base/text.h"
#include "tests/unit/tls/tls_pair.h"

namespace genkan::tls {
namespace {

using ::testing::HasSubstr;
using testing::KeyKind;

constexpr const char* kSuites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                   "TLS_CHACHA20_POLY1305_SHA256"};

// A pair whose client offers what a handshake of ours answers, whatever the machine's defaults are.
struct WholePair : TlsPair {
  explicit WholePair(ServerContextOptions options = DefaultOptions())
      : TlsPair(std::move(options)) {
    SSL_CTX_set1_groups_list(client_context.get(), "X25519:P-256");
  }
  void OpenAndCount() {
    Open();
    delegate.hellos = 0;
    by_libssl = SSL_CTX_sess_accept(context->get());
  }
  // Through a socket that takes little at once.
  void OpenForAStaple() {
    OpenAndCount();
    const int small = 4096;
    setsockopt(stream->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    SSL_set_tlsext_status_type(client.get(), TLSEXT_STATUSTYPE_ocsp);
  }
  bool Connect() {
    OpenAndCount();
    return Handshake();
  }
  // Of the last connection: libssl counts those that it began.
  bool was_without_libssl() const { return SSL_CTX_sess_accept(context->get()) == by_libssl; }
  // Bytes of both directions.
  void ExpectExchange() {
    ASSERT_EQ(SSL_write(client.get(), "question", 8), 8);
    ASSERT_TRUE(testing::Eventually(loop, [&] { return reader.in.size() == 8; }));
    EXPECT_EQ(reader.in.ToText(), "question");
    Finish();
    EXPECT_EQ(received, "bye");
  }
  void ExpectChain(const std::vector<CertificatePtr>& chain) {
    const STACK_OF(X509)* sent = SSL_get_peer_cert_chain(client.get());
    ASSERT_EQ(sk_X509_num(sent), static_cast<int>(chain.size()));
    for (size_t i = 0; i < chain.size(); ++i)
      EXPECT_EQ(X509_cmp(sk_X509_value(sent, static_cast<int>(i)), chain[i]->x509()), 0) << i;
  }

  long by_libssl = 0;
};

TEST(Tls13Handshake, IsDoneWithoutLibsslUnderEachSuiteAndKey) {
  for (KeyKind kind : {KeyKind::kEcdsa, KeyKind::kRsa}) {
    for (const char* suite : kSuites) {
      WholePair pair;
      pair.delegate.bundle = TlsPair::Ca().Bundle({"a.test"}, kind);
      SSL_CTX_set_ciphersuites(pair.client_context.get(), suite);
      ASSERT_TRUE(pair.Connect()) << suite << pair.client_error << pair.stream->error().detail;
      EXPECT_TRUE(pair.was_without_libssl()) << suite;
      EXPECT_EQ(SSL_get_verify_result(pair.client.get()), X509_V_OK);
      pair.ExpectChain(pair.delegate.bundle->chain());
      const HandshakeInfo& info = pair.stream->handshake();
      EXPECT_FALSE(info.is_resumed);
      EXPECT_FALSE(info.has_sent_staple);
      EXPECT_EQ(info.version, TLS1_3_VERSION);
      EXPECT_EQ(info.cipher, suite);
      EXPECT_EQ(info.server_name, "a.test");
      EXPECT_EQ(info.alpn, "");
      EXPECT_EQ(pair.stream->bundle(), pair.delegate.bundle);
      EXPECT_TRUE(pair.stream->has_record_layer());
      EXPECT_EQ(pair.delegate.hellos, 1);
      EXPECT_EQ(pair.delegate.hello.server_name, "a.test");
      EXPECT_TRUE(pair.delegate.hello.offers_ecdsa && pair.delegate.hello.offers_rsa);
      pair.ExpectExchange();
      // Its ticket is one that both take back.
      ASSERT_EQ(pair.sessions.size(), 1u);
      for (const char* groups : {"X25519", "P-256"}) {
        SSL_CTX_set1_groups_list(pair.client_context.get(), groups);
        pair.OpenAndCount();
        SSL_set_session(pair.client.get(), pair.sessions.back().get());
        ASSERT_TRUE(pair.Handshake()) << pair.client_error;
        EXPECT_TRUE(pair.stream->handshake().is_resumed) << groups;
        EXPECT_EQ(pair.was_without_libssl(), std::string_view(groups) == "X25519");
        pair.Finish();
      }
    }
  }
}

TEST(Tls13Handshake, AgreesOnAProtocolInOurOrder) {
  WholePair pair;
  pair.OpenAndCount();
  SSL_set_alpn_protos(pair.client.get(), AsBytes("\x08http/1.1\x02h2").data(), 12);
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_TRUE(pair.was_without_libssl());
  EXPECT_EQ(pair.stream->handshake().alpn, "h2");
  const unsigned char* seen = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(pair.client.get(), &seen, &length);
  EXPECT_EQ(AsText({seen, length}), "h2");
  pair.OpenAndCount();
  SSL_set_alpn_protos(pair.client.get(), AsBytes("\x04spdy").data(), 5);
  EXPECT_FALSE(pair.Handshake());
  EXPECT_THAT(pair.client_error, HasSubstr("no application protocol"));
  EXPECT_EQ(pair.delegate.hellos, 1);
}

TEST(Tls13Handshake, SignsWithTheClientsFirst) {
  WholePair pair;
  pair.delegate.bundle = TlsPair::Ca().Bundle({"a.test"}, KeyKind::kRsa);
  for (auto [list, digest] : {std::pair("RSA-PSS+SHA512:RSA-PSS+SHA256:ECDSA+SHA256", NID_sha512),
                              std::pair("RSA+SHA256:RSA-PSS+SHA384:ECDSA+SHA256", NID_sha384),
                              std::pair("ECDSA+SHA256:RSA-PSS+SHA256", NID_sha256)}) {
    SSL_CTX_set1_sigalgs_list(pair.client_context.get(), list);
    ASSERT_TRUE(pair.Connect()) << list << pair.client_error;
    EXPECT_TRUE(pair.was_without_libssl()) << list;
    int seen = 0;
    SSL_get_peer_signature_nid(pair.client.get(), &seen);
    EXPECT_EQ(seen, digest) << list;
    SSL_get_peer_signature_type_nid(pair.client.get(), &seen);
    EXPECT_EQ(seen, EVP_PKEY_RSA_PSS) << list;
  }
}

TEST(Tls13Handshake, AClientWithoutACommonSignatureIsRefusedByLibssl) {
  WholePair pair;
  SSL_CTX_set1_sigalgs_list(pair.client_context.get(), "RSA-PSS+SHA256");
  EXPECT_FALSE(pair.Connect());
  EXPECT_THAT(pair.client_error, HasSubstr("handshake failure"));
  EXPECT_FALSE(pair.was_without_libssl());
  EXPECT_EQ(pair.delegate.hellos, 1) << "who is asked is asked once";
}

std::shared_ptr<Staple> StapleOf(const WholePair& pair, size_t size) {
  auto staple = std::make_shared<Staple>();
  staple->der = std::string(size, 's');
  staple->next_update = pair.clock.Wall() + Seconds(60);
  return staple;
}

TEST(Tls13Handshake, SendsTheStapleThatIsAskedForWhileItLives) {
  for (size_t size : {size_t{500}, size_t{40'000}}) {
    WholePair pair;
    pair.delegate.bundle = pair.delegate.bundle->WithStaple(StapleOf(pair, size));
    const auto staple_of = [&](bool asks) {
      pair.OpenAndCount();
      if (asks) SSL_set_tlsext_status_type(pair.client.get(), TLSEXT_STATUSTYPE_ocsp);
      EXPECT_TRUE(pair.Handshake()) << pair.client_error;
      EXPECT_TRUE(pair.was_without_libssl());
      const char* seen = nullptr;
      const long length = SSL_get_tlsext_status_ocsp_resp(pair.client.get(), &seen);
      EXPECT_EQ(pair.stream->handshake().has_sent_staple, length > 0);
      return length > 0 ? std::string(seen, static_cast<size_t>(length)) : std::string();
    };
    EXPECT_EQ(staple_of(true), std::string(size, 's')) << "over records of 16 KiB";
    pair.ExpectExchange();
    EXPECT_EQ(staple_of(false), "") << "nobody asked";
    pair.clock.Advance(Seconds(60));
    EXPECT_EQ(staple_of(true), "");
    pair.ExpectExchange();
  }
}

// A ticket's handshake has no certificate, and so no staple.
TEST(Tls13Handshake, AResumptionHasNoStaple) {
  WholePair pair;
  pair.delegate.bundle = pair.delegate.bundle->WithStaple(StapleOf(pair, 500));
  ASSERT_TRUE(pair.Connect());
  pair.Finish();
  pair.OpenAndCount();
  SSL_set_session(pair.client.get(), pair.sessions.back().get());
  SSL_set_tlsext_status_type(pair.client.get(), TLSEXT_STATUSTYPE_ocsp);
  ASSERT_TRUE(pair.Handshake());
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  EXPECT_FALSE(pair.stream->handshake().has_sent_staple);
}

TEST(Tls13Handshake, SendsTheChainThatTheClientNames) {
  WholePair pair;
  const testing::TestCa& ca = TlsPair::Ca();
  // By its other root, which signs the first one's intermediate across.
  testing::CertificateOptions options = ca.intermediate().options;
  const testing::Issued old_root = testing::MakeRoot({.common_name = "Older root"});
  const testing::Issued cross = testing::MakeIntermediate(old_root, options);
  const testing::Issued leaf = ca.Leaf({"a.test"});
  pair.delegate.bundle =
      CertificateBundle::Make({leaf.certificate, ca.intermediate().certificate}, leaf.key,
                              {leaf.certificate, cross.certificate, old_root.certificate})
          .value();
  X509_STORE_add_cert(SSL_CTX_get_cert_store(pair.client_context.get()),
                      old_root.certificate->x509());
  ASSERT_TRUE(pair.Connect()) << pair.client_error;
  pair.ExpectChain(pair.delegate.bundle->chain());
  pair.OpenAndCount();
  STACK_OF(X509_NAME)* names = sk_X509_NAME_new_null();
  sk_X509_NAME_push(names, X509_NAME_dup(X509_get_subject_name(old_root.certificate->x509())));
  SSL_set0_CA_list(pair.client.get(), names);
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_TRUE(pair.was_without_libssl());
  pair.ExpectChain(pair.delegate.bundle->long_chain());
}

TEST(Tls13Handshake, WithoutASessionIdThereIsNoChangeCipherSpec) {
  for (bool has_id : {true, false}) {
    WholePair pair;
    if (!has_id) SSL_CTX_clear_options(pair.client_context.get(), SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    int changes = 0;
    SSL_CTX_set_msg_callback(
        pair.client_context.get(),
        [](int writes, int, int type, const void* data, size_t size, SSL*, void* argument) {
          // Records as they come: the header's type.
          if (writes == 0 && type == SSL3_RT_HEADER && size > 0 &&
              *static_cast<const unsigned char*>(data) == SSL3_RT_CHANGE_CIPHER_SPEC)
            ++*static_cast<int*>(argument);
        });
    SSL_CTX_set_msg_callback_arg(pair.client_context.get(), &changes);
    ASSERT_TRUE(pair.Connect()) << pair.client_error;
    EXPECT_TRUE(pair.was_without_libssl());
    EXPECT_EQ(changes, has_id ? 1 : 0);
    pair.ExpectExchange();
  }
}

TEST(Tls13Handshake, WhatItDoesNotKnowIsAWholeHandshakeOfLibssls) {
  TlsPolicy asks;
  asks.client_certificates = TlsPolicy::ClientCertificates::kRequest;
  asks.client_ca = TlsPair::Ca().root().pem();
  using Change = std::function<void(WholePair&)>;
  const std::string_view retried = "a retry";
  for (const auto& [name, change] : std::initializer_list<std::pair<std::string_view, Change>>{
           {"another group",
            [](WholePair& pair) {
              SSL_CTX_set1_groups_list(pair.client_context.get(), "P-256:X25519");
            }},
           {retried,
            [](WholePair& pair) {
              SSL_CTX_set1_groups_list(pair.client_context.get(), "P-521:X25519");
            }},
           {"TLS 1.2",
            [](WholePair& pair) {
              SSL_CTX_set_max_proto_version(pair.client_context.get(), TLS1_2_VERSION);
            }},
           {"a site that asks for certificates",
            [&](WholePair& pair) { pair.delegate.site_policy = &asks; }},
           {"a key that it does not sign with",
            [](WholePair& pair) {
              const testing::TestCa ca("Edwards", KeyKind::kEd25519);
              X509_STORE_add_cert(SSL_CTX_get_cert_store(pair.client_context.get()),
                                  ca.root().certificate->x509());
              pair.delegate.bundle = ca.Bundle({"a.test"}, KeyKind::kEd25519);
            }},
           {"a suite that OpenSSL is configured without",
            [](WholePair& pair) {
              SSL_CTX_set_ciphersuites(pair.context->get(), kSuites[1]);
              SSL_CTX_set_ciphersuites(pair.client_context.get(),
                                       "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
            }},
       }) {
    WholePair pair;
    change(pair);
    ASSERT_TRUE(pair.Connect()) << name << pair.client_error << pair.stream->error().detail;
    EXPECT_FALSE(pair.was_without_libssl()) << name;
    EXPECT_EQ(pair.delegate.hellos, name == retried ? 2 : 1) << name << ": once a hello";
    pair.ExpectChain(pair.delegate.bundle->chain());
    pair.ExpectExchange();
  }
}

TEST(Tls13Handshake, ContextsThatLeaveItToLibssl) {
  const auto without_provider = [](ServerContextOptions& options) {
    options.policy.own_provider = false;
  };
  const auto with_ktls = [](ServerContextOptions& options) { options.policy.ktls = true; };
  for (const std::function<void(ServerContextOptions&)>& change :
       {std::function<void(ServerContextOptions&)>(without_provider), {with_ktls}}) {
    ServerContextOptions options = TlsPair::DefaultOptions();
    change(options);
    WholePair pair(options);
    ASSERT_TRUE(pair.Connect()) << pair.client_error;
    EXPECT_FALSE(pair.was_without_libssl());
    pair.ExpectExchange();
  }
}

TEST(Tls13Handshake, WithoutTicketsThereAreNone) {
  ServerContextOptions options = TlsPair::DefaultOptions();
  options.tickets_per_handshake = 0;
  WholePair pair(options);
  ASSERT_TRUE(pair.Connect()) << pair.client_error;
  EXPECT_TRUE(pair.was_without_libssl());
  pair.ExpectExchange();
  EXPECT_TRUE(pair.sessions.empty());
}

TEST(Tls13Handshake, ANameWithoutACertificateIsRefused) {
  WholePair pair;
  pair.delegate.bundle = nullptr;
  EXPECT_FALSE(pair.Connect());
  EXPECT_THAT(pair.client_error, HasSubstr("unrecognized name"));
  EXPECT_EQ(pair.delegate.hellos, 1);
}

// What operators look for in the log when a chain is not to a client's liking.
TEST(Tls13Handshake, AClientThatDoesNotTrustTheChainSaysWhy) {
  WholePair pair;
  pair.delegate.bundle = testing::TestCa("Another").Bundle({"a.test"});
  EXPECT_FALSE(pair.Connect());
  EXPECT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_TRUE(pair.was_without_libssl());
  EXPECT_FALSE(pair.stream->is_handshake_done());
  EXPECT_EQ(pair.stream->alert(), "unknown CA");
  EXPECT_EQ(pair.stream->error().code, ErrorCode::kTls);
  EXPECT_EQ(pair.stream->error().detail, "handshake: alert: unknown CA");
}

// The private half is another's: what is signed does not verify, and no client takes it.
TEST(Tls13Handshake, AKeyThatIsNotTheLeafsConvincesNobody) {
  WholePair pair;
  const testing::Issued leaf = TlsPair::Ca().Leaf({"a.test"});
  pair.delegate.bundle =
      CertificateBundle::Make({leaf.certificate, TlsPair::Ca().intermediate().certificate},
                              testing::KeyThatLies(*leaf.key))
          .value();
  EXPECT_FALSE(pair.Connect());
  EXPECT_THAT(pair.client_error, HasSubstr("bad signature"));
  EXPECT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_EQ(pair.stream->alert(), "decrypt error");
  EXPECT_EQ(ERR_peek_error(), 0u);
}

// A request right behind Finished, in one write and in pieces of one byte.
TEST(Tls13Handshake, ARequestThatComesWithFinishedIsRead) {
  for (size_t step : {size_t{1}, size_t{10'000}}) {
    WholePair pair;
    pair.OpenAndCount();
    pair.Shake();
    ASSERT_NO_FATAL_FAILURE(pair.FinishWith("question", step));
    pair.Finish();
    EXPECT_EQ(pair.received, "bye");
    EXPECT_TRUE(pair.was_without_libssl());
  }
}

// The flight is more than the socket takes at once: it goes on when the client reads.
TEST(Tls13Handshake, AClientThatReadsSlowlyGetsTheWholeFlight) {
  WholePair pair;
  pair.delegate.bundle = pair.delegate.bundle->WithStaple(StapleOf(pair, 65'000));
  pair.OpenForAStaple();
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_TRUE(pair.was_without_libssl());
  EXPECT_GT(pair.counting->writes, 2);
  pair.ExpectExchange();
}

// Some 200 KiB with the largest staple there is: more than a stream gathers at once.
TEST(Tls13Handshake, AChainOf64CertificatesArrivesAtASlowReader) {
  WholePair pair;
  const testing::Issued leaf = TlsPair::Ca().Leaf({"a.test"});
  std::vector<CertificatePtr> chain{leaf.certificate, TlsPair::Ca().intermediate().certificate};
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) names.push_back("some-name-" + std::to_string(i) + ".a-domain.test");
  while (chain.size() < 64) chain.push_back(TlsPair::Ca().Leaf(names).certificate);
  pair.delegate.bundle =
      (*CertificateBundle::Make(chain, leaf.key))->WithStaple(StapleOf(pair, Staple::kMost));
  SSL_CTX_set_max_cert_list(pair.client_context.get(), 1024 * 1024);
  pair.OpenForAStaple();
  pair.Shake();
  ASSERT_TRUE(testing::Eventually(pair.loop, [&] { return pair.stream->bundle() != nullptr; }));
  EXPECT_GT(pair.stream->pending_write(), size_t{128 * 1024}) << "it is counted";
  EXPECT_EQ(pair.stream->WriteRoom(), 0u);
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_TRUE(pair.was_without_libssl());
  pair.ExpectChain(chain);
  const char* staple = nullptr;
  EXPECT_EQ(SSL_get_tlsext_status_ocsp_resp(pair.client.get(), &staple),
            static_cast<long>(Staple::kMost));
  pair.ExpectExchange();
}

TEST(Tls13Handshake, AFlightWhoseClientHasGoneIsAFailure) {
  WholePair pair;
  pair.delegate.bundle = pair.delegate.bundle->WithStaple(StapleOf(pair, 65'000));
  pair.OpenForAStaple();
  pair.Shake();
  ASSERT_TRUE(testing::Eventually(pair.loop, [&] { return pair.stream->bundle() != nullptr; }));
  pair.client.reset();
  pair.fd.Reset();
  EXPECT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_FALSE(pair.stream->is_handshake_done());
}

}  // namespace
}  // namespace genkan::tls
