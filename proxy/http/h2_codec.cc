#include "proxy/http/h2_codec.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/http/h2_flood_guard.h"
#include "proxy/http/h2_frame_scanner.h"
#include "proxy/http/h2_request.h"
#include "proxy/http/h2_session.h"
#include "proxy/http/h2_stream_ledger.h"
#include "proxy/http/message_rules.h"

namespace genkan::http {
namespace {

// A head beyond this many times its limit ends the connection before more of it is decoded; below, it is a 431.
constexpr size_t kHardHeadFactor = 2;
constexpr Seconds kSettingsTimeout{10};

struct Stream {
  std::unique_ptr<H2RequestReader> reader;  // until the head is complete
  Headers trailers_in;
  size_t trailer_bytes = 0;
  size_t unconsumed = 0;      // body bytes that still fill the windows
  bool is_told = false;       // the sink knows it
  bool is_lost = false;       // the sink was told that it is gone
  bool is_reset = false;      // by our owner
  bool drops_body = false;    // refused: what follows of the request is of no interest
  bool request_ended = false;
  bool trailers_broken = false;

  bool is_tunnel = false;       // asked for
  bool is_tunnel_open = false;  // and granted: bytes go through
  bool early_end = false;
  Buffer early;                 // tunnel bytes that came before the answer; the window bounds them

  bool has_response = false;
  bool response_ended = false;  // END_STREAM is on its way
  bool send_end = false;        // nothing more will be given to `send`
  std::optional<uint64_t> announced;  // Content-Length less what was given so far
  Buffer send;
  Headers trailers_out;

  bool is_gone() const { return is_lost || is_reset; }
};

H2Error CodeFor(const Error& error) {
  switch (error.code) {
    case ErrorCode::kBusy: return H2Error::kRefusedStream;
    case ErrorCode::kTimeout: return H2Error::kCancel;
    case ErrorCode::kClosed:
      return error.side == Side::kUpstream ? H2Error::kInternalError : H2Error::kCancel;
    case ErrorCode::kInvalid:
      return error.side == Side::kDownstream ? H2Error::kProtocolError : H2Error::kInternalError;
    default: return H2Error::kInternalError;
  }
}

// A code that is somebody's fault; resets of both sides come with it.
bool IsFault(H2Error error) {
  return error == H2Error::kProtocolError || error == H2Error::kFlowControlError ||
         error == H2Error::kStreamClosed || error == H2Error::kFrameSizeError;
}

bool IsGoodTrailer(std::string_view name, std::string_view value) {
  bool has_upper = std::any_of(name.begin(), name.end(), [](char c) { return ToLower(c) != c; });
  return !has_upper && IsToken(name) && IsFieldValue(value) && !IsConnectionSpecific(name);
}

// Fields that go out: never what is meant for one connection, nor what the codec itself writes.
void AppendFields(const Headers& headers, bool is_trailers, std::vector<H2Field>& fields) {
  for (auto field : headers) {
    if (IsConnectionSpecific(field.name) || EqualsIgnoreCase(field.name, "te") ||
        !IsToken(field.name) || !IsFieldValue(field.value)) {
      continue;
    }
    if (is_trailers ? IsForbiddenTrailer(field.name)
                    : EqualsIgnoreCase(field.name, "content-length")) {
      continue;
    }
    fields.push_back({field.name, Trim(field.value)});
  }
}

class H2ServerCodec final : public ServerCodec, private H2SessionHandler {
 public:
  H2ServerCodec(RequestSink& sink, const CodecLimits& limits, const Clock& clock)
      : sink_(sink), limits_(limits), clock_(clock), flood_(clock), session_(*this, limits_) {}

  Version version() const override { return Version::kHttp2; }
  Status Receive(Buffer& in) override;
  void ReceiveEnd() override;
  bool wants_bytes() const override { return !failed_.has_value() && !has_ended_; }

  void SendInterim(StreamId id, const ResponseHead& head) override;
  void SendResponse(StreamId id, const ResponseHead& head, bool end) override;
  void SendBody(StreamId id, Buffer& data, bool end) override;
  void SendTrailers(StreamId id, const Headers& trailers) override;
  void Reset(StreamId id, const Error& error) override;
  void Consumed(StreamId id, size_t bytes) override;
  size_t buffered(StreamId id) const override;
  void Hold(StreamId id) override { held_.insert(id); }
  void Release(StreamId id) override { held_.erase(id); }

