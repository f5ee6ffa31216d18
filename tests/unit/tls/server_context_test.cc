#include "proxy/tls/server_context.h"

#include <gtest/gtest.h>

#include "tests/unit/tls/tls_pair.h"

namespace genkan::tls {
namespace {

// Shakes hands with the newest session of before.
bool Resume(TlsPair& pair) {
  pair.Open();
  if (pair.sessions.empty()) return false;
  SSL_set_session(pair.client.get(), pair.sessions.back().get());
  return pair.Handshake();
}

class BothVersions : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    SSL_CTX_set_max_proto_version(pair.client_context.get(), GetParam());
  }
  TlsPair pair;
};
INSTANTIATE_TEST_SUITE_P(Tls, BothVersions, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& version) {
                           return version.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

TEST_P(BothVersions, HandshakeServesTheDelegatesChain) {
  pair.Open();
  ASSERT_TRUE(pair.Handshake()) << pair.client_error << " / " << pair.stream->error().detail;
  EXPECT_EQ(pair.stream->handshake().version, GetParam());
  EXPECT_EQ(pair.stream->handshake().server_name, "a.test");
  EXPECT_FALSE(pair.stream->handshake().is_resumed);
  EXPECT_EQ(pair.stream->handshake().alpn, "");
  EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(pair.client.get())), 2);
  EXPECT_EQ(pair.stream->bundle(), pair.delegate.bundle);
  EXPECT_EQ(pair.delegate.hellos, 1);
}

TEST_P(BothVersions, ResumesInAnotherContextWithTheSameTickets) {
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.Finish();
  pair.context = pair.Make(TlsPair::DefaultOptions());
  ASSERT_TRUE(Resume(pair)) << pair.client_error;
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  EXPECT_EQ(pair.stream->handshake().server_name, "a.test") << "kept over a resumption";
}

TEST_P(BothVersions, ResumesAfterARotationAndGetsANewTicket) {
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.Finish();
  auto rotate = [&](int times) {
    for (int i = 0; i < times; ++i) pair.tickets = TicketKeys::Rotate(pair.tickets.get());
    pair.context->SetTicketKeys(pair.tickets);
  };
  rotate(11);
  ASSERT_TRUE(Resume(pair));
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  pair.Finish();
  // The key of the first ticket is gone now; that of the ticket that came with the resumption is not.
  rotate(5);
  ASSERT_TRUE(Resume(pair));
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  pair.Finish();
  rotate(12);
  ASSERT_TRUE(Resume(pair));
  EXPECT_FALSE(pair.stream->handshake().is_resumed);
}

TEST_P(BothVersions, ResumesAfterASwapOfTheCertificate) {
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.Finish();
  BundlePtr before = pair.delegate.bundle;
  pair.delegate.bundle = TlsPair::Ca().Bundle({"a.test"});
  ASSERT_TRUE(Resume(pair));
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  // The session stays that of its first leaf, also over the tickets of a resumption.
  pair.Finish();
  pair.delegate.revoked = before->leaf().sha256();
  ASSERT_TRUE(Resume(pair));
  EXPECT_FALSE(pair.stream->handshake().is_resumed);
}

TEST_P(BothVersions, DoesNotResumeUnderARevokedLeaf) {
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.Finish();
  pair.delegate.revoked = pair.delegate.bundle->leaf().sha256();
  ASSERT_TRUE(Resume(pair)) << pair.client_error;
  EXPECT_FALSE(pair.stream->handshake().is_resumed);
}

TEST_P(BothVersions, DoesNotResumeInAnotherSessionContext) {
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.Finish();
  pair.delegate.session_context = std::string(32, 'x');
  ASSERT_TRUE(Resume(pair)) << pair.client_error;
  EXPECT_FALSE(pair.stream->handshake().is_resumed);
}

