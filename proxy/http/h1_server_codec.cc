#include <algorithm>
#include <utility>

#include "proxy/http/byte_classes.h"
#include "proxy/http/h1_body.h"
#include "proxy/http/h1_codec.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_writer.h"

namespace genkan::http {
namespace {

// RFC 9112 2.2 asks for one at least; more than a few are noise.
constexpr int kMostEmptyLines = 4;

class H1ServerCodec final : public ServerCodec {
 public:
  H1ServerCodec(RequestSink& sink, const CodecLimits& limits)
      : sink_(sink), limits_(limits), scanner_(RequestHeadLimits(limits)), reader_(limits) {}

  Version version() const override { return Version::kHttp11; }
  Status Receive(Buffer& in) override;
  void ReceiveEnd() override;
  bool wants_bytes() const override;
  void SetWindow(size_t bytes) override { window_ = std::max(bytes, limits_.buffered_per_stream); }

  void SendInterim(StreamId stream, const ResponseHead& head) override;
  void SendResponse(StreamId stream, const ResponseHead& head, bool end) override;
  void SendBody(StreamId stream, Buffer& data, bool end) override;
  void SendTrailers(StreamId stream, const Headers& trailers) override;
  void Reset(StreamId stream, const Error& error) override;
  void Consumed(StreamId stream, size_t bytes) override;
  size_t buffered(StreamId stream) const override { return IsOpen(stream) ? out_.size() : 0; }

  void Produce(Buffer& out, size_t limit) override;
  bool has_output() const override { return !out_.empty() || (is_open_ && is_reset_); }

  void GoAway() override { is_going_away_ = true; }
  bool is_done() const override;
  bool must_reset() const override { return must_reset_; }
  size_t open_streams() const override { return is_open_ ? 1 : 0; }

 private:
  enum class Reading : uint8_t {
    kHead,
    kBody,
    kWaiting,     // the request is complete, its response is not: what comes is pipelined
    kDiscarding,  // the response is complete, the rest of the request's body goes nowhere
    kTunnel,
    kClosed,  // nothing that comes matters
  };
  enum class Writing : uint8_t { kIdle, kAwaiting, kBody, kEnded };

  // Each does one step; false: no more to do with what is there.
  bool ReadHead(Buffer& in);
  bool SkipEmptyLines(Buffer& in);
  bool ReadBody(Buffer& in);
  bool Discard(Buffer& in);
  bool ReadTunnel(Buffer& in);

  void BeginStream();
  void Refuse(const Refusal& refusal, const RequestHead& head);
  void AcceptRequest(RequestHead&& head, const ConnectionOptions& options);
  void BreakBody();
  void HandlePeerClosed();
  void FinishStream();
  void Close();

  bool IsOpen(StreamId stream) const { return is_open_ && stream == stream_; }
  bool FrameResponse(const ResponseHead& head, bool end, std::optional<uint64_t>& announced);
  void DecideKeepAlive();
  void WriteStatusLine(HeadWriter& writer, const ResponseHead& head);
  void SwitchProtocols(const ResponseHead& head);
  size_t room() const { return window_ - std::min(unconsumed_, window_); }

  RequestSink& sink_;
  const CodecLimits limits_;
  HeadScanner scanner_;
  BodyReader reader_;
  BodyWriter writer_;
  Buffer body_;  // on its way to the sink
  Buffer out_;

  Reading reading_ = Reading::kHead;
  Writing writing_ = Writing::kIdle;
  Status failure_;
  StreamId stream_ = 0;
  bool is_open_ = false;
  bool is_reset_ = false;    // by us; OnStreamDone is due
  bool must_reset_ = false;  // … and nothing but a reset of the connection shows it
  bool is_closing_ = false;  // no further request
  bool is_going_away_ = false;  // the next head says Connection: close
  bool has_peer_closed_ = false;
  size_t left_ = 0;  // bytes that the last Receive left behind for later
  size_t unconsumed_ = 0;
  size_t window_ = limits_.buffered_per_stream;
  size_t discarded_ = 0;
  int empty_lines_ = 0;