  void Produce(Buffer& out, size_t limit) override;
  bool has_output() const override { return session_.wants_write() || !opened_.empty(); }

  void GoAway() override;
  bool is_done() const override {
    return failed_.has_value() || !session_.wants_read() || (has_ended_ && streams_.empty());
  }
  size_t open_streams() const override { return streams_.size() + held_.size(); }

 private:
  // H2SessionHandler
  Take OnHeadBegin(StreamId id, bool is_trailers) override;
  Take OnField(StreamId id, std::string_view name, std::string_view value) override;
  void OnHeadEnd(StreamId id, bool is_trailers, bool end) override;
  void OnData(StreamId id, std::string_view bytes) override;
  void OnDataEnd(StreamId id) override;
  void OnPingAck() override { session_.Shutdown(); }
  void OnSettingsAck() override {
    settings_acked_ = true;
    settings_sent_.reset();
  }
  void OnEndSent(StreamId id) override;
  void OnGoAwaySent(H2Error error) override;
  void OnClosed(StreamId id, H2Error error) override;
  void OnFault(StreamId id) override;
  BodyPart PlanBody(StreamId id, size_t limit) override;
  bool WriteBody(StreamId id, std::string_view frame_header, size_t bytes) override;

  Stream* Find(StreamId id) {
    auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : &found->second;
  }
  // The stream, if a response may still be written on it.
  Stream* Answerable(StreamId id) {
    Stream* stream = Find(id);
    return stream != nullptr && stream->is_told && !stream->is_gone() ? stream : nullptr;
  }
  void ReceivePiece(std::string_view bytes);
  bool Judge(const H2FrameHeader& frame);
  void OnFrameEnd(const H2FrameHeader& frame);
  void DeliverHead(StreamId id, bool end);
  void DeliverTrailers(StreamId id);
  void DeliverBody(StreamId id, bool end);
  void DeliverEarly();
  // The client broke a rule in the middle of a request …
  void Blame(StreamId id, std::string_view rule);
  // … or went away.
  void Lose(StreamId id, ErrorCode code, std::string detail, H2Error answer);
  void EndConnection(H2Error code, std::string_view rule);
  // Notes body bytes on their way out; false where they do not fit the Content-Length that was announced.
  bool Account(Stream& stream, size_t bytes, bool end);

