// What a handshake without libssl answers is what libssl answers: the same hello is put to both.
#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <functional>
#include <random>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/tls/handshake_state.h"
#include "proxy/tls/key_schedule.h"
#include "proxy/tls/session_ticket.h"
#include "proxy/tls/tls13_handshake.h"
#include "proxy/tls/wire_reader.h"
#include "proxy/tls/wire_writer.h"
#include "tests/unit/tls/tls_pair.h"

namespace genkan::tls {
namespace {

using testing::KeyKind;

std::string Int(unsigned value, size_t width) {
  std::string text;
  AppendInt(text, value, width);
  return text;
}
std::string Vector(size_t width, std::string_view content) {
  std::string text;
  AppendVector(text, width, content);
  return text;
}

// The base point's coordinate: as good a public key as any.
std::string Share() { return "\x09" + std::string(31, '\0'); }

struct Hello {
  struct Extension {
    unsigned type;
    std::string body;
  };
  Hello() {
    Add(0, Vector(2, Int(0, 1) + Vector(2, "a.test")));
    Add(10, Vector(2, Int(0x1d, 2) + Int(0x17, 2)));
    Add(13, Vector(2, Int(0x0403, 2) + Int(0x0804, 2) + Int(0x0401, 2)));
    Add(43, Vector(1, Int(0x0304, 2)));
    Add(45, Vector(1, Int(1, 1)));
    Add(51, Vector(2, Int(0x1d, 2) + Vector(2, Share())));
  }
  void Add(unsigned type, std::string body) { extensions.push_back({type, std::move(body)}); }
  void Set(unsigned type, std::string body) {
    for (Extension& one : extensions)
      if (one.type == type) one.body = body;
  }
  std::string Record() const {
    std::string list;
    for (const Extension& one : extensions) list += Int(one.type, 2) + Vector(2, one.body);
    const std::string body = version + std::string(32, 'r') + Vector(1, session_id) +
                             Vector(2, suites) + Vector(1, compressions) + Vector(2, list);
    std::string message = "\x01" + Vector(3, body);
    if (!secret.empty()) Bind(message);
    return "\x16" + record_version + Vector(2, message);
  }
  // RFC 8446 4.2.11.2; of SHA-256.
  void Bind(std::string& message) const {
    constexpr size_t kBinder = 32, kBinders = 2 + 1 + kBinder;
    HashValue early(provider::Sha2::kSha256), hash(provider::Sha2::kSha256),
        key(provider::Sha2::kSha256), binder(provider::Sha2::kSha256);
    ExtractEarly(AsBytes(secret), early);
    HashOf(provider::Sha2Hash(provider::Sha2::kSha256), hash);
    Expand(early.bytes(), "res binder", hash.bytes(), key);
    provider::Sha2Hash front(provider::Sha2::kSha256);
    front.Update(AsBytes(std::string_view(message).substr(0, message.size() - kBinders)));
    HashOf(front, hash);
    Verify(key.bytes(), hash, binder);
    message.replace(message.size() - kBinder, kBinder, AsText(binder.bytes()));
  }

