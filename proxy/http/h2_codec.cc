#include "proxy/http/h2_codec.h"

#include <algorithm>
#include <utility>

#include "proxy/base/text.h"
#include "proxy/http/h2_server_codec.h"
#include "proxy/http/message_rules.h"

namespace genkan::http {
namespace {

// A head beyond this many times its limit ends the connection before more of it is decoded; below,
// it is a 431.
constexpr size_t kHardHeadFactor = 2;
constexpr Seconds kSettingsTimeout{10};
// How long the rest of a request may come that was answered before it.
constexpr Seconds kLateRest{1};

// A code that is somebody's fault; resets of both sides come with it.
bool IsFault(H2Error error) {
  return error == H2Error::kProtocolError || error == H2Error::kFlowControlError ||
         error == H2Error::kStreamClosed || error == H2Error::kFrameSizeError;
}

bool IsGoodTrailer(std::string_view name, std::string_view value) {
  bool has_upper = std::any_of(name.begin(), name.end(), [](char c) { return ToLower(c) != c; });
  return !has_upper && IsToken(name) && IsFieldValue(value) && !IsConnectionSpecific(KindOf(name));
}

}  // namespace

Status H2ServerCodec::Receive(Buffer& in) {
  if (is_inside_) return {};
  is_inside_ = true;
  while (!in.empty() && !failed_) {
    std::string_view piece = in.Front();
    ReceivePiece(piece);
    in.Drain(piece.size());
  }
  DeliverEarly();
  ResetLate();
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
    case H2StreamLedger::Verdict::kFine:
      break;
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
  H2Stream* stream = Find(frame.stream);
  if (stream != nullptr && stream->is_answered_early && !frame.has(H2FrameHeader::kEndStream))
    return session_.ResetStream(frame.stream, H2Error::kNoError);
  if (stream == nullptr || !stream->is_told || stream->is_gone()) return;
  if (!frame.has(H2FrameHeader::kEndStream)) {
    bool is_padding = frame.has(H2FrameHeader::kPadded) && data_in_frame_ == 0 && frame.length > 0;
    if (is_padding && !flood_.SeeEmptyData()) {
      EndConnection(H2Error::kEnhanceYourCalm, "DATA of padding alone");
    }
    return;
  }
  // The session has taken the last frame of this body but did not call it complete: the length is
  // wrong.
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
  if (H2Stream* stream = Find(id); stream != nullptr && stream->is_gone()) return;
  if (!flood_.SeeFault()) EndConnection(H2Error::kEnhanceYourCalm, "faults without end");
  Lose(id, ErrorCode::kInvalid, fmt::format("h2: {}", rule), H2Error::kProtocolError);
}

void H2ServerCodec::Lose(StreamId id, ErrorCode code, std::string detail, H2Error answer) {
  H2Stream* stream = Find(id);
  if (stream == nullptr || stream->is_gone()) return;
  session_.ResetStream(id, answer);
  stream->is_lost = true;
  stream->send.Clear();
  if (stream->is_told) sink_.OnReset(id, Error{code, std::move(detail), Side::kDownstream});
}

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
  H2Stream* stream = Find(id);
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
  H2Stream* stream = Find(id);
  if (stream == nullptr || stream->reader == nullptr) return;
  RequestHead head;
  auto refusal = stream->reader->Finish(end, head);
  stream->reader.reset();
  stream->is_told = true;
  stream->request_ended = end;
  flood_.Moved();
  // Without a word from the client, streams share the connection instead of queueing behind the
  // first.
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
  // As in HTTP/1.1, the request that asks for a tunnel is complete; the tunnel's bytes come behind
  // the 101.
  sink_.OnRequest(id, std::move(head), end || stream->is_tunnel);
}

void H2ServerCodec::DeliverTrailers(StreamId id) {
  H2Stream* stream = Find(id);
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
  H2Stream* stream = Find(id);
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
  if (H2Stream* stream = Find(id); stream != nullptr) {
    stream->request_ended = true;
    DeliverBody(id, true);
  }
}

void H2ServerCodec::DeliverBody(StreamId id, bool end) {
  H2Stream* stream = Find(id);
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
    H2Stream* stream = Find(id);
    if (stream == nullptr || stream->is_gone()) continue;
    Buffer early = std::exchange(stream->early, Buffer());
    bool end = stream->early_end;
    if (early.empty() && !end) continue;
    sink_.OnBody(id, early, end);
    if (!early.empty()) Consumed(id, early.size());
  }
}

void H2ServerCodec::OnEndSent(StreamId id) {
  H2Stream* stream = Find(id);
  if (stream == nullptr) return;
  stream->response_ended = true;
  if (stream->request_ended) return;
  // RFC 9113 8.1: the answer is complete, the rest of the request is not wanted. But a reset that
  // comes in one read with the answer takes it away from some clients (curl 7.88 says "Empty
  // reply"), and most requests that are answered early end in the client's next frame; who wanted
  // a tunnel has nothing to end.
  if (goes_away_ || stream->was_refused_tunnel) return session_.ResetStream(id, H2Error::kNoError);
  stream->is_answered_early = true;
  late_.emplace_back(id, clock_.Now());
  if (stream->is_told && !std::exchange(stream->is_lost, true)) sink_.OnStreamDone(id);
}

void H2ServerCodec::ResetLate() {
  if (late_.empty()) return;
  const MonotonicTime now = clock_.Now();
  std::erase_if(late_, [&](const auto& late) {
    const H2Stream* stream = Find(late.first);
    if (stream == nullptr || stream->request_ended) return true;
    if (!goes_away_ && now - late.second < kLateRest) return false;
    session_.ResetStream(late.first, H2Error::kNoError);
    return true;
  });
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
  const H2Stream& stream = node.mapped();
  session_.ConsumeConnection(stream.unconsumed);
  if (body_of_ == id) body_.Clear();
  if (!stream.is_told || stream.is_lost) return;
  if (stream.is_reset || stream.response_ended) return sink_.OnStreamDone(id);
  // The library resets a stream whose body is longer than its Content-Length or its window and
  // tells nobody.
  bool is_fault = IsFault(error);
  if (is_fault && !flood_.SeeFault())
    EndConnection(H2Error::kEnhanceYourCalm, "faults without end");
  sink_.OnReset(id, Error{is_fault ? ErrorCode::kInvalid : ErrorCode::kClosed,
                          fmt::format("h2: stream reset with {}", static_cast<uint32_t>(error)),
                          Side::kDownstream});
}

std::unique_ptr<ServerCodec> MakeH2ServerCodec(RequestSink& sink, const CodecLimits& limits,
                                               const Clock& clock) {
  return std::make_unique<H2ServerCodec>(sink, limits, clock);
}

}  // namespace genkan::http