  RequestSink& sink_;
  const CodecLimits limits_;
  const Clock& clock_;
  std::unordered_map<StreamId, Stream> streams_;
  std::unordered_set<StreamId> held_;  // gone here, still at work at an origin
  H2FrameScanner scanner_;
  H2StreamLedger ledger_;
  H2FloodGuard flood_;
  size_t continuations_ = 0;
  bool in_head_ = false;  // CONTINUATION must follow
  size_t data_in_frame_ = 0;
  std::optional<MonotonicTime> settings_sent_;  // and not yet acknowledged
  bool settings_acked_ = false;
  Buffer body_;           // of the frame in progress
  StreamId body_of_ = 0;  // whose it is
  std::vector<StreamId> opened_;  // tunnels just granted, with bytes that came early
  std::optional<Error> failed_;
  bool has_ended_ = false;
  bool goes_away_ = false;
  bool is_inside_ = false;  // within Receive or Produce: neither may be entered again
  Buffer* out_ = nullptr;
  size_t out_full_ = 0;
  H2Session session_;  // last: it calls us while it is made
};

// --- bytes in

Status H2ServerCodec::Receive(Buffer& in) {
  if (is_inside_) return {};
  is_inside_ = true;
  while (!in.empty() && !failed_) {
    std::string_view piece = in.Front();
    ReceivePiece(piece);
    in.Drain(piece.size());
  }
  DeliverEarly();
  is_inside_ = false;
  if (!failed_) return {};
  in.Clear();
  return tl::unexpected<Error>(*failed_);
}

void H2ServerCodec::ReceivePiece(std::string_view bytes) {
  while (!bytes.empty() && !failed_) {
    auto piece = scanner_.Next(bytes);
    bytes.remove_prefix(piece.taken);
    if (piece.begins_frame && !Judge(scanner_.header())) return;
    if (piece.feed.empty()) continue;
    Status fed = session_.Receive(piece.feed);
    if (!fed && !failed_) {
      session_.Terminate(H2Error::kProtocolError);
      failed_ = fed.error();
    }
    if (failed_) return;
    if (piece.ends_frame) OnFrameEnd(scanner_.header());
    if (!body_.empty()) DeliverBody(body_of_, false);
  }
}

bool H2ServerCodec::Judge(const H2FrameHeader& frame) {
  bool is_headers = frame.type == H2FrameType::kHeaders;
  bool is_continuation = frame.type == H2FrameType::kContinuation;
  // RFC 9113 6.10: whatever stands between the parts of a head is the session's error to tell.
  if (in_head_ && !is_continuation) return true;
  if (is_headers) continuations_ = 0;
  if (is_continuation && ++continuations_ > limits_.continuations) {
    EndConnection(H2Error::kEnhanceYourCalm, "too many CONTINUATION frames");
    return false;
  }
  if (is_headers || is_continuation) in_head_ = !frame.has(H2FrameHeader::kEndHeaders);
  switch (ledger_.See(frame)) {
    case H2StreamLedger::Verdict::kFine: break;
    case H2StreamLedger::Verdict::kStreamClosed:
      EndConnection(H2Error::kStreamClosed, "a frame on a closed stream");
      return false;
    case H2StreamLedger::Verdict::kGoesBack:
      EndConnection(H2Error::kProtocolError, "a stream number that goes back");
      return false;
  }
  if (frame.type == H2FrameType::kData) data_in_frame_ = 0;
  if (!flood_.See(frame)) {
    EndConnection(H2Error::kEnhanceYourCalm, "a flood");
    return false;
  }
  if (settings_sent_ && clock_.Now() - *settings_sent_ > kSettingsTimeout) {
    EndConnection(H2Error::kSettingsTimeout, "SETTINGS were not acknowledged");
    return false;
  }
  return true;
}

void H2ServerCodec::OnFrameEnd(const H2FrameHeader& frame) {
  if (frame.type == H2FrameType::kPriority) {
    // The library does not look at these any more, now that we said NO_RFC7540_PRIORITIES.
    bool is_own = (scanner_.first_word() & 0x7fffffff) == frame.stream;
    if (frame.stream == 0 || is_own) EndConnection(H2Error::kProtocolError, "PRIORITY of itself");
    return;
  }
  if (frame.type != H2FrameType::kData) return;
  Stream* stream = Find(frame.stream);
  if (stream == nullptr || !stream->is_told || stream->is_gone()) return;
  if (!frame.has(H2FrameHeader::kEndStream)) {
    bool is_padding = frame.has(H2FrameHeader::kPadded) && data_in_frame_ == 0 && frame.length > 0;
    if (is_padding && !flood_.SeeEmptyData()) {
      EndConnection(H2Error::kEnhanceYourCalm, "DATA of padding alone");
    }
    return;
  }
  // The session has taken the last frame of this body but did not call it complete: the length is wrong.
  if (stream->request_ended) return;
  body_.Clear();
  Blame(frame.stream, "the body differs from Content-Length");
}

void H2ServerCodec::ReceiveEnd() {
  if (has_ended_) return;
  has_ended_ = true;
  std::vector<StreamId> unfinished;
  for (const auto& [id, stream] : streams_) {
    if (!stream.request_ended) unfinished.push_back(id);
  }
  for (StreamId id : unfinished) {
    Lose(id, ErrorCode::kClosed, "the client closed in the middle of a request", H2Error::kCancel);
  }
}

void H2ServerCodec::EndConnection(H2Error code, std::string_view rule) {
  if (failed_) return;
  session_.Terminate(code);
  failed_ = Error{ErrorCode::kInvalid, fmt::format("h2: {}", rule), Side::kDownstream};
}

void H2ServerCodec::Blame(StreamId id, std::string_view rule) {
  if (Stream* stream = Find(id); stream != nullptr && stream->is_gone()) return;
  if (!flood_.SeeFault()) EndConnection(H2Error::kEnhanceYourCalm, "faults without end");
  Lose(id, ErrorCode::kInvalid, fmt::format("h2: {}", rule), H2Error::kProtocolError);
}

void H2ServerCodec::Lose(StreamId id, ErrorCode code, std::string detail, H2Error answer) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->is_gone()) return;
  session_.ResetStream(id, answer);
  stream->is_lost = true;
  stream->send.Clear();
  if (stream->is_told) sink_.OnReset(id, Error{code, std::move(detail), Side::kDownstream});
}

