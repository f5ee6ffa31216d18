// Sinks that write down what a codec says, in a form where the cuts between reads do not show.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "proxy/http/h1_codec.h"

namespace genkan::http {

inline std::string Describe(const Headers& headers) {
  std::string text;
  for (Headers::Field field : headers) text += fmt::format("[{}={}]", field.name, field.value);
  return text;
}

inline std::string Describe(BodyFraming framing, uint64_t length) {
  switch (framing) {
    case BodyFraming::kNone:
      return "none";
    case BodyFraming::kContentLength:
      return fmt::format("length:{}", length);
    case BodyFraming::kChunked:
      return "chunked";
    case BodyFraming::kUntilClose:
      return "until-close";
  }
  return "";
}

inline std::string Describe(const RequestHead& head) {
  std::string text =
      fmt::format("{} {}{}{} {} {}", head.method, head.scheme, head.scheme.empty() ? "" : "://",
                  head.authority, head.target, ToString(head.version));
  text +=
      fmt::format(" {} {}", Describe(head.framing, head.content_length), Describe(head.headers));
  if (head.expects_continue) text += " expects-continue";
  if (!head.upgrade.empty()) text += " upgrade:" + head.upgrade;
  return text;
}

inline std::string Describe(const ResponseHead& head) {
  return fmt::format("{} {} '{}' {}{} {}", ToString(head.version), head.status, head.reason,
                     Describe(head.framing, head.content_length.value_or(0)),
                     head.framing == BodyFraming::kNone && head.content_length
                         ? fmt::format("(announces {})", *head.content_length)
                         : "",
                     Describe(head.headers));
}

class Recorder final : public RequestSink, public ResponseSink {
 public:
  void OnRequest(StreamId stream, RequestHead&& head, bool end) override {
    Event(fmt::format("{}: {}{}", stream, Describe(head), end ? " end" : ""));
    stream_ = stream;
    if (end) AnswerAtOnce(200);
  }
  void OnRefused(StreamId stream, const Refusal& refusal, const RequestHead& head) override {
    Event(fmt::format("{}: refused {}", stream, refusal.status));
    rule_ = refusal.rule;
    refused_method_ = head.method;
    refused_target_ = head.target;
    stream_ = stream;
    status_ = refusal.status;
    AnswerAtOnce(refusal.status);
  }
  void OnInterim(StreamId stream, ResponseHead&& head) override {
    Event(fmt::format("{}: interim {}", stream, Describe(head)));
  }
  void OnResponse(StreamId stream, ResponseHead&& head, bool end) override {
    Event(fmt::format("{}: {}{}", stream, Describe(head), end ? " end" : ""));
  }
  void OnBody(StreamId stream, Buffer& data, bool end) override {
    body_stream_ = stream;
    received_ += data.size();
    unconsumed_ += data.size();
    body_ += data.ToText();
    if (end) Event("end");
    if (consumes_) Consume();
    if (end) AnswerAtOnce(200);
  }
  void OnTrailers(StreamId, Headers&& trailers) override {
    Event(fmt::format("trailers {}", Describe(trailers)));
    AnswerAtOnce(200);
  }
  void OnReset(StreamId stream, const Error& error) override {
    Event(fmt::format("{}: reset {}", stream, ToString(error.code)));
    rule_ = error.detail;
  }
  void OnStreamDone(StreamId stream) override { Event(fmt::format("{}: done", stream)); }

  void Consume() {
    size_t bytes = std::exchange(unconsumed_, 0);
    if (codec_ != nullptr) codec_->Consumed(body_stream_, bytes);
    if (client_codec_ != nullptr) client_codec_->Consumed(body_stream_, bytes);
  }

  // "1: GET … end|…": events with bodies as <text> between them.
  std::string text() {
    Flush();
    return text_;
  }
  void Clear() {
    Flush();
    text_.clear();
  }

  ServerCodec* codec_ = nullptr;
  ClientCodec* client_codec_ = nullptr;
  bool answers_at_once_ = false;  // when all of the request is there
  bool consumes_ = true;
  StreamId stream_ = 0;
  StreamId body_stream_ = 0;
  std::string rule_;
  std::string refused_method_;
  std::string refused_target_;
  int status_ = 0;
  size_t received_ = 0;
  size_t unconsumed_ = 0;

 private:
  void Flush() {
    if (!body_.empty()) text_ += fmt::format("<{}>|", std::exchange(body_, ""));
  }
  void Event(std::string_view event) {
    Flush();
    text_ += fmt::format("{}|", event);
  }
  void AnswerAtOnce(int status) {
    if (!answers_at_once_ || codec_ == nullptr) return;
    ResponseHead head;
    head.status = status;
    head.framing = BodyFraming::kContentLength;
    head.content_length = 2;
    codec_->SendResponse(stream_, head, false);
    Buffer body("ok");
    codec_->SendBody(stream_, body, true);
  }

  std::string text_;
  std::string body_;
};

// A server codec with its recorder and its `in`, as a connection would hold them.
struct Server {
  explicit Server(const CodecLimits& limits = {}) : codec(MakeH1ServerCodec(recorder, limits)) {
    recorder.codec_ = codec.get();
  }
  Status Feed(std::string_view text) {
    in.Append(text);
    return codec->Receive(in);
  }
  // Feeds and answers until nothing moves any more, as a connection does.
  std::string Exchange(std::string_view text) {
    bool is_good = Feed(text).has_value();
    std::string answers = Pull();
    while (is_good && !in.empty()) {
      size_t before = in.size();
      is_good = Feed("").has_value();
      answers += Pull();
      if (in.size() == before) break;
    }
    return answers;
  }
  std::string Pull() {
    Buffer out;
    while (codec->has_output()) codec->Produce(out, 16 * 1024);
    return out.ToText();
  }
  void Respond(const ResponseHead& head, std::string_view body, bool end) {
    codec->SendResponse(recorder.stream_, head, end && body.empty());
    if (!body.empty()) Send(body, end);
  }
  void Send(std::string_view text, bool end) {
    Buffer data(text);
    codec->SendBody(recorder.stream_, data, end);
  }

  Recorder recorder;
  std::unique_ptr<ServerCodec> codec;
  Buffer in;
};

struct Client {
  explicit Client(const CodecLimits& limits = {}) : codec(MakeH1ClientCodec(recorder, limits)) {
    recorder.client_codec_ = codec.get();
  }
  StreamId Get(std::string_view target = "/") {
    RequestHead head;
    head.method = "GET";
    head.authority = "a.test";
    head.target = target;
    return codec->SendRequest(head, true);
  }
  Status Feed(std::string_view text) {
    in.Append(text);
    return codec->Receive(in);
  }
  std::string Pull() {
    Buffer out;
    while (codec->has_output()) codec->Produce(out, 16 * 1024);
    return out.ToText();
  }

  Recorder recorder;
  std::unique_ptr<ClientCodec> codec;
  Buffer in;
};

}  // namespace genkan::http
