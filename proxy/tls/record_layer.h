// TLS 1.3 records after the handshake (RFC 8446 5): opens what the peer sent, seals what we send,
// with keys of its own, so that a connection needs no SSL any more. That is what the kernel does
// for kTLS, without a kernel that has it: bytes are sealed from one buffer into the next in one
// pass, and an idle connection keeps two cipher contexts instead of an SSL. No I/O. Worker's
// thread; owned by the TlsStream.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/tls/record_cipher.h"

namespace genkan::tls {

class RecordLayer {
 public:
  // Bytes of a record's contents when there is much to send: so many fill blocks of 64 KiB and of
  // 256 KiB nearly whole.
  static constexpr size_t kRecord = 16'346;
  static constexpr size_t kOverhead = 22;  // header, type and tag

  enum class State {
    kOk,        // as much as was asked for, and there is more
    kNeedMore,  // the next record is not here whole
    kEnd,       // close_notify
    kFailed     // alert() and reason() say why; for good
  };
  struct Opened {
    State state;
    size_t bytes;
  };

  // `suite` as on the wire (0x1301 …); the secrets are client and server
  // application_traffic_secret_0 (RFC 8446 7.1), `written`: how many records the server's has
  // sealed already (tickets). Null: not a suite of ours.
  static std::unique_ptr<RecordLayer> MakeServer(uint16_t suite, std::string_view client_secret,
                                                 std::string_view server_secret, uint64_t written);
  ~RecordLayer();

  // Opens records at the front of `in` and appends what they hold to `into`, at most `limit` bytes.
  // Bytes that were opened come with kNeedMore, kEnd and kFailed too.
  Opened Open(Buffer& in, Buffer& into, size_t limit);
  // One record at the front of `in`, whatever it holds, for a handshake that goes on under these keys.
  // kOk: `type` and `content` (appended) are its. kNeedMore and kFailed as above.
  State OpenOne(Buffer& in, uint8_t& type, std::string& content);
  // More would come without another byte of the peer's.
  bool has_pending() const { return !pending_.empty(); }

  // Records of what is at the front of `from`, until `out` has grown by `most` bytes or more.
  void Seal(Buffer& from, Buffer& out, size_t most);
  // What reading made necessary: the answer to a KeyUpdate.
  void SealAnswers(Buffer& out);
  // Messages of a handshake, whole, in as few records as hold them.
  void SealHandshake(std::string_view messages, Buffer& out);
  void SealAlert(uint8_t level, uint8_t description, Buffer& out);

  // The alert that this side owes after kFailed (RFC 8446 6), or 0 when the peer sent one.
  uint8_t alert_owed() const { return alert_owed_; }
  // The peer's fatal alert; 0 = none.
  uint8_t alert_received() const { return alert_received_; }
  std::string_view reason() const { return reason_; }

 private:
  // One direction's keys.
  struct Direction {
    RecordCipher cipher;
    std::array<unsigned char, 48> secret{};
    std::array<unsigned char, 12> iv{};
    uint64_t sequence = 0;
  };

  explicit RecordLayer(const RecordSuite& suite) : suite_(suite) {}
  bool SetSecret(Direction& direction, std::string_view secret);
  bool UpdateSecret(Direction& direction);
  bool SetKeys(Direction& direction);
  static std::array<unsigned char, 12> Nonce(Direction& direction);

  // The record at the front of `in`: its whole length, 0 when it is not here whole. Malformed:
  // fails.
  size_t NextLength(Buffer& in);
  // Opens the record of `length` bytes at the front into `to`, which has room for all of it but
  // header and tag. Gives the number of bytes of its contents; `type` is theirs. False: failed.
  bool OpenRecord(Buffer& in, size_t length, char* to, size_t& bytes, uint8_t& type);
  // What is no application data.
  State TakeControl(uint8_t type, std::string_view content);
  State TakeAlert(std::string_view content);
  State TakeKeyUpdate(std::string_view content);
  Opened OpenSmall(Buffer& in, size_t length, Buffer& into, size_t limit);
  Opened OpenBulk(Buffer& in, size_t length, Buffer& into, size_t limit);
  State Fail(uint8_t alert, std::string_view reason);
  void SealRecord(uint8_t type, Buffer& from, size_t bytes, unsigned char* to);
  void SealMessage(uint8_t type, std::string_view message, Buffer& out);

  const RecordSuite& suite_;
  Direction read_, write_;
  std::string pending_;  // opened, but over the reader's limit
  std::string_view reason_;
  unsigned idle_records_ = 0;  // without a byte of data since the last that had one
  uint8_t alert_owed_ = 0;
  uint8_t alert_received_ = 0;
  bool has_failed_ = false;
  bool has_ended_ = false;
  bool owes_update_ = false;
};

}  // namespace genkan::tls
