#include "proxy/tls/tls_stream.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/event/timer.h"
#include "proxy/net/address.h"
#include "proxy/tls/handshake_state.h"
#include "proxy/tls/record_bio.h"
#include "proxy/tls/record_layer.h"
#include "proxy/tls/tls13_handshake.h"
#include "proxy/tls/traffic_secrets.h"

namespace genkan::tls {
namespace {

using net::IoResult;
using net::IoState;

constexpr size_t kRecord = 16 * 1024;
constexpr size_t kRecordOverhead = 64;
// Records of one write: about what a stream may hold, so a peer that stops reading costs no more than this. More only
// where the kernel takes it at once.
constexpr size_t kGather = 64 * 1024;
constexpr size_t kGatherBulk = 288 * 1024;
constexpr size_t kReadBlock = 64 * 1024 - Buffer::kBlockOverhead;  // fills a block
constexpr size_t kSmallRecord = 4 * 1024;
constexpr size_t kHandshakeRead = 16 * 1024;
// How long tickets wait for an answer that takes them along: nobody needs them before the next connection.
constexpr Millis kTicketWait{10};
// A client's whole part of a handshake, with a chain of certificates; nobody honest comes near.
constexpr size_t kMaxClientHandshake = 128 * 1024;

class TlsStreamImpl final : public TlsStream, private net::Stream::Owner {
 public:
  // Exactly one of `server` and `client` is not null; a server has a delegate.
  TlsStreamImpl(event::EventLoop& loop, std::unique_ptr<net::Stream> lower,
                const ServerContext* server, SSL_CTX* client, HandshakeDelegate* delegate,
                std::string_view replay);
  ~TlsStreamImpl() override;

  // Client side, before anything is sent.
  void SetPeerName(const std::string& name, bool verifies);

  void SetOwner(net::Stream::Owner& owner) override { owner_ = &owner; }
  IoResult Read(Buffer& into, size_t limit) override;
  IoResult Write(Buffer& from) override;
  void WantRead(bool wanted) override;
  void WantWrite(bool wanted) override;
  // Tickets that wait for the first answer are nobody's bytes.
  size_t pending_write() const override { return holds_tickets() ? 0 : bio_.unsent(); }
  size_t WriteRoom() const override;
  void CloseWrite() override;
  void ResetOnClose() override { lower_->ResetOnClose(); }
  void Cancel() override;
  const Error& error() const override { return error_; }
  int fd() const override { return lower_->fd(); }

  bool is_handshake_done() const override { return is_handshake_done_; }
  const HandshakeInfo& handshake() const override { return info_; }
  std::string_view alert() const override { return state_.alert; }
  const BundlePtr& bundle() const override { return state_.bundle; }
  bool is_raw() const override { return is_raw_; }
  bool has_record_layer() const override { return records_ != nullptr; }

 private:
  // Lives until the loop has let go of what was deferred, although the stream may be gone by then.
  struct Turn {
    TlsStreamImpl* stream;
    int references = 1;
    static void Release(Turn* turn) {
      if (--turn->references == 0) delete turn;
    }
  };

  void OnReadable() noexcept override;
  void OnWritable() noexcept override;

  bool is_server() const { return server_ != nullptr; }
  bool is_shaking() const { return !is_handshake_done_ && !has_failed_ && !is_raw_; }
  void MakeSsl(SSL_CTX* context);
  // Server side: true when there is a hello to begin with.
  bool AwaitHello();
  // True: the hello is for somebody else.
  bool TurnRaw();
  IoResult ReadRaw(Buffer& into, size_t limit);
  // True: a handshake of ours answers the hello, and libssl is not needed.
  bool BeginTls13();
  // True when the handshake is done.
  bool Drive();
  bool DriveTls13();
  bool FailTls13();
  void DriveAndTell();
  // The handshake is done or has failed.
  void TellShaken();
  void FinishHandshake();
  void TakeOverRecords();
  void HoldTickets();
  bool holds_tickets() const { return ticket_timer_ != nullptr; }
  size_t OpenInto(Buffer& into, size_t limit, RecordLayer::State& state);
  IoResult ReadRecords(Buffer& into, size_t limit);
  IoResult FailRecords();
  IoResult WriteRecords(Buffer& from, size_t gather);
  void FailCut();
  IoResult FailTls(int ssl_error);
  std::string DescribeFailure(unsigned long first_error);
  void Flush();
  void UpdateInterest();
  bool HasBuffered() const;
  void ScheduleRead();
  void ScheduleFlush();
  void ScheduleTurn();
  void RunTurn();
  size_t ReadInto(Buffer& into, size_t limit, int& ssl_error);

