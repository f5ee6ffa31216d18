#include "proxy/tls/tls13_handshake.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <ctime>
#include <map>

#include "proxy/base/text.h"
#include "proxy/tls/provider/provider.h"
#include "proxy/tls/session_ticket.h"
#include "tests/unit/tls/from_hex.h"
#include "tests/unit/tls/tls_pair.h"

namespace genkan::tls {
namespace {

constexpr const char* kSuites[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                   "TLS_CHACHA20_POLY1305_SHA256"};

// A pair of which the client has a session, made by a whole handshake.
struct SessionPair : TlsPair {
  explicit SessionPair(const char* suite = kSuites[0],
                       ServerContextOptions options = DefaultOptions(),
                       const TlsPolicy* policy = nullptr, int version = TLS1_3_VERSION)
      : TlsPair(std::move(options)) {
    delegate.site_policy = policy;
    SSL_CTX_set_max_proto_version(client_context.get(), version);
    SSL_CTX_set_ciphersuites(client_context.get(), suite);
    // The first of ours is a share that the client sends.
    SSL_CTX_set1_groups_list(client_context.get(), "X25519:P-256");
    Open();
    EXPECT_TRUE(Handshake()) << client_error;
    Finish();
    EXPECT_FALSE(sessions.empty());
  }
  void OpenWithSession() {
    Open();
    SSL_set_session(client.get(), sessions.back().get());
    delegate.hellos = 0;
    by_libssl = SSL_CTX_sess_accept(context->get());
  }
  bool Resume() {
    OpenWithSession();
    return Handshake();
  }
  // Of the connection that is open: libssl counts those that it began.
  bool was_without_libssl() const { return SSL_CTX_sess_accept(context->get()) == by_libssl; }

  long by_libssl = 0;
};

TEST(Resumption, IsDoneWithoutLibsslUnderEachSuiteTimeAndAgain) {
  for (const char* suite : kSuites) {
    SessionPair pair(suite);
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(pair.Resume()) << suite << pair.client_error << pair.stream->error().detail;
      EXPECT_TRUE(pair.was_without_libssl()) << suite;
      EXPECT_EQ(SSL_session_reused(pair.client.get()), 1);
      EXPECT_TRUE(pair.stream->handshake().is_resumed);
      EXPECT_EQ(pair.stream->handshake().version, TLS1_3_VERSION);
      EXPECT_EQ(pair.stream->handshake().cipher, suite);
      EXPECT_EQ(pair.stream->handshake().server_name, "a.test");
      EXPECT_EQ(pair.stream->handshake().alpn, "");
      EXPECT_EQ(pair.stream->bundle(), pair.delegate.bundle);
      EXPECT_TRUE(pair.stream->has_record_layer());
      EXPECT_EQ(pair.delegate.hellos, 1);
      EXPECT_EQ(pair.delegate.hello.server_name, "a.test");
      ASSERT_EQ(SSL_write(pair.client.get(), "question", 8), 8);
      ASSERT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.in.size() == 8; }));
      pair.Finish();
      EXPECT_EQ(pair.received, "bye");
      EXPECT_EQ(pair.sessions.size(), static_cast<size_t>(i + 2));
    }
  }
}

TEST(Resumption, AgreesOnAProtocolAnew) {
  SessionPair pair;
  for (auto [offer, agreed] :
       {std::pair("\x08http/1.1\x02h2", "h2"), std::pair("\x08http/1.1", "http/1.1")}) {
    pair.OpenWithSession();
    SSL_set_alpn_protos(pair.client.get(), AsBytes(offer).data(),
                        static_cast<unsigned>(std::string_view(offer).size()));
    ASSERT_TRUE(pair.Handshake()) << pair.client_error;
    EXPECT_TRUE(pair.was_without_libssl()) << agreed;
    EXPECT_EQ(pair.stream->handshake().alpn, agreed);
    const unsigned char* seen = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(pair.client.get(), &seen, &length);
    EXPECT_EQ(AsText({seen, length}), agreed);
    pair.Finish();
  }
  pair.OpenWithSession();
  SSL_set_alpn_protos(pair.client.get(), AsBytes("\x04spdy").data(), 5);
  EXPECT_FALSE(pair.Handshake());
  EXPECT_NE(pair.client_error.find("no application protocol"), std::string::npos);
  EXPECT_EQ(pair.delegate.hellos, 1);
}

