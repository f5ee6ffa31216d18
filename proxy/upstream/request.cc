#include "proxy/upstream/request.h"

#include <algorithm>

#include "proxy/net/proxy_protocol.h"
#include "proxy/upstream/balancer.h"

namespace genkan::upstream {
namespace {

// An address that is none (a Unix socket's peer) makes a header without addresses.
std::string MakeProxyHeader(ProxyProtocolOut version, const StartOptions& options) {
  auto client = net::Address::ParseHost(options.client_address, options.client_port);
  auto local = net::Address::ParseHost(options.local_address, options.local_port);
  net::Address from = client ? *client : net::Address();
  net::Address to = local ? *local : net::Address();
  return version == ProxyProtocolOut::kV1 ? net::WriteProxyHeaderV1(from, to)
                                          : net::WriteProxyHeaderV2(from, to);
}

}  // namespace

Request::Request(Dispatcher& dispatcher, const ClusterSpec& spec, http::RequestHead&& head,
                 bool end, const StartOptions& options, UpstreamHandler& handler)
    : dispatcher_(&dispatcher),
      spec_(spec),
      handler_(handler),
      head_(std::move(head)),
      started_at_(dispatcher.Now()),
      end_(end),
      has_body_(!end),
      is_idempotent_(http::IsIdempotent(head_.method) && head_.upgrade.empty()) {
  if (spec.balance == Balance::kConsistentHash)
    hash_key_ = Balancer::HashKey(options.client_address);
  if (spec.proxy_protocol != ProxyProtocolOut::kOff)
    proxy_header_ = MakeProxyHeader(spec.proxy_protocol, options);
}

Request::~Request() {
  LeaveServer(false);
  if (connection_ != nullptr) connection_->Leave();
  if (dispatcher_ != nullptr) dispatcher_->OnRequestGone(*this);
}

// ---- the exchange's side

void Request::SendBody(Buffer& data, bool end) {
  if (step_ == Step::kDone && connection_ == nullptr) return data.Clear();
  end_ |= end;
  if (step_ == Step::kWaiting || step_ == Step::kConnecting) {
    body_.Append(data);
  } else {
    has_body_begun_ |= !data.empty();
    connection_->SendBody(data, end);
  }
  if (buffered() >= mark() / 2) is_above_ = true;
}

void Request::SendTrailers(const http::Headers& trailers) {
  if (step_ == Step::kDone) return;
  end_ = true;
  if (step_ == Step::kSent) return connection_->SendTrailers(trailers);
  trailers_ = trailers;
}

void Request::Consumed(size_t bytes) {
  if (connection_ != nullptr) connection_->Consumed(bytes);
}

size_t Request::buffered() const {
  return body_.size() + (connection_ != nullptr ? connection_->buffered() : 0);
}

size_t Request::TakesAtOnce() const {
  return step_ == Step::kSent && body_.empty() ? connection_->TakesAtOnce() : 0;
}

// ---- the cluster's side

Wish Request::wish() const { return {is_idempotent_, has_body_, wants_new_, proxy_header_}; }

bool Request::was_tried(size_t server) const {
  auto end = tried_.begin() + static_cast<std::ptrdiff_t>(tried_count_);
  return std::find(tried_.begin(), end, server) != end;
}

bool Request::StartOn(Pool& pool, size_t server) {
  server_ = server;
  connection_ = pool.TakeIdle(server, wish(), *this);
  bool is_reused = connection_ != nullptr;
  if (!is_reused) connection_ = pool.Connect(server, wish(), *this);
  if (connection_ == nullptr) return false;
  has_server_ = true;
  ++info_.attempts;
  info_.is_reused = is_reused;
  info_.address = spec_.servers[server].address;
  if (is_reused) {
    Send();
  } else {
    step_ = Step::kConnecting;
    connect_began_ = dispatcher_->Now();
  }
  return true;
}

void Request::Send() {
  step_ = Step::kSent;
  bool has_all = end_ && body_.empty() && !trailers_;
  connection_->SendRequest(head_, has_all);
  if (has_all) return;
  has_body_begun_ |= !body_.empty();
  if (!body_.empty() || (end_ && !trailers_)) connection_->SendBody(body_, end_ && !trailers_);
  if (trailers_) connection_->SendTrailers(*trailers_);
}

void Request::LeaveServer(bool has_failed) {
  if (std::exchange(has_server_, false) && dispatcher_ != nullptr)
    dispatcher_->OnRequestLeavesServer(server_, has_failed);
}

void Request::Finish() {
  LeaveServer(false);
  step_ = Step::kDone;
  connection_ = nullptr;
  body_.Clear();
}

void Request::Fail(Error error) {
  Finish();
  handler_.OnUpstreamFailed(error);
}

void Request::Orphan() {
  // Its connection was retired with the pool.
  connection_ = nullptr;
  dispatcher_ = nullptr;
  has_server_ = false;
  step_ = Step::kDone;
}

Error Request::Describe(const Error& error) const {
  Error described = error;
  described.side = Side::kUpstream;
  if (!error.detail.starts_with(info_.address))
    described.detail = fmt::format("{}: {}", info_.address, error.detail);
  return described;
}

// ---- the connection's side. The handler may destroy this request: its call comes last.

void Request::OnConnectionReady() {
  info_.connect_time = std::chrono::duration_cast<Millis>(dispatcher_->Now() - connect_began_);
  Send();
}

void Request::OnConnectionInterim(http::ResponseHead&& head) {
  handler_.OnUpstreamInterim(std::move(head));
}

void Request::OnConnectionResponse(http::ResponseHead&& head, bool end) {
  info_.head_time = std::chrono::duration_cast<Millis>(dispatcher_->Now() - started_at_);
  is_tunnel_ = head.status == 101;
  if (end) Finish();
  handler_.OnUpstreamResponse(std::move(head), end);
}

void Request::OnConnectionBody(Buffer& data, bool end) {
  if (end && is_tunnel_) {
    // Nothing more comes from there, but something may still go there.
    LeaveServer(false);
    step_ = Step::kDone;
  } else if (end) {
    Finish();
  }
  handler_.OnUpstreamBody(data, end);
}

void Request::OnConnectionTrailers(http::Headers&& trailers) {
  Finish();
  handler_.OnUpstreamTrailers(std::move(trailers));
}

void Request::OnConnectionWritten() {
  if (!is_above_ || buffered() >= mark() / 2) return;
  is_above_ = false;
  handler_.OnUpstreamWritable();
}

void Request::OnConnectionFailed(const Error& error) {
  UpstreamConnection& connection = *std::exchange(connection_, nullptr);
  // A tunnel whose end was told already.
  if (step_ == Step::kDone) return;
  LeaveServer(connection.was_connected());
  FailedTry failed;
  failed.code = error.code;
  failed.was_connected = connection.was_connected();
  failed.was_reused = connection.is_reused();
  failed.has_sent = connection.has_sent();
  failed.has_received = connection.has_received();
  failed.has_body_begun = has_body_begun_;
  failed.is_idempotent = is_idempotent_;
  failed.tries = info_.attempts;
  last_error_ = Describe(error);
  Retry retry = DecideRetry(failed);
  if (retry == Retry::kNo) return Fail(last_error_);
  if (retry == Retry::kElsewhere) tried_[tried_count_++] = server_;
  wants_new_ = failed.was_connected;
  step_ = Step::kWaiting;
  dispatcher_->Dispatch(*this);
}

}  // namespace genkan::upstream