  event::EventLoop& loop_;
  std::unique_ptr<net::Stream> lower_;
  net::Stream::Owner* owner_ = nullptr;
  RecordBio bio_;
  const ServerContext* server_;  // null on the client side
  SslPtr ssl_;  // after bio_: destroyed before it; null until a client has said hello
  std::unique_ptr<TrafficSecrets> secrets_;  // until the handshake is done
  std::unique_ptr<Tls13Handshake> tls13_;   // in the place of an SSL, until the handshake is done
  std::unique_ptr<RecordLayer> records_;     // then there is no SSL
  std::unique_ptr<event::Timer> ticket_timer_;  // while tickets wait for the first answer
  HandshakeState state_;
  HandshakeInfo info_;
  Error error_;
  Turn* turn_;
  unsigned reads_ = 0;  // calls of Read, to see whether an owner takes what it is told of
  bool is_raw_ = false;  // there is no SSL: bytes pass as they are
  bool is_handshake_done_ = false;
  bool has_failed_ = false;
  bool has_write_failed_ = false;
  bool wants_read_ = false;
  bool wants_write_ = false;
  bool is_blocked_ = false;  // the stream below takes nothing now
  bool is_starved_ = false;  // OpenSSL waits for bytes that only the kernel can bring
  bool is_bulk_ = false;     // the last record was large
  bool is_cancelled_ = false;
  bool is_close_due_ = false;
  bool is_turn_scheduled_ = false;
  bool is_read_due_ = false;
  bool is_flush_due_ = false;
  bool is_in_turn_ = false;
};

TlsStreamImpl::TlsStreamImpl(event::EventLoop& loop, std::unique_ptr<net::Stream> lower,
                             const ServerContext* server, SSL_CTX* client,
                             HandshakeDelegate* delegate, std::string_view replay)
    : loop_(loop),
      lower_(std::move(lower)),
      bio_(*lower_, replay),
      server_(server),
      turn_(new Turn{this}) {
  state_.delegate = delegate;
  if (client != nullptr) MakeSsl(client);
  lower_->SetOwner(*this);
  UpdateInterest();
  // A client speaks first; replayed bytes are no event of the kernel's.
  if (!is_server() || !replay.empty()) ScheduleRead();
}

TlsStreamImpl::~TlsStreamImpl() {
  turn_->stream = nullptr;
  Turn::Release(turn_);
}

void TlsStreamImpl::MakeSsl(SSL_CTX* context) {
  ssl_.reset(SSL_new(context));
  GENKAN_CHECK(ssl_ != nullptr);
  SSL_set_app_data(ssl_.get(), &state_);
  BIO* bio = bio_.MakeBio();
  SSL_set_bio(ssl_.get(), bio, bio);
  is_server() ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  if (!is_server()) return;
  secrets_ = std::make_unique<TrafficSecrets>();
  state_.takes_over_records = true;
}

void TlsStreamImpl::SetPeerName(const std::string& name, bool verifies) {
  if (name.empty()) return;
  info_.server_name = name;
  bool is_address = net::Address::ParseHost(name, 0).has_value();
  // RFC 6066 3: no address literals in the extension.
  if (!is_address) SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
  if (!verifies) return;
  X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl_.get());
  X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_address) {
    X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(parameters, name.c_str(), name.size());
  }
}

// ---- the handshake

