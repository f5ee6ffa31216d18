#include "proxy/upstream/upstream_connection.h"

#include <algorithm>

#include "proxy/http/h1_codec.h"

namespace genkan::upstream {
namespace {

constexpr size_t kReadAtMost = 64 * 1024 - Buffer::kBlockOverhead;  // fills a block
constexpr size_t kReadAtLeast = 4 * 1024;
// A relayed byte costs half as much in pieces of this size.
constexpr size_t kReadBulk = 255 * 1024;
constexpr size_t kBulk = 32 * 1024;
constexpr size_t kWriteAtOnce = 256 * 1024;

}  // namespace

UpstreamConnection::UpstreamConnection(event::EventLoop& loop, const ClusterSpec& spec,
                                       size_t server, Owner& owner)
    : loop_(loop),
      spec_(spec),
      owner_(owner),
      codec_(http::MakeH1ClientCodec(*this, spec.limits)),
      timer_(loop, [this] { OnTimeout(); }),
      server_(server) {}

// ---- connecting

void UpstreamConnection::Connect(Endpoint& endpoint, ConnectOptions options, ConnectionUser& user) {
  user_ = &user;
  requests_ = 1;
  Connector::Owner& self = *this;
  connector_ = std::make_unique<Connector>(loop_, endpoint, std::move(options), self);
  connector_->Start();
}

void UpstreamConnection::OnConnected(std::unique_ptr<net::Stream> stream) {
  loop_.Retire(std::move(connector_));
  stream_ = std::move(stream);
  stream_->SetOwner(*this);
  stream_->WantRead(true);
  is_reading_ = true;
  step_ = Step::kInUse;
  owner_.OnConnectionUp(*this);
  if (user_ != nullptr) user_->OnConnectionReady();
}

void UpstreamConnection::OnConnectFailed(const Error& error) {
  owner_.OnConnectionDown(*this);
  FailUse(error);
}

// ---- one use after another

void UpstreamConnection::Take(ConnectionUser& user) {
  user_ = &user;
  ++requests_;
  step_ = Step::kInUse;
  timer_.Cancel();  // it counted the idleness
  unconsumed_ = 0;
  has_sent_ = has_received_ = has_head_ = is_complete_ = false;
}

bool UpstreamConnection::Probe() {
  net::IoResult result = stream_->Read(in_, 1);
  return in_.empty() && result.state != net::IoState::kEnd && result.state != net::IoState::kFailed;
}

void UpstreamConnection::Leave() {
  user_ = nullptr;
  Close();
}

// The response is whole: the user hears of it, and owns the connection no more.
ConnectionUser* UpstreamConnection::EndUse() {
  is_complete_ = true;
  return std::exchange(user_, nullptr);
}

void UpstreamConnection::FailUse(Error error) {
  ConnectionUser* user = std::exchange(user_, nullptr);
  Close();
  if (user != nullptr) user->OnConnectionFailed(error);
}

void UpstreamConnection::Close() {
  if (step_ == Step::kClosed) return;
  step_ = Step::kClosed;
  owner_.OnConnectionClosed(*this);
}

void UpstreamConnection::Shutdown() {
  step_ = Step::kClosed;
  user_ = nullptr;
  timer_.Cancel();
  if (stream_) stream_->Cancel();
  if (connector_) connector_->Shutdown();
}

// Behind Receive: nobody's frames but ours are on the stack.
void UpstreamConnection::Settle() {
  if (step_ != Step::kInUse) return;
  if (!is_complete_) {
    if (!is_blocked_) ArmTimer();
    return;
  }
  if (is_tunnel_) {
    // Both sides have ended.
    if (has_closed_write_ || has_write_failed_) FailUse({ErrorCode::kClosed, "tunnel ended"});
    return;
  }
  // Message rule 21. What the codec has handed out must also have left us.
  bool is_reusable = codec_->is_reusable() && in_.empty() && out_.empty() && !has_read_end_ &&
                     !has_write_failed_ && stream_->pending_write() == 0;
  Millis limit = spec_.idle_timeout;
  // The origin counts from its side of the wire: a second less than it says.
  if (int seconds = codec_->keep_alive_timeout(); seconds > 0)
    limit = std::min(limit, Millis((seconds - 1) * 1000));
  if (!is_reusable || limit <= Millis(0)) return Close();
  step_ = Step::kIdle;
  idle_since_ = loop_.now();
  idle_limit_ = limit;
  timer_.Start(limit);
  SetReading(true);
  owner_.OnConnectionFree(*this);
}

// ---- the request

void UpstreamConnection::SendRequest(const http::RequestHead& head, bool end) {
  id_ = codec_->SendRequest(head, end);
  has_ended_ = end;
  asks_for_tunnel_ = !head.upgrade.empty();
  waits_for_origin_ = asks_for_tunnel_ || head.expects_continue;
  MarkDirty();
}

void UpstreamConnection::SendBody(Buffer& data, bool end) {
  if (has_write_failed_) return data.Clear();
  if (!asks_for_tunnel_) waits_for_origin_ = false;
  has_ended_ |= end;
  codec_->SendBody(id_, data, end);
  MarkDirty();
}

void UpstreamConnection::SendTrailers(const http::Headers& trailers) {
  if (has_write_failed_) return;
  has_ended_ = true;
  codec_->SendTrailers(id_, trailers);
  MarkDirty();
}

size_t UpstreamConnection::buffered() const {
  // What nobody will take any more must not hold the client up.
  if (stream_ == nullptr || has_write_failed_) return 0;
  return codec_->buffered(id_) + out_.size() + stream_->pending_write();
}

size_t UpstreamConnection::TakesAtOnce() const {
  if (stream_ == nullptr || is_blocked_ || has_write_failed_ || buffered() > 0) return 0;
  return stream_->WriteRoom();
}

void UpstreamConnection::MarkDirty() {
  if (!is_dirty && step_ == Step::kInUse) owner_.OnConnectionDirty(*this);
}

void UpstreamConnection::RunTurn() {
  if (step_ != Step::kInUse) return;
  if (!is_blocked_) Flush();
  if (step_ == Step::kInUse && !in_.empty() && HasRoom()) Receive();
}

void UpstreamConnection::Flush() {
  if (has_write_failed_) return;
  bool was_blocked = std::exchange(is_blocked_, false);
  bool has_moved = false;
  for (;;) {
    if (out_.size() < kWriteAtOnce) codec_->Produce(out_, kWriteAtOnce - out_.size());
    if (out_.empty() && stream_->pending_write() == 0) break;
    net::IoResult result = stream_->Write(out_);
    has_moved |= result.bytes > 0;
    if (result.state == net::IoState::kFailed) {
      HandleWriteFailure();
      return;
    }
    if (!out_.empty() || stream_->pending_write() > 0) {
      is_blocked_ = true;
      break;
    }
  }
  has_sent_ |= has_moved;
  if (is_blocked_ != was_blocked) stream_->WantWrite(is_blocked_);
  // RFC 9110 7.8 leaves the tunnel's end to its protocol: what one side ended the other must see
  // ended.
  if (is_tunnel_ && has_ended_ && !is_blocked_ && !has_closed_write_) {
    has_closed_write_ = true;
    stream_->CloseWrite();
    if (is_complete_) return Settle();
  }
  if (has_moved || is_blocked_ != was_blocked) ArmTimer();
  if (has_moved && user_ != nullptr) user_->OnConnectionWritten();
}

// The origin takes no more, but may have said why before it closed (413 and a close, in the middle
// of an upload).
void UpstreamConnection::HandleWriteFailure() {
  has_write_failed_ = true;
  out_.Clear();
  stream_->WantWrite(false);
  if (is_complete_) return Settle();
  if (MayRead()) Read();
  if (step_ == Step::kInUse && user_ != nullptr) user_->OnConnectionWritten();
}

// ---- the response

bool UpstreamConnection::HasRoom() const {
  // Half of the window at least: a reader that takes a little at a time must not make us read a
  // little at a time.
  return unconsumed_ <= spec_.limits.buffered_per_stream / 2 && codec_->wants_bytes();
}

bool UpstreamConnection::MayRead() const { return !has_read_end_ && HasRoom(); }

void UpstreamConnection::SetReading(bool wanted) {
  if (wanted == is_reading_ || has_read_end_) return;
  is_reading_ = wanted;
  stream_->WantRead(wanted);
}

void UpstreamConnection::Consumed(size_t bytes) {
  unconsumed_ -= std::min(bytes, unconsumed_);
  codec_->Consumed(id_, bytes);
  if (step_ != Step::kInUse || !HasRoom()) return;
  if (!in_.empty()) {
    MarkDirty();
  } else {
    SetReading(true);
  }
  if (has_head_ && !is_blocked_) ArmTimer();
}

void UpstreamConnection::OnReadable() noexcept {
  if (step_ == Step::kInUse) {
    Read();
  } else if (step_ == Step::kIdle) {
    // An end, a failure, or bytes that nobody asked for. TLS wakes us for its own records too.
    if (!Probe()) Close();
  }
}

void UpstreamConnection::OnWritable() noexcept {
  if (step_ == Step::kInUse) Flush();
}

// How much of a body may come in now. Where all that came has left, and the client's side would take more than a window
// at once, so much: it stays with us no longer than this turn.
size_t UpstreamConnection::Window() {
  size_t window = spec_.limits.buffered_per_stream;
  if (is_bulk_ && unconsumed_ == 0 && in_.empty() && user_ != nullptr)
    window = std::max(window, std::min(user_->TakesOfResponse(), kReadBulk));
  codec_->SetWindow(window);
  return window - std::min(window, unconsumed_);
}

void UpstreamConnection::Read() {
  // Until somebody takes what is here; while the readers keep up no interest changes hands.
  if (!MayRead()) return SetReading(false);
  size_t window = Window();
  size_t most = std::max(window, kReadAtMost);
  size_t limit = std::max(std::min(window, most - std::min(in_.size(), most)), kReadAtLeast);
  net::IoResult result = stream_->Read(in_, limit);
  is_bulk_ = result.bytes >= kBulk || (is_bulk_ && result.bytes >= kBulk / 4);
  switch (result.state) {
    case net::IoState::kOk:
      if (result.bytes == 0) return;
      has_received_ = true;
      return Receive();
    case net::IoState::kWouldBlock:
      return;
    case net::IoState::kEnd:
      SetReading(false);
      has_read_end_ = true;
      codec_->ReceiveEnd();
      return Settle();
    case net::IoState::kFailed:
      return FailUse(stream_->error());
  }
}

void UpstreamConnection::Receive() {
  Status status = codec_->Receive(in_);
  if (step_ == Step::kClosed) return;
  if (!status) return FailUse(status.error());
  if (in_.empty() || HasRoom()) SetReading(true);
  Settle();
}

void UpstreamConnection::OnInterim(http::StreamId, http::ResponseHead&& head) {
  if (head.status == 100 && !asks_for_tunnel_) waits_for_origin_ = false;
  if (user_ != nullptr) user_->OnConnectionInterim(std::move(head));
}

void UpstreamConnection::OnResponse(http::StreamId, http::ResponseHead&& head, bool end) {
  has_head_ = true;
  is_tunnel_ = head.status == 101;
  ConnectionUser* user = end ? EndUse() : user_;
  if (user != nullptr) user->OnConnectionResponse(std::move(head), end);
}

void UpstreamConnection::OnBody(http::StreamId, Buffer& data, bool end) {
  unconsumed_ += data.size();
  ConnectionUser* user = user_;
  if (end) {
    is_complete_ = true;
    // A tunnel's user may still have bytes for the origin.
    if (!is_tunnel_) user = EndUse();
  }
  if (user != nullptr) user->OnConnectionBody(data, end);
}

void UpstreamConnection::OnTrailers(http::StreamId, http::Headers&& trailers) {
  ConnectionUser* user = EndUse();
  if (user != nullptr) user->OnConnectionTrailers(std::move(trailers));
}

void UpstreamConnection::OnReset(http::StreamId, const Error& error) { FailUse(error); }

// ---- time

// Called when something moved; what a deadline is for depends on whose turn it is.
void UpstreamConnection::ArmTimer() {
  if (step_ != Step::kInUse) return;
  if (is_blocked_) {
    timer_.Start(spec_.write_timeout);
  } else if (!has_head_ && (has_ended_ || waits_for_origin_)) {
    timer_.Start(spec_.response_timeout);
  } else {
    // While the client sends its body, slowly perhaps, the origin owes nothing.
    timer_.Start(spec_.stream_idle_timeout);
  }
}

void UpstreamConnection::OnTimeout() {
  if (step_ == Step::kIdle) return Close();
  if (step_ != Step::kInUse) return;
  std::string words;
  if (is_blocked_) {
    words = fmt::format("took no bytes for {} ms", spec_.write_timeout.count());
  } else if (!has_head_ && (has_ended_ || waits_for_origin_)) {
    words = fmt::format("no response within {} ms", spec_.response_timeout.count());
  } else {
    words = fmt::format("nothing moved for {} ms", spec_.stream_idle_timeout.count());
  }
  FailUse(Error{ErrorCode::kTimeout, std::move(words), Side::kUpstream});
}

}  // namespace genkan::upstream
