#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "proxy/base/text.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_codec.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_writer.h"

namespace genkan::http {
namespace {

// 16 random bytes in base64 (RFC 6455 4.1): over h2 a client sends no key, an h1 origin wants one.
std::string MakeWebSocketKey() {
  std::random_device random;
  std::array<unsigned char, 16> bytes;
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(random());
  return Base64Encode(bytes);
}

class H1ClientCodec final : public ClientCodec {
 public:
  H1ClientCodec(ResponseSink& sink, const CodecLimits& limits)
      : sink_(sink), limits_(limits), scanner_(ResponseHeadLimits(limits)), reader_(limits) {}

  Version version() const override { return Version::kHttp11; }
  Status Receive(Buffer& in) override;
  void ReceiveEnd() override;
  bool wants_bytes() const override;
  void SetWindow(size_t bytes) override { window_ = std::max(bytes, limits_.buffered_per_stream); }

  StreamId SendRequest(const RequestHead& head, bool end) override;
  void SendBody(StreamId stream, Buffer& data, bool end) override;
  void SendTrailers(StreamId stream, const Headers& trailers) override;
  void Reset(StreamId stream) override;
  void Consumed(StreamId stream, size_t bytes) override;
  size_t buffered(StreamId stream) const override { return stream == stream_ ? out_.size() : 0; }

  void Produce(Buffer& out, size_t limit) override;
  bool has_output() const override { return !out_.empty(); }

  bool is_reusable() const override {
    return reading_ == Reading::kIdle && !says_close_ && !has_peer_closed_ && out_.empty() &&
           (stream_ == 0 || writer_.is_whole());
  }
  int keep_alive_timeout() const override { return keep_alive_timeout_; }

 private:
  enum class Reading : uint8_t { kIdle, kHead, kBody, kTunnel, kDead };

  bool ReadHead(Buffer& in);
  void TakeHead(ResponseHead&& head, const ResponseHints& hints, bool is_alone);
  bool ReadBody(Buffer& in);
  bool ReadTunnel(Buffer& in);
  void HandlePeerClosed();
  void Break(ErrorCode code, std::string_view rule);
  void DecideReuse(const ResponseHead& head, const ResponseHints& hints);
  size_t room() const { return window_ - std::min(unconsumed_, window_); }

  ResponseSink& sink_;
  const CodecLimits limits_;
  HeadScanner scanner_;
  BodyReader reader_;
  BodyWriter writer_;
  Buffer body_;
  Buffer out_;

  Reading reading_ = Reading::kIdle;
  Status failure_;
  StreamId stream_ = 0;
  bool says_close_ = false;  // one of us does, or what came makes reuse unsafe
  bool has_peer_closed_ = false;
  size_t left_ = 0;
  size_t unconsumed_ = 0;
  size_t window_ = limits_.buffered_per_stream;
  int interims_ = 0;
  int keep_alive_timeout_ = 0;

