#include "proxy/server/downstream_connection.h"

#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/http/h1_codec.h"
#include "proxy/http/h2_codec.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/net/tcp_stream.h"
#include "proxy/server/exchange.h"

namespace genkan::server {
namespace {

using net::IoResult;
using net::IoState;

constexpr size_t kReadAtOnce = 64 * 1024;
constexpr size_t kProduceAtOnce = 64 * 1024;
// A relayed byte costs half as much in pieces of this size. They are read only where the other side's kernel takes them
// at once, so that no stream holds more than its window.
constexpr size_t kBulkAtOnce = 255 * 1024;
// Whole records of 16 KiB: a part of one would be a piece of its own on the way to the origin.
constexpr size_t kBulkReadAtOnce = 256 * 1024;
constexpr size_t kBulk = 32 * 1024;
// Rounds of Produce and Write in one turn, so that one busy client does not starve the others.
constexpr int kMostRounds = 16;
constexpr MonotonicTime kNever = MonotonicTime::max();

std::string_view TlsVersionName(int version) {
  switch (version) {
    case 0x0301: return "TLSv1";
    case 0x0302: return "TLSv1.1";
    case 0x0303: return "TLSv1.2";
    case 0x0304: return "TLSv1.3";
    default: return "";
  }
}

std::unique_ptr<const ClientCertificateView> ViewOf(const tls::Certificate& certificate) {
  auto view = std::make_unique<ClientCertificateView>();
  view->der = certificate.der();
  view->subject = certificate.subject();
  view->issuer = certificate.issuer();
  view->serial_hex = certificate.serial_hex();
  view->sha256_hex = certificate.sha256_hex();
  view->not_before = certificate.not_before();
  view->not_after = certificate.not_after();
  return view;
}

}  // namespace

DownstreamConnection::DownstreamConnection(WorkerCore& core, std::shared_ptr<Listener> listener,
                                           net::Fd fd, const net::Address& peer,
                                           const net::Address& local)
    : core_(core),
      listener_(std::move(listener)),
      number_(core.NextConnectionNumber()),
      stream_(std::make_unique<net::TcpStream>(core.loop(), std::move(fd))),
      timer_(core.loop(), [this] { OnTimer(); }),
      peer_(peer),
      local_(local) {}

DownstreamConnection::~DownstreamConnection() = default;

std::string DownstreamConnection::id() const { return fmt::format("{}.{}", core_.index(), number_); }

// ---- beginning

void DownstreamConnection::Start() {
  stream_->SetOwner(*this);
  deadline_ = core_.loop().now() + listener_->spec().limits.handshake_timeout;
  const ListenerSpec& spec = listener_->spec();
  if (net::ContainsAny(spec.proxy_protocol, peer_)) {
    // Who it is for, the header says; the balancer itself is not counted.
    state_ = State::kProxyHeader;
    NeedDeadline(deadline_);
    stream_->WantRead(true);
    return;
  }
  if (!TakeAddress(peer_)) return;
  SetViewAddresses(peer_, local_);
  StartTransport("");
}

bool DownstreamConnection::TakeAddress(const net::Address& client) {
  const ListenerSpec& spec = listener_->spec();
  if (net::ContainsAny(listener_->snapshot()->snapshot->trusted_proxies, client)) return true;
  bool shakes = spec.config.tls;
  if (!core_.shared().addresses.TryAdd(client, spec.limits.connections_per_address,
                                       spec.limits.handshakes_per_address, shakes)) {
    core_.metrics().connections_refused.Add();
    LOG_DEBUG("connection_refused", "c={} client={} reason=\"too many from this address\"", id(),
              client.HostString());
    state_ = State::kClosed;
    core_.Remove(*this);
    return false;
  }
  is_counted_ = true;
  is_handshaking_ = shakes;
  return true;
}

void DownstreamConnection::SetViewAddresses(const net::Address& client, const net::Address& local) {
  peer_ = client;
  local_ = local;
  client_address_ = client.HostString();
  local_address_ = local.HostString();
  local_port_ = local.is_ip() ? std::to_string(local.port()) : "";
  view_.client_address = client_address_;
  view_.client_port = client.port();
  view_.local_address = local_address_;
  view_.local_port = local.port();
}

void DownstreamConnection::ReadProxyHeader() {
  IoResult result = stream_->Read(in_, net::kMaxProxyHeader);
  if (result.state == IoState::kWouldBlock) return;
  if (result.state != IoState::kOk) return Cut();
  auto header = net::ParseProxyHeader(in_.Linear(in_.size()));
  if (!header) {
    core_.metrics().bad_messages.Add();
    LOG_DEBUG("proxy_header_refused", "c={} peer={} error=\"{}\"", id(), peer_.HostString(),
              header.error().detail);
    return Cut();
  }
  if (!header->has_value()) {
    if (in_.size() >= net::kMaxProxyHeader) Cut();
    return;
  }
  const net::ProxyHeader& found = **header;
  in_.Drain(found.length);
  if (found.has_addresses) {
    net::Address source = found.source, destination = found.destination;
    if (!TakeAddress(source)) return;
    SetViewAddresses(source, destination);
  } else {
    SetViewAddresses(peer_, local_);
  }
  std::string rest = in_.ToText();
  in_.Clear();
  StartTransport(std::move(rest));
}

void DownstreamConnection::StartTransport(std::string replay) {
  if (!listener_->is_tls()) {
    in_.Append(replay);
    StartServing("http/1.1");
    if (!in_.empty()) Receive();
    return;
  }
  context_ = listener_->context();
  if (context_ == nullptr) return Cut();
  state_ = State::kHandshake;
  NeedDeadline(deadline_);
  auto tls = tls::TlsStream::Accept(core_.loop(), std::move(stream_), *context_, *listener_, replay);
  tls_ = tls.get();
  stream_ = std::move(tls);
  stream_->SetOwner(*this);
  stream_->WantRead(true);
}

void DownstreamConnection::ContinueHandshake() {
  IoResult result = stream_->Read(in_, kReadAtOnce);
  if (tls_->is_raw()) return StartPassing();
  if (!tls_->is_handshake_done()) {
    if (result.state != IoState::kFailed && result.state != IoState::kEnd) return;
    core_.metrics().handshakes_failed.Add();
    LOG_DEBUG("handshake_failed", "c={} client={} error=\"{}\" alert=\"{}\"", id(), client_address_,
              stream_->error().detail, tls_->alert());
    return Cut();
  }
  FinishHandshake();
  if (state_ != State::kServing) return;
  switch (result.state) {
    case IoState::kOk:
      if (result.bytes > 0) Receive();
      return;
    case IoState::kWouldBlock: return;
    case IoState::kEnd: return HandleEnd();
    case IoState::kFailed: return Cut();
  }
}

void DownstreamConnection::FinishHandshake() {
  const tls::HandshakeInfo& info = tls_->handshake();
  WorkerMetrics& metrics = core_.metrics();
  if (info.version == 0x0304) {
    metrics.handshakes_tls13.Add();
  } else if (info.version == 0x0303) {
    metrics.handshakes_tls12.Add();
  } else {
    metrics.handshakes_other.Add();
  }
  if (info.is_resumed) metrics.handshakes_resumed.Add();
  if (info.has_sent_staple) metrics.handshakes_stapled.Add();
  if (is_counted_) core_.shared().addresses.HandshakeDone(peer_);
  is_handshaking_ = false;
  view_.is_tls = true;
  view_.server_name = info.server_name;
  view_.tls_version = TlsVersionName(info.version);
  view_.cipher = info.cipher;
  view_.client_subject = info.client_subject;
  if (info.client_certificate != nullptr) {
    client_certificate_ = ViewOf(*info.client_certificate);
    view_.client_certificate = client_certificate_.get();
  }
  StartServing(info.alpn);
}

void DownstreamConnection::StartPassing() {
  state_ = State::kPassing;
  WorkerShared& shared = core_.shared();
  const auto& target = listener_->snapshot()->snapshot->tls_alpn;
  // A reload has just taken it away.
  if (!target) return RefusePassing("nobody answers tls-alpn-01");
  if (!shared.tls_alpn_gate.Enter(tls_->handshake().server_name, core_.loop().now()))
    return RefusePassing("too many at a time");
  is_passing_ = true;
  pass_ = std::make_unique<TlsAlpnPass>(core_.loop(), *stream_, [this] { FinishPassing(); });
  pass_->Start(*target, in_);
}

void DownstreamConnection::FinishPassing() {
  // In the way of all challenges: who asked, for what, and what answered.
  const std::string& failure = pass_->failure();
  bool is_answered = pass_->bytes_out() > 0;
  auto left_out = core_.shared().tls_alpn_lines.Take(core_.loop().now());
  if (is_answered && left_out) {
    LOG_INFO("tls_alpn_passed", "c={} client={} name={} by={} bytes={} more={}", id(), client_address_,
             EscapeControl(tls_->handshake().server_name), pass_->target(), pass_->bytes_out(), *left_out);
  } else if (left_out) {
    LOG_WARN("tls_alpn_unanswered", "c={} client={} name={} by={} error=\"{}\" more={}", id(),
             client_address_, EscapeControl(tls_->handshake().server_name), pass_->target(),
             EscapeControl(failure), *left_out);
  }
  (is_answered ? core_.metrics().tls_alpn_passed : core_.metrics().tls_alpn_refused).Add();
  EndPassing();
  if (!is_answered) SendAlert();
  BeginLinger();
}

void DownstreamConnection::RefusePassing(std::string_view why) {
  LOG_DEBUG("tls_alpn_refused", "c={} client={} name={} reason=\"{}\"", id(), client_address_,
            EscapeControl(tls_->handshake().server_name), why);
  core_.metrics().tls_alpn_refused.Add();
  SendAlert();
  BeginLinger();
}

void DownstreamConnection::EndPassing() {
  if (pass_ == nullptr) return;
  pass_->Shutdown();
  if (std::exchange(is_passing_, false)) core_.shared().tls_alpn_gate.Leave();
}

// What our own handshake would say: no_application_protocol, fatal (RFC 7301 3.2).
void DownstreamConnection::SendAlert() {
  constexpr std::string_view kAlert("\x15\x03\x03\x00\x02\x02\x78", 7);
  Buffer alert(kAlert);
  // It is the first thing that is sent here, so it goes or nothing does.
  stream_->Write(alert);
}

void DownstreamConnection::StartServing(std::string_view protocol) {
  state_ = State::kServing;
  const ListenerSpec& spec = listener_->spec();
  bool is_h2 = protocol == "h2";
  codec_ = is_h2 ? http::MakeH2ServerCodec(*this, spec.codec_limits, core_.shared().clock)
                 : http::MakeH1ServerCodec(*this, spec.codec_limits);
  // The first request is expected at once; a client that only holds the connection is not worth waiting for.
  idle_deadline_ = core_.loop().now() + spec.limits.header_timeout;
  head_deadline_ = idle_deadline_;
  NeedDeadline(idle_deadline_);
  stream_->WantRead(true);
  // h2: our SETTINGS go out with the tickets.
  if (is_h2) MarkDirty();
  if (core_.is_draining()) Drain(core_.drain_idle());
}

// ---- bytes in

void DownstreamConnection::OnReadable() noexcept {
  switch (state_) {
    case State::kProxyHeader: return ReadProxyHeader();
    case State::kHandshake: return ContinueHandshake();
    case State::kPassing: return pass_->OnClientReady();
    case State::kServing: return ReadRequests();
    case State::kLingering: return DrainLinger();
    case State::kClosed: return;
  }
}

void DownstreamConnection::OnWritable() noexcept {
  if (state_ == State::kServing) {
    MarkDirty();
  } else if (state_ == State::kPassing) {
    pass_->OnClientReady();
  } else if (state_ == State::kLingering || state_ == State::kClosed) {
    stream_->WantWrite(false);
  }
}

// h1 alone: h2's clients know their windows.
size_t DownstreamConnection::ReadLimit() {
  size_t limit = kReadAtOnce;
  if (codec_->version() == http::Version::kHttp2 || exchanges_.size() != 1) return limit;
  if (is_bulk_in_ && in_.empty()) {
    limit = std::max(limit, std::min(exchanges_.front()->UploadTakesAtOnce(), kBulkReadAtOnce));
  }
  codec_->SetWindow(limit);
  return limit;
}

void DownstreamConnection::ReadRequests() {
  if (in_.size() >= kReadAtOnce) return UpdateInterest();
  IoResult result = stream_->Read(in_, ReadLimit());
  // TLS hands over what is left of a large read by itself.
  if (result.bytes > 0) is_bulk_in_ = result.bytes >= kBulk || (is_bulk_in_ && result.bytes >= kBulk / 4);
  switch (result.state) {
    case IoState::kOk:
      if (result.bytes > 0) Receive();
      return;
    case IoState::kWouldBlock: return;
    case IoState::kEnd: return HandleEnd();
    case IoState::kFailed:
      is_cut_ = true;
      AbortExchanges({ErrorCode::kClosed, "the client's connection broke", Side::kDownstream});
      return Cut();
  }
}

void DownstreamConnection::Receive() {
  bool is_h2 = codec_->version() == http::Version::kHttp2;
  if (is_h2 && requests_ == 0) {
    // The preface is here; a connection that a browser opens ahead of need may rest.
    idle_deadline_ = core_.loop().now() + listener_->spec().limits.h2_idle_timeout;
  }
  if (Status status = codec_->Receive(in_); !status) {
    has_failed_ = true;
    core_.metrics().bad_messages.Add();
    LOG_DEBUG("bad_message", "c={} client={} error=\"{}\"", id(), client_address_,
              status.error().detail);
    in_.Clear();
    // h1 has told its one exchange; h2's connection is over for all of them.
    AbortExchanges(status.error());
  }
  if (is_h2) NoteH2Head();
  if (!is_h2 && exchanges_.empty() && !in_.empty() && !has_begun_head_) {
    has_begun_head_ = true;
    if (requests_ > 0) head_deadline_ = core_.loop().now() + listener_->spec().limits.header_timeout;
    NeedDeadline(head_deadline_);
  }
  needs_more_ = codec_->wants_bytes();
  UpdateInterest();
  MarkDirty();
}

// A head that trickles in holds all streams of the connection up, so it has its time limit even while others run.
void DownstreamConnection::NoteH2Head() {
  bool is_mid_head = codec_->is_mid_head();
  if (is_mid_head && !has_begun_head_) {
    // The preface and the first frame share the time that began with the connection.
    if (has_seen_head_) {
      head_deadline_ = core_.loop().now() + listener_->spec().limits.header_timeout;
    }
    NeedDeadline(head_deadline_);
  }
  if (!is_mid_head) has_seen_head_ = true;
  bool has_ended = has_begun_head_ && !is_mid_head;
  has_begun_head_ = is_mid_head;
  if (has_ended && exchanges_.empty()) NoteIdle();
}

void DownstreamConnection::HandleEnd() {
  has_peer_closed_ = true;
  stream_->WantRead(false);
  codec_->ReceiveEnd();
  if (tls_ != nullptr) {
    // Over TLS nobody half-closes and waits (RFC 5246 7.2.1 even forbids to answer): the client is gone. A tunnel's
    // end was told by the codec, and its other direction may still have something to say.
    for (auto& exchange : exchanges_) {
      if (!exchange->is_tunnel()) {
        exchange->OnGone({ErrorCode::kClosed, "the client went away", Side::kDownstream});
      }
    }
    is_cut_ = std::all_of(exchanges_.begin(), exchanges_.end(),
                          [](const auto& exchange) { return exchange->is_finished(); });
  }
  MarkDirty();
}

void DownstreamConnection::UpdateInterest() {
  if (state_ != State::kServing) return;
  stream_->WantRead(!has_peer_closed_ && !has_failed_ && codec_->wants_bytes() &&
                    in_.size() < kReadAtOnce);
}

// ---- what the codec tells

void DownstreamConnection::CountRequest() {
  has_begun_head_ = false;
  ++requests_;
  const config::Limits& limits = listener_->spec().limits;
  bool is_h2 = codec_->version() == http::Version::kHttp2;
  (is_h2 ? core_.metrics().requests_h2 : core_.metrics().requests_h1).Add();
  uint32_t most = is_h2 ? limits.h2_requests_per_connection : limits.requests_per_connection;
  bool is_last = most != 0 && requests_ >= most;
  if ((is_last || is_draining_) && !has_gone_away_) {
    has_gone_away_ = true;
    codec_->GoAway();
  }
}

void DownstreamConnection::OnRequest(http::StreamId stream, http::RequestHead&& head, bool end) {
  CountRequest();
  exchanges_.push_back(core_.TakeExchange());
  exchanges_.back()->Begin(*this, stream, std::move(head), end);
}

void DownstreamConnection::OnRefused(http::StreamId stream, const http::Refusal& refusal,
                                     const http::RequestHead& head) {
  CountRequest();
  core_.metrics().bad_messages.Add();
  exchanges_.push_back(core_.TakeExchange());
  exchanges_.back()->BeginRefused(*this, stream, refusal, head);
}

ServerExchange* DownstreamConnection::Find(http::StreamId stream) {
  // The newest is the most likely one, and on h1 the only one.
  for (size_t i = exchanges_.size(); i-- > 0;) {
    if (exchanges_[i]->stream() == stream && !exchanges_[i]->is_finished()) return exchanges_[i].get();
  }
  return nullptr;
}

void DownstreamConnection::OnBody(http::StreamId stream, Buffer& data, bool end) {
  if (ServerExchange* exchange = Find(stream); exchange != nullptr) exchange->OnBody(data, end);
}

void DownstreamConnection::OnTrailers(http::StreamId stream, http::Headers&& trailers) {
  if (ServerExchange* exchange = Find(stream); exchange != nullptr) {
    exchange->OnTrailers(std::move(trailers));
  }
}

void DownstreamConnection::OnReset(http::StreamId stream, const Error& error) {
  ServerExchange* exchange = Find(stream);
  if (exchange == nullptr) return;
  // Until the end of the turn an origin may be at work on it: that counts, or resets would buy requests.
  if (exchange->has_upstream()) codec_->Hold(stream);
  exchange->OnGone(error);
  MarkDirty();
}

void DownstreamConnection::OnStreamDone(http::StreamId stream) {
  ServerExchange* exchange = Find(stream);
  if (exchange == nullptr) return;
  if (exchange->has_upstream()) codec_->Hold(stream);
  exchange->OnStreamDone();
  // The Flush that this comes from reaps it; another has to be only for what may begin now that it is gone.
  bool begins_another = !in_.empty() || codec_->version() == http::Version::kHttp2;
  if (!is_flushing_ || begins_another) MarkDirty();
}

void DownstreamConnection::AbortExchanges(const Error& error) {
  for (auto& exchange : exchanges_) exchange->OnGone(error);
}

// ---- the end of a turn

void DownstreamConnection::Flush() {
  if (state_ != State::kServing) return;
  is_flushing_ = true;
  bool was_fruitless = false;
  for (int round = 0; !is_cut_; ++round) {
    size_t before = out_.size();
    if (before < kProduceAtOnce) codec_->Produce(out_, is_bulk_out_ ? kBulkAtOnce : kProduceAtOnce);
    bool has_produced = out_.size() > before;
    if (!Write()) {
      is_cut_ = true;
      AbortExchanges({ErrorCode::kClosed, "the client's connection broke", Side::kDownstream});
      break;
    }
    AccountExchanges();
    if (is_write_blocked_) break;
    // What was left behind for later, not what is only half here.
    if (!in_.empty() && !has_failed_ && !needs_more_ && codec_->wants_bytes()) {
      Reap();
      Receive();
      has_produced = true;
    }
    // Accounting may have opened a window, which the client must hear of. Output that does not come the second time
    // waits for the client.
    if (!codec_->has_output() || (!has_produced && was_fruitless)) break;
    was_fruitless = !has_produced;
    if (round >= kMostRounds) {
      // Another turn, behind the others.
      stream_->WantWrite(true);
      is_write_blocked_ = true;
      blocked_since_ = core_.loop().now();
      break;
    }
  }
  is_bulk_out_ = is_flushing_ = false;
  Reap();
  if (is_cut_) return Cut();
  if (CanClose()) {
    if (!codec_->must_reset()) return BeginLinger();
    stream_->ResetOnClose();
    return Cut();
  }
  UpdateInterest();
  if (exchanges_.empty()) NoteIdle();
}

bool DownstreamConnection::Write() {
  size_t before = unsent();
  if (before == 0) {
    if (is_write_blocked_) {
      is_write_blocked_ = false;
      stream_->WantWrite(false);
    }
    return true;
  }
  IoResult result = stream_->Write(out_);
  if (result.state == IoState::kFailed) return false;
  size_t left = unsent();
  if (left == 0) {
    if (is_write_blocked_) stream_->WantWrite(false);
    is_write_blocked_ = false;
    return true;
  }
  if (!is_write_blocked_ || left < before) {
    blocked_since_ = core_.loop().now();
    last_unsent_ = left;
  }
  if (!is_write_blocked_) NeedDeadline(blocked_since_ + listener_->spec().limits.write_timeout);
  is_write_blocked_ = true;
  stream_->WantWrite(true);
  return true;
}

size_t DownstreamConnection::TakesAtOnce(http::StreamId stream) {
  if (state_ != State::kServing || is_write_blocked_ || unsent() > 0 || codec_->has_output()) return 0;
  size_t room = std::min(codec_->send_room(stream), stream_->WriteRoom());
  is_bulk_out_ |= room > kProduceAtOnce;
  return room;
}

void DownstreamConnection::AccountExchanges() {
  for (auto& exchange : exchanges_) exchange->Account();
}

void DownstreamConnection::Reap() {
  for (size_t i = exchanges_.size(); i-- > 0;) {
    if (!exchanges_[i]->is_finished()) continue;
    std::unique_ptr<ServerExchange> exchange = std::move(exchanges_[i]);
    exchanges_.erase(exchanges_.begin() + static_cast<ptrdiff_t>(i));
    http::StreamId stream = exchange->stream();
    exchange->Finish();
    codec_->Release(stream);
    core_.GiveBack(std::move(exchange));
  }
}

bool DownstreamConnection::CanClose() const {
  if (!exchanges_.empty() || unsent() > 0) return false;
  if (has_failed_) return true;
  return codec_->is_done() && !codec_->has_output();
}

void DownstreamConnection::NoteIdle() {
  if (requests_ == 0 || has_begun_head_) return;
  const config::Limits& limits = listener_->spec().limits;
  bool is_h2 = codec_->version() == http::Version::kHttp2;
  Millis idle = is_h2 ? limits.h2_idle_timeout : limits.idle_timeout;
  // With GOAWAY sent the client opens no more streams, and some never answer the PING behind it.
  if (is_draining_) idle = std::min(idle, drain_idle_);
  idle_deadline_ = core_.loop().now() + idle;
  NeedDeadline(idle_deadline_);
}

// ---- the end

void DownstreamConnection::BeginLinger() {
  in_.Clear();
  stream_->WantWrite(false);
  stream_->CloseWrite();
  if (has_peer_closed_) return Cut();
  // A client that still sends would get a reset for what we do not read, and with it lose the answer
  // (RFC 9112 9.6).
  state_ = State::kLingering;
  deadline_ = core_.loop().now() + kLingerTime;
  NeedDeadline(deadline_);
  stream_->WantRead(true);
}

void DownstreamConnection::DrainLinger() {
  for (int i = 0; i < kMostRounds; ++i) {
    IoResult result = stream_->Read(in_, kReadAtOnce);
    in_.Clear();
    lingered_ += result.bytes;
    if (result.state == IoState::kWouldBlock || (result.state == IoState::kOk && result.bytes == 0)) return;
    if (result.state != IoState::kOk || lingered_ > kMostLingered) return Cut();
  }
}

void DownstreamConnection::Cut() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  core_.Remove(*this);
}