TEST_P(BothVersions, SendsTheStapleUntilItsNextUpdate) {
  auto staple = std::make_shared<Staple>();
  staple->der = "a staple";
  staple->next_update = pair.clock.Wall() + Seconds(60);
  pair.delegate.bundle = pair.delegate.bundle->WithStaple(staple);
  pair.Open();
  SSL_set_tlsext_status_type(pair.client.get(), TLSEXT_STATUSTYPE_ocsp);
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  const char* seen = nullptr;
  long length = SSL_get_tlsext_status_ocsp_resp(pair.client.get(), &seen);
  EXPECT_EQ(std::string(seen, static_cast<size_t>(length)), "a staple");
  EXPECT_TRUE(pair.stream->handshake().has_sent_staple);

  pair.clock.Advance(Seconds(60));
  pair.Open();
  SSL_set_tlsext_status_type(pair.client.get(), TLSEXT_STATUSTYPE_ocsp);
  ASSERT_TRUE(pair.Handshake());
  EXPECT_EQ(SSL_get_tlsext_status_ocsp_resp(pair.client.get(), &seen), -1);
  EXPECT_FALSE(pair.stream->handshake().has_sent_staple);

  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  EXPECT_FALSE(pair.stream->handshake().has_sent_staple) << "nobody asked";
}

TEST_P(BothVersions, AgreesOnAProtocolInOurOrder) {
  pair.Open();
  SSL_set_alpn_protos(pair.client.get(), AsBytes("\x08http/1.1\x02h2").data(), 12);
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_EQ(pair.stream->handshake().alpn, "h2");
}

TEST_P(BothVersions, AgreesOnHttp10WithAClientThatSpeaksNothingElse) {
  pair.Open();
  SSL_set_alpn_protos(pair.client.get(), AsBytes("\x08http/1.0").data(), 9);
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_EQ(pair.stream->handshake().alpn, "http/1.0");
}

TEST_P(BothVersions, NoCommonProtocolIsAnAlert) {
  pair.Open();
  SSL_set_alpn_protos(pair.client.get(), AsBytes("\x04spdy").data(), 5);
  EXPECT_FALSE(pair.Handshake());
  EXPECT_NE(pair.client_error.find("no application protocol"), std::string::npos)
      << pair.client_error;
  EXPECT_EQ(pair.stream->alert(), "no application protocol");
}

TEST_P(BothVersions, NoCertificateIsTheChosenAlert) {
  pair.delegate.bundle = nullptr;
  pair.Open();
  EXPECT_FALSE(pair.Handshake());
  EXPECT_NE(pair.client_error.find("unrecognized name"), std::string::npos) << pair.client_error;
  pair.delegate.alert = 80;
  pair.Open();
  EXPECT_FALSE(pair.Handshake());
  EXPECT_NE(pair.client_error.find("internal error"), std::string::npos) << pair.client_error;
}

TEST_P(BothVersions, ServesRsaToWhomEcdsaIsUnknown) {
  pair.delegate.rsa_bundle = TlsPair::Ca().Bundle({"a.test"}, testing::KeyKind::kRsa);
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  EXPECT_TRUE(pair.stream->bundle()->leaf().is_ecdsa());
  // The test's CA signs with ECDSA, so the client cannot verify it.
  SSL_CTX_set_verify(pair.client_context.get(), SSL_VERIFY_NONE, nullptr);
  pair.Open();
  SSL_set1_sigalgs_list(pair.client.get(), "RSA-PSS+SHA256:RSA+SHA256");
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_FALSE(pair.delegate.hello.offers_ecdsa);
  EXPECT_TRUE(pair.stream->bundle()->leaf().is_rsa());
}