TEST(Resumption, SuitesOfTheSameHashTakeASession) {
  SessionPair pair(kSuites[0]);
  SSL_CTX_set_ciphersuites(pair.client_context.get(), kSuites[2]);
  ASSERT_TRUE(pair.Resume()) << pair.client_error;
  EXPECT_TRUE(pair.was_without_libssl());
  EXPECT_EQ(pair.stream->handshake().cipher, kSuites[2]);
  pair.Finish();
  SSL_CTX_set_ciphersuites(pair.client_context.get(), kSuites[1]);
  ASSERT_TRUE(pair.Resume()) << pair.client_error;
  EXPECT_FALSE(pair.stream->handshake().is_resumed);
}

// The questions that make it a whole handshake: whoever is asked is asked once.
TEST(Resumption, WhatMayNotResumeIsAWholeHandshakeOfLibssls) {
  const auto revoke = [](SessionPair& pair) {
    pair.delegate.revoked = pair.delegate.bundle->leaf().sha256();
  };
  const auto other_site = [](SessionPair& pair) {
    pair.delegate.session_context = std::string(32, 'x');
  };
  const auto new_keys = [](SessionPair& pair) {
    pair.context->SetTicketKeys(TicketKeys::Rotate(nullptr));
  };
  const auto no_keys = [](SessionPair& pair) { pair.context->SetTicketKeys(nullptr); };
  for (const std::function<void(SessionPair&)>& change :
       {std::function<void(SessionPair&)>(revoke), {other_site}, {new_keys}, {no_keys}}) {
    SessionPair pair;
    change(pair);
    ASSERT_TRUE(pair.Resume()) << pair.client_error;
    EXPECT_FALSE(pair.was_without_libssl());
    EXPECT_FALSE(pair.stream->handshake().is_resumed);
    EXPECT_EQ(pair.delegate.hellos, 1);
  }
  SessionPair pair;
  pair.delegate.bundle = nullptr;
  EXPECT_FALSE(pair.Resume());
  EXPECT_NE(pair.client_error.find("unrecognized name"), std::string::npos) << pair.client_error;
  EXPECT_EQ(pair.delegate.hellos, 1);
}

TEST(Resumption, AnotherGroupIsLibssls) {
  SessionPair pair;
  for (const char* groups : {"P-256", "P-256:X25519", "P-521:X25519"}) {
    SSL_CTX_set1_groups_list(pair.client_context.get(), groups);
    ASSERT_TRUE(pair.Resume()) << groups << pair.client_error;
    EXPECT_TRUE(pair.stream->handshake().is_resumed) << groups;
    EXPECT_FALSE(pair.was_without_libssl()) << groups;
    pair.Finish();
  }
}

TEST(Resumption, ASiteThatAsksForCertificatesIsLibssls) {
  TlsPolicy policy;
  policy.client_certificates = TlsPolicy::ClientCertificates::kRequest;
  policy.client_ca = TlsPair::Ca().root().pem();
  SessionPair pair(kSuites[0], TlsPair::DefaultOptions(), &policy);
  ASSERT_TRUE(pair.Resume()) << pair.client_error;
  EXPECT_FALSE(pair.was_without_libssl());
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  // A session from before the site asked, under a context that is the same by mistake.
  SessionPair other;
  other.delegate.site_policy = &policy;
  ASSERT_TRUE(other.Resume()) << other.client_error;
  EXPECT_FALSE(other.was_without_libssl());
}

// Nor does libssl: it asks nobody for a certificate in a resumption.
TEST(Resumption, ASessionWithoutACertificateIsNoneWhereOneIsRequired) {
  TlsPolicy policy;
  policy.client_certificates = TlsPolicy::ClientCertificates::kRequire;
  policy.client_ca = TlsPair::Ca().root().pem();
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    SessionPair pair(kSuites[0], TlsPair::DefaultOptions(), nullptr, version);
    pair.delegate.site_policy = &policy;
    pair.Resume();
    EXPECT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.is_over; })) << version;
    EXPECT_FALSE(pair.stream->is_handshake_done()) << version;
    EXPECT_NE(pair.stream->error().detail.find("peer did not return a certificate"),
              std::string::npos)
        << pair.stream->error().detail;
  }
}