bool TlsStreamImpl::AwaitHello() {
  if (!bio_.HoldsHello()) bio_.Fill();
  if (bio_.unread() == 0 && bio_.has_failed()) {
    error_ = lower_->error();
    has_failed_ = true;
    return false;
  }
  if (bio_.unread() == 0 && bio_.has_end()) {
    error_ = Error{ErrorCode::kClosed, "closed before the handshake"};
    has_failed_ = true;
    return false;
  }
  if (!bio_.HoldsHello() && !bio_.has_end() && !bio_.has_failed()) {
    is_starved_ = true;
    return false;
  }
  if (TurnRaw() || BeginTls13()) return false;
  MakeSsl(server_->get());
  return true;
}

bool TlsStreamImpl::BeginTls13() {
  tls13_ = server_->Begin(bio_.Peek(), state_, info_, bio_.outgoing());
  if (tls13_ == nullptr) return false;
  bio_.received().Clear();
  Flush();
  has_failed_ = has_write_failed_;
  is_starved_ = true;
  return true;
}

bool TlsStreamImpl::DriveTls13() {
  Tls13Handshake::State state;
  while ((state = tls13_->Receive(bio_.received(), bio_.outgoing())) ==
             Tls13Handshake::State::kNeedMore &&
         bio_.may_fill())
    bio_.Fill();
  if (state == Tls13Handshake::State::kNeedMore && !bio_.has_end() && !bio_.has_failed()) {
    is_starved_ = true;
    return false;
  }
  if (state != Tls13Handshake::State::kDone) return FailTls13();
  records_ = tls13_->TakeRecords();
  const std::string tickets = server_->WriteTickets(*tls13_, state_);
  if (!tickets.empty()) records_->SealHandshake(tickets, bio_.outgoing());
  tls13_.reset();
  is_handshake_done_ = true;
  UpdateInterest();
  // Where our flight has not gone yet, they go with it.
  if (bio_.unsent() > 0) is_blocked_ ? Flush() : HoldTickets();
  return true;
}

bool TlsStreamImpl::FailTls13() {
  has_failed_ = true;
  if (tls13_->reason().empty() || tls13_->has_ended()) {
    FailCut();
    bio_.DropUnsent();
    return false;
  }
  const uint8_t received = tls13_->alert_received();
  const uint8_t alert = received != 0 ? received : tls13_->alert_owed();
  if (alert != 0) state_.alert = SSL_alert_desc_string_long(alert);
  error_ = Error{ErrorCode::kTls, received != 0
                                      ? fmt::format("handshake: alert: {}", state_.alert)
                                      : fmt::format("handshake: {}", tls13_->reason())};
  // Whether it goes matters no more.
  if (bio_.unsent() > 0) Flush();
  return false;
}

bool TlsStreamImpl::TurnRaw() {
  if (state_.delegate == nullptr || !state_.delegate->has_raw_target()) return false;
  auto hello = ParseClientHello(bio_.Peek());
  if (!hello || !hello->has_value() || !state_.delegate->IsForRawTarget(**hello)) return false;
  is_raw_ = true;
  info_.server_name = std::move((*hello)->server_name);
  return true;
}

IoResult TlsStreamImpl::ReadRaw(Buffer& into, size_t limit) {
  if (bio_.unread() > 0) {
    size_t moved = bio_.MoveUnread(into, limit);
    if (bio_.unread() > 0 && wants_read_) ScheduleRead();
    return {IoState::kOk, moved};
  }
  if (bio_.has_end()) return {IoState::kEnd, 0};
  IoResult result = lower_->Read(into, limit);
  if (result.state == IoState::kFailed) error_ = lower_->error();
  return result;
}

bool TlsStreamImpl::Drive() {
  if (is_handshake_done_) return true;
  if (has_failed_ || is_raw_) return false;
  is_starved_ = false;
  bio_.AllowRead(kHandshakeRead);
  if (tls13_ != nullptr) return DriveTls13();
  if (ssl_ == nullptr && !AwaitHello()) return false;
  ERR_clear_error();
  bio_.CountRecords();
  int result;
  {
    TrafficSecretsScope scope(secrets_.get());
    result = SSL_do_handshake(ssl_.get());
  }
  if (result == 1) {
    FinishHandshake();
    return true;
  }
  int ssl_error = SSL_get_error(ssl_.get(), result);
  if (ssl_error == SSL_ERROR_WANT_READ || ssl_error == SSL_ERROR_WANT_WRITE) {
    if (is_server() && bio_.taken() > kMaxClientHandshake) {
      has_failed_ = true;
      error_ = Error{ErrorCode::kTooLarge, "handshake: the client sends too much"};
      return false;
    }
    is_starved_ = true;
    Flush();
    if (has_write_failed_) has_failed_ = true;
    return false;
  }
  FailTls(ssl_error);
  return false;
}