TEST_P(BothVersions, RequiredClientCertificateIsVerified) {
  auto person = TlsPair::Ca().LeafWith({.common_name = "Alice", .extended_key_usage = "clientAuth"});
  testing::TestCa other("Other");
  auto stranger = other.LeafWith({.common_name = "Mallory", .extended_key_usage = "clientAuth"});
  TlsPolicy policy;
  policy.client_certificates = TlsPolicy::ClientCertificates::kRequire;
  policy.client_ca = TlsPair::Ca().intermediate().pem();
  pair.delegate.site_policy = &policy;

  pair.Open();
  SSL_use_certificate(pair.client.get(), person.certificate->x509());
  SSL_use_PrivateKey(pair.client.get(), person.key->get());
  ASSERT_TRUE(pair.Handshake()) << pair.client_error << " / " << pair.stream->error().detail;
  EXPECT_EQ(pair.stream->handshake().client_subject, "CN=Alice");
  ASSERT_NE(pair.stream->handshake().client_certificate, nullptr);
  EXPECT_EQ(pair.stream->handshake().client_certificate->der(), person.certificate->der());

  pair.Open();
  bool is_done = pair.Handshake();
  EXPECT_FALSE(is_done && pair.stream->is_handshake_done()) << "none";
  EXPECT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.is_over; }));

  pair.Open();
  SSL_use_certificate(pair.client.get(), stranger.certificate->x509());
  SSL_use_PrivateKey(pair.client.get(), stranger.key->get());
  pair.Handshake();
  EXPECT_FALSE(pair.stream->is_handshake_done()) << "a stranger's";
}

TEST(ServerContext, RequestedClientCertificateMayBeMissing) {
  TlsPair pair;
  TlsPolicy policy;
  policy.client_certificates = TlsPolicy::ClientCertificates::kRequest;
  policy.client_ca = TlsPair::Ca().root().pem();
  pair.delegate.site_policy = &policy;
  pair.Open();
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_EQ(pair.stream->handshake().client_subject, "");
  EXPECT_EQ(pair.stream->handshake().client_certificate, nullptr);
}

TEST(ServerContext, SitePolicyMayRaiseOrLowerTheVersion) {
  TlsPair pair;
  TlsPolicy modern{.profile = Profile::kModern};
  SSL_CTX_set_max_proto_version(pair.client_context.get(), TLS1_2_VERSION);
  pair.delegate.site_policy = &modern;
  pair.Open();
  EXPECT_FALSE(pair.Handshake());
  EXPECT_NE(pair.client_error.find("protocol version"), std::string::npos) << pair.client_error;

  TlsPolicy old{.profile = Profile::kOld, .min_version = TLS1_VERSION};
  pair.delegate.site_policy = &old;
  SSL_CTX_set_min_proto_version(pair.client_context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(pair.client_context.get(), TLS1_VERSION);
  pair.Open();
  ASSERT_TRUE(pair.Handshake()) << pair.client_error << " / " << pair.stream->error().detail;
  EXPECT_EQ(pair.stream->handshake().version, TLS1_VERSION);

  pair.delegate.site_policy = nullptr;
  pair.Open();
  EXPECT_FALSE(pair.Handshake()) << "the listener's policy still holds for others";
}

TEST(ServerContext, TakesOnlyForwardSecretAuthenticatedSuites) {
  TlsPair pair;
  SSL_CTX_set_max_proto_version(pair.client_context.get(), TLS1_2_VERSION);
  for (const char* suite : {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA",
                            "DHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-SHA384"}) {
    pair.delegate.rsa_bundle = TlsPair::Ca().Bundle({"a.test"}, testing::KeyKind::kRsa);
    pair.Open();
    SSL_set_cipher_list(pair.client.get(), suite);
    EXPECT_FALSE(pair.Handshake()) << suite;
  }
}

TEST(ServerContext, SendsOneTicketOrAsManyAsAskedFor) {
  for (int tickets : {1, 2}) {
    ServerContextOptions options = TlsPair::DefaultOptions();
    if (tickets != 1) options.tickets_per_handshake = tickets;
    TlsPair pair(options);
    pair.Open();
    ASSERT_TRUE(pair.Handshake());
    pair.Finish();
    EXPECT_EQ(pair.sessions.size(), static_cast<size_t>(tickets));
    EXPECT_EQ(SSL_SESSION_get_ticket_lifetime_hint(pair.sessions.back().get()), 12u * 3600);
  }
}

TEST(ServerContext, RefusesAClientCaWithoutCertificates) {
  ServerContextOptions options;
  options.policy.client_certificates = TlsPolicy::ClientCertificates::kRequire;
  options.policy.client_ca = "nothing";
  ManualClock clock;
  EXPECT_FALSE(ServerContext::Make(options, TicketKeys::Rotate(nullptr), clock));
}

}  // namespace
}  // namespace genkan::tls
