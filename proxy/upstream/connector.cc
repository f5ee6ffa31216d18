#include "proxy/upstream/connector.h"

#include <algorithm>

namespace genkan::upstream {
namespace {

// A stream that is let go of from within its own call.
struct Dead {
  std::unique_ptr<net::Stream> stream;
  void Shutdown() { stream->Cancel(); }
};

}  // namespace

Connector::Connector(event::EventLoop& loop, Endpoint& endpoint, ConnectOptions options,
                     Owner& owner)
    : loop_(loop),
      endpoint_(endpoint),
      options_(std::move(options)),
      owner_(&owner),
      timer_(loop, [this] { OnTimeout(); }) {}

Connector::~Connector() { Shutdown(); }

void Connector::Shutdown() {
  owner_ = nullptr;
  timer_.Cancel();
  if (step_ == Step::kResolve) endpoint_.StopWaiting(*this);
  step_ = Step::kDone;
  if (tcp_) tcp_->Cancel();
  if (tls_) tls_->Cancel();
}

void Connector::Start() {
  deadline_ = loop_.now() + options_.timeout;
  addresses_ = endpoint_.Get();
  if (addresses_) {
    TryNextAddress();
    return;
  }
  if (endpoint_.is_waiting()) {
    endpoint_.Wait(*this);
    timer_.Start(options_.timeout);
    return;
  }
  // The last answer was an error, a moment ago.
  error_ = endpoint_.error();
  step_ = Step::kConnect;
  timer_.Start(Millis(0));
}

void Connector::OnResolved() {
  addresses_ = endpoint_.Get();
  if (!addresses_) return Fail(endpoint_.error());
  TryNextAddress();
}

// Each address gets an equal part of what is left, so that one that swallows packets leaves time
// for the others.
void Connector::ArmTimer() {
  size_t left = addresses_->size() - next_ + 1;
  auto time = std::chrono::duration_cast<Millis>(deadline_ - loop_.now());
  timer_.Start(time / static_cast<int>(left));
}

void Connector::TryNextAddress() {
  step_ = Step::kConnect;
  while (next_ < addresses_->size()) {
    address_ = (*addresses_)[next_++];
    auto stream = net::TcpStream::Connect(loop_, address_);
    if (stream) {
      tcp_ = std::move(*stream);
      tcp_->SetOwner(*this);
      tcp_->WantWrite(true);
      ArmTimer();
      return;
    }
    error_ = stream.error();
  }
  // Perhaps within Start: the owner is told in a turn of its own.
  addresses_ = nullptr;
  timer_.Start(Millis(0));
}

void Connector::OnTimeout() {
  if (step_ == Step::kResolve)
    return Fail(
        Error{ErrorCode::kTimeout, fmt::format("DNS: {}: no answer within {} ms", endpoint_.host(),
                                               options_.timeout.count())});
  if (!tcp_ && !tls_) return Fail(error_);
  FailAddress(
      Error{ErrorCode::kTimeout,
            fmt::format("{} {}: no answer in time", step_ == Step::kShake ? "handshake" : "connect",
                        address_.ToString())});
}

void Connector::FailAddress(Error error) {
  error_ = std::move(error);
  DropStream();
  if (loop_.now() >= deadline_ || next_ >= addresses_->size()) return Fail(error_);
  TryNextAddress();
}

void Connector::DropStream() {
  auto dead = std::make_unique<Dead>();
  if (tls_) {
    dead->stream = std::move(tls_);
  } else {
    dead->stream = std::move(tcp_);
  }
  if (dead->stream) loop_.Retire(std::move(dead));
}

void Connector::OnReadable() noexcept { Advance(); }
void Connector::OnWritable() noexcept { Advance(); }

void Connector::Advance() {
  if (step_ == Step::kConnect) {
    Buffer nothing;
    net::IoState state = tcp_->Write(nothing).state;
    if (state == net::IoState::kFailed)
      return FailAddress(Error{tcp_->error().code,
                               fmt::format("{}: {}", address_.ToString(), tcp_->error().detail)});
    if (tcp_->is_connecting()) return;
    step_ = Step::kProxyHeader;
    header_.Append(options_.proxy_header);
  }
  if (step_ == Step::kProxyHeader) {
    if (!header_.empty() && tcp_->Write(header_).state == net::IoState::kFailed)
      return FailAddress(tcp_->error());
    // A new socket takes a few dozen bytes at once; but nobody promises it.
    if (!header_.empty()) return;
    tcp_->WantWrite(false);
    if (options_.tls == nullptr) return Finish();
    step_ = Step::kShake;
    tls_ = tls::TlsStream::Connect(loop_, std::move(tcp_), *options_.tls, options_.tls_name);
    tls_->SetOwner(*this);
    tls_->WantRead(true);
    return;
  }
  if (step_ == Step::kShake) {
    Buffer nothing;
    if (tls_->Write(nothing).state == net::IoState::kFailed)
      return FailAddress(Error{tls_->error().code,
                               fmt::format("{}: {}", address_.ToString(), tls_->error().detail)});
    if (tls_->is_handshake_done()) Finish();
  }
}

void Connector::Finish() {
  step_ = Step::kDone;
  timer_.Cancel();
  endpoint_.ReportGood(address_);
  std::unique_ptr<net::Stream> stream;
  if (tls_) {
    stream = std::move(tls_);
  } else {
    stream = std::move(tcp_);
  }
  if (owner_ != nullptr) owner_->OnConnected(std::move(stream));
}

void Connector::Fail(Error error) {
  step_ = Step::kDone;
  timer_.Cancel();
  endpoint_.ReportFailure();
  error.side = Side::kUpstream;
  if (owner_ != nullptr) owner_->OnConnectFailed(error);
}

}  // namespace genkan::upstream
