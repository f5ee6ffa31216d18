// What the h2 server codec's owner sends, and how it becomes bytes.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/http/h2_server_codec.h"
#include "proxy/http/message_rules.h"

namespace genkan::http {
namespace {

H2Error CodeFor(const Error& error) {
  switch (error.code) {
    case ErrorCode::kBusy:
      return H2Error::kRefusedStream;
    case ErrorCode::kTimeout:
      return H2Error::kCancel;
    case ErrorCode::kClosed:
      return error.side == Side::kUpstream ? H2Error::kInternalError : H2Error::kCancel;
    case ErrorCode::kInvalid:
      return error.side == Side::kDownstream ? H2Error::kProtocolError : H2Error::kInternalError;
    default:
      return H2Error::kInternalError;
  }
}

// Fields that go out: never what is meant for one connection, nor what the codec itself writes.
void AppendFields(const Headers& headers, bool is_trailers, std::vector<H2Field>& fields) {
  fields.reserve(fields.size() + headers.size() + 1);  // and a content-length
  for (auto field : headers) {
    if (IsConnectionSpecific(field.kind) || field.kind == FieldKind::kTe) continue;
    if (!field.is_clean && (!IsToken(field.name) || !IsFieldValue(field.value))) continue;
    if (is_trailers ? IsForbiddenTrailer(field.name) : field.kind == FieldKind::kContentLength) {
      continue;
    }
    fields.push_back({field.name, field.is_clean ? field.value : Trim(field.value)});
  }
}

}  // namespace

void H2ServerCodec::SendInterim(StreamId id, const ResponseHead& head) {
  H2Stream* stream = Answerable(id);
  if (stream == nullptr || stream->has_response) return;
  std::string status = std::to_string(head.status);
  std::vector<H2Field> fields = {{":status", status}};
  AppendFields(head.headers, false, fields);
  session_.SubmitInterim(id, fields);
}

void H2ServerCodec::SendResponse(StreamId id, const ResponseHead& head, bool end) {
  H2Stream* stream = Answerable(id);
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
      stream->drops_body = stream->was_refused_tunnel = true;
    }
  }
  if (end) stream->send_end = true;
  if (!session_.SubmitResponse(id, fields, end)) {
    Reset(id, Error{ErrorCode::kInternal, "the response was not taken", Side::kLocal});
  }
}

bool H2ServerCodec::Account(H2Stream& stream, size_t bytes, bool end) {
  if (!stream.announced) return true;
  if (bytes > *stream.announced) return false;
  *stream.announced -= bytes;
  return !end || *stream.announced == 0;
}

void H2ServerCodec::SendBody(StreamId id, Buffer& data, bool end) {
  H2Stream* stream = Answerable(id);
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
  H2Stream* stream = Answerable(id);
  if (stream == nullptr || !stream->has_response || stream->send_end) return;
  if (!Account(*stream, 0, true)) {
    return Reset(id, Error{ErrorCode::kInternal, "body and Content-Length differ", Side::kLocal});
  }
  stream->trailers_out = trailers;
  stream->send_end = true;
  session_.ResumeBody(id);
}

void H2ServerCodec::Reset(StreamId id, const Error& error) {
  H2Stream* stream = Answerable(id);
  if (stream == nullptr) return;
  stream->is_reset = true;
  stream->send.Clear();
  stream->early.Clear();
  session_.ResetStream(id, CodeFor(error));
}

void H2ServerCodec::Consumed(StreamId id, size_t bytes) {
  H2Stream* stream = Find(id);
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

size_t H2ServerCodec::send_room(StreamId id) const {
  size_t room = session_.SendWindow(id);
  return room - std::min(room, buffered(id));
}

void H2ServerCodec::GoAway() {
  if (failed_) return;
  if (!std::exchange(goes_away_, true)) {
    ResetLate();
    session_.AnnounceShutdown();
  } else {
    session_.Shutdown();
  }
}

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
  H2Stream* stream = Find(id);
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
  if (H2Stream* stream = Find(id); stream != nullptr) stream->send.MoveTo(*out_, bytes);
  return out_->size() < out_full_;
}

}  // namespace genkan::http