void TlsStreamImpl::FinishHandshake() {
  is_handshake_done_ = true;
  SSL* ssl = ssl_.get();
  info_.version = SSL_version(ssl);
  info_.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
  info_.is_resumed = SSL_session_reused(ssl) == 1;
  info_.has_sent_staple = state_.has_sent_staple && !info_.is_resumed;
  const unsigned char* protocol = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &length);
  info_.alpn.assign(reinterpret_cast<const char*>(protocol), length);
  if (is_server()) {
    // SSL_get_servername is NULL after a resumption in TLS 1.2.
    info_.server_name = std::move(state_.hello.server_name);
    X509* peer = SSL_get0_peer_certificate(ssl);
    if (peer != nullptr && SSL_get_verify_result(ssl) == X509_V_OK) {
      X509_up_ref(peer);
      if (auto certificate = Certificate::FromX509(X509Ptr(peer)); certificate)
        info_.client_certificate = *std::move(certificate);
      BioPtr text(BIO_new(BIO_s_mem()));
      X509_NAME_print_ex(text.get(), X509_get_subject_name(peer), 0, XN_FLAG_RFC2253);
      char* bytes = nullptr;
      long size = BIO_get_mem_data(text.get(), &bytes);
      info_.client_subject.assign(bytes, static_cast<size_t>(size));
    }
  }
  state_.hello = ClientHello();
  is_starved_ = false;
  TakeOverRecords();
  UpdateInterest();
  if (bio_.unsent() > 0) HoldTickets();
}

// From here on the records are ours: OpenSSL has nothing more to do in TLS 1.3, and its SSL is most of what a connection
// costs in memory. The last call of SSL_do_handshake began behind the client's Finished, so that all the records that
// it wrote (tickets) are under the keys of the application's data.
void TlsStreamImpl::TakeOverRecords() {
  auto secrets = std::move(secrets_);
  SSL* ssl = ssl_.get();
  if (secrets == nullptr || !secrets->is_complete() || info_.version != TLS1_3_VERSION ||
      bio_.is_kernel_encrypting() || SSL_has_pending(ssl) != 0)
    return;
  const uint16_t suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl));
  records_ = RecordLayer::MakeServer(suite, AsText(secrets->client.bytes()),
                                     AsText(secrets->server.bytes()), bio_.records());
  if (records_ == nullptr) return;
  std::string tickets = server_->WriteTickets(ssl, secrets->resumption.bytes());
  if (!tickets.empty()) records_->SealHandshake(tickets, bio_.outgoing());
  ssl_.reset();
}

// In TLS 1.3 what is left to send at the end are tickets: they wait for the first answer, and need no system call of
// their own. Before, it is our Finished, which the client waits for.
void TlsStreamImpl::HoldTickets() {
  if (!is_server() || info_.version != TLS1_3_VERSION) return ScheduleFlush();
  ticket_timer_ = std::make_unique<event::Timer>(loop_, [this] { ScheduleFlush(); });
  ticket_timer_->Start(kTicketWait);
}

void TlsStreamImpl::DriveAndTell() {
  if (!Drive() && !has_failed_ && !is_raw_) return;
  TellShaken();
}

void TlsStreamImpl::TellShaken() {
  UpdateInterest();
  // The kernel was asked in this turn already: what came along is here.
  is_in_turn_ = true;
  if (owner_ != nullptr) owner_->OnReadable();
  is_in_turn_ = false;
  if (owner_ != nullptr && wants_write_) owner_->OnWritable();
  // What came with the end of the handshake is announced by nobody else.
  if (wants_read_ && HasBuffered()) ScheduleRead();
}