void DownstreamConnection::Shutdown() {
  state_ = State::kClosed;
  for (auto& exchange : exchanges_) {
    exchange->OnGone({ErrorCode::kClosed, "the connection was closed", Side::kLocal});
    exchange->Finish();
    core_.GiveBack(std::move(exchange));
  }
  exchanges_.clear();
  EndPassing();
  stream_->Cancel();
  timer_.Cancel();
  if (is_counted_) core_.shared().addresses.Remove(peer_, is_handshaking_);
  is_counted_ = false;
}

void DownstreamConnection::Drain(Millis idle) {
  is_draining_ = true;
  drain_idle_ = idle;
  if (state_ != State::kServing) return;
  bool is_h1 = codec_->version() != http::Version::kHttp2;
  if (exchanges_.empty()) {
    // A request may be on its way: it gets its answer, with Connection: close.
    MonotonicTime now = core_.loop().now();
    if (idle < std::chrono::floor<Millis>(idle_deadline_ - now)) idle_deadline_ = now + idle;
    NeedDeadline(idle_deadline_);
    if (is_h1) return;
  }
  if (!has_gone_away_) {
    has_gone_away_ = true;
    codec_->GoAway();
  }
  MarkDirty();
}

void DownstreamConnection::CutEndless() {
  for (auto& exchange : exchanges_) {
    if (!exchange->is_endless()) continue;
    exchange->Cut({ErrorCode::kClosed, "the process ends", Side::kLocal});
    MarkDirty();
  }
}

