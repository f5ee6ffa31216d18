// The server's side of a TLS 1.3 handshake that resumes a session of ours with a fresh X25519
// exchange (RFC 8446 2.2, psk_dhe_ke), without libssl: there is no certificate in it and no
// signature, and what is left is a key schedule and four messages. Whatever it does not know is
// libssl's, as long as nothing was sent. No I/O. Worker's thread; owned by the TlsStream until the
// handshake is done.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/tls/provider/secret.h"
#include "proxy/tls/psk_hello.h"
#include "proxy/tls/record_layer.h"

namespace genkan::tls {

class Resumption {
 public:
  // What EncryptedExtensions say.
  struct Answers {
    std::string_view alpn;  // the protocol agreed on, "" for none
    bool has_used_name = false;
  };
  enum class State {
    kNeedMore,
    kDone,   // TakeRecords
    kFailed  // alert_owed(), alert_received() and reason() say why; for good
  };

  // Whether the client knows `psk`, the secret of the session that its first identity names, whose
  // hash is that of the hello's suite (RFC 8446 4.2.11.2).
  static bool IsBound(const PskHello& hello, provider::Bytes psk);
  // Appends the whole first flight to `out`. The binder was checked. Null: no randomness, no memory
  // or a useless share, and nothing is appended.
  static std::unique_ptr<Resumption> Begin(const PskHello& hello, provider::Bytes psk,
                                           const Answers& answers, Buffer& out);
  ~Resumption();

  // Takes the client's flight off the front of `in`, and nothing behind it. What is owed to the
  // client is appended to `out`.
  State Receive(Buffer& in, Buffer& out);

  uint16_t suite() const { return suite_; }
  // After kDone, once: the layer of the application's records.
  std::unique_ptr<RecordLayer> TakeRecords() { return std::move(application_); }
  provider::Bytes resumption_master_secret() const { return resumption_.bytes(); }

  uint8_t alert_owed() const { return alert_owed_; }
  uint8_t alert_received() const { return alert_received_; }
  std::string_view reason() const { return reason_; }

 private:
  Resumption(uint16_t suite, provider::Sha2 digest);

  bool WriteFlight(const PskHello& hello, provider::Bytes psk, const Answers& answers, Buffer& out);
  // One record; kDone: of no importance, go on.
  State TakeRecord(Buffer& in);
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
};

}  // namespace genkan::tls