std::string TlsStreamImpl::DescribeFailure(unsigned long first_error) {
  std::string text = is_handshake_done_ ? "TLS" : "handshake";
  if (!state_.reason.empty()) return fmt::format("{}: {}", text, state_.reason);
  if (!is_server() && ERR_GET_REASON(first_error) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    long verdict = SSL_get_verify_result(ssl_.get());
    return fmt::format("{}: the server's certificate ({}): {}", text, info_.server_name,
                       X509_verify_cert_error_string(verdict));
  }
  std::string errors = TakeOpensslErrors();
  return errors.empty() ? text + " failed" : fmt::format("{}: {}", text, errors);
}

IoResult TlsStreamImpl::FailTls(int ssl_error) {
  unsigned long first_error = ERR_peek_error();
  bool is_eof = ssl_error == SSL_ERROR_SYSCALL ||
                ERR_GET_REASON(first_error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  if (bio_.has_failed() || (bio_.has_end() && is_eof)) {
    FailCut();
    // OpenSSL wants to send an alert for it, to nobody.
    bio_.DropUnsent();
  } else {
    error_ = Error{ErrorCode::kTls, DescribeFailure(first_error)};
  }
  ERR_clear_error();
  has_failed_ = true;
  // The alert. Whether it goes matters no more.
  if (bio_.unsent() > 0) Flush();
  return {IoState::kFailed, 0};
}

// ---- bytes

size_t TlsStreamImpl::ReadInto(Buffer& into, size_t limit, int& ssl_error) {
  ssl_error = SSL_ERROR_NONE;
  size_t total = 0;
  thread_local std::array<char, kRecord> aside;
  while (total < limit && ssl_error == SSL_ERROR_NONE) {
    // Small records are read aside, so that a waiting head holds its own size; large ones go
    // straight into a block of the buffer, several to a block.
    bool is_aside = !is_bulk_ || limit - total < kSmallRecord;
    std::span<char> room = is_aside ? std::span<char>(aside).first(std::min(limit - total, kRecord))
                                    : into.Reserve(std::min(limit - total, kReadBlock));
    if (room.size() > limit - total) room = room.first(limit - total);
    size_t filled = 0;
    while (filled < room.size()) {
      ERR_clear_error();
      size_t got = 0;
      int result = SSL_read_ex(ssl_.get(), room.data() + filled, room.size() - filled, &got);
      if (result != 1) {
        ssl_error = SSL_get_error(ssl_.get(), result);
        break;
      }
      filled += got;
      is_bulk_ = got > kSmallRecord;
      if (is_aside) break;
    }
    if (is_aside) {
      into.Append(std::string_view(room.data(), filled));
    } else if (filled > 0 || !into.empty()) {
      into.Commit(filled);
    } else {
      into = Buffer();  // an idle connection keeps no block
    }
    total += filled;
    // It would only say that it wants to read, at half the price of having something.
    if (ssl_error == SSL_ERROR_NONE && bio_.is_drained() && SSL_has_pending(ssl_.get()) == 0)
      ssl_error = SSL_ERROR_WANT_READ;
  }
  return total;
}

size_t TlsStreamImpl::OpenInto(Buffer& into, size_t limit, RecordLayer::State& state) {
  size_t total = 0;
  while (true) {
    RecordLayer::Opened opened = records_->Open(bio_.received(), into, limit - total);
    total += opened.bytes;
    state = opened.state;
    if (state != RecordLayer::State::kNeedMore || !bio_.may_fill()) return total;
    bio_.Fill();
  }
}

IoResult TlsStreamImpl::ReadRecords(Buffer& into, size_t limit) {
  RecordLayer::State state;
  size_t total = OpenInto(into, limit, state);
  bio_.AllowRead(0);
  if (bio_.is_overfull()) {
    error_ = Error{ErrorCode::kTooLarge, "TLS: the peer asks for new keys and does not read"};
    has_failed_ = true;
    return {IoState::kFailed, 0};
  }
  if (!has_write_failed_) records_->SealAnswers(bio_.outgoing());
  is_starved_ = state == RecordLayer::State::kNeedMore && !bio_.has_end() && !bio_.has_failed();
  if (bio_.unsent() > 0 && !is_blocked_ && !holds_tickets()) ScheduleFlush();
  bool is_over = !is_starved_ && state != RecordLayer::State::kOk;
  // An end or a failure behind these bytes comes again with the next call.
  if (wants_read_ && (total > 0 ? is_over || HasBuffered() : state == RecordLayer::State::kOk && HasBuffered()))
    ScheduleRead();
  if (total > 0) return {IoState::kOk, total};
  if (state == RecordLayer::State::kOk) return {IoState::kOk, 0};
  if (state == RecordLayer::State::kEnd) return {IoState::kEnd, 0};
  if (is_starved_) return {IoState::kWouldBlock, 0};
  return FailRecords();
}

void TlsStreamImpl::FailCut() {
  if (bio_.has_failed()) {
    error_ = lower_->error();
  } else {
    error_ = Error{ErrorCode::kClosed, is_handshake_done_ ? "cut: closed without close_notify"
                                                          : "closed during the handshake"};
  }
}

IoResult TlsStreamImpl::FailRecords() {
  has_failed_ = true;
  if (records_->reason().empty()) {
    FailCut();
    return {IoState::kFailed, 0};
  }
  if (uint8_t received = records_->alert_received(); received != 0) {
    state_.alert = SSL_alert_desc_string_long(received);
    error_ = Error{ErrorCode::kTls, fmt::format("TLS: alert: {}", state_.alert)};
  } else {
    error_ = Error{ErrorCode::kTls, fmt::format("TLS: {}", records_->reason())};
  }
  if (uint8_t owed = records_->alert_owed(); owed != 0) {
    state_.alert = SSL_alert_desc_string_long(owed);
    records_->SealAlert(SSL3_AL_FATAL, owed, bio_.outgoing());
  }
  // Whether it goes matters no more.
  if (bio_.unsent() > 0) Flush();
  return {IoState::kFailed, 0};
}

IoResult TlsStreamImpl::Read(Buffer& into, size_t limit) {
  ++reads_;
  if (has_failed_) return {IoState::kFailed, 0};
  if (!is_handshake_done_) {
    if (!Drive()) {
      if (is_raw_) return ReadRaw(into, limit);
      return {has_failed_ ? IoState::kFailed : IoState::kWouldBlock, 0};
    }
    if (wants_write_) ScheduleRead();
  }
  if (limit == 0) return {IoState::kOk, 0};
  // One system call each call of the kernel's; what is left over must not keep the other
  // connections waiting.
  bio_.AllowRead(is_in_turn_ ? 0 : std::max(limit, kRecord + kRecordOverhead));
  if (records_ != nullptr) return ReadRecords(into, limit);
  int ssl_error;
  size_t total = ReadInto(into, limit, ssl_error);
  bio_.AllowRead(0);
  is_starved_ = ssl_error == SSL_ERROR_WANT_READ;
  if (ssl_error == SSL_ERROR_NONE && wants_read_ && HasBuffered()) ScheduleRead();
  // What reading made OpenSSL say (KeyUpdate, close_notify's answer).
  if (bio_.unsent() > 0 && !is_blocked_) ScheduleFlush();
  if (total > 0) {
    // An end or a failure behind these bytes comes again with the next call.
    if (ssl_error != SSL_ERROR_NONE && ssl_error != SSL_ERROR_WANT_READ && wants_read_)
      ScheduleRead();
    return {IoState::kOk, total};
  }
  switch (ssl_error) {
    case SSL_ERROR_NONE:
      return {IoState::kOk, 0};
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return {IoState::kWouldBlock, 0};
    case SSL_ERROR_ZERO_RETURN:
      return {IoState::kEnd, 0};
    default:
      return FailTls(ssl_error);
  }
}

// The next record's bytes: in place where they lie together, otherwise joined aside.
std::string_view NextRecord(Buffer& from) {
  std::string_view front = from.Front();
  if (front.size() >= kRecord / 2 || front.size() == from.size()) return front.substr(0, kRecord);
  thread_local std::array<char, kRecord> aside;
  return {aside.data(), from.CopyFront(aside)};
}

IoResult TlsStreamImpl::Write(Buffer& from) {
  if (!has_failed_ && !is_handshake_done_) {
    if (Drive()) {
      ScheduleRead();
    } else if (is_raw_) {
      IoResult result = lower_->Write(from);
      if (result.state == IoState::kFailed) error_ = lower_->error();
      return result;
    } else if (!has_failed_) {
      return {IoState::kWouldBlock, 0};
    }
  }
  if (has_failed_ || has_write_failed_) return {IoState::kFailed, 0};
  if (is_blocked_) Flush();
  size_t total = 0;
  size_t gather = kGather;
  if (from.size() > kGather) gather = std::clamp(lower_->WriteRoom(), kGather, kGatherBulk);
  if (records_ != nullptr) return WriteRecords(from, gather);
  while (!from.empty() && !is_blocked_ && !has_write_failed_) {
    std::string_view piece = NextRecord(from);
    ERR_clear_error();
    size_t written = 0;
    int result = SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &written);
    if (result != 1) return FailTls(SSL_get_error(ssl_.get(), result));
    from.Drain(written);
    total += written;
    ticket_timer_.reset();
    if (bio_.unsent() >= gather) Flush();
  }
  if (pending_write() > 0 && !is_blocked_ && !has_write_failed_) Flush();
  if (has_write_failed_) return {IoState::kFailed, 0};
  return {from.empty() ? IoState::kOk : IoState::kWouldBlock, total};
}