void DownstreamConnection::CutHolders(const WorkerSnapshot* snapshot) {
  for (auto& exchange : exchanges_) {
    if (exchange->snapshot().get() != snapshot || !exchange->is_endless()) continue;
    exchange->Cut({ErrorCode::kClosed, "its configuration is too old", Side::kLocal});
    MarkDirty();
  }
}

// ---- time

void DownstreamConnection::NeedDeadline(MonotonicTime at) {
  if (at == kNever || (timer_.is_running() && timer_.deadline() <= at)) return;
  auto left = std::chrono::ceil<Millis>(at - core_.loop().now());
  timer_.Start(left);
}

void DownstreamConnection::OnTimer() {
  MonotonicTime now = core_.loop().now();
  switch (state_) {
    case State::kProxyHeader:
    case State::kHandshake:
    case State::kPassing:
      if (now < deadline_) return NeedDeadline(deadline_);
      if (state_ == State::kHandshake) core_.metrics().handshakes_failed.Add();
      LOG_DEBUG("handshake_timeout", "c={} peer={}", id(), peer_.HostString());
      return Cut();
    case State::kLingering:
      if (now < deadline_) return NeedDeadline(deadline_);
      return Cut();
    case State::kServing: return CheckServing(now);
    case State::kClosed: return;
  }
}