// --- what the session tells

H2SessionHandler::Take H2ServerCodec::OnHeadBegin(StreamId id, bool is_trailers) {
  if (is_trailers) return Take::kGoOn;
  // Also those that the client has reset count as long as an origin works on them (Hold).
  if (open_streams() >= limits_.concurrent_streams) {
    session_.ResetStream(id, H2Error::kRefusedStream);
    return Take::kDropStream;
  }
  streams_[id].reader = std::make_unique<H2RequestReader>(limits_);
  return Take::kGoOn;
}

H2SessionHandler::Take H2ServerCodec::OnField(StreamId id, std::string_view name,
                                              std::string_view value) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->is_gone()) return Take::kGoOn;
  size_t bytes = 0;
  if (stream->reader != nullptr) {
    stream->reader->Add(name, value);
    bytes = stream->reader->bytes();
  } else {
    bytes = stream->trailer_bytes += name.size() + value.size();
    if (!IsGoodTrailer(name, value) || bytes > limits_.trailer_bytes ||
        stream->trailers_in.size() >= limits_.trailer_count) {
      stream->trailers_broken = true;
    } else if (!stream->trailers_broken && !IsForbiddenTrailer(name)) {
      stream->trailers_in.Add(name, value);
    }
  }
  if (bytes <= kHardHeadFactor * limits_.all_fields) return Take::kGoOn;
  EndConnection(H2Error::kEnhanceYourCalm, "a head without end");
  return Take::kStop;
}

void H2ServerCodec::OnHeadEnd(StreamId id, bool is_trailers, bool end) {
  if (is_trailers) {
    DeliverTrailers(id);
  } else {
    DeliverHead(id, end);
  }
}

void H2ServerCodec::DeliverHead(StreamId id, bool end) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->reader == nullptr) return;
  RequestHead head;
  auto refusal = stream->reader->Finish(end, head);
  stream->reader.reset();
  stream->is_told = true;
  stream->request_ended = end;
  flood_.Moved();
  // Without a word from the client, streams share the connection instead of queueing behind the first.
  if (!head.headers.Has("priority")) session_.ShareFairly(id);
  if (refusal) {
    stream->drops_body = true;
    sink_.OnRefused(id, *refusal, head);
    return;
  }
  if (!head.upgrade.empty()) {
    stream->is_tunnel = true;
    // RFC 8441 5: the key is not used here; whoever speaks HTTP/1.1 to the origin makes one.
    head.headers.Remove("sec-websocket-key");
  }
  // As in HTTP/1.1, the request that asks for a tunnel is complete; the tunnel's bytes come behind the 101.
  sink_.OnRequest(id, std::move(head), end || stream->is_tunnel);
}

void H2ServerCodec::DeliverTrailers(StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr || !stream->is_told || stream->is_gone()) return;
  stream->request_ended = true;
  if (stream->trailers_broken) return Blame(id, "trailers that break a rule");
  if (stream->drops_body) return;
  if (stream->is_tunnel) return DeliverBody(id, true);
  Headers trailers = std::exchange(stream->trailers_in, Headers());
  sink_.OnTrailers(id, std::move(trailers));
}

void H2ServerCodec::OnData(StreamId id, std::string_view bytes) {
  data_in_frame_ += bytes.size();
  Stream* stream = Find(id);
  if (stream == nullptr || !stream->is_told || stream->is_gone() || stream->drops_body) {
    // Nobody will consume them. Only the connection's window opens: this stream shall not go on.
    session_.ConsumeConnection(bytes.size());
    return;
  }
  flood_.Moved();
  stream->unconsumed += bytes.size();
  body_of_ = id;
  body_.Append(bytes);
}

void H2ServerCodec::OnDataEnd(StreamId id) {
  if (Stream* stream = Find(id); stream != nullptr) {
    stream->request_ended = true;
    DeliverBody(id, true);
  }
}

