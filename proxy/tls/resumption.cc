#include "proxy/tls/resumption.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <array>
#include <span>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/tls/provider/tls13_kdf.h"
#include "proxy/tls/provider/wipe.h"
#include "proxy/tls/provider/x25519.h"
#include "proxy/tls/wire_writer.h"

namespace genkan::tls {
namespace {

using provider::Bytes;
using provider::HmacSha2;
using provider::Sha2;
using provider::Sha2Hash;

constexpr size_t kRandom = 32;
// What a client sends fits one or two; more in small pieces is no client.
constexpr unsigned kMostRecords = 8;

Sha2 DigestOf(uint16_t suite) { return suite == 0x1302 ? Sha2::kSha384 : Sha2::kSha256; }

// A value of the key schedule, as long as the hash; wiped.
class Value {
 public:
  explicit Value(Sha2 digest) : size_(provider::DigestSize(digest)) {}
  ~Value() { provider::Wipe(bytes_.data(), size_); }
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  unsigned char* data() { return bytes_.data(); }
  std::span<unsigned char> room() { return std::span(bytes_).first(size_); }
  Bytes bytes() const { return Bytes(bytes_).first(size_); }

 private:
  size_t size_;
  std::array<unsigned char, provider::kMaxDigest> bytes_{};
};

// HKDF-Expand-Label with an output of the hash's length. The lengths are such that it cannot fail.
void Expand(Sha2 digest, Bytes secret, std::string_view label, Bytes context, Value& out) {
  GENKAN_CHECK(provider::ExpandLabel(digest, secret, AsBytes("tls13 "), AsBytes(label), context,
                                     out.room()));
}

void Hmac(Sha2 digest, Bytes key, Bytes message, Value& out) {
  HmacSha2 hmac(digest, key);
  hmac.Update(message);
  hmac.Finish(out.data());
}

void HashOf(Sha2Hash running, Value& out) { running.Finish(out.data()); }

// HKDF-Extract under Derive-Secret(secret, "derived", ""): the next secret of the schedule.
void Next(Sha2 digest, const Value& secret, Bytes input, Value& out) {
  Value nothing(digest), salt(digest);
  HashOf(Sha2Hash(digest), nothing);
  Expand(digest, secret.bytes(), "derived", nothing.bytes(), salt);
  Hmac(digest, salt.bytes(), input, out);
}

// RFC 8446 4.4.4: the verify_data of who holds `base`.
void Verify(Sha2 digest, Bytes base, const Value& transcript, Value& out) {
  Value key(digest);
  Expand(digest, base, "finished", {}, key);
  Hmac(digest, key.bytes(), transcript.bytes(), out);
}

std::string Message(uint8_t type, std::string_view body) {
  std::string message;
  AppendInt(message, type, 1);
  AppendVector(message, 3, body);
  return message;
}

std::string ServerHello(const PskHello& hello, Bytes random, Bytes share) {
  std::string body, extensions, key;
  AppendInt(body, TLS1_2_VERSION, 2);
  body.append(AsText(random));
  AppendVector(body, 1, hello.session_id);
  AppendInt(body, hello.suite, 2);
  AppendInt(body, 0, 1);  // no compression
  AppendInt(extensions, TLSEXT_TYPE_supported_versions, 2);
  AppendInt(extensions, 2, 2);
  AppendInt(extensions, TLS1_3_VERSION, 2);
  AppendInt(key, 0x001d, 2);
  AppendVector(key, 2, AsText(share));
  AppendInt(extensions, TLSEXT_TYPE_key_share, 2);
  AppendVector(extensions, 2, key);
  AppendInt(extensions, TLSEXT_TYPE_psk, 2);
  AppendInt(extensions, 2, 2);
  AppendInt(extensions, 0, 2);  // the first identity
  AppendVector(body, 2, extensions);
  return Message(SSL3_MT_SERVER_HELLO, body);
}

std::string EncryptedExtensions(const Resumption::Answers& answers) {
  std::string body, extensions;
  if (!answers.alpn.empty()) {
    std::string name, list;
    AppendVector(name, 1, answers.alpn);
    AppendVector(list, 2, name);
    AppendInt(extensions, TLSEXT_TYPE_application_layer_protocol_negotiation, 2);
    AppendVector(extensions, 2, list);
  }
  // RFC 6066 3: a server that used the name says so with an empty extension.
  if (answers.has_used_name) {
    AppendInt(extensions, TLSEXT_TYPE_server_name, 2);
    AppendInt(extensions, 0, 2);
  }
  AppendVector(body, 2, extensions);
  return Message(SSL3_MT_ENCRYPTED_EXTENSIONS, body);
}

std::string PlainRecord(uint8_t type, std::string_view content) {
  std::string record;
  AppendInt(record, type, 1);
  AppendInt(record, TLS1_2_VERSION, 2);
  AppendVector(record, 2, content);
  return record;
}

}  // namespace

Resumption::Resumption(uint16_t suite, Sha2 digest)
    : suite_(suite), digest_(digest), transcript_(digest) {}

Resumption::~Resumption() = default;

bool Resumption::IsBound(const PskHello& hello, Bytes psk) {
  const Sha2 digest = DigestOf(hello.suite);
  if (psk.size() != provider::DigestSize(digest) || hello.binder.size() != psk.size()) return false;
  Value early(digest), nothing(digest), key(digest), hash(digest), binder(digest);
  // HMAC fills a salt of nothing up with the zeros that HKDF-Extract asks for.
  Hmac(digest, {}, psk, early);
  HashOf(Sha2Hash(digest), nothing);
  Expand(digest, early.bytes(), "res binder", nothing.bytes(), key);
  Sha2Hash partial(digest);
  partial.Update(AsBytes(hello.before_binders));
  HashOf(partial, hash);
  Verify(digest, key.bytes(), hash, binder);
  return CRYPTO_memcmp(binder.data(), hello.binder.data(), psk.size()) == 0;
}

std::unique_ptr<Resumption> Resumption::Begin(const PskHello& hello, Bytes psk,
                                              const Answers& answers, Buffer& out) {
  std::unique_ptr<Resumption> made(new Resumption(hello.suite, DigestOf(hello.suite)));
  if (made->WriteFlight(hello, psk, answers, out)) return made;
  ERR_clear_error();
  return nullptr;
}

bool Resumption::WriteFlight(const PskHello& hello, Bytes psk, const Answers& answers,
                             Buffer& out) {
  const Sha2 digest = digest_;
  std::array<unsigned char, kRandom> random;
  std::array<unsigned char, provider::kX25519Bytes> share, agreed;
  const auto peer = AsBytes(hello.share).first<provider::kX25519Bytes>();
  Value early(digest), handshake(digest), master(digest), hash(digest);
  Value client(digest), server(digest), verify(digest);
  const bool has_keys =
      RAND_bytes(random.data(), kRandom) == 1 && provider::AgreeX25519(peer, share, agreed);
  if (has_keys) {
    Hmac(digest, {}, psk, early);
    Next(digest, early, agreed, handshake);
  }
  provider::Wipe(agreed.data(), agreed.size());
  if (!has_keys) return false;

  const std::string server_hello = ServerHello(hello, random, share);
  transcript_.Update(AsBytes(hello.message));
  transcript_.Update(AsBytes(server_hello));
  HashOf(transcript_, hash);
  Expand(digest, handshake.bytes(), "c hs traffic", hash.bytes(), client);
  Expand(digest, handshake.bytes(), "s hs traffic", hash.bytes(), server);
  handshake_ = RecordLayer::MakeServer(suite_, AsText(client.bytes()), AsText(server.bytes()), 0);

  std::string sealed = EncryptedExtensions(answers);
  transcript_.Update(AsBytes(sealed));
  HashOf(transcript_, hash);
  Verify(digest, server.bytes(), hash, verify);
  const std::string finished = Message(SSL3_MT_FINISHED, AsText(verify.bytes()));
  transcript_.Update(AsBytes(finished));
  sealed += finished;

  static constexpr std::array<unsigned char, provider::kMaxDigest> kZeros = {};
  Next(digest, handshake, Bytes(kZeros).first(provider::DigestSize(digest)), master);
  HashOf(transcript_, hash);
  Verify(digest, client.bytes(), hash, verify);
  client_finished_.Set(verify.bytes());
  master_.Set(master.bytes());
  Expand(digest, master.bytes(), "c ap traffic", hash.bytes(), client);
  Expand(digest, master.bytes(), "s ap traffic", hash.bytes(), server);
  application_ = RecordLayer::MakeServer(suite_, AsText(client.bytes()), AsText(server.bytes()), 0);
  if (handshake_ == nullptr || application_ == nullptr) return false;

  out.Append(PlainRecord(SSL3_RT_HANDSHAKE, server_hello));
  // RFC 8446 D.4: for what stands between; never where the client did not ask.
  if (!hello.session_id.empty()) out.Append(PlainRecord(SSL3_RT_CHANGE_CIPHER_SPEC, "\x01"));
  handshake_->SealHandshake(sealed, out);
  return true;
}

Resumption::State Resumption::Fail(uint8_t alert, std::string_view reason) {
  alert_owed_ = alert;
  reason_ = reason;
  return State::kFailed;
}

// A ChangeCipherSpec and, from a client that could not read our flight, an alert come in the clear.
Resumption::State Resumption::TakeRecord(Buffer& in) {
  std::array<char, 7> front{};
  const size_t here = in.CopyFront(front);
  if (here > 0 && front[0] == SSL3_RT_CHANGE_CIPHER_SPEC) {
    constexpr size_t kChange = 6;
    if (here < kChange) return State::kNeedMore;
    if (front[1] != 3 || front[3] != 0 || front[4] != 1 || front[5] != 1)
      return Fail(SSL_AD_UNEXPECTED_MESSAGE, "a malformed ChangeCipherSpec");
    in.Drain(kChange);
    return State::kDone;
  }
  if (here > 0 && front[0] == SSL3_RT_ALERT) {
    if (here < front.size()) return State::kNeedMore;
    if (front[3] != 0 || front[4] != 2) return Fail(SSL_AD_DECODE_ERROR, "a malformed alert");
    alert_received_ = static_cast<uint8_t>(front[6]);
    return Fail(0, "the peer's alert");
  }
  uint8_t type = 0;
  std::string content;
  switch (handshake_->OpenOne(in, type, content)) {
    case RecordLayer::State::kNeedMore:
      return State::kNeedMore;
    case RecordLayer::State::kOk:
      break;
    default:
      return Fail(handshake_->alert_owed(), handshake_->reason());
  }
  if (type == SSL3_RT_ALERT && content.size() == 2) {
    alert_received_ = static_cast<uint8_t>(content[1]);
    return Fail(0, "the peer's alert");
  }
  // RFC 8446 5.1: no empty pieces of a message.
  if (type != SSL3_RT_HANDSHAKE || content.empty())
    return Fail(SSL_AD_UNEXPECTED_MESSAGE, "an unexpected record");
  messages_ += content;
  return State::kDone;
}

Resumption::State Resumption::TakeMessages() {
  const Bytes expected = client_finished_.bytes();
  if (messages_.empty()) return State::kNeedMore;
  if (messages_[0] != SSL3_MT_FINISHED)
    return Fail(SSL_AD_UNEXPECTED_MESSAGE, "an unexpected message");
  if (messages_.size() >= 4 && (messages_[1] != 0 || messages_[2] != 0 ||
                                static_cast<unsigned char>(messages_[3]) != expected.size()))
    return Fail(SSL_AD_DECODE_ERROR, "a malformed Finished");
  if (messages_.size() < 4 + expected.size()) return State::kNeedMore;
  // The keys change behind it, so that it ends its record (RFC 8446 5.1).
  if (messages_.size() > 4 + expected.size())
    return Fail(SSL_AD_UNEXPECTED_MESSAGE, "more behind Finished");
  if (CRYPTO_memcmp(messages_.data() + 4, expected.data(), expected.size()) != 0)
    return Fail(SSL_AD_DECRYPT_ERROR, "Finished does not verify");
  transcript_.Update(AsBytes(messages_));
  Value hash(digest_), resumption(digest_);
  HashOf(transcript_, hash);
  Expand(digest_, master_.bytes(), "res master", hash.bytes(), resumption);
  if (!resumption_.Set(resumption.bytes())) return Fail(SSL_AD_INTERNAL_ERROR, "no memory");
  return State::kDone;
}

Resumption::State Resumption::Receive(Buffer& in, Buffer& out) {
  State state = alert_owed_ != 0 || !reason_.empty() ? State::kFailed : State::kNeedMore;
  while (state == State::kNeedMore) {
    state = TakeRecord(in);
    if (state == State::kNeedMore) return state;
    if (state == State::kDone && ++records_ > kMostRecords)
      state = Fail(SSL_AD_UNEXPECTED_MESSAGE, "too many records");
    if (state == State::kDone) state = TakeMessages();
    // RFC 8446 4.4.4: what follows our Finished is under the keys of the application, alerts too.
    if (state == State::kFailed && alert_owed_ != 0)
      application_->SealAlert(SSL3_AL_FATAL, alert_owed_, out);
  }
  return state;
}

}  // namespace genkan::tls
