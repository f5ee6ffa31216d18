#include "proxy/tls/session_ticket.h"

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

#include "proxy/base/text.h"
#include "proxy/tls/provider/tls13_kdf.h"
#include "tests/unit/tls/tls_pair.h"

namespace genkan::tls {
namespace {

std::string Der(const TicketSession& session) {
  std::array<unsigned char, kMostSessionDer> out;
  return std::string(AsText({out.data(), WriteSession(session, out)}));
}

SslSessionPtr Decode(std::string_view der) {
  const unsigned char* at = AsBytes(der).data();
  SslSessionPtr session(d2i_SSL_SESSION(nullptr, &at, static_cast<long>(der.size())));
  if (session != nullptr && at != AsBytes(der).data() + der.size()) return nullptr;
  return session;
}

std::string SecretOf(const SSL_SESSION* session) {
  std::string secret(64, '\0');
  secret.resize(SSL_SESSION_get_master_key(session, reinterpret_cast<unsigned char*>(secret.data()),
                                           secret.size()));
  return secret;
}

std::string ContextOf(const SSL_SESSION* session) {
  unsigned length = 0;
  const unsigned char* bytes = SSL_SESSION_get0_id_context(session, &length);
  return std::string(AsText({bytes, length}));
}

std::string LeafOf(SSL_SESSION* session) {
  void* bytes = nullptr;
  size_t length = 0;
  SSL_SESSION_get0_ticket_appdata(session, &bytes, &length);
  return {static_cast<const char*>(bytes), length};
}

TEST(SessionTicket, LibsslReadsWhatIsWritten) {
  const std::string secret256(32, 'k'), secret384(48, 'K'), context(32, 'c'), leaf(32, 'l');
  for (const TicketSession& session : {
           TicketSession{0x1301, AsBytes(secret256), context, leaf, 1'790'000'000, 43'200, 1},
           TicketSession{0x1302, AsBytes(secret384), context, leaf, 5'000'000'000, 1, 0xffffffff},
           TicketSession{0x1303, AsBytes(secret256), context, leaf, 0x7f, 0x80, 0x80000000},
           TicketSession{0x1301, AsBytes(secret256), context, leaf, 0x80, 0x7fff, 0},
           TicketSession{0x1301, AsBytes(secret256).first(1), "", "", 0xff7f, 0x8000, 0xff},
       }) {
    const std::string der = Der(session);
    SslSessionPtr read = Decode(der);
    ASSERT_NE(read, nullptr) << HexEncode(AsBytes(der)) << TakeOpensslErrors();
    EXPECT_EQ(SSL_SESSION_get_protocol_version(read.get()), TLS1_3_VERSION);
    EXPECT_EQ(SSL_CIPHER_get_protocol_id(SSL_SESSION_get0_cipher(read.get())), session.suite);
    EXPECT_EQ(SecretOf(read.get()), AsText(session.secret));
    EXPECT_EQ(SSL_SESSION_get_time(read.get()), session.made);
    EXPECT_EQ(SSL_SESSION_get_timeout(read.get()), session.lifetime);
    EXPECT_EQ(ContextOf(read.get()), session.context);
    EXPECT_EQ(LeafOf(read.get()), session.leaf);
    EXPECT_EQ(SSL_SESSION_get_max_early_data(read.get()), 0u);
    EXPECT_EQ(SSL_SESSION_get0_peer(read.get()), nullptr);
    unsigned id_length = 1;
    SSL_SESSION_get_id(read.get(), &id_length);
    EXPECT_EQ(id_length, 0u);
  }
}

// libssl writes the group of the key exchange behind, which a resumption settles anew.
TEST(SessionTicket, IsWhatLibsslWritesOfTheSameSession) {
  const std::string secret(32, 'k'), context(32, 'c'), leaf(32, 'l');
  for (uint32_t age_add : {0u, 1u, 0x7fu, 0x80u, 0x8000u, 0x12345678u, 0x80000000u, 0xffffffffu}) {
    const std::string der =
        Der({0x1301, AsBytes(secret), context, leaf, 1'790'000'000, 43'200, age_add});
    SslSessionPtr read = Decode(der);
    ASSERT_NE(read, nullptr);
    unsigned char* made = nullptr;
    const int length = i2d_SSL_SESSION(read.get(), &made);
    ASSERT_GT(length, 0);
    const std::string theirs(AsText({made, static_cast<size_t>(length)}));
    OPENSSL_free(made);
    constexpr size_t kHeader = 3;
    EXPECT_TRUE(theirs.substr(kHeader).starts_with(der.substr(kHeader)))
        << HexEncode(AsBytes(der)) << "\n"
        << HexEncode(AsBytes(theirs));
  }
}

TEST(SessionTicket, RefusesFieldsThatAreTooLong) {
  const std::string secret(49, 'k'), text(33, 'c');
  const auto good = AsBytes(secret).first(48);
  EXPECT_NE(Der({0x1302, good, "", "", 1, 1, 1}), "");
  EXPECT_EQ(Der({0x1302, AsBytes(secret), "", "", 1, 1, 1}), "");
  EXPECT_EQ(Der({0x1302, {}, "", "", 1, 1, 1}), "");
  EXPECT_EQ(Der({0x1302, good, text, "", 1, 1, 1}), "");
  EXPECT_EQ(Der({0x1302, good, "", text, 1, 1, 1}), "");
}

// RFC 5077 4: name, IV, ciphertext, and a MAC over all three; by OpenSSL's own functions.
std::string Unseal(const TicketKey& key, std::string_view ticket) {
  if (ticket.size() < 64 || ticket.substr(0, 16) != AsText(key.name)) return "another key's";
  const std::string_view body = ticket.substr(0, ticket.size() - 32);
  unsigned char mac[EVP_MAX_MD_SIZE];
  HMAC(EVP_sha256(), key.hmac_key.data(), static_cast<int>(key.hmac_key.size()),
       AsBytes(body).data(), body.size(), mac, nullptr);
  if (AsText({mac, 32}) != ticket.substr(body.size())) return "a wrong MAC";
  OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> context(EVP_CIPHER_CTX_new());
  EVP_DecryptInit_ex(context.get(), EVP_aes_256_cbc(), nullptr, key.aes_key.data(),
                     AsBytes(ticket).data() + 16);
  std::string plain(ticket.size(), '\0');
  auto* out = reinterpret_cast<unsigned char*>(plain.data());
  int got = 0, last = 0;
  EVP_DecryptUpdate(context.get(), out, &got, AsBytes(body).data() + 32,
                    static_cast<int>(body.size()) - 32);
  if (EVP_DecryptFinal_ex(context.get(), out + got, &last) != 1) return "a wrong padding";
  return plain.substr(0, static_cast<size_t>(got + last));
}

struct Message {
  uint32_t lifetime, age_add;
  std::string nonce, ticket, extensions;
};

// Takes one NewSessionTicket off the front.
Message Next(std::string_view& in) {
  auto take = [&in](size_t bytes) {
    uint64_t value = 0;
    for (char one : in.substr(0, bytes)) value = value << 8 | static_cast<unsigned char>(one);
    in.remove_prefix(std::min(bytes, in.size()));
    return value;
  };
  auto text = [&](size_t bytes) {
    std::string taken(in.substr(0, bytes));
    in.remove_prefix(taken.size());
    return taken;
  };
  EXPECT_EQ(take(1), 4u);
  const size_t length = take(3);
  const size_t before = in.size();
  Message message;
  message.lifetime = static_cast<uint32_t>(take(4));
  message.age_add = static_cast<uint32_t>(take(4));
  message.nonce = text(take(1));
  message.ticket = text(take(2));
  message.extensions = text(take(2));
  EXPECT_EQ(before - in.size(), length);
  return message;
}

TEST(SessionTicket, EachMessageHasASecretOfItsOwn) {
  const TicketKeysPtr keys = TicketKeys::Rotate(nullptr);
  const TicketKey& key = keys->keys().front();
  TicketSealer sealer(key, EVP_aes_256_cbc());
  const std::string context(32, 'c'), leaf(32, 'l'), master(48, 'm');
  TicketSession session{
      .suite = 0x1302, .context = context, .leaf = leaf, .made = 7, .lifetime = 9};
  std::string messages;
  for (uint8_t number : {0, 1})
    AppendNewSessionTicket(sealer, session, provider::Sha2::kSha384, AsBytes(master), number,
                           messages);
  std::string_view left = messages;
  std::vector<std::string> tickets;
  for (uint8_t number : {0, 1}) {
    const Message message = Next(left);
    EXPECT_EQ(message.lifetime, 9u);
    EXPECT_EQ(message.nonce, std::string(1, static_cast<char>(number)));
    EXPECT_EQ(message.extensions, "");
    SslSessionPtr read = Decode(Unseal(key, message.ticket));
    ASSERT_NE(read, nullptr) << Unseal(key, message.ticket);
    // RFC 8446 4.6.1.
    std::string secret(48, '\0');
    provider::ExpandLabel(provider::Sha2::kSha384, AsBytes(master), AsBytes("tls13 "),
                          AsBytes("resumption"), AsBytes(message.nonce),
                          {reinterpret_cast<unsigned char*>(secret.data()), secret.size()});
    EXPECT_EQ(SecretOf(read.get()), secret);
    EXPECT_EQ(LeafOf(read.get()), leaf);
    tickets.push_back(message.ticket);
  }
  EXPECT_TRUE(left.empty());
  EXPECT_NE(tickets[0].substr(16, 16), tickets[1].substr(16, 16)) << "an IV of its own";
}

TEST(SessionTicket, OpensWhatWasSealedUnderAnyOfTheKeysAndNothingElse) {
  const TicketKeysPtr before = TicketKeys::Rotate(nullptr);
  const TicketKeysPtr keys = TicketKeys::Rotate(before.get());
  const std::string secret(32, 'k'), context(32, 'c'), leaf(32, 'l'), iv(16, 'i');
  for (const TicketKey& key : keys->keys()) {
    std::array<unsigned char, kMostSessionDer> plain;
    const size_t plain_size =
        WriteSession({0x1303, AsBytes(secret), context, leaf, 1'790'000'000, 43'200, 5}, plain);
    std::array<unsigned char, TicketSealer::kMostSealed> sealed;
    const size_t size =
        TicketSealer(key, EVP_aes_256_cbc()).Seal(AsBytes(iv), {plain.data(), plain_size}, sealed);
    const std::string ticket(AsText({sealed.data(), size}));
    TicketOpener opener(keys, EVP_aes_256_cbc());
    {
      TicketOpener::Opened opened;
      ASSERT_TRUE(opener.Open(ticket, opened));
      EXPECT_EQ(opened.session.suite, 0x1303);
      EXPECT_EQ(AsText(opened.session.secret), secret);
      EXPECT_EQ(opened.session.context, context);
      EXPECT_EQ(opened.session.leaf, leaf);
      EXPECT_EQ(opened.session.made, 1'790'000'000);
      EXPECT_EQ(opened.session.lifetime, 43'200u);
      EXPECT_EQ(opened.session.age_add, 5u);
    }
    for (size_t i = 0; i < ticket.size(); ++i) {
      std::string changed = ticket;
      changed[i] ^= 1;
      TicketOpener::Opened opened;
      EXPECT_FALSE(opener.Open(changed, opened)) << i;
      EXPECT_FALSE(opener.Open(ticket.substr(0, i), opened)) << i;
    }
    TicketOpener::Opened opened;
    EXPECT_FALSE(opener.Open(ticket + std::string(16, 'x'), opened));
    EXPECT_FALSE(opener.Open(std::string(5000, 'x'), opened));
    EXPECT_FALSE(TicketOpener(TicketKeys::Rotate(nullptr), EVP_aes_256_cbc()).Open(ticket, opened));
    EXPECT_FALSE(TicketOpener(nullptr, EVP_aes_256_cbc()).Open(ticket, opened));
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

// What is in a NewSessionTicket of ours is in the client's hands; libssl's tickets are longer, for
// they hold names and protocols.
size_t TicketSize(const SSL_SESSION* session) {
  const unsigned char* ticket = nullptr;
  size_t length = 0;
  SSL_SESSION_get0_ticket(session, &ticket, &length);
  return length;
}
constexpr size_t kOurs256 = 16 + 16 + 160 + 32, kOurs384 = kOurs256 + 16;

bool Resume(TlsPair& pair) {
  pair.Open();
  if (pair.sessions.empty()) return false;
  SSL_set_session(pair.client.get(), pair.sessions.back().get());
  return pair.Handshake();
}

TEST(SessionTicket, ResumesTimeAndAgainUnderEachSuite) {
  for (const char* suite :
       {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
    TlsPair pair;
    SSL_CTX_set_ciphersuites(pair.client_context.get(), suite);
    pair.Open();
    SSL_set_alpn_protos(pair.client.get(), AsBytes("\x08http/1.1").data(), 9);
    ASSERT_TRUE(pair.Handshake());
    pair.Finish();
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(pair.sessions.size(), static_cast<size_t>(i + 1)) << suite;
      const size_t size = TicketSize(pair.sessions.back().get());
      EXPECT_EQ(size, std::string_view(suite).ends_with("384") ? kOurs384 : kOurs256) << suite;
      ASSERT_TRUE(Resume(pair)) << suite << pair.client_error;
      EXPECT_TRUE(pair.stream->handshake().is_resumed) << suite;
      pair.Finish();
    }
  }
}

TEST(SessionTicket, AnotherSuiteOfTheSameHashGoesOn) {
  TlsPair pair;
  SSL_CTX_set_ciphersuites(pair.client_context.get(), "TLS_AES_128_GCM_SHA256");
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.Finish();
  for (const auto& [suite, resumes] : {std::pair("TLS_CHACHA20_POLY1305_SHA256", true),
                                       std::pair("TLS_AES_256_GCM_SHA384", false)}) {
    SSL_CTX_set_ciphersuites(pair.client_context.get(), suite);
    ASSERT_TRUE(Resume(pair)) << suite << pair.client_error;
    EXPECT_EQ(pair.stream->handshake().is_resumed, resumes) << suite;
    pair.Finish();
  }
}

// An instance with `own_provider = false` may share the keys.
TEST(SessionTicket, LibsslsAndOursAreTakenByEither) {
  for (bool first : {true, false}) {
    ServerContextOptions options = TlsPair::DefaultOptions();
    TlsPair pair(options);
    SSL_CTX_set_ciphersuites(pair.client_context.get(), "TLS_AES_128_GCM_SHA256");
    for (bool is_ours : {first, !first, first}) {
      options.policy.own_provider = is_ours;
      pair.context = pair.Make(options);
      if (pair.sessions.empty()) {
        pair.Open();
        ASSERT_TRUE(pair.Handshake());
      } else {
        ASSERT_TRUE(Resume(pair)) << pair.client_error;
        EXPECT_TRUE(pair.stream->handshake().is_resumed);
      }
      pair.Finish();
      EXPECT_EQ(TicketSize(pair.sessions.back().get()) == kOurs256, is_ours);
      pair.Close();
    }
  }
}

TEST(SessionTicket, OnlyTheNumberThatIsWantedIsSent) {
  for (uint8_t count : {0, 1, 3}) {
    ServerContextOptions options = TlsPair::DefaultOptions();
    options.tickets_per_handshake = count;
    TlsPair pair(options);
    pair.Open();
    ASSERT_TRUE(pair.Handshake());
    pair.Finish();
    ASSERT_EQ(pair.sessions.size(), count);
    if (count == 0) continue;
    ASSERT_TRUE(Resume(pair));
    EXPECT_TRUE(pair.stream->handshake().is_resumed);
    pair.Finish();
    EXPECT_EQ(pair.sessions.size(), count + 1u) << "one for the one that was used";
  }
}

TEST(SessionTicket, WithoutKeysThereIsNoneAndNoFailure) {
  TlsPair pair;
  pair.context->SetTicketKeys(nullptr);
  pair.Open();
  ASSERT_TRUE(pair.Handshake()) << pair.client_error;
  pair.Finish();
  EXPECT_TRUE(pair.sessions.empty());
}

TEST(SessionTicket, AClientsCertificateComesBackWithItsSession) {
  TlsPolicy policy;
  policy.client_certificates = TlsPolicy::ClientCertificates::kRequire;
  policy.client_ca = TlsPair::Ca().intermediate().pem();
  auto alice = TlsPair::Ca().LeafWith({.common_name = "Alice", .extended_key_usage = "clientAuth"});
  TlsPair pair;
  pair.delegate.site_policy = &policy;
  SSL_CTX_use_certificate(pair.client_context.get(), alice.certificate->x509());
  SSL_CTX_use_PrivateKey(pair.client_context.get(), alice.key->get());
  pair.Open();
  ASSERT_TRUE(pair.Handshake()) << pair.client_error << pair.stream->error().detail;
  EXPECT_EQ(pair.stream->handshake().client_subject, "CN=Alice");
  pair.Finish();
  ASSERT_TRUE(Resume(pair)) << pair.client_error;
  EXPECT_TRUE(pair.stream->handshake().is_resumed);
  EXPECT_EQ(pair.stream->handshake().client_subject, "CN=Alice");
}

// Otherwise a client that comes back every hour outlives it for ever.
TEST(SessionTicket, AnExpiredClientCertificateIsAskedForAgain) {
  TlsPolicy policy;
  policy.client_certificates = TlsPolicy::ClientCertificates::kRequire;
  policy.client_ca = TlsPair::Ca().intermediate().pem();
  auto alice = TlsPair::Ca().LeafWith({.common_name = "Alice",
                                       .not_after = SystemClock().Wall() - std::chrono::hours(1),
                                       .extended_key_usage = "clientAuth"});
  TlsPair pair;
  pair.delegate.site_policy = &policy;
  SSL_CTX_use_certificate(pair.client_context.get(), alice.certificate->x509());
  SSL_CTX_use_PrivateKey(pair.client_context.get(), alice.key->get());
  // The session is from before it expired.
  X509_VERIFY_PARAM* parameters = SSL_CTX_get0_param(pair.context->get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME);
  pair.Open();
  ASSERT_TRUE(pair.Handshake()) << pair.client_error << pair.stream->error().detail;
  EXPECT_EQ(pair.stream->handshake().client_subject, "CN=Alice");
  pair.Finish();
  X509_VERIFY_PARAM_clear_flags(parameters, X509_V_FLAG_NO_CHECK_TIME);
  Resume(pair);
  EXPECT_TRUE(testing::Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_FALSE(pair.stream->is_handshake_done());
  EXPECT_NE(pair.stream->error().detail.find("certificate verify failed"), std::string::npos)
      << pair.stream->error().detail;
}

}  // namespace
}  // namespace genkan::tls
