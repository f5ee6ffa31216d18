#include "proxy/tls/tls13_server.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "proxy/tls/alpn.h"
#include "proxy/tls/client_chain.h"
#include "proxy/tls/handshake_state.h"
#include "proxy/tls/tls13_certificate.h"
#include "proxy/tls/tls13_handshake.h"
#include "proxy/tls/tls13_hello.h"
#include "proxy/tls/tls_stream.h"

namespace genkan::tls {
namespace {

std::string_view NameOfSuite(uint16_t suite) {
  switch (suite) {
    case 0x1301:
      return "TLS_AES_128_GCM_SHA256";
    case 0x1302:
      return "TLS_AES_256_GCM_SHA384";
    default:
      return "TLS_CHACHA20_POLY1305_SHA256";
  }
}

// The hash of a session's suite is what binds it to a suite (RFC 8446 4.2.11), and its time is
// libssl's.
bool IsUsable(const TicketSession& session, uint16_t suite) {
  const int64_t now = std::time(nullptr);
  return session.suite >= 0x1301 && session.suite <= 0x1303 &&
         DigestOf(session.suite) == DigestOf(suite) && session.leaf.size() == 32 &&
         session.made <= now && now - session.made <= int64_t{session.lifetime};
}

// What libssl's level 2 asks for.
bool IsStrong(const std::vector<CertificatePtr>& chain) {
  constexpr int kLeastBits = 112;
  return std::all_of(chain.begin(), chain.end(),
                     [](const CertificatePtr& one) { return one->security_bits() >= kLeastBits; });
}

}  // namespace

bool HasTls13(SSL_CTX* context) {
  const auto most = SSL_CTX_get_max_proto_version(context);
  return (most == 0 || most >= TLS1_3_VERSION) &&
         (SSL_CTX_get_options(context) & SSL_OP_NO_TLSv1_3) == 0;
}

struct Tls13Server::Reading {
  Tls13Hello hello;
  ClientHello seen;
  std::string_view protocol;
  TicketOpener::Opened session;  // where it offers one
  bool offers_session() const { return !hello.identity.empty(); }
  Tls13Handshake::Answers answers() const { return {protocol, !seen.server_name.empty()}; }
};

Tls13Server::Tls13Server(Options options, const EVP_CIPHER* ticket_cipher, const Clock& clock)
    : options_(std::move(options)), ticket_cipher_(ticket_cipher), clock_(clock) {
  // Whoever configures OpenSSL may take tickets away.
  has_tickets_ = (SSL_CTX_get_options(options_.libssl) & SSL_OP_NO_TICKET) == 0;
  if (!has_tickets_) options_.tickets = 0;
  // A later OpenSSL has groups that go before X25519 and rules of its own for whom to ask for them.
  answers_ =
      options_.has_records && OpenSSL_version_num() < 0x30200000L && HasTls13(options_.libssl);
}

void Tls13Server::SetTicketKeys(TicketKeysPtr keys) {
  sealer_.reset();
  opener_.reset();
  if (!has_tickets_ || keys == nullptr || keys->keys().empty()) return;
  sealer_.emplace(keys->keys().front(), ticket_cipher_);
  opener_.emplace(std::move(keys), ticket_cipher_);
}

// Suites, too, may be taken away.
bool Tls13Server::HasSuite(uint16_t suite) const {
  const STACK_OF(SSL_CIPHER)* suites = SSL_CTX_get_ciphers(options_.libssl);
  for (int i = 0; i < sk_SSL_CIPHER_num(suites); ++i)
    if (SSL_CIPHER_get_protocol_id(sk_SSL_CIPHER_value(suites, i)) == suite) return true;
  return false;
}

std::string Tls13Server::WriteTickets(TicketSession session, provider::Bytes master, int count) {
  std::string messages;
  const provider::Sha2 digest = DigestOf(session.suite);
  if (!sealer_ || master.size() != provider::DigestSize(digest)) return messages;
  // As libssl reads it when the ticket comes back.
  session.made = std::time(nullptr);
  session.lifetime = kSessionSeconds;
  for (int i = 0; i < count; ++i)
    AppendNewSessionTicket(*sealer_, session, digest, master, static_cast<uint8_t>(i), messages);
  return messages;
}

const TlsPolicy& Tls13Server::PolicyOf(const HandshakeChoice& choice) const {
  return choice.site_policy != nullptr ? *choice.site_policy : options_.policy;
}

bool Tls13Server::Read(std::string_view received, Reading& reading) {
  const auto hello = ParseTls13Hello(received);
  if (!hello || !HasSuite(hello->suite)) return false;
  reading.hello = *hello;
  if (reading.offers_session()) {
    // What is no ticket of ours may be one of libssl's.
    if (!opener_ || !opener_->Open(hello->identity, reading.session) ||
        !IsUsable(reading.session.session, hello->suite))
      return false;
  } else if (hello->fields.signatures.data() == nullptr) {
    return false;
  }
  auto seen = InterpretHello(hello->fields);
  if (!seen) return false;
  reading.seen = std::move(*seen);
  if (reading.offers_session() && !Tls13Handshake::IsBound(*hello, reading.session.session.secret))
    return false;
  if (hello->fields.alpn.data() == nullptr) return true;
  // InterpretHello has seen that there is a list of that length behind the two bytes.
  reading.protocol = SelectProtocol(options_.alpn, hello->fields.alpn.substr(2));
  return !reading.protocol.empty();
}

std::unique_ptr<Tls13Handshake> Tls13Server::Resume(const Reading& reading, HandshakeState& state,
                                                    Buffer& out) {
  const TicketSession& session = reading.session.session;
  if (session.context != state.choice->session_context ||
      state.delegate->IsRevokedLeaf(session.leaf))
    return nullptr;
  auto handshake = Tls13Handshake::Resume(reading.hello, session.secret, reading.answers(), out);
  state.leaf = session.leaf;
  // One replaces the one that was used.
  state.tickets = 1;
  return handshake;
}

std::unique_ptr<Tls13Handshake> Tls13Server::BeginWhole(const Reading& reading,
                                                        HandshakeState& state, Buffer& out) {
  const CertificateBundle& bundle = *state.choice->bundle;
  const auto& chain = WantsLongChain(reading.seen, bundle) ? bundle.long_chain() : bundle.chain();
  // libssl says what is too weak for a level.
  if (SecurityLevelOf(PolicyOf(*state.choice)) > 0 && !IsStrong(chain)) return nullptr;
  const uint16_t scheme =
      ChooseScheme(reading.hello.fields.signatures, ConfiguredSchemes(), bundle.key());
  if (scheme == 0) return nullptr;
  Tls13Handshake::Proof proof{chain, bundle.key(), scheme, ""};
  const Staple* staple = bundle.staple().get();
  // Whoever attached it checked it then; what counts is now.
  if (reading.hello.wants_staple && staple != nullptr && clock_.Wall() < staple->next_update)
    proof.staple = staple->der;
  auto handshake = Tls13Handshake::Begin(reading.hello, proof, reading.answers(), out);
  state.has_sent_staple = handshake != nullptr && !proof.staple.empty();
  state.leaf = bundle.leaf().sha256();
  state.tickets = reading.hello.takes_tickets ? options_.tickets : 0;
  return handshake;
}

std::unique_ptr<Tls13Handshake> Tls13Server::Begin(std::string_view received, HandshakeState& state,
                                                   HandshakeInfo& info, Buffer& out) {
  Reading reading;
  if (!answers_ || !Read(received, reading)) return nullptr;
  // From here on what is decided stays so, whoever goes on.
  state.choice = state.delegate->OnClientHello(reading.seen);
  const HandshakeChoice& choice = *state.choice;
  if (choice.bundle == nullptr ||
      PolicyOf(choice).client_certificates != TlsPolicy::ClientCertificates::kOff)
    return nullptr;
  auto handshake =
      reading.offers_session() ? Resume(reading, state, out) : BeginWhole(reading, state, out);
  if (handshake == nullptr) return nullptr;
  state.bundle = choice.bundle;
  state.session_context = choice.session_context;
  state.choice.reset();
  info.version = TLS1_3_VERSION;
  info.cipher = NameOfSuite(handshake->suite());
  info.server_name = std::move(reading.seen.server_name);
  info.alpn = reading.protocol;
  info.is_resumed = reading.offers_session();
  info.has_sent_staple = state.has_sent_staple;
  return handshake;
}

}  // namespace genkan::tls