IoResult TlsStreamImpl::WriteRecords(Buffer& from, size_t gather) {
  size_t before = from.size();
  while (!from.empty() && !is_blocked_ && !has_write_failed_) {
    records_->Seal(from, bio_.outgoing(), gather - std::min(gather, bio_.unsent()));
    Flush();
  }
  if (pending_write() > 0 && !is_blocked_ && !has_write_failed_) Flush();
  if (has_write_failed_) return {IoState::kFailed, 0};
  return {from.empty() ? IoState::kOk : IoState::kWouldBlock, before - from.size()};
}

size_t TlsStreamImpl::WriteRoom() const {
  if (!is_handshake_done_ || has_failed_ || has_write_failed_ || is_blocked_ || pending_write() > 0)
    return 0;
  return lower_->WriteRoom();
}

void TlsStreamImpl::Flush() {
  is_flush_due_ = false;
  ticket_timer_.reset();
  if (bio_.unsent() > 0) {
    IoResult result = bio_.Flush();
    is_blocked_ = result.state == IoState::kWouldBlock;
    if (result.state == IoState::kFailed) {
      has_write_failed_ = true;
      is_blocked_ = false;
      bio_.DropUnsent();
      if (!has_failed_) error_ = lower_->error();
    }
  } else {
    is_blocked_ = false;
  }
  if (is_close_due_ && !is_blocked_) {
    is_close_due_ = false;
    lower_->CloseWrite();
  }
  UpdateInterest();
}