  std::string record_version = Int(0x0301, 2), version = Int(0x0303, 2);
  std::string session_id = std::string(32, 'i');
  std::string suites = Int(0x1301, 2), compressions = std::string(1, '\0');
  std::vector<Extension> extensions;
  std::string secret;  // of the session whose ticket is offered last
};

// Offers a session of the pair's.
void Resume(Hello& hello, const TlsPair& pair) {
  hello.secret = std::string(32, 'k');
  TicketSession session{.suite = 0x1301,
                        .secret = AsBytes(hello.secret),
                        .context = pair.delegate.session_context,
                        .leaf = pair.delegate.bundle->leaf().sha256(),
                        .made = std::time(nullptr) - 5,
                        .lifetime = kSessionSeconds,
                        .age_add = 7};
  std::array<unsigned char, kMostSessionDer> plain;
  const size_t plain_size = WriteSession(session, plain);
  TicketSealer sealer(pair.tickets->keys().front(), EVP_aes_256_cbc());
  std::array<unsigned char, TicketSealer::kMostSealed> sealed;
  const std::string iv(16, 'i');
  const size_t size = sealer.Seal(AsBytes(iv), {plain.data(), plain_size}, sealed);
  hello.Add(41, Vector(2, Vector(2, AsText({sealed.data(), size})) + Int(12, 4)) +
                    Vector(2, Vector(1, std::string(32, 'b'))));
}

struct Answer {
  bool is_hello = false;
  uint16_t suite = 0;
  std::string session_id, server_name, alpn;
  bool has_staple = false, is_resumed = false;
  int tickets = 0;  // of ours
  std::string error;
};

// The ServerHello at the front, if it is one.
void ReadServerHello(std::string_view bytes, Answer& answer) {
  static constexpr unsigned char kRetry[] = {0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
                                             0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91};
  WireReader reader(bytes);
  if (reader.Int(1) != 22) return;
  reader.Int(2);
  WireReader message(reader.Vector(2));
  if (message.Int(1) != 2) return;
  WireReader body(message.Vector(3));
  body.Int(2);
  const std::string_view random = body.Bytes(32);
  answer.session_id = body.Vector(1);
  answer.suite = static_cast<uint16_t>(body.Int(2));
  answer.is_hello = !random.starts_with(AsText({kRetry, sizeof kRetry}));
}

Answer OfLibssl(const ServerContext& context, Delegate& delegate, std::string_view hello) {
  Answer answer;
  HandshakeState state;
  state.delegate = &delegate;
  ERR_clear_error();
  const SslPtr ssl(SSL_new(context.get()));
  SSL_set_app_data(ssl.get(), &state);
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  SSL_set_accept_state(ssl.get());
  BIO_write(in, hello.data(), static_cast<int>(hello.size()));
  SSL_do_handshake(ssl.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  ReadServerHello({bytes, static_cast<size_t>(size)}, answer);
  answer.error = TakeOpensslErrors();
  answer.server_name = state.hello.server_name;
  answer.has_staple = state.has_sent_staple;
  const unsigned char* protocol = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl.get(), &protocol, &length);
  answer.alpn = AsText({protocol, length});
  answer.is_resumed = SSL_session_reused(ssl.get()) == 1;
  if (answer.is_hello && SSL_version(ssl.get()) != TLS1_3_VERSION) answer.is_hello = false;
  return answer;
}

Answer OfOurs(const ServerContext& context, Delegate& delegate, std::string_view hello) {
  Answer answer;
  HandshakeState state;
  state.delegate = &delegate;
  HandshakeInfo info;
  Buffer out;
  ERR_clear_error();
  const auto handshake = context.Begin(hello, state, info, out);
  EXPECT_EQ(ERR_peek_error(), 0u);
  EXPECT_EQ(handshake == nullptr, out.empty());
  if (handshake == nullptr) return answer;
  ReadServerHello(out.Linear(out.size()), answer);
  answer.server_name = info.server_name;
  answer.alpn = info.alpn;
  answer.has_staple = info.has_sent_staple;
  answer.is_resumed = info.is_resumed;
  answer.tickets = state.tickets;
  return answer;
}

struct Both {
  Answer ours, libssl;
};

Both Ask(TlsPair& pair, std::string_view hello) {
  return {OfOurs(*pair.context, pair.delegate, hello),
          OfLibssl(*pair.context, pair.delegate, hello)};
}

void ExpectAgreement(const Both& both, std::string_view what) {
  if (!both.ours.is_hello) return;
  EXPECT_TRUE(both.libssl.is_hello) << what << ": libssl says \"" << both.libssl.error << "\"";
  if (!both.libssl.is_hello) return;
  EXPECT_EQ(both.ours.suite, both.libssl.suite) << what;
  EXPECT_EQ(both.ours.session_id, both.libssl.session_id) << what;
  EXPECT_EQ(both.ours.server_name, both.libssl.server_name) << what;
  EXPECT_EQ(both.ours.alpn, both.libssl.alpn) << what;
  EXPECT_EQ(both.ours.has_staple, both.libssl.has_staple) << what;
  EXPECT_EQ(both.ours.is_resumed, both.libssl.is_resumed) << what;
}

TEST(Tls13Agreement, BothAnswerAPlainHello) {
  TlsPair pair;
  const Both both = Ask(pair, Hello().Record());
  EXPECT_TRUE(both.ours.is_hello);
  EXPECT_TRUE(both.libssl.is_hello) << both.libssl.error;
  ExpectAgreement(both, "plain");
}

using Change = std::function<void(Hello&)>;
using Changes = std::vector<std::pair<std::string, Change>>;

Change Twice(unsigned type, std::string body) {
  return [=](Hello& h) {
    h.Add(type, body);
    h.Add(type, body);
  };
}

const std::string& Name() {
  static const std::string name = Int(0, 1) + Vector(2, "a.test");
  return name;
}
const std::string& OneShare() {
  static const std::string share = Int(0x1d, 2) + Vector(2, Share());
  return share;
}

// Nothing is wrong with these, or what is wrong is seen by both.
const Changes& OddHellos() {
  static const Changes changes = {
      {"a dot", [](Hello& h) { h.Set(0, Vector(2, Int(0, 1) + Vector(2, "."))); }},
      {"a name with a dot",
       [](Hello& h) { h.Set(0, Vector(2, Int(0, 1) + Vector(2, "A.test."))); }},
      {"an address", [](Hello& h) { h.Set(0, Vector(2, Int(0, 1) + Vector(2, "127.0.0.1"))); }},
      {"a name of 255",
       [](Hello& h) { h.Set(0, Vector(2, Int(0, 1) + Vector(2, std::string(255, 'a')))); }},
      {"a name of 256",
       [](Hello& h) { h.Set(0, Vector(2, Int(0, 1) + Vector(2, std::string(256, 'a')))); }},
      {"an empty server_name", [](Hello& h) { h.Set(0, ""); }},
      {"a hybrid's share",
       [](Hello& h) {
         h.Set(10, Vector(2, Int(0x11ec, 2) + Int(0x1d, 2)));
         h.Set(51, Vector(2, Int(0x11ec, 2) + Vector(2, std::string(1216, 'k')) + OneShare()));
       }},
      {"a finite field's share",
       [](Hello& h) {
         h.Set(10, Vector(2, Int(0x100, 2) + Int(0x1d, 2)));
         h.Set(51, Vector(2, Int(0x100, 2) + Vector(2, std::string(256, 'k')) + OneShare()));
       }},
      {"two shares of a group", [](Hello& h) { h.Set(51, Vector(2, OneShare() + OneShare())); }},
      {"another one that is empty",
       [](Hello& h) { h.Set(51, Vector(2, OneShare() + Int(0x17, 2) + Vector(2, ""))); }},
      {"a share behind of a group that it does not support",
       [](Hello& h) { h.Set(51, Vector(2, OneShare() + Int(0x18, 2) + Vector(2, "g"))); }},
      {"post_handshake_auth", [](Hello& h) { h.Add(49, ""); }},
      {"unknown psk_key_exchange_modes", [](Hello& h) { h.Set(45, Vector(1, Int(7, 1))); }},
      {"certificate_authorities of nothing", [](Hello& h) { h.Add(47, Vector(2, "")); }},
      {"one of a server's alone", [](Hello& h) { h.Add(0xfde8, "x"); }},
      {"an unknown one twice", Twice(0x7777, "")},
      {"heartbeat twice", Twice(15, "\x01")},
      {"a wrong ec_point_formats", [](Hello& h) { h.Add(11, "x"); }},
      {"a wrong session_ticket", [](Hello& h) { h.Add(35, "whatever"); }},
      {"a wrong extended_master_secret", [](Hello& h) { h.Add(23, "x"); }},
      {"a wrong renegotiation_info", [](Hello& h) { h.Add(0xff01, "xyz"); }},
      {"record_size_limit", [](Hello& h) { h.Add(28, Int(64, 2)); }},
      {"compress_certificate", [](Hello& h) { h.Add(27, Vector(1, Int(2, 2))); }},
      {"delegated_credentials", [](Hello& h) { h.Add(34, Vector(2, Int(0x0403, 2))); }},
      {"server_certificate_type of raw keys", [](Hello& h) { h.Add(20, Vector(1, "\x02")); }},
      {"an empty psk", [](Hello& h) { h.Add(41, ""); }},
      {"a fallback", [](Hello& h) { h.suites += Int(0x5600, 2); }},
      {"a renegotiation", [](Hello& h) { h.suites = Int(0x00ff, 2) + h.suites; }},
      {"CCM first", [](Hello& h) { h.suites = Int(0x1304, 2) + h.suites; }},
      {"all suites", [](Hello& h) { h.suites = Int(0x1303, 2) + Int(0x1302, 2) + Int(0x1301, 2); }},
      {"TLS 1.2 first", [](Hello& h) { h.Set(43, Vector(1, Int(0x303, 2) + Int(0x304, 2))); }},
      {"later versions",
       [](Hello& h) { h.Set(43, Vector(1, Int(0x7f1c, 2) + Int(0x305, 2) + Int(0x304, 2))); }},
      {"half a version", [](Hello& h) { h.Set(43, Vector(1, Int(0x304, 2) + "\x03")); }},
      {"another record version", [](Hello& h) { h.record_version = Int(0x0300, 2); }},
      {"a record version of later", [](Hello& h) { h.record_version = Int(0x03ff, 2); }},
      {"no session id", [](Hello& h) { h.session_id = ""; }},
      {"a short session id", [](Hello& h) { h.session_id = "x"; }},
      {"http/1.0", [](Hello& h) { h.Add(16, Vector(2, Vector(1, "http/1.0"))); }},
      {"protocols",
       [](Hello& h) {
         h.Add(16, Vector(2, Vector(1, "x") + Vector(1, "http/1.1") + Vector(1, "h2")));
       }},
      {"an empty protocol",
       [](Hello& h) { h.Add(16, Vector(2, Vector(1, "h2") + Vector(1, ""))); }},
      {"no protocols", [](Hello& h) { h.Add(16, Vector(2, "")); }},
      {"a staple", [](Hello& h) { h.Add(5, std::string("\x01\0\0\0\0", 5)); }},
      {"a staple of another kind", [](Hello& h) { h.Add(5, "\x02whatever"); }},
      {"half a list of groups", [](Hello& h) { h.Set(10, Vector(2, Int(0x1d, 2) + "x")); }},
  };
  return changes;
}

// What libssl does not answer.
const Changes& RefusedHellos() {
  static const Changes changes = {
      {"a name of another kind",
       [](Hello& h) { h.Set(0, Vector(2, Int(1, 1) + Vector(2, "a.test"))); }},
      {"a name of another kind before the host's",
       [](Hello& h) { h.Set(0, Vector(2, Int(1, 1) + Vector(2, "x") + Name())); }},
      {"a name of another kind behind the host's",
       [](Hello& h) { h.Set(0, Vector(2, Name() + Int(1, 1) + Vector(2, "x"))); }},
      {"a dot and a name",
       [](Hello& h) { h.Set(0, Vector(2, Int(0, 1) + Vector(2, ".") + Name())); }},
      {"a share of a group that it does not support",
       [](Hello& h) { h.Set(51, Vector(2, Int(0x2a2a, 2) + Vector(2, "g") + OneShare())); }},
      {"a hybrid's share that it does not support",
       [](Hello& h) {
         h.Set(51, Vector(2, Int(0x11ec, 2) + Vector(2, std::string(1216, 'k')) + OneShare()));
       }},
      {"post_handshake_auth with a body", [](Hello& h) { h.Add(49, "x"); }},
      {"psk_key_exchange_modes of nothing", [](Hello& h) { h.Set(45, Vector(1, "")); }},
      {"psk_key_exchange_modes without a list", [](Hello& h) { h.Set(45, ""); }},
      {"psk_key_exchange_modes too short", [](Hello& h) { h.Set(45, "\x05\x01"); }},
      {"psk_key_exchange_modes too long", [](Hello& h) { h.Set(45, Vector(1, Int(1, 1)) + "x"); }},
      {"certificate_authorities without a list", [](Hello& h) { h.Add(47, ""); }},
      {"certificate_authorities too short", [](Hello& h) { h.Add(47, Int(40, 2) + "x"); }},
      {"certificate_authorities that are no names",
       [](Hello& h) { h.Add(47, Vector(2, Vector(2, "no name"))); }},
      {"certificate_authorities with more behind",
       [](Hello& h) { h.Add(47, Vector(2, Vector(2, std::string("\x30\x00", 2))) + "x"); }},
      {"extended_master_secret twice", Twice(23, "")},
      {"ec_point_formats twice", Twice(11, std::string("\x01\x00", 2))},
      {"session_ticket twice", Twice(35, "")},
      {"renegotiation_info twice", Twice(0xff01, std::string(1, '\0'))},
      {"post_handshake_auth twice", Twice(49, "")},
      {"padding twice", Twice(21, "")},
      {"signed_certificate_timestamp twice", Twice(18, "")},
      {"next_protocol twice", Twice(13172, "")},
      {"use_srtp twice", Twice(14, std::string("\x00\x02\x00\x01\x00", 5))},
      {"srp twice", Twice(12, Vector(1, "who"))},
      {"use_srtp, which is DTLS's", [](Hello& h) { h.Add(14, "x"); }},
  };
  return changes;
}

void ExpectAgreementOn(const Changes& changes, bool resumes) {
  TlsPair pair;
  for (const auto& [what, change] : changes) {
    Hello hello;
    change(hello);
    if (resumes) Resume(hello, pair);
    ExpectAgreement(Ask(pair, hello.Record()), what);
  }
}

TEST(Tls13Agreement, OnOddHellos) { ExpectAgreementOn(OddHellos(), false); }

TEST(Tls13Agreement, OnHellosThatLibsslRefuses) {
  TlsPair pair;
  for (const auto& [what, change] : RefusedHellos()) {
    Hello hello;
    change(hello);
    const Both both = Ask(pair, hello.Record());
    EXPECT_FALSE(both.libssl.is_hello) << what;
    EXPECT_FALSE(both.ours.is_hello) << what << ": libssl says \"" << both.libssl.error << "\"";
  }
}

TEST(Tls13Agreement, OnOddResumptions) { ExpectAgreementOn(OddHellos(), true); }

TEST(Tls13Agreement, OnResumptionsThatLibsslRefuses) {
  ExpectAgreementOn(RefusedHellos(), true);
  ExpectAgreementOn(
      {{"signature_algorithms_cert without a list", [](Hello& h) { h.Add(50, ""); }},
       {"half a signature_algorithms_cert", [](Hello& h) { h.Add(50, Vector(2, "\x04")); }}},
      true);
}

// What certificates may be signed with is libssl's to weigh.
TEST(Tls13Agreement, LimitsOnCertificatesAreLibssls) {
  TlsPair pair;
  Hello hello;
  hello.Add(50, Vector(2, Int(0x0401, 2)));
  const Both both = Ask(pair, hello.Record());
  EXPECT_FALSE(both.ours.is_hello);
  EXPECT_FALSE(both.libssl.is_hello) << "the chain is signed with ECDSA";
}

TEST(Tls13Agreement, AListenerThatAsksForCertificatesIsLibssls) {
  ServerContextOptions options = TlsPair::DefaultOptions();
  options.policy.client_certificates = TlsPolicy::ClientCertificates::kRequest;
  options.policy.client_ca = TlsPair::Ca().root().pem();
  TlsPair pair(options);
  const Both both = Ask(pair, Hello().Record());
  EXPECT_FALSE(both.ours.is_hello) << "no site has a policy of its own";
  EXPECT_TRUE(both.libssl.is_hello) << both.libssl.error;
}

// RFC 8446 4.2.9.
TEST(Tls13Agreement, TicketsAreForWhoResumesWithAFreshExchange) {
  TlsPair pair;
  for (const auto& [modes, tickets] :
       {std::pair(std::string("\x01", 1), 1), std::pair(std::string("\x00", 1), 0)}) {
    Hello hello;
    hello.Set(45, Vector(1, modes));
    EXPECT_EQ(OfOurs(*pair.context, pair.delegate, hello.Record()).tickets, tickets);
  }
}

// The types of the extensions in EncryptedExtensions, as the client sees them.
std::vector<unsigned> EncryptedExtensions(bool own_provider, bool has_name, bool has_alpn) {
  ServerContextOptions options = TlsPair::DefaultOptions();
  options.policy.own_provider = own_provider;
  TlsPair pair(options);
  std::vector<unsigned> types;
  SSL_CTX_set1_groups_list(pair.client_context.get(), "X25519");
  SSL_CTX_set_msg_callback(pair.client_context.get(), [](int, int, int type, const void* data,
                                                         size_t size, SSL*, void* argument) {
    WireReader reader(AsText({static_cast<const unsigned char*>(data), size}));
    if (type != SSL3_RT_HANDSHAKE || reader.Int(1) != SSL3_MT_ENCRYPTED_EXTENSIONS) return;
    WireReader body(reader.Vector(3));
    for (WireReader list(body.Vector(2)); !list.is_empty(); list.Vector(2))
      static_cast<std::vector<unsigned>*>(argument)->push_back(list.Int(2));
  });
  SSL_CTX_set_msg_callback_arg(pair.client_context.get(), &types);
  pair.Open();
  if (!has_name) SSL_set_tlsext_host_name(pair.client.get(), nullptr);
  if (has_alpn) SSL_set_alpn_protos(pair.client.get(), AsBytes("\x02h2").data(), 3);
  EXPECT_TRUE(pair.Handshake()) << pair.client_error;
  EXPECT_EQ(SSL_CTX_sess_accept(pair.context->get()), own_provider ? 0 : 1);
  std::sort(types.begin(), types.end());
  return types;
}

TEST(Tls13Agreement, OnEncryptedExtensions) {
  for (bool has_name : {true, false})
    for (bool has_alpn : {true, false})
      EXPECT_EQ(EncryptedExtensions(true, has_name, has_alpn),
                EncryptedExtensions(false, has_name, has_alpn))
          << has_name << has_alpn;
}

// A walk through hellos that are nearly right.
TEST(Tls13Agreement, OnAnyHello) {
  constexpr unsigned kTypes[] = {0,  1,  5,  10, 11, 12, 13, 14, 15, 16, 18,     21,     22,
                                 23, 27, 28, 34, 35, 43, 45, 47, 49, 50, 0x3374, 0xfde8, 0xff01};
  constexpr int kHellos = 1500;
  TlsPair pair;
  std::mt19937 random(20'261'126);
  const auto any = [&](size_t below) { return static_cast<size_t>(random() % below); };
  const auto junk = [&] {
    std::string bytes(any(6), '\0');
    for (char& one : bytes) one = static_cast<char>(any(4));
    return bytes;
  };
  int answered = 0;
  for (int i = 0; i < kHellos; ++i) {
    Hello hello;
    for (size_t more = any(3); more > 0; --more) {
      const size_t widths = any(4);
      const std::string body = widths == 0 ? junk() : Vector(std::min<size_t>(widths, 2), junk());
      hello.extensions.insert(
          hello.extensions.begin() + static_cast<ptrdiff_t>(any(hello.extensions.size() + 1)),
          {kTypes[any(std::size(kTypes))], body});
    }
    Hello::Extension& one = hello.extensions[any(hello.extensions.size())];
    if (any(3) == 0) one.body = junk();
    if (any(3) == 0) one.body += static_cast<char>(any(256));
    if (any(3) == 0 && !one.body.empty()) one.body[any(one.body.size())] ^= 1 << any(8);
    if (any(8) == 0) hello.suites = Int(static_cast<unsigned>(0x1300 + any(6)), 2) + hello.suites;
    if (any(8) == 0) hello.session_id = std::string(any(34), 's');
    if (any(2) == 0) Resume(hello, pair);
    const Both both = Ask(pair, hello.Record());
    answered += both.ours.is_hello ? 1 : 0;
    ExpectAgreement(both, "hello " + std::to_string(i));
  }
  EXPECT_GT(answered, kHellos / 8);
}

// ---- what the certificates are

struct Kind {
  EvpPkeyPtr key;
  const EVP_MD* digest = EVP_sha256();  // that its issuer signs with
  const char* usage = nullptr;
};

EvpPkeyPtr CopyOf(const EvpPkeyPtr& key) {
  EVP_PKEY_up_ref(key.get());
  return EvpPkeyPtr(key.get());
}

CertificatePtr Issue(const char* name, const char* issuer, const Kind& subject, EVP_PKEY* signer,
                     bool is_ca) {
  const X509Ptr x509(X509_new());
  X509_set_version(x509.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 7);
  X509_gmtime_adj(X509_getm_notBefore(x509.get()), -86'400);
  X509_gmtime_adj(X509_getm_notAfter(x509.get()), 86'400);
  const auto name_of = [](X509_NAME* to, const char* text) {
    X509_NAME_add_entry_by_txt(to, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(text), -1, -1, 0);
  };
  name_of(X509_get_subject_name(x509.get()), name);
  const OpensslPtr<X509_NAME, X509_NAME_free> by(X509_NAME_new());
  name_of(by.get(), issuer);
  X509_set_issuer_name(x509.get(), by.get());
  X509_set_pubkey(x509.get(), subject.key.get());
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, x509.get(), x509.get(), nullptr, nullptr, 0);
  const auto add = [&](int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    X509_add_ext(x509.get(), extension, -1);
    X509_EXTENSION_free(extension);
  };
  add(NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (subject.usage != nullptr) add(NID_key_usage, subject.usage);
  if (!is_ca) add(NID_subject_alt_name, "DNS:a.test");
  EXPECT_GT(X509_sign(x509.get(), signer, subject.digest), 0) << name;
  unsigned char* der = nullptr;
  const int size = i2d_X509(x509.get(), &der);
  auto made = Certificate::FromDer(AsText({der, static_cast<size_t>(size)}));
  OPENSSL_free(der);
  EXPECT_TRUE(made) << name << made.error().detail;
  return *made;
}

EvpPkeyPtr PssKey() {
  const OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA-PSS", nullptr));
  EVP_PKEY* key = nullptr;
  EVP_PKEY_keygen_init(context.get());
  EVP_PKEY_generate(context.get(), &key);
  return EvpPkeyPtr(key);
}

EvpPkeyPtr CompressedKey() {
  EvpPkeyPtr key(EVP_EC_gen("P-256"));
  EVP_PKEY_set_utf8_string_param(key.get(), "point-format", "compressed");
  return key;
}

struct Certificates {
  std::string what;
  Kind leaf, intermediate;
};

void ExpectAgreementOn(const std::vector<Certificates>& cases) {
  const EvpPkeyPtr root(EVP_RSA_gen(2048));
  for (const Certificates& given : cases) {
    TlsPair pair;
    CertificatePtr leaf =
        Issue("a.test", "Between", given.leaf, given.intermediate.key.get(), false);
    CertificatePtr between = Issue("Between", "Root", given.intermediate, root.get(), true);
    auto key = std::make_shared<const PrivateKey>(CopyOf(given.leaf.key));
    auto bundle = CertificateBundle::Make({leaf, between}, key);
    ASSERT_TRUE(bundle) << given.what << bundle.error().detail;
    pair.delegate.bundle = *bundle;
    Hello hello;
    hello.Set(13, Vector(2, Int(0x0403, 2) + Int(0x0503, 2) + Int(0x0603, 2) + Int(0x0804, 2) +
                                Int(0x0809, 2) + Int(0x0805, 2)));
    const Both both = Ask(pair, hello.Record());
    ExpectAgreement(both, given.what);
  }
}

// libssl weighs a certificate, its chain and its key before it sends them.
TEST(Tls13Agreement, OnCertificates) {
  const EvpPkeyPtr rsa(EVP_RSA_gen(2048)), ec(EVP_EC_gen("P-256"));
  std::vector<Certificates> cases;
  const auto add = [&](std::string what, Kind leaf, Kind intermediate) {
    cases.push_back({std::move(what), std::move(leaf), std::move(intermediate)});
  };
  add("plain", {CopyOf(ec)}, {CopyOf(rsa)});
  add("an RSA leaf", {CopyOf(rsa)}, {CopyOf(ec)});
  add("an RSA leaf of 2047 bits", {EvpPkeyPtr(EVP_RSA_gen(2047))}, {CopyOf(ec)});
  add("an RSA leaf of 3072 bits", {EvpPkeyPtr(EVP_RSA_gen(3072))}, {CopyOf(ec)});
  add("an RSA leaf that only encrypts", {CopyOf(rsa), EVP_sha256(), "keyEncipherment"},
      {CopyOf(ec)});
  add("an ECDSA leaf that only agrees", {CopyOf(ec), EVP_sha256(), "keyAgreement"}, {CopyOf(rsa)});
  add("P-384", {EvpPkeyPtr(EVP_EC_gen("P-384"))}, {CopyOf(rsa)});
  add("P-521", {EvpPkeyPtr(EVP_EC_gen("P-521"))}, {CopyOf(rsa)});
  add("P-224", {EvpPkeyPtr(EVP_EC_gen("P-224"))}, {CopyOf(rsa)});
  add("a compressed point", {CompressedKey()}, {CopyOf(rsa)});
  add("RSA-PSS", {PssKey()}, {CopyOf(ec)});
  ExpectAgreementOn(cases);
}

TEST(Tls13Agreement, OnCertificatesTooWeakForThePolicy) {
  const EvpPkeyPtr rsa(EVP_RSA_gen(2048)), ec(EVP_EC_gen("P-256"));
  std::vector<Certificates> cases;
  const auto add = [&](std::string what, Kind leaf, Kind intermediate) {
    cases.push_back({std::move(what), std::move(leaf), std::move(intermediate)});
  };
  add("a leaf that is signed with SHA-1", {CopyOf(ec), EVP_sha1()}, {CopyOf(rsa)});
  add("a leaf that is signed with MD5", {CopyOf(ec), EVP_md5()}, {CopyOf(rsa)});
  add("an intermediate that is signed with SHA-1", {CopyOf(ec)}, {CopyOf(rsa), EVP_sha1()});
  add("an intermediate of 1024 bits", {CopyOf(ec)}, {EvpPkeyPtr(EVP_RSA_gen(1024))});
  ExpectAgreementOn(cases);
}

}  // namespace
}  // namespace genkan::tls
