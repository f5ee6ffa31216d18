#include "proxy/control/http_service.h"

#include "proxy/base/log.h"
#include "proxy/event/timer.h"
#include "proxy/http/h1_codec.h"
#include "proxy/net/tcp_stream.h"

namespace genkan::control {
namespace {

constexpr Millis kIdle{30'000};
constexpr Millis kEventPause{1'000};

}  // namespace

class HttpService::Connection final : private net::Stream::Owner, private http::RequestSink {
 public:
  Connection(HttpService& service, net::Fd fd, const net::Address& peer, const net::Address& local)
      : service_(service),
        stream_(service.loop_, std::move(fd)),
        codec_(http::MakeH1ServerCodec(*this, http::CodecLimits{})),
        idle_(service.loop_, [this] { Close(); }),
        event_timer_(service.loop_, [this] { SendEvent(); }) {
    request_.peer = peer;
    request_.local = local;
    stream_.SetOwner(*this);
    stream_.WantRead(true);
    idle_.Start(kIdle);
  }

  void Shutdown() {
    stream_.Cancel();
    idle_.Cancel();
    event_timer_.Cancel();
  }

 private:
  void OnReadable() noexcept override {
    net::IoResult got = stream_.Read(in_, 64 * 1024);
    if (got.state == net::IoState::kWouldBlock) return;
    if (got.state != net::IoState::kOk) {
      if (got.state == net::IoState::kEnd && next_event_ == nullptr && codec_->has_output()) {
        codec_->ReceiveEnd();
        Pump();
        return;
      }
      Close();
      return;
    }
    Pump();
  }

  void OnWritable() noexcept override { Pump(); }

  void Pump() {
    // An error was answered or cannot be: what the codec still has to say goes out, then it is done.
    if (!in_.empty() && codec_->wants_bytes() && !codec_->Receive(in_)) has_failed_ = true;
    idle_.Start(kIdle);
    codec_->Produce(out_, 256 * 1024);
    net::IoResult written = stream_.Write(out_);
    if (written.state == net::IoState::kFailed) {
      Close();
      return;
    }
    stream_.WantWrite(!out_.empty() || codec_->has_output());
    stream_.WantRead(!has_failed_ && codec_->wants_bytes());
    if (out_.empty() && !codec_->has_output() && (has_failed_ || codec_->is_done())) Close();
  }

  void Close() {
    if (is_closed_) return;
    is_closed_ = true;
    service_.Remove(this);
  }

  void OnRequest(http::StreamId, http::RequestHead&& head, bool end) override {
    request_.head = std::move(head);
    request_.body.clear();
    if (end) Answer();
  }

  void OnBody(http::StreamId stream, Buffer& data, bool end) override {
    size_t bytes = data.size();
    if (request_.body.size() + bytes <= kMaxBody) request_.body += data.ToText();
    else is_too_large_ = true;
    data.Clear();
    codec_->Consumed(stream, bytes);
    if (end) Answer();
  }

  void OnTrailers(http::StreamId, http::Headers&&) override { Answer(); }

  void OnRefused(http::StreamId, const http::Refusal& refusal, const http::RequestHead&) override {
    ServiceResponse response;
    response.status = refusal.status;
    response.body = std::string(http::ReasonPhrase(refusal.status)) + "\n";
    Send(std::move(response));
  }

  void OnReset(http::StreamId, const Error&) override { has_failed_ = true; }
  void OnStreamDone(http::StreamId) override {}

  void Answer() {
    ServiceResponse response;
    if (std::exchange(is_too_large_, false)) {
      response.status = 413;
      response.body = "more than 64 KiB\n";
    } else {
      response = service_.handler_(request_);
    }
    Send(std::move(response));
  }

  void Send(ServiceResponse response) {
    ++stream_id_;
    http::ResponseHead head;
    head.status = response.status;
    head.headers.Add("content-type", response.content_type);
    head.headers.Add("cache-control", "no-store");
    for (const auto& [name, value] : response.headers) head.headers.Add(name, value);
    if (response.next_event) {
      next_event_ = std::move(response.next_event);
      head.framing = http::BodyFraming::kChunked;
      codec_->SendResponse(stream_id_, head, false);
      event_timer_.Start(Millis(0));
      return;
    }
    bool has_body = !response.body.empty() && !http::HasNoBody(response.status);
    head.content_length = response.body.size();
    if (request_.head.method == "HEAD") {
      codec_->SendResponse(stream_id_, head, true);
      return;
    }
    head.framing = http::HasNoBody(response.status) ? http::BodyFraming::kNone
                                                    : http::BodyFraming::kContentLength;
    codec_->SendResponse(stream_id_, head, !has_body);
    if (has_body) {
      Buffer body(response.body);
      codec_->SendBody(stream_id_, body, true);
    }
  }

  void SendEvent() {
    // A reader that does not keep up gets no more until it has read what is there.
    bool is_behind = codec_->buffered(stream_id_) > kMaxBody || out_.size() > kMaxBody;
    std::string text = is_behind ? ":\n\n" : next_event_();
    if (is_behind) {
      event_timer_.Start(kEventPause);
      return;
    }
    Buffer data(text);
    codec_->SendBody(stream_id_, data, text.empty());
    if (!text.empty()) event_timer_.Start(kEventPause);
    Pump();
  }

  HttpService& service_;
  net::TcpStream stream_;
  std::unique_ptr<http::ServerCodec> codec_;
  event::Timer idle_;
  event::Timer event_timer_;
  Buffer in_, out_;
  ServiceRequest request_;
  std::function<std::string()> next_event_;
  http::StreamId stream_id_ = 0;
  bool has_failed_ = false;
  bool is_too_large_ = false;
  bool is_closed_ = false;
};

HttpService::HttpService(event::EventLoop& loop, Handler handler)
    : loop_(loop), handler_(std::move(handler)) {}

HttpService::~HttpService() {
  acceptors_.clear();
  for (auto& [key, connection] : connections_) connection->Shutdown();
}

Status HttpService::Listen(const net::Address& address, const net::ListenOptions& options) {
  auto listener = net::Acceptor::OpenListener(address, options);
  if (!listener) return PassOn(listener);
  Adopt(*std::move(listener));
  return {};
}

void HttpService::Adopt(net::Fd listener) {
  acceptors_.push_back(std::make_unique<net::Acceptor>(
      loop_, std::move(listener),
      [this](net::Fd fd, const net::Address& peer, const net::Address& local) {
        OnAccept(std::move(fd), peer, local);
      }));
}

net::Address HttpService::address() const {
  return acceptors_.empty() ? net::Address() : acceptors_.front()->address();
}

void HttpService::CloseListeners() { acceptors_.clear(); }

void HttpService::OnAccept(net::Fd fd, const net::Address& peer, const net::Address& local) {
  if (connections_.size() >= kMaxConnections) {
    LOG_DEBUG("service_connection_refused", "peer={} open={}", peer.ToString(),
              connections_.size());
    return;
  }
  auto connection = std::make_unique<Connection>(*this, std::move(fd), peer, local);
  Connection* key = connection.get();
  connections_.emplace(key, std::move(connection));
}

void HttpService::Remove(Connection* connection) {
  auto it = connections_.find(connection);
  if (it == connections_.end()) return;
  std::unique_ptr<Connection> dead = std::move(it->second);
  connections_.erase(it);
  loop_.Retire(std::move(dead));
}

}  // namespace genkan::control