void TlsStreamImpl::CloseWrite() {
  if (is_handshake_done_ && !has_failed_ && !has_write_failed_) {
    if (records_ != nullptr) {
      records_->SealAlert(SSL3_AL_WARNING, SSL_AD_CLOSE_NOTIFY, bio_.outgoing());
    } else {
      ERR_clear_error();
      SSL_shutdown(ssl_.get());
      ERR_clear_error();
    }
  }
  is_close_due_ = true;
  Flush();
}

// ---- events

void TlsStreamImpl::UpdateInterest() {
  if (is_cancelled_) return;
  lower_->WantRead(is_shaking() || wants_read_);
  lower_->WantWrite(is_blocked_ || (wants_write_ && !is_shaking()));
}

void TlsStreamImpl::WantRead(bool wanted) {
  wants_read_ = wanted;
  UpdateInterest();
  // OpenSSL may hold decrypted bytes, and we whole records, that epoll will never announce.
  if (wanted && (has_failed_ || ((is_handshake_done_ || is_raw_) && HasBuffered()))) ScheduleRead();
}

void TlsStreamImpl::WantWrite(bool wanted) {
  wants_write_ = wanted;
  UpdateInterest();
}

bool TlsStreamImpl::HasBuffered() const {
  // A part of a record counts as pending for OpenSSL; only the kernel can complete it.
  return !is_starved_ && (bio_.unread() > 0 || (records_ != nullptr && records_->has_pending()) ||
                          (ssl_ != nullptr && SSL_has_pending(ssl_.get()) == 1));
}