void DownstreamConnection::CheckServing(MonotonicTime now) {
  const config::Limits& limits = listener_->spec().limits;
  if (is_write_blocked_) {
    // TLS moves its records on without telling us.
    if (unsent() < last_unsent_) {
      last_unsent_ = unsent();
      blocked_since_ = now;
    }
    if (now >= blocked_since_ + limits.write_timeout) {
      LOG_DEBUG("write_timeout", "c={} client={} unsent={}", id(), client_address_, unsent());
      AbortExchanges({ErrorCode::kTimeout, "the client takes nothing", Side::kDownstream});
      return Cut();
    }
    NeedDeadline(blocked_since_ + limits.write_timeout);
  }
  if (has_begun_head_ && codec_->version() == http::Version::kHttp2) {
    if (now >= head_deadline_) {
      LOG_DEBUG("header_timeout", "c={} client={}", id(), client_address_);
      AbortExchanges({ErrorCode::kTimeout, "a head that never came whole", Side::kDownstream});
      return Cut();
    }
    NeedDeadline(head_deadline_);
  }
  for (auto& exchange : exchanges_) NeedDeadline(exchange->CheckDeadlines(now));
  if (exchanges_.empty()) CheckIdle(now);
}

void DownstreamConnection::CheckIdle(MonotonicTime now) {
  if (has_begun_head_ && codec_->version() != http::Version::kHttp2) {
    if (now < head_deadline_) return NeedDeadline(head_deadline_);
    // RFC 9110 15.5.9. Stream 0: a request that never came whole.
    LOG_DEBUG("header_timeout", "c={} client={}", id(), client_address_);
    LocalReply reply = MakeLocalReply(408, core_.shared().clock.Wall());
    in_.Clear();
    has_begun_head_ = false;
    codec_->SendResponse(0, reply.head, false);
    Buffer body(reply.body);
    codec_->SendBody(1 + requests_, body, true);
    core_.metrics().responses[4].Add();
    has_failed_ = true;
    return MarkDirty();
  }
  if (now < idle_deadline_) return NeedDeadline(idle_deadline_);
  if (codec_->version() == http::Version::kHttp2 && !has_gone_away_) {
    // A request may cross our GOAWAY: it is still answered.
    has_gone_away_ = true;
    codec_->GoAway();
    idle_deadline_ = now + kGoAwayIdle;
    NeedDeadline(idle_deadline_);
    return MarkDirty();
  }
  BeginLinger();
}

}  // namespace genkan::server