  // Of the request in progress.
  bool is_head_request_ = false;
  bool asks_for_tunnel_ = false;
  bool has_own_key_ = false;
};

Status H1ClientCodec::Receive(Buffer& in) {
  bool goes_on = true;
  while (goes_on && !in.empty()) {
    switch (reading_) {
      case Reading::kIdle:
        // Nobody asked (RFC 9112 9.2): a guess at what these bytes answer is how responses get
        // swapped.
        reading_ = Reading::kDead;
        in.Clear();
        failure_ = FailAt(Side::kUpstream, ErrorCode::kInvalid, "bytes that answer no request");
        break;
      case Reading::kHead:
        goes_on = ReadHead(in);
        break;
      case Reading::kBody:
        goes_on = ReadBody(in);
        break;
      case Reading::kTunnel:
        goes_on = ReadTunnel(in);
        break;
      case Reading::kDead:
        in.Clear();
        break;
    }
  }
  left_ = reading_ == Reading::kHead ? 0 : in.size();
  if (has_peer_closed_ && left_ == 0) HandlePeerClosed();
  return std::exchange(failure_, Status());
}

bool H1ClientCodec::ReadHead(Buffer& in) {
  std::string_view bytes;
  switch (scanner_.Scan(in, bytes)) {
    case HeadScanner::State::kMore:
      if (CanBeginResponse(bytes)) return false;
      Break(ErrorCode::kInvalid, "not the beginning of a response");
      return true;
    case HeadScanner::State::kWhole:
      break;
    default:
      Break(ErrorCode::kInvalid, "response head too large");
      return true;
  }
  ResponseHead head;
  ResponseHints hints;
  size_t size = scanner_.head_size();
  std::string_view broken_rule = ParseResponseHead(bytes.substr(0, size), scanner_.field_count(),
                                                   is_head_request_, head, hints);
  in.Drain(size);
  scanner_.Restart();
  if (!broken_rule.empty()) {
    Break(ErrorCode::kInvalid, broken_rule);
  } else {
    TakeHead(std::move(head), hints, in.empty());
  }
  return true;
}

// `is_alone`: nothing stands behind the head yet.
void H1ClientCodec::TakeHead(ResponseHead&& head, const ResponseHints& hints, bool is_alone) {
  if (head.status == 101) {
    if (!asks_for_tunnel_ || !hints.upgrades_to_websocket) {
      return Break(ErrorCode::kInvalid, "101 that was not asked for");
    }
    if (has_own_key_) head.headers.Remove("sec-websocket-accept");
    reading_ = Reading::kTunnel;
    says_close_ = true;
    // Behind the request's head nothing was written; from here on all that comes is the tunnel's.
    writer_.Start(BodyFraming::kUntilClose, 0);
    return sink_.OnResponse(stream_, std::move(head), false);
  }
  if (head.status < 200) {
    if (++interims_ > limits_.interim_responses) {
      return Break(ErrorCode::kInvalid, "too many interim responses");
    }
    return sink_.OnInterim(stream_, std::move(head));
  }
  DecideReuse(head, hints);
  reader_.Start(head.framing, head.content_length.value_or(0));
  bool has_ended = reader_.is_done();
  reading_ = has_ended ? Reading::kIdle : Reading::kBody;
  // RFC 9112 9.2: what follows an answer is no answer. It will fail the next Receive, and keeps
  // others away now.
  if (has_ended && !is_alone) says_close_ = true;
  sink_.OnResponse(stream_, std::move(head), has_ended);
}

void H1ClientCodec::DecideReuse(const ResponseHead& head, const ResponseHints& hints) {
  if (hints.options.close) says_close_ = true;
  if (head.version == Version::kHttp10 && !hints.options.keep_alive) says_close_ = true;
  if (head.framing == BodyFraming::kUntilClose) says_close_ = true;
  keep_alive_timeout_ = hints.keep_alive_timeout;
}

bool H1ClientCodec::ReadBody(Buffer& in) {
  BodyReader::State state = reader_.Read(in, body_, room());
  size_t size = body_.size();
  bool is_done = state == BodyReader::State::kDone;
  unconsumed_ += size;
  if (is_done) {
    reading_ = Reading::kIdle;
    if (!in.empty()) says_close_ = true;
  }
  StreamId stream = stream_;
  bool has_trailers = is_done && !reader_.trailers().empty();
  if (size > 0 || (is_done && !has_trailers)) {
    sink_.OnBody(stream, body_, is_done && !has_trailers);
    body_.Clear();
  }
  if (has_trailers && reading_ == Reading::kIdle && stream == stream_) {
    sink_.OnTrailers(stream, std::move(reader_.trailers()));
  }
  if (state == BodyReader::State::kBroken) {
    if (reading_ == Reading::kBody) Break(ErrorCode::kInvalid, reader_.broken_rule());
    return true;
  }
  return is_done || room() > 0;
}

bool H1ClientCodec::ReadTunnel(Buffer& in) {
  size_t most = room();
  if (most == 0) return false;
  unconsumed_ += in.MoveTo(body_, most);
  sink_.OnBody(stream_, body_, false);
  body_.Clear();
  return true;
}

void H1ClientCodec::ReceiveEnd() {
  has_peer_closed_ = true;
  if (left_ == 0) HandlePeerClosed();
}

void H1ClientCodec::HandlePeerClosed() {
  switch (reading_) {
    case Reading::kIdle:
    case Reading::kDead:
      return;
    case Reading::kHead:
      // Without a byte the origin may have closed before it saw the request; with some it broke
      // off.
      if (scanner_.has_begun() || interims_ > 0) {
        return Break(ErrorCode::kInvalid, "response head cut");
      }
      return Break(ErrorCode::kClosed, "closed before the response");
    case Reading::kBody:
      if (!reader_.is_until_close()) return Break(ErrorCode::kInvalid, "response body cut");
      [[fallthrough]];
    case Reading::kTunnel:
      reading_ = Reading::kIdle;
      sink_.OnBody(stream_, body_, true);
      return;
  }
}

void H1ClientCodec::Break(ErrorCode code, std::string_view rule) {
  Error error{code, std::string(rule), Side::kUpstream};
  reading_ = Reading::kDead;
  failure_ = tl::unexpected<Error>(error);
  sink_.OnReset(stream_, error);
}

bool H1ClientCodec::wants_bytes() const {
  switch (reading_) {
    case Reading::kIdle:
    case Reading::kHead:
      return !has_peer_closed_;
    case Reading::kBody:
    case Reading::kTunnel:
      return room() > 0 && (!has_peer_closed_ || left_ > 0);
    case Reading::kDead:
      return false;
  }
  return false;
}

StreamId H1ClientCodec::SendRequest(const RequestHead& head, bool end) {
  ++stream_;
  reading_ = Reading::kHead;
  scanner_.Restart();
  unconsumed_ = 0;
  interims_ = 0;
  is_head_request_ = head.method == "HEAD";
  asks_for_tunnel_ = !head.upgrade.empty();
  has_own_key_ = asks_for_tunnel_ && !head.headers.Has("sec-websocket-key");

  bool is_known = head.framing == BodyFraming::kContentLength;
  bool is_chunked = !end && !asks_for_tunnel_ && !is_known;
  // RFC 9110 8.6: these mean a body; old origins answer 411 without a length.
  bool announces_none =
      end && !is_known && (head.method == "POST" || head.method == "PUT" || head.method == "PATCH");
  {
    HeadWriter writer(out_, kHeadRoom + head.method.size() + head.target.size() +
                                head.authority.size() + HeadWriter::SizeOf(head.headers));
    writer.Text(head.method);
    writer.Text(" ");
    writer.Text(head.target);
    writer.Text(" HTTP/1.1\r\nHost: ");
    writer.Text(head.authority);
    writer.Text("\r\n");
    writer.EndToEndFields(head.headers);
    if (asks_for_tunnel_) {
      writer.Text("Connection: Upgrade\r\nUpgrade: ");
      writer.Text(head.upgrade);
      writer.Text("\r\n");
      if (has_own_key_) writer.Field("Sec-WebSocket-Key", MakeWebSocketKey());
    } else if (head.headers.HasToken("te", "trailers")) {
      writer.Text("TE: trailers\r\nConnection: TE\r\n");
    }
    if (is_known || announces_none) {
      writer.Text("Content-Length: ");
      writer.Number(is_known ? head.content_length : 0);
      writer.Text("\r\n");
    } else if (is_chunked) {
      writer.Text("Transfer-Encoding: chunked\r\n");
    }
    writer.Text("\r\n");
  }
  if (is_known) {
    writer_.Start(BodyFraming::kContentLength, head.content_length);
  } else {
    writer_.Start(is_chunked ? BodyFraming::kChunked : BodyFraming::kNone, 0);
  }
  if (end) {
    Buffer none;
    writer_.Write(none, true, out_);
  }
  return stream_;
}

void H1ClientCodec::SendBody(StreamId stream, Buffer& data, bool end) {
  if (stream != stream_ || reading_ == Reading::kDead) {
    data.Clear();
    return;
  }
  writer_.Write(data, end, out_);
}

void H1ClientCodec::SendTrailers(StreamId stream, const Headers& trailers) {
  if (stream == stream_ && reading_ != Reading::kDead) writer_.WriteTrailers(trailers, out_);
}

void H1ClientCodec::Reset(StreamId stream) {
  if (stream != stream_) return;
  reading_ = Reading::kDead;
  out_.Clear();
}

void H1ClientCodec::Consumed(StreamId stream, size_t bytes) {
  if (stream == stream_) unconsumed_ -= std::min(bytes, unconsumed_);
}

void H1ClientCodec::Produce(Buffer& out, size_t limit) {
  // Whole pieces: splitting one means copying it.
  size_t produced = 0;
  while (!out_.empty() && produced < limit) produced += out_.MoveTo(out, out_.Front().size());
}

}  // namespace

std::unique_ptr<ClientCodec> MakeH1ClientCodec(ResponseSink& sink, const CodecLimits& limits) {
  return std::make_unique<H1ClientCodec>(sink, limits);
}

}  // namespace genkan::http