void TlsStreamImpl::OnReadable() noexcept {
  is_starved_ = false;
  if (is_shaking()) {
    DriveAndTell();
  } else if (owner_ != nullptr && wants_read_) {
    owner_->OnReadable();
  }
}

void TlsStreamImpl::OnWritable() noexcept {
  if (pending_write() > 0 || is_close_due_) Flush();
  if (is_blocked_) return;
  if (is_shaking()) {
    if (has_write_failed_) {
      has_failed_ = true;
      TellShaken();
    } else if (!is_starved_) {
      DriveAndTell();
    }
    return;
  }
  UpdateInterest();
  if (owner_ == nullptr) return;
  if (wants_write_) {
    owner_->OnWritable();
  } else if (has_write_failed_ && wants_read_) {
    owner_->OnReadable();
  }
}

void TlsStreamImpl::ScheduleRead() {
  is_read_due_ = true;
  ScheduleTurn();
}

void TlsStreamImpl::ScheduleFlush() {
  is_flush_due_ = true;
  ScheduleTurn();
}

void TlsStreamImpl::ScheduleTurn() {
  if (is_turn_scheduled_ || is_cancelled_) return;
  is_turn_scheduled_ = true;
  ++turn_->references;
  loop_.Defer([turn = turn_] {
    if (turn->stream != nullptr) turn->stream->RunTurn();
    Turn::Release(turn);
  });
}

void TlsStreamImpl::RunTurn() {
  is_turn_scheduled_ = false;
  if (is_cancelled_) return;
  bool is_read_due = std::exchange(is_read_due_, false);
  if (is_read_due) {
    if (is_shaking()) {
      DriveAndTell();
    } else if (owner_ != nullptr) {
      unsigned before = reads_;
      is_in_turn_ = true;
      if (wants_read_) owner_->OnReadable();
      if (owner_ != nullptr && wants_write_ && !is_blocked_) owner_->OnWritable();
      is_in_turn_ = false;
      if (!is_cancelled_ && wants_read_ && reads_ == before && HasBuffered()) {
        // Not now, says the owner, but it still wants to: ask again in another turn, as epoll
        // would.
        ++turn_->references;
        loop_.Post([kept = std::shared_ptr<Turn>(turn_, &Turn::Release)] {
          if (kept->stream != nullptr && kept->stream->wants_read_) kept->stream->ScheduleRead();
        });
      }
    }
  }
  // After the owner: what it wrote has taken the tickets along.
  if (is_flush_due_ && !is_cancelled_) Flush();
}

void TlsStreamImpl::Cancel() {
  is_cancelled_ = true;
  owner_ = nullptr;
  lower_->Cancel();
}

}  // namespace

std::unique_ptr<TlsStream> TlsStream::Accept(event::EventLoop& loop,
                                             std::unique_ptr<net::Stream> lower,
                                             const ServerContext& context,
                                             HandshakeDelegate& delegate, std::string_view replay) {
  return std::make_unique<TlsStreamImpl>(loop, std::move(lower), &context, nullptr, &delegate, replay);
}

std::unique_ptr<TlsStream> TlsStream::Connect(event::EventLoop& loop,
                                              std::unique_ptr<net::Stream> lower,
                                              const ClientContext& context,
                                              const std::string& name) {
  auto stream = std::make_unique<TlsStreamImpl>(loop, std::move(lower), nullptr, context.get(), nullptr, "");
  stream->SetPeerName(name, context.verifies());
  return stream;
}

}  // namespace genkan::tls
