// The server's side of a TLS 1.3 handshake over a fresh X25519 exchange, without libssl: whole,
// with a certificate, or resuming a session of ours (RFC 8446 2, 2.2 psk_dhe_ke). What libssl
// spends most of its time on is between the steps; here they are a key schedule, six messages at
// most and one signature. Whatever it does not know is libssl's, as long as nothing was sent. No
// I/O. Worker's thread; owned by the TlsStream until the handshake is done.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/buffer.h"
#include "proxy/tls/certificate_bundle.h"
#include "proxy/tls/key_schedule.h"
#include "proxy/tls/provider/secret.h"
#include "proxy/tls/record_layer.h"
#include "proxy/tls/tls13_hello.h"

namespace genkan::tls {

// The hash of a suite of TLS 1.3, as on the wire (0x1301 …).
provider::Sha2 DigestOf(uint16_t suite);

class Tls13Handshake {
 public:
  // What EncryptedExtensions say.
  struct Answers {
    std::string_view alpn;  // the protocol agreed on, "" for none
    bool has_used_name = false;
  };
  // What a server proves itself with; borrowed.
  struct Proof {
    const std::vector<CertificatePtr>& chain;  // leaf first
    const PrivateKey& key;                     // the leaf's
    uint16_t scheme = 0;                       // ChooseScheme's
    std::string_view staple;                   // an OCSPResponse; "" for none
  };
  enum class State {
    kNeedMore,
    kDone,   // TakeRecords
    kFailed  // alert_owed(), alert_received() and reason() say why; for good
  };

  // Whether the client knows `psk`, the secret of the session that its first identity names, whose
  // hash is that of the hello's suite (RFC 8446 4.2.11.2).
  static bool IsBound(const Tls13Hello& hello, provider::Bytes psk);
  // Both append the whole first flight to `out`. Null: no randomness, no memory, a useless share or
  // a key that does not sign, and nothing is appended. The session's binder was checked.
  static std::unique_ptr<Tls13Handshake> Resume(const Tls13Hello& hello, provider::Bytes psk,
                                                const Answers& answers, Buffer& out);
  static std::unique_ptr<Tls13Handshake> Begin(const Tls13Hello& hello, const Proof& proof,
                                               const Answers& answers, Buffer& out);
  ~Tls13Handshake();

  // Takes the client's flight off the front of `in`, and nothing behind it. What is owed to the
  // client is appended to `out`.
  State Receive(Buffer& in, Buffer& out);

  uint16_t suite() const { return suite_; }
  // After kDone, once: the layer of the application's records.
  std::unique_ptr<RecordLayer> TakeRecords() { return std::move(application_); }
  provider::Bytes resumption_master_secret() const { return resumption_.bytes(); }

  uint8_t alert_owed() const { return alert_owed_; }
  uint8_t alert_received() const { return alert_received_; }
  // After kFailed: the client closed in peace.
  bool has_ended() const { return has_ended_; }
  std::string_view reason() const { return reason_; }

 private:
  explicit Tls13Handshake(uint16_t suite);
  // `psk` is empty in a whole handshake, and `proof` null in a resumption.
  static std::unique_ptr<Tls13Handshake> Make(const Tls13Hello& hello, provider::Bytes psk,
                                              const Proof* proof, const Answers& answers,
                                              Buffer& out);
  bool WriteFlight(const Tls13Hello& hello, provider::Bytes psk, const Proof* proof,
                   const Answers& answers, Buffer& out);
  // Takes messages into the transcript, whose hash goes to `hash`.
  void Note(std::string_view messages, HashValue& hash);
  // What the end of our flight settles; `hash` is of all up to there.
  bool SetApplicationKeys(const HashValue& handshake, const HashValue& client_handshake,
                          const HashValue& hash);
  // One record; kDone: of no importance, go on.
  State TakeRecord(Buffer& in);
  State TakeAlert(uint8_t description);
  State TakeMessages();
  State Fail(uint8_t alert, std::string_view reason);

  uint16_t suite_;
  provider::Sha2 digest_;
  provider::Sha2Hash transcript_;
  provider::Secret client_finished_;  // the verify_data that the client must send
  provider::Secret master_, resumption_;
  std::unique_ptr<RecordLayer> handshake_, application_;
  std::string messages_;  // of the client's, unfinished
  std::string_view reason_;
  unsigned records_ = 0;
  uint8_t alert_owed_ = 0, alert_received_ = 0;
  bool has_ended_ = false;
};

}  // namespace genkan::tls