void H2ServerCodec::DeliverBody(StreamId id, bool end) {
  Stream* stream = Find(id);
  if (stream == nullptr || !stream->is_told || stream->is_gone() || stream->drops_body) {
    // Their share of the connection's window was given back with the stream, or is when it closes.
    body_.Clear();
    return;
  }
  if (stream->is_tunnel && !stream->is_tunnel_open) {
    stream->early.Append(body_);
    stream->early_end |= end;
    return;
  }
  sink_.OnBody(id, body_, end);
  size_t not_taken = body_.size();
  body_.Clear();
  if (not_taken > 0) Consumed(id, not_taken);
}

void H2ServerCodec::DeliverEarly() {
  while (!opened_.empty()) {
    StreamId id = opened_.back();
    opened_.pop_back();
    Stream* stream = Find(id);
    if (stream == nullptr || stream->is_gone()) continue;
    Buffer early = std::exchange(stream->early, Buffer());
    bool end = stream->early_end;
    if (early.empty() && !end) continue;
    sink_.OnBody(id, early, end);
    if (!early.empty()) Consumed(id, early.size());
  }
}

void H2ServerCodec::OnEndSent(StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr) return;
  stream->response_ended = true;
  // RFC 9113 8.1: the answer is complete, the rest of the request is not wanted.
  if (!stream->request_ended) session_.ResetStream(id, H2Error::kNoError);
}

void H2ServerCodec::OnGoAwaySent(H2Error error) {
  if (error == H2Error::kNoError || failed_) return;
  failed_ = Error{ErrorCode::kInvalid,
                  fmt::format("h2: connection error {}", static_cast<uint32_t>(error)),
                  Side::kDownstream};
}

void H2ServerCodec::OnFault(StreamId id) {
  if (id != 0) Blame(id, "a frame that breaks a rule");
}

void H2ServerCodec::OnClosed(StreamId id, H2Error error) {
  auto node = streams_.extract(id);
  if (node.empty()) return;
  const Stream& stream = node.mapped();
  session_.ConsumeConnection(stream.unconsumed);
  if (body_of_ == id) body_.Clear();
  if (!stream.is_told || stream.is_lost) return;
  if (stream.is_reset || stream.response_ended) return sink_.OnStreamDone(id);
  // The library resets a stream whose body is longer than its Content-Length or its window and tells nobody.
  bool is_fault = IsFault(error);
  if (is_fault && !flood_.SeeFault()) EndConnection(H2Error::kEnhanceYourCalm, "faults without end");
  sink_.OnReset(id, Error{is_fault ? ErrorCode::kInvalid : ErrorCode::kClosed,
                          fmt::format("h2: stream reset with {}", static_cast<uint32_t>(error)),
                          Side::kDownstream});
}

// --- what the owner sends

void H2ServerCodec::SendInterim(StreamId id, const ResponseHead& head) {
  Stream* stream = Answerable(id);
  if (stream == nullptr || stream->has_response) return;
  std::string status = std::to_string(head.status);
  std::vector<H2Field> fields = {{":status", status}};
  AppendFields(head.headers, false, fields);
  session_.SubmitInterim(id, fields);
}

void H2ServerCodec::SendResponse(StreamId id, const ResponseHead& head, bool end) {
  Stream* stream = Answerable(id);
  if (stream == nullptr || stream->has_response) return;
  bool grants_tunnel = head.status == 101;
  if (grants_tunnel && !stream->is_tunnel) {
    return Reset(id, Error{ErrorCode::kInternal, "101 without a tunnel", Side::kLocal});
  }
  stream->has_response = true;
  // RFC 8441 5: what was a 101 is a 200 here.
  std::string status = std::to_string(grants_tunnel ? 200 : head.status);
  std::string length;
  std::vector<H2Field> fields = {{":status", status}};
  AppendFields(head.headers, false, fields);
  if (grants_tunnel) {
    std::erase_if(fields, [](const H2Field& field) {
      return EqualsIgnoreCase(field.name, "sec-websocket-accept");
    });
  } else if (head.content_length && !(HasNoBody(head.status) && head.status != 304)) {
    length = std::to_string(*head.content_length);
    fields.push_back({"content-length", length});
    if (!end) stream->announced = head.content_length;
  }
  if (stream->is_tunnel) {
    stream->is_tunnel_open = grants_tunnel;
    if (grants_tunnel) {
      opened_.push_back(id);
    } else {
      stream->is_tunnel = false;
      stream->drops_body = true;
    }
  }
  if (end) stream->send_end = true;
  if (!session_.SubmitResponse(id, fields, end)) {
    Reset(id, Error{ErrorCode::kInternal, "the response was not taken", Side::kLocal});
  }
}