  // Of the request in progress.
  Version request_version_ = Version::kHttp11;
  bool is_head_request_ = false;
  bool keeps_alive_ = false;
  bool waits_for_continue_ = false;
  bool asks_for_tunnel_ = false;
};

Status H1ServerCodec::Receive(Buffer& in) {
  bool goes_on = true;
  while (goes_on && !in.empty()) {
    switch (reading_) {
      case Reading::kHead:
        goes_on = ReadHead(in);
        break;
      case Reading::kBody:
        goes_on = ReadBody(in);
        break;
      case Reading::kDiscarding:
        goes_on = Discard(in);
        break;
      case Reading::kTunnel:
        goes_on = ReadTunnel(in);
        break;
      case Reading::kWaiting:
        goes_on = false;
        break;
      case Reading::kClosed:
        in.Clear();
        break;
    }
  }
  left_ = reading_ == Reading::kHead ? 0 : in.size();
  if (has_peer_closed_ && left_ == 0) HandlePeerClosed();
  return std::exchange(failure_, Status());
}

bool H1ServerCodec::SkipEmptyLines(Buffer& in) {
  std::string_view front = in.Front();
  while (!front.empty() && front.front() == '\r') {
    if (in.size() < 2) return false;
    if (in.Linear(2) != "\r\n" || ++empty_lines_ > kMostEmptyLines) {
      Refuse({400, "empty lines before the request line"}, RequestHead());
      return false;
    }
    in.Drain(2);
    front = in.Front();
  }
  return !front.empty();
}

bool H1ServerCodec::ReadHead(Buffer& in) {
  if (is_closing_) {
    in.Clear();
    return false;
  }
  if (!scanner_.has_begun() && !SkipEmptyLines(in)) return reading_ == Reading::kClosed;
  std::string_view bytes;
  HeadScanner::State state = scanner_.Scan(in, bytes);
  RequestHead head;
  if (!CanBeginRequest(bytes)) {
    Refuse({400, "not the beginning of a request"}, head);
    return true;
  }
  switch (state) {
    case HeadScanner::State::kMore:
      return false;
    case HeadScanner::State::kBareLf:
      ParseRequestLineForLog(bytes, head);
      Refuse({400, "bare LF"}, head);
      return true;
    case HeadScanner::State::kFirstLineTooLong:
      Refuse({414, "request line too long"}, head);
      return true;
    case HeadScanner::State::kFieldsTooLarge:
      ParseRequestLineForLog(bytes, head);
      Refuse({431, "fields too large or too many"}, head);
      return true;
    case HeadScanner::State::kWhole:
      break;
  }
  ConnectionOptions options;
  size_t size = scanner_.head_size();
  Refusal refusal = ParseRequestHead(bytes.substr(0, size), scanner_.field_count(), head, options);
  in.Drain(size);
  if (refusal.status != 0) {
    Refuse(refusal, head);
  } else {
    AcceptRequest(std::move(head), options);
  }
  return true;
}

void H1ServerCodec::BeginStream() {
  scanner_.Restart();
  empty_lines_ = 0;
  ++stream_;
  is_open_ = true;
  is_reset_ = false;
  unconsumed_ = 0;
  discarded_ = 0;
  writing_ = Writing::kAwaiting;
}

void H1ServerCodec::Refuse(const Refusal& refusal, const RequestHead& head) {
  BeginStream();
  reading_ = Reading::kClosed;
  is_closing_ = true;
  keeps_alive_ = waits_for_continue_ = asks_for_tunnel_ = false;
  request_version_ = head.version;
  is_head_request_ = head.method == "HEAD";
  sink_.OnRefused(stream_, refusal, head);
}

void H1ServerCodec::AcceptRequest(RequestHead&& head, const ConnectionOptions& options) {
  BeginStream();
  request_version_ = head.version;
  is_head_request_ = head.method == "HEAD";
  // RFC 9112 9.3.
  keeps_alive_ = !options.close && (head.version == Version::kHttp11 || options.keep_alive);
  waits_for_continue_ = head.expects_continue;
  asks_for_tunnel_ = !head.upgrade.empty();
  reader_.Start(head.framing, head.content_length);
  bool has_ended = reader_.is_done();
  reading_ = has_ended ? Reading::kWaiting : Reading::kBody;
  sink_.OnRequest(stream_, std::move(head), has_ended);
}

bool H1ServerCodec::ReadBody(Buffer& in) {
  BodyReader::State state = reader_.Read(in, body_, room());
  size_t size = body_.size();
  bool is_done = state == BodyReader::State::kDone;
  if (size > 0) waits_for_continue_ = false;
  unconsumed_ += size;
  if (is_done) reading_ = Reading::kWaiting;
  StreamId stream = stream_;
  bool has_trailers = is_done && !reader_.trailers().empty();
  bool is_last = is_done && !has_trailers;
  if (size > 0 || is_last) {
    sink_.OnBody(stream, body_, is_last);
    body_.Clear();
  }
  // The sink may have ended the stream from within.
  if (has_trailers && IsOpen(stream) && !is_reset_) {
    sink_.OnTrailers(stream, std::move(reader_.trailers()));
  }
  if (state == BodyReader::State::kBroken) {
    if (reading_ == Reading::kBody) BreakBody();
    return true;
  }
  return is_done || room() > 0;
}

void H1ServerCodec::BreakBody() {
  std::string_view rule = reader_.broken_rule();
  Error error{ErrorCode::kInvalid, std::string(rule), Side::kDownstream};
  if (writing_ == Writing::kAwaiting) {
    out_.Append("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  }
  StreamId stream = stream_;
  bool is_known = is_open_ && !is_reset_;
  is_open_ = false;
  Close();
  failure_ = tl::unexpected<Error>(error);
  if (is_known) sink_.OnReset(stream, error);
}

bool H1ServerCodec::Discard(Buffer& in) {
  Buffer nowhere;
  size_t most = limits_.buffered_per_stream;
  BodyReader::State state = reader_.Read(in, nowhere, most - std::min(most, discarded_));
  discarded_ += nowhere.size();
  if (state == BodyReader::State::kDone) {
    reading_ = Reading::kHead;
    return true;
  }
  if (state == BodyReader::State::kBroken || discarded_ >= most) Close();
  return reading_ == Reading::kClosed;
}

bool H1ServerCodec::ReadTunnel(Buffer& in) {
  size_t most = room();
  if (most == 0) return false;
  unconsumed_ += in.MoveTo(body_, most);
  sink_.OnBody(stream_, body_, false);
  body_.Clear();
  return true;
}

void H1ServerCodec::ReceiveEnd() {
  has_peer_closed_ = true;
  if (left_ == 0) HandlePeerClosed();
}

void H1ServerCodec::HandlePeerClosed() {
  switch (reading_) {
    // The half-closed client of a complete request still gets its answer.
    case Reading::kHead:
    case Reading::kWaiting:
    case Reading::kClosed:
      return;
    case Reading::kDiscarding:
      return Close();
    case Reading::kTunnel:
      reading_ = Reading::kClosed;
      is_closing_ = true;
      sink_.OnBody(stream_, body_, true);
      return;
    case Reading::kBody: {
      StreamId stream = stream_;
      bool is_known = is_open_ && !is_reset_;
      is_open_ = false;
      Close();
      if (is_known) {
        sink_.OnReset(stream, {ErrorCode::kClosed, "request body cut", Side::kDownstream});
      }
      return;
    }
  }
}

void H1ServerCodec::Close() {
  reading_ = Reading::kClosed;
  is_closing_ = true;
  if (!is_open_) writing_ = Writing::kIdle;
}

bool H1ServerCodec::wants_bytes() const {
  switch (reading_) {
    case Reading::kHead:
      return !is_done() && (!has_peer_closed_ || left_ > 0);
    case Reading::kBody:
    case Reading::kTunnel:
      return room() > 0;
    case Reading::kWaiting:
      return left_ == 0 && !has_peer_closed_;
    case Reading::kDiscarding:
      return true;
    case Reading::kClosed:
      return false;
  }
  return false;
}

bool H1ServerCodec::is_done() const {
  if (is_open_) return false;
  if (is_closing_) return true;
  if (reading_ != Reading::kHead) return false;
  // A client that closed its side may have left requests that we have not looked at yet.
  return has_peer_closed_ && left_ == 0;
}

void H1ServerCodec::WriteStatusLine(HeadWriter& writer, const ResponseHead& head) {
  int status = head.status >= 100 && head.status <= 999 ? head.status : 500;
  writer.Text("HTTP/1.1 ");
  writer.Number(static_cast<uint64_t>(status));
  writer.Text(" ");
  bool is_usable = !head.reason.empty() && AreAllIn(kValueBytes, head.reason);
  writer.Text(is_usable ? std::string_view(head.reason) : ReasonPhrase(status));
  writer.Text("\r\n");
}

void H1ServerCodec::SendInterim(StreamId stream, const ResponseHead& head) {
  if (!IsOpen(stream) || writing_ != Writing::kAwaiting || is_reset_) return;
  // RFC 9110 15.2: never to a 1.0 client.
  if (request_version_ == Version::kHttp10) return;
  if (head.status < 100 || head.status > 199 || head.status == 101) return;
  if (head.status == 100) waits_for_continue_ = false;
  HeadWriter writer(out_, kHeadRoom + head.reason.size() + HeadWriter::SizeOf(head.headers));
  WriteStatusLine(writer, head);
  writer.EndToEndFields(head.headers);
  writer.Text("\r\n");
}

// Decides the body's framing and starts the writer. `announced` becomes the Content-Length to
// write. True: chunked.
bool H1ServerCodec::FrameResponse(const ResponseHead& head, bool end,
                                  std::optional<uint64_t>& announced) {
  if (is_head_request_ || HasNoBody(head.status)) {
    // RFC 9110 8.6: 204 has none; 304 and the answer to HEAD say what GET would have got.
    if (head.status >= 200 && head.status != 204) announced = head.content_length;
    writer_.Start(BodyFraming::kNone, 0);
    return false;
  }
  bool is_known = head.framing == BodyFraming::kContentLength && head.content_length;
  if (is_known || end) {
    announced = is_known ? *head.content_length : 0;
    writer_.Start(BodyFraming::kContentLength, *announced);
    return false;
  }
  if (request_version_ == Version::kHttp10) {
    keeps_alive_ = false;
    writer_.Start(BodyFraming::kUntilClose, 0);
    return false;
  }
  writer_.Start(BodyFraming::kChunked, 0);
  return true;
}

void H1ServerCodec::DecideKeepAlive() {
  if (is_closing_ || is_going_away_) keeps_alive_ = false;
  if (reading_ != Reading::kBody) return;
  // An early answer: the rest of the body is read and thrown away only where it is known to be
  // short. A client that waits for 100 may or may not send it, and nobody can tell where the next
  // request begins.
  std::optional<uint64_t> remaining = reader_.remaining();
  if (waits_for_continue_ || !remaining || *remaining > limits_.buffered_per_stream) {
    keeps_alive_ = false;
  }
}

void H1ServerCodec::SendResponse(StreamId stream, const ResponseHead& head, bool end) {
  if (stream == 0 && !is_open_ && reading_ == Reading::kHead && !is_closing_) {
    // An answer to a request that never came whole (408).
    BeginStream();
    reading_ = Reading::kClosed;
    is_closing_ = true;
    request_version_ = Version::kHttp11;
    keeps_alive_ = is_head_request_ = asks_for_tunnel_ = false;
  } else if (!IsOpen(stream) || writing_ != Writing::kAwaiting || is_reset_) {
    return;
  }
  if (head.status == 101) return SwitchProtocols(head);
  std::optional<uint64_t> announced;
  DecideKeepAlive();
  bool is_chunked = FrameResponse(head, end, announced);
  {
    HeadWriter writer(out_, kHeadRoom + head.reason.size() + HeadWriter::SizeOf(head.headers));
    WriteStatusLine(writer, head);
    writer.EndToEndFields(head.headers);
    if (announced) {
      writer.Text("Content-Length: ");
      writer.Number(*announced);
      writer.Text("\r\n");
    }
    if (is_chunked) writer.Text("Transfer-Encoding: chunked\r\n");
    if (!keeps_alive_) {
      writer.Text("Connection: close\r\n");
    } else if (request_version_ == Version::kHttp10) {
      writer.Text("Connection: keep-alive\r\n");
    }
    writer.Text("\r\n");
  }
  writing_ = Writing::kBody;
  if (end) {
    Buffer none;
    SendBody(stream_, none, true);
  }
}

void H1ServerCodec::SwitchProtocols(const ResponseHead& head) {
  if (!asks_for_tunnel_ || reading_ != Reading::kWaiting) {
    Reset(stream_, {ErrorCode::kInvalid, "101 that was not asked for", Side::kUpstream});
    return;
  }
  {
    HeadWriter writer(out_, kHeadRoom + head.reason.size() + HeadWriter::SizeOf(head.headers));
    WriteStatusLine(writer, head);
    writer.Text("Connection: Upgrade\r\nUpgrade: websocket\r\n");
    writer.EndToEndFields(head.headers);
    writer.Text("\r\n");
  }
  keeps_alive_ = false;
  writer_.Start(BodyFraming::kUntilClose, 0);
  writing_ = Writing::kBody;
  reading_ = Reading::kTunnel;
}

void H1ServerCodec::SendBody(StreamId stream, Buffer& data, bool end) {
  if (!IsOpen(stream) || writing_ != Writing::kBody || is_reset_) {
    data.Clear();
    return;
  }
  writer_.Write(data, end, out_);
  if (end) writing_ = Writing::kEnded;
}

void H1ServerCodec::SendTrailers(StreamId stream, const Headers& trailers) {
  if (!IsOpen(stream) || writing_ != Writing::kBody || is_reset_) return;
  writer_.WriteTrailers(trailers, out_);
  writing_ = Writing::kEnded;
}

void H1ServerCodec::Reset(StreamId stream, const Error&) {
  if (!IsOpen(stream) || is_reset_) return;
  is_reset_ = true;
  must_reset_ = writing_ == Writing::kBody && writer_.ends_with_connection();
  keeps_alive_ = false;
  reading_ = Reading::kClosed;
  is_closing_ = true;
}

void H1ServerCodec::Consumed(StreamId stream, size_t bytes) {
  if (IsOpen(stream)) unconsumed_ -= std::min(bytes, unconsumed_);
}

void H1ServerCodec::Produce(Buffer& out, size_t limit) {
  // Whole pieces: splitting one means copying it.
  size_t produced = 0;
  while (!out_.empty() && produced < limit) produced += out_.MoveTo(out, out_.Front().size());
  // A client that closed its side before the tunnel began.
  if (reading_ == Reading::kTunnel && has_peer_closed_ && left_ == 0) HandlePeerClosed();
  if (out_.empty() && is_open_ && (is_reset_ || writing_ == Writing::kEnded)) FinishStream();
}

void H1ServerCodec::FinishStream() {
  is_open_ = false;
  unconsumed_ = 0;
  if (is_reset_ || !keeps_alive_ || !writer_.is_whole()) {
    Close();
  } else {
    writing_ = Writing::kIdle;
    reading_ = reading_ == Reading::kBody ? Reading::kDiscarding : Reading::kHead;
  }
  sink_.OnStreamDone(stream_);
}

}  // namespace

std::unique_ptr<ServerCodec> MakeH1ServerCodec(RequestSink& sink, const CodecLimits& limits) {
  return std::make_unique<H1ServerCodec>(sink, limits);
}

}  // namespace genkan::http