TEST(Resumption, ASuiteThatOpensslIsConfiguredWithoutIsNotAgreedOn) {
  SessionPair pair(kSuites[0]);
  SSL_CTX_set_ciphersuites(pair.context->get(), kSuites[0]);
  SSL_CTX_set_ciphersuites(pair.client_context.get(),
                           "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256");
  ASSERT_TRUE(pair.Resume()) << pair.client_error;
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  EXPECT_EQ(pair.stream->handshake().cipher, kSuites[0]);
}

TEST(Resumption, WithoutOurProviderAllIsLibssls) {
  ServerContextOptions options = TlsPair::DefaultOptions();
  options.policy.own_provider = false;
  SessionPair pair(kSuites[0], options);
  ASSERT_TRUE(pair.Resume()) << pair.client_error;
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  EXPECT_FALSE(pair.was_without_libssl());
}

// No ticket of ours invites them: libssl skips what a client sends all the same, and the records
// behind it are counted from the start.
TEST(Resumption, EarlyDataAreSkippedAndTheRestArrives) {
  SessionPair pair;
  SSL_SESSION_set_max_early_data(pair.sessions.back().get(), 16'384);
  pair.OpenWithSession();
  size_t written = 0;
  const std::string early(1000, 'e');
  ASSERT_EQ(SSL_write_early_data(pair.client.get(), early.data(), early.size(), &written), 1)
      << TakeOpensslErrors();
  ASSERT_TRUE(pair.Handshake()) << pair.client_error << pair.stream->error().detail;
  EXPECT_FALSE(pair.was_without_libssl());
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  EXPECT_EQ(SSL_get_early_data_status(pair.client.get()), SSL_EARLY_DATA_REJECTED);
  EXPECT_TRUE(pair.stream->has_record_layer());
  ASSERT_EQ(SSL_write(pair.client.get(), "question", 8), 8);
  ASSERT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.in.size() >= 8; }));
  EXPECT_EQ(pair.reader.in.ToText(), "question");
  pair.Finish();
  EXPECT_EQ(pair.received, "bye");
}

