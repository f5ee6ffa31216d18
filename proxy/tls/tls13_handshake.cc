#include "proxy/tls/tls13_handshake.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <array>
#include <span>

#include "proxy/base/text.h"
#include "proxy/tls/key_schedule.h"
#include "proxy/tls/provider/wipe.h"
#include "proxy/tls/provider/x25519.h"
#include "proxy/tls/tls13_certificate.h"
#include "proxy/tls/wire_writer.h"

namespace genkan::tls {
namespace {

using provider::Bytes;
using provider::Sha2;
using provider::Sha2Hash;

constexpr size_t kRandom = 32;
constexpr size_t kShare = provider::kX25519Bytes;
// What a client sends fits one or two; more in small pieces is no client.
constexpr unsigned kMostRecords = 64;

std::string Message(uint8_t type, std::string_view body) {
  std::string message;
  AppendInt(message, type, 1);
  AppendVector(message, 3, body);
  return message;
}

std::string ServerHello(const Tls13Hello& hello, Bytes random, Bytes share, bool resumes) {
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
  if (resumes) {
    AppendInt(extensions, TLSEXT_TYPE_psk, 2);
    AppendInt(extensions, 2, 2);
    AppendInt(extensions, 0, 2);  // the first identity
  }
  AppendVector(body, 2, extensions);
  return Message(SSL3_MT_SERVER_HELLO, body);
}

std::string EncryptedExtensions(const Tls13Handshake::Answers& answers) {
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

// What both sides agree on, the handshake secret; its own half goes to `share`. False: no
// randomness, no memory or a useless share of the client's.
bool Agree(const Tls13Hello& hello, Bytes psk, std::span<unsigned char, kShare> share,
           HashValue& handshake) {
  std::array<unsigned char, kShare> agreed;
  const bool has_agreed =
      provider::AgreeX25519(AsBytes(hello.share).first<kShare>(), share, agreed);
  if (has_agreed) {
    HashValue early(handshake.digest());
    ExtractEarly(psk, early);
    ExtractNext(early, agreed, handshake);
  }
  provider::Wipe(agreed.data(), agreed.size());
  return has_agreed;
}

}  // namespace

Sha2 DigestOf(uint16_t suite) { return suite == 0x1302 ? Sha2::kSha384 : Sha2::kSha256; }

Tls13Handshake::Tls13Handshake(uint16_t suite)
    : suite_(suite), digest_(DigestOf(suite)), transcript_(digest_) {}

Tls13Handshake::~Tls13Handshake() = default;

bool Tls13Handshake::IsBound(const Tls13Hello& hello, Bytes psk) {
  const Sha2 digest = DigestOf(hello.suite);
  if (psk.size() != provider::DigestSize(digest) || hello.binder.size() != psk.size()) return false;
  HashValue early(digest), hash(digest), key(digest), binder(digest);
  ExtractEarly(psk, early);
  HashOf(Sha2Hash(digest), hash);
  Expand(early.bytes(), "res binder", hash.bytes(), key);
  Sha2Hash partial(digest);
  partial.Update(AsBytes(hello.before_binders));
  HashOf(partial, hash);
  Verify(key.bytes(), hash, binder);
  return CRYPTO_memcmp(binder.data(), hello.binder.data(), psk.size()) == 0;
}

std::unique_ptr<Tls13Handshake> Tls13Handshake::Resume(const Tls13Hello& hello, Bytes psk,
                                                       const Answers& answers, Buffer& out) {
  return Make(hello, psk, nullptr, answers, out);
}

std::unique_ptr<Tls13Handshake> Tls13Handshake::Begin(const Tls13Hello& hello, const Proof& proof,
                                                      const Answers& answers, Buffer& out) {
  return Make(hello, {}, &proof, answers, out);
}

std::unique_ptr<Tls13Handshake> Tls13Handshake::Make(const Tls13Hello& hello, Bytes psk,
                                                     const Proof* proof, const Answers& answers,
                                                     Buffer& out) {
  std::unique_ptr<Tls13Handshake> made(new Tls13Handshake(hello.suite));
  if (made->WriteFlight(hello, psk, proof, answers, out)) return made;
  ERR_clear_error();
  return nullptr;
}

void Tls13Handshake::Note(std::string_view messages, HashValue& hash) {
  transcript_.Update(AsBytes(messages));
  HashOf(transcript_, hash);
}

bool Tls13Handshake::WriteFlight(const Tls13Hello& hello, Bytes psk, const Proof* proof,
                                 const Answers& answers, Buffer& out) {
  std::array<unsigned char, kRandom> random;
  std::array<unsigned char, kShare> share;
  HashValue handshake(digest_), client(digest_), server(digest_), hash(digest_), verify(digest_);
  if (RAND_bytes(random.data(), kRandom) != 1 || !Agree(hello, psk, share, handshake)) return false;
  const std::string server_hello = ServerHello(hello, random, share, !psk.empty());
  transcript_.Update(AsBytes(hello.message));
  Note(server_hello, hash);
  Expand(handshake.bytes(), "c hs traffic", hash.bytes(), client);
  Expand(handshake.bytes(), "s hs traffic", hash.bytes(), server);
  handshake_ = RecordLayer::MakeServer(suite_, AsText(client.bytes()), AsText(server.bytes()), 0);

  std::string sealed = EncryptedExtensions(answers);
  if (proof != nullptr) AppendCertificate(proof->chain, proof->staple, sealed);
  Note(sealed, hash);
  if (proof != nullptr) {
    const size_t before = sealed.size();
    if (!AppendCertificateVerify(proof->key, proof->scheme, hash.bytes(), sealed)) return false;
    Note(std::string_view(sealed).substr(before), hash);
  }
  Verify(server.bytes(), hash, verify);
  const std::string finished = Message(SSL3_MT_FINISHED, AsText(verify.bytes()));
  sealed += finished;
  Note(finished, hash);
  if (handshake_ == nullptr || !SetApplicationKeys(handshake, client, hash)) return false;

  out.Append(PlainRecord(SSL3_RT_HANDSHAKE, server_hello));
  // RFC 8446 D.4: for what stands between; never where the client did not ask.
  if (!hello.session_id.empty()) out.Append(PlainRecord(SSL3_RT_CHANGE_CIPHER_SPEC, "\x01"));
  handshake_->SealHandshake(sealed, out);
  return true;
}

bool Tls13Handshake::SetApplicationKeys(const HashValue& handshake,
                                        const HashValue& client_handshake, const HashValue& hash) {
  HashValue verify(digest_), master(digest_), client(digest_), server(digest_);
  Verify(client_handshake.bytes(), hash, verify);
  client_finished_.Set(verify.bytes());
  ExtractNext(handshake, {}, master);
  master_.Set(master.bytes());
  Expand(master.bytes(), "c ap traffic", hash.bytes(), client);
  Expand(master.bytes(), "s ap traffic", hash.bytes(), server);
  application_ = RecordLayer::MakeServer(suite_, AsText(client.bytes()), AsText(server.bytes()), 0);
  return application_ != nullptr;
}

Tls13Handshake::State Tls13Handshake::Fail(uint8_t alert, std::string_view reason) {
  alert_owed_ = alert;
  reason_ = reason;
  return State::kFailed;
}

Tls13Handshake::State Tls13Handshake::TakeAlert(uint8_t description) {
  // RFC 8446 6.1: a close_notify follows.
  if (description == SSL_AD_USER_CANCELLED) return State::kDone;
  has_ended_ = description == SSL_AD_CLOSE_NOTIFY;
  alert_received_ = description;
  return Fail(0, "the peer's alert");
}

// A ChangeCipherSpec and, from a client that could not read our flight, an alert come in the clear.
Tls13Handshake::State Tls13Handshake::TakeRecord(Buffer& in) {
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
    in.Drain(front.size());
    return TakeAlert(static_cast<uint8_t>(front[6]));
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
  if (type == SSL3_RT_ALERT && content.size() == 2)
    return TakeAlert(static_cast<uint8_t>(content[1]));
  // RFC 8446 5.1: no empty pieces of a message.
  if (type != SSL3_RT_HANDSHAKE || content.empty())
    return Fail(SSL_AD_UNEXPECTED_MESSAGE, "an unexpected record");
  messages_ += content;
  return State::kDone;
}

Tls13Handshake::State Tls13Handshake::TakeMessages() {
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
  HashValue hash(digest_), resumption(digest_);
  HashOf(transcript_, hash);
  Expand(master_.bytes(), "res master", hash.bytes(), resumption);
  if (!resumption_.Set(resumption.bytes())) return Fail(SSL_AD_INTERNAL_ERROR, "no memory");
  return State::kDone;
}

Tls13Handshake::State Tls13Handshake::Receive(Buffer& in, Buffer& out) {
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