bool H2ServerCodec::Account(Stream& stream, size_t bytes, bool end) {
  if (!stream.announced) return true;
  if (bytes > *stream.announced) return false;
  *stream.announced -= bytes;
  return !end || *stream.announced == 0;
}

void H2ServerCodec::SendBody(StreamId id, Buffer& data, bool end) {
  Stream* stream = Answerable(id);
  if (stream == nullptr || !stream->has_response || stream->send_end) return data.Clear();
  if (!Account(*stream, data.size(), end)) {
    // A body that does not fit its length must look cut, never complete.
    data.Clear();
    return Reset(id, Error{ErrorCode::kInternal, "body and Content-Length differ", Side::kLocal});
  }
  stream->send.Append(data);
  stream->send_end = end;
  session_.ResumeBody(id);
}

void H2ServerCodec::SendTrailers(StreamId id, const Headers& trailers) {
  Stream* stream = Answerable(id);
  if (stream == nullptr || !stream->has_response || stream->send_end) return;
  if (!Account(*stream, 0, true)) {
    return Reset(id, Error{ErrorCode::kInternal, "body and Content-Length differ", Side::kLocal});
  }
  stream->trailers_out = trailers;
  stream->send_end = true;
  session_.ResumeBody(id);
}

void H2ServerCodec::Reset(StreamId id, const Error& error) {
  Stream* stream = Answerable(id);
  if (stream == nullptr) return;
  stream->is_reset = true;
  stream->send.Clear();
  stream->early.Clear();
  session_.ResetStream(id, CodeFor(error));
}

void H2ServerCodec::Consumed(StreamId id, size_t bytes) {
  Stream* stream = Find(id);
  if (stream == nullptr) return;
  bytes = std::min(bytes, stream->unconsumed);
  stream->unconsumed -= bytes;
  session_.ConsumeConnection(bytes);
  if (!stream->request_ended && !stream->is_gone()) session_.ConsumeStream(id, bytes);
}

size_t H2ServerCodec::buffered(StreamId id) const {
  auto found = streams_.find(id);
  return found == streams_.end() ? 0 : found->second.send.size();
}

void H2ServerCodec::GoAway() {
  if (failed_) return;
  if (!std::exchange(goes_away_, true)) {
    session_.AnnounceShutdown();
  } else {
    session_.Shutdown();
  }
}

// --- bytes out

void H2ServerCodec::Produce(Buffer& out, size_t limit) {
  if (is_inside_ || limit == 0) return;
  is_inside_ = true;
  DeliverEarly();
  out_ = &out;
  out_full_ = out.size() + limit;
  session_.Send(out, limit);
  if (!settings_sent_ && !settings_acked_ && !out.empty()) settings_sent_ = clock_.Now();
  out_ = nullptr;
  is_inside_ = false;
}

H2SessionHandler::BodyPart H2ServerCodec::PlanBody(StreamId id, size_t limit) {
  BodyPart part;
  Stream* stream = Find(id);
  if (stream == nullptr || stream->is_gone()) {
    part.is_deferred = true;
    return part;
  }
  part.bytes = std::min(limit, stream->send.size());
  part.is_last = stream->send_end && part.bytes == stream->send.size();
  part.is_deferred = part.bytes == 0 && !part.is_last;
  if (part.is_last && !stream->trailers_out.empty()) {
    std::vector<H2Field> fields;
    AppendFields(stream->trailers_out, true, fields);
    part.has_trailers = !fields.empty() && session_.SubmitTrailers(id, fields);
  }
  return part;
}

bool H2ServerCodec::WriteBody(StreamId id, std::string_view frame_header, size_t bytes) {
  if (bytes > 0) flood_.Moved();
  out_->Append(frame_header);
  if (Stream* stream = Find(id); stream != nullptr) stream->send.MoveTo(*out_, bytes);
  return out_->size() < out_full_;
}

}  // namespace

std::unique_ptr<ServerCodec> MakeH2ServerCodec(RequestSink& sink, const CodecLimits& limits,
                                               const Clock& clock) {
  return std::make_unique<H2ServerCodec>(sink, limits, clock);
}

}  // namespace genkan::http