TEST(Resumption, ARequestThatComesWithFinishedIsRead) {
  for (size_t step : {size_t{1}, size_t{10'000}}) {
    SessionPair pair;
    pair.OpenWithSession();
    pair.Shake();
    ASSERT_TRUE(testing::Eventually(pair.loop, [&] { return pair.stream->bundle() != nullptr; }));
    ASSERT_NO_FATAL_FAILURE(pair.FinishWith("question", step));
    pair.Finish();
    EXPECT_EQ(pair.received, "bye");
    EXPECT_TRUE(pair.was_without_libssl());
  }
}

// The client's first flight, which then goes nowhere by itself.
std::string TakeHello(SessionPair& pair) {
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set0_wbio(pair.client.get(), out);
  pair.Shake();
  char* bytes = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(out, &bytes));
  return {bytes, size};
}

TEST(Resumption, AHelloInPiecesIsTakenOrLeftWhole) {
  for (size_t first : {1u, 5u, 100u}) {
    SessionPair pair;
    pair.OpenWithSession();
    const std::string hello = TakeHello(pair);
    ASSERT_EQ(write(pair.fd.get(), hello.data(), first), static_cast<ssize_t>(first));
    for (int i = 0; i < 3; ++i) pair.loop.RunOnce();
    EXPECT_FALSE(pair.stream->is_handshake_done());
    ASSERT_EQ(write(pair.fd.get(), hello.data() + first, hello.size() - first),
              static_cast<ssize_t>(hello.size() - first));
    SSL_set0_wbio(pair.client.get(), BIO_new_socket(pair.fd.get(), BIO_NOCLOSE));
    ASSERT_TRUE(pair.Handshake()) << pair.client_error;
    EXPECT_TRUE(pair.was_without_libssl());
  }
}

// The client's session with another ticket of the same length in it.
SslSessionPtr WithTicket(const SSL_SESSION* session, const TicketKey& key, int64_t made,
                         std::string_view leaf) {
  std::string secret(64, '\0');
  secret.resize(SSL_SESSION_get_master_key(session, reinterpret_cast<unsigned char*>(secret.data()),
                                           secret.size()));
  const std::string context(32, 's');
  TicketSession fields{0x1301, AsBytes(secret), context, leaf, made, 43'200, 0x7fffffff};
  std::array<unsigned char, kMostSessionDer> plain;
  const size_t plain_size = WriteSession(fields, plain);
  TicketSealer sealer(key, EVP_aes_256_cbc());
  std::array<unsigned char, TicketSealer::kMostSealed> sealed;
  const std::string iv(16, 'i');
  const size_t size = sealer.Seal(AsBytes(iv), {plain.data(), plain_size}, sealed);
  const unsigned char* before = nullptr;
  size_t before_size = 0;
  SSL_SESSION_get0_ticket(session, &before, &before_size);
  EXPECT_EQ(size, before_size);
  unsigned char* der = nullptr;
  const int length = i2d_SSL_SESSION(const_cast<SSL_SESSION*>(session), &der);
  std::string text(AsText({der, static_cast<size_t>(length)}));
  OPENSSL_free(der);
  text.replace(text.find(AsText({before, before_size})), size, AsText({sealed.data(), size}));
  const unsigned char* at = AsBytes(text).data();
  return SslSessionPtr(d2i_SSL_SESSION(nullptr, &at, length));
}

TEST(Resumption, ATicketLivesAsLongAsItSays) {
  SessionPair pair;
  const TicketKey& key = pair.tickets->keys().front();
  const std::string leaf = pair.delegate.bundle->leaf().sha256();
  const int64_t now = std::time(nullptr);
  struct Case {
    int64_t made;
    std::string leaf;
    bool resumes, is_ours;
  };
  for (const Case& given : {Case{now - 43'000, leaf, true, true},
                            {now - 43'201, leaf, false, false},
                            // An instance whose clock is ahead: libssl takes it.
                            {now + 1000, leaf, true, false},
                            {now, std::string(31, 'l'), false, false}}) {
    pair.sessions.push_back(WithTicket(pair.sessions.front().get(), key, given.made, given.leaf));
    ASSERT_NE(pair.sessions.back(), nullptr);
    ASSERT_TRUE(pair.Resume()) << pair.client_error;
    EXPECT_EQ(pair.stream->handshake().is_resumed, given.resumes) << given.made - now;
    EXPECT_EQ(pair.was_without_libssl(), given.is_ours) << given.made - now;
  }
}

// ---- a client of OpenSSL's against the class alone, whose bytes can be changed on their way

struct Wire {
  explicit Wire(const char* suite = kSuites[0]) : pair(suite) {
    SSL_CTX_set_keylog_callback(pair.client_context.get(), [](const SSL* ssl, const char* line) {
      auto& self = *static_cast<Wire*>(SSL_get_app_data(ssl));
      const std::string_view text = line;
      self.secrets[std::string(text.substr(0, text.find(' ')))] =
          FromHex(text.substr(text.rfind(' ') + 1));
    });
    client.reset(SSL_new(pair.client_context.get()));
    SSL_set_app_data(client.get(), this);
    SSL_set_bio(client.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_tlsext_host_name(client.get(), "a.test");
    SSL_set_session(client.get(), pair.sessions.back().get());
    SSL_set_connect_state(client.get());
    SSL_do_handshake(client.get());
    hello = Sent();
    psk.resize(64);
    psk.resize(SSL_SESSION_get_master_key(
        pair.sessions.back().get(), reinterpret_cast<unsigned char*>(psk.data()), psk.size()));
  }
  std::string Sent() {
    std::string bytes(BIO_ctrl_pending(SSL_get_wbio(client.get())), '\0');
    if (!bytes.empty())
      BIO_read(SSL_get_wbio(client.get()), bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  // The client has taken our flight; `flight` is what it sent then, `inside` its Finished.
  void Begin() {
    parsed = ParseTls13Hello(hello);
    ASSERT_TRUE(parsed);
    ASSERT_TRUE(Tls13Handshake::IsBound(*parsed, AsBytes(psk)));
    server = Tls13Handshake::Resume(*parsed, AsBytes(psk), {}, out);
    ASSERT_NE(server, nullptr);
    const std::string_view ours = out.Linear(out.size());
    BIO_write(SSL_get_rbio(client.get()), ours.data(), static_cast<int>(ours.size()));
    out.Clear();
    ASSERT_EQ(SSL_do_handshake(client.get()), 1) << TakeOpensslErrors();
    flight = Sent();
    auto reading =
        RecordLayer::MakeServer(server->suite(), secrets["CLIENT_HANDSHAKE_TRAFFIC_SECRET"],
                                secrets["SERVER_HANDSHAKE_TRAFFIC_SECRET"], 0);
    ASSERT_NE(reading, nullptr);
    uint8_t type = 0;
    Buffer in(std::string_view(flight).substr(6));
    ASSERT_EQ(reading->OpenOne(in, type, inside), RecordLayer::State::kOk);
    ASSERT_EQ(type, 22);
    // What this seals, the server opens.
    sealing = RecordLayer::MakeServer(server->suite(), secrets["SERVER_HANDSHAKE_TRAFFIC_SECRET"],
                                      secrets["CLIENT_HANDSHAKE_TRAFFIC_SECRET"], 0);
  }
  std::string Sealed(std::string_view handshake) {
    Buffer sealed;
    sealing->SealHandshake(handshake, sealed);
    return std::string(sealed.Linear(sealed.size()));
  }
  Tls13Handshake::State Receive(std::string_view bytes) {
    Buffer in(bytes);
    const auto state = server->Receive(in, out);
    left = in.size();
    return state;
  }

  SessionPair pair;
  std::map<std::string, std::string> secrets;
  SslPtr client;
  std::string hello, psk, flight, inside;
  std::optional<Tls13Hello> parsed;
  std::unique_ptr<Tls13Handshake> server;
  std::unique_ptr<RecordLayer> sealing;
  Buffer out;
  size_t left = 0;
};

TEST(Resumption, ItsSecretsAreTheClients) {
  for (const char* suite : kSuites) {
    Wire wire(suite);
    ASSERT_NO_FATAL_FAILURE(wire.Begin());
    ASSERT_EQ(wire.Receive(wire.flight + "next"), Tls13Handshake::State::kDone)
        << wire.server->reason();
    EXPECT_EQ(wire.left, 4u) << "what is behind is the application's";
    EXPECT_TRUE(wire.out.empty());
    auto records = wire.server->TakeRecords();
    ASSERT_NE(records, nullptr);
    Buffer from("answer"), to;
    records->Seal(from, to, 1000);
    const std::string_view sealed = to.Linear(to.size());
    BIO_write(SSL_get_rbio(wire.client.get()), sealed.data(), static_cast<int>(sealed.size()));
    char got[16];
    ASSERT_EQ(SSL_read(wire.client.get(), got, sizeof got), 6);
    EXPECT_EQ(std::string_view(got, 6), "answer");
  }
}

TEST(Resumption, AFlightInPiecesIsTaken) {
  Wire wire;
  ASSERT_NO_FATAL_FAILURE(wire.Begin());
  Buffer in;
  for (size_t i = 0; i < wire.flight.size(); ++i) {
    in.Append(std::string_view(wire.flight).substr(i, 1));
    const auto state = wire.server->Receive(in, wire.out);
    EXPECT_EQ(state,
              i + 1 < wire.flight.size() ? Tls13Handshake::State::kNeedMore : Tls13Handshake::State::kDone);
  }
  Wire other;
  ASSERT_NO_FATAL_FAILURE(other.Begin());
  const std::string front = other.Sealed(other.inside.substr(0, 3));
  EXPECT_EQ(other.Receive(front), Tls13Handshake::State::kNeedMore);
  EXPECT_EQ(other.Receive(other.Sealed(other.inside.substr(3))), Tls13Handshake::State::kDone)
      << "a message over two records";
}

TEST(Resumption, WhatIsNoFinishedOfThatClientsEndsWithItsAlert) {
  constexpr std::string_view kChange("\x14\x03\x03\x00\x01\x01", 6);
  struct Case {
    const char* name;
    std::function<std::string(Wire&)> bytes;
    int alert;
  };
  const auto changed = [](std::string text, size_t at) {
    text[at] ^= 1;
    return text;
  };
  for (const Case& given : {
           Case{"verify_data", [&](Wire& w) { return w.Sealed(changed(w.inside, 4)); }, 51},
           Case{"its end",
                [&](Wire& w) { return w.Sealed(changed(w.inside, w.inside.size() - 1)); }, 51},
           Case{"its length", [&](Wire& w) { return w.Sealed(changed(w.inside, 3)); }, 50},
           Case{"a length of 16 MiB", [&](Wire& w) { return w.Sealed(changed(w.inside, 1)); }, 50},
           Case{"its type", [&](Wire& w) { return w.Sealed(changed(w.inside, 0)); }, 10},
           Case{"more behind", [](Wire& w) { return w.Sealed(w.inside + "x"); }, 10},
           Case{"twice in a record", [](Wire& w) { return w.Sealed(w.inside + w.inside); }, 10},
           Case{"nothing", [](Wire& w) { return w.Sealed(""); }, 10},
           Case{"a KeyUpdate",
                [](Wire& w) { return w.Sealed(std::string("\x18\x00\x00\x01\x00", 5)); }, 10},
           Case{"the record", [&](Wire& w) { return changed(w.flight, w.flight.size() - 1); }, 20},
           Case{"in the clear",
                [](Wire& w) { return std::string("\x16\x03\x03\x00\x24", 5) + w.inside; }, 10},
           Case{"data before it",
                [](Wire& w) {
                  Buffer from("GET /"), to;
                  w.sealing->Seal(from, to, 1000);
                  return std::string(to.Linear(to.size()));
                },
                10},
           Case{"another ChangeCipherSpec",
                [](Wire&) { return std::string("\x14\x03\x03\x00\x01\x02", 6); }, 10},
           Case{"ChangeCipherSpec for ever",
                [&](Wire&) {
                  std::string many;
                  for (int i = 0; i < 65; ++i) many += kChange;
                  return many;
                },
                10},
           Case{"a record too long", [](Wire&) { return std::string("\x17\x03\x03\x41\x01", 5); },
                22},
       }) {
    Wire wire;
    ASSERT_NO_FATAL_FAILURE(wire.Begin());
    EXPECT_EQ(wire.Receive(given.bytes(wire)), Tls13Handshake::State::kFailed) << given.name;
    EXPECT_EQ(wire.server->alert_owed(), given.alert) << given.name << wire.server->reason();
    EXPECT_FALSE(wire.server->reason().empty()) << given.name;
    // The client sees that alert: behind our Finished all is under the keys of the application.
    const std::string_view sealed = wire.out.Linear(wire.out.size());
    EXPECT_EQ(sealed.size(), 24u) << given.name;
    BIO_write(SSL_get_rbio(wire.client.get()), sealed.data(), static_cast<int>(sealed.size()));
    char nothing;
    EXPECT_LE(SSL_read(wire.client.get(), &nothing, 1), 0) << given.name;
    EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_AD_REASON_OFFSET + given.alert)
        << given.name << ": " << TakeOpensslErrors();
    EXPECT_EQ(wire.Receive(wire.flight), Tls13Handshake::State::kFailed) << "for good";
  }
}

// libssl takes it so (RFC 8446 5.1): whoever sends small records sends many.
TEST(Resumption, AFinishedInRecordsOfOneByteIsTaken) {
  Wire wire;
  ASSERT_NO_FATAL_FAILURE(wire.Begin());
  std::string records;
  for (char one : wire.inside) records += wire.Sealed({&one, 1});
  EXPECT_EQ(wire.Receive(records), Tls13Handshake::State::kDone) << wire.server->reason();
}

// RFC 8446 6.1: no end by itself; what ends a connection follows it.
TEST(Resumption, AClientThatSaysUserCanceledGoesOn) {
  Wire wire;
  ASSERT_NO_FATAL_FAILURE(wire.Begin());
  Buffer sealed;
  wire.sealing->SealAlert(SSL3_AL_WARNING, SSL_AD_USER_CANCELLED, sealed);
  EXPECT_EQ(wire.Receive(sealed.Linear(sealed.size())), Tls13Handshake::State::kNeedMore);
  EXPECT_EQ(wire.Receive(wire.Sealed(wire.inside)), Tls13Handshake::State::kDone)
      << wire.server->reason();
}

TEST(Resumption, AnAlertOfTheClientsIsAFailureThatIsNotAnswered) {
  for (bool is_sealed : {true, false}) {
    Wire wire;
    ASSERT_NO_FATAL_FAILURE(wire.Begin());
    Buffer sealed;
    wire.sealing->SealAlert(SSL3_AL_FATAL, SSL_AD_DECRYPT_ERROR, sealed);
    EXPECT_EQ(wire.Receive(is_sealed ? std::string(sealed.Linear(sealed.size()))
                                     : std::string("\x15\x03\x03\x00\x02\x02\x33", 7)),
              Tls13Handshake::State::kFailed);
    EXPECT_EQ(wire.server->alert_received(), SSL_AD_DECRYPT_ERROR);
    EXPECT_EQ(wire.server->alert_owed(), 0);
    EXPECT_TRUE(wire.out.empty());
  }
}

TEST(Resumption, ABinderIsOverAllThatIsBeforeIt) {
  Wire wire;
  auto hello = ParseTls13Hello(wire.hello);
  ASSERT_TRUE(hello);
  const std::string psk = wire.psk;
  std::string other = psk;
  other[0] ^= 1;
  EXPECT_TRUE(Tls13Handshake::IsBound(*hello, AsBytes(psk)));
  EXPECT_FALSE(Tls13Handshake::IsBound(*hello, AsBytes(other)));
  EXPECT_FALSE(Tls13Handshake::IsBound(*hello, AsBytes(psk).first(31)));
  EXPECT_FALSE(Tls13Handshake::IsBound(*hello, {}));
  for (size_t i = 5; i < wire.hello.size(); ++i) {
    std::string changed = wire.hello;
    changed[i] ^= 1;
    auto parsed = ParseTls13Hello(changed);
    EXPECT_FALSE(parsed && Tls13Handshake::IsBound(*parsed, AsBytes(psk))) << i;
  }
}

TEST(Resumption, AWrongBinderIsRefusedByLibssl) {
  SessionPair pair;
  pair.OpenWithSession();
  std::string hello = TakeHello(pair);
  hello.back() ^= 1;
  ASSERT_EQ(write(pair.fd.get(), hello.data(), hello.size()), static_cast<ssize_t>(hello.size()));
  EXPECT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_FALSE(pair.stream->is_handshake_done());
  EXPECT_FALSE(pair.was_without_libssl());
  EXPECT_EQ(pair.stream->alert(), "illegal parameter") << pair.stream->error().detail;
}

TEST(Resumption, ALowOrderShareIsNotAnswered) {
  Wire wire;
  auto hello = ParseTls13Hello(wire.hello);
  ASSERT_TRUE(hello);
  const std::string zeros(32, '\0');
  hello->share = zeros;
  EXPECT_EQ(Tls13Handshake::Resume(*hello, AsBytes(wire.psk), {}, wire.out), nullptr);
  EXPECT_TRUE(wire.out.empty());
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST(Resumption, AClientThatClosesInItHasEnded) {
  Wire wire;
  ASSERT_NO_FATAL_FAILURE(wire.Begin());
  Buffer sealed;
  wire.sealing->SealAlert(SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY, sealed);
  EXPECT_EQ(wire.Receive(sealed.Linear(sealed.size())), Tls13Handshake::State::kFailed);
  EXPECT_TRUE(wire.server->has_ended());
  EXPECT_EQ(wire.server->alert_owed(), 0);
  EXPECT_TRUE(wire.out.empty());
}

// On a stream: bad ends are told to the owner, and nothing is left over.
TEST(Resumption, AClientThatGoesAwayInItIsAFailure) {
  for (bool is_alert : {false, true}) {
    SessionPair pair;
    pair.OpenWithSession();
    pair.Shake();
    ASSERT_TRUE(testing::Eventually(
        pair.loop, [&] { return !pair.was_without_libssl() || pair.stream->bundle() != nullptr; }));
    EXPECT_TRUE(pair.was_without_libssl());
    if (is_alert) {
      ASSERT_EQ(write(pair.fd.get(), "\x15\x03\x03\x00\x02\x02\x50", 7), 7);
    } else {
      pair.client.reset();
      pair.fd.Reset();
    }
    EXPECT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.is_over; }));
    EXPECT_FALSE(pair.stream->is_handshake_done());
    EXPECT_EQ(pair.stream->error().code, is_alert ? ErrorCode::kTls : ErrorCode::kClosed);
    EXPECT_EQ(pair.stream->alert(), is_alert ? "internal error" : "");
  }
}

}  // namespace
}  // namespace genkan::tls
