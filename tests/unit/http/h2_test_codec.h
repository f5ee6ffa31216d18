// What the tests of the h2 codec share: a codec, a sink that writes down what it hears, and a
// client that speaks frames. One thread.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/http/h2_codec.h"
#include "tests/support/h2_frames.h"

namespace genkan::http {

class RecordingSink final : public RequestSink {
 public:
  struct Request {
    RequestHead head;
    std::string body;
    Headers trailers;
    bool ended = false;
    bool has_trailers = false;
    int refused = 0;
    std::string rule;
    bool is_reset = false;
    ErrorCode reset_code = ErrorCode::kInternal;
    bool is_done = false;
  };

  void OnRequest(StreamId id, RequestHead&& head, bool end) override {
    requests[id].ended = end && head.upgrade.empty();
    requests[id].head = std::move(head);
    ++accepted;
    if (on_request) on_request(id);
  }
  void OnBody(StreamId id, Buffer& data, bool end) override {
    Request& request = requests[id];
    EXPECT_FALSE(request.ended) << "a body behind its end";
    EXPECT_FALSE(request.is_reset) << "a body behind the reset";
    request.body += data.ToText();
    size_t bytes = data.size();
    if (takes_bodies) data.Clear();
    request.ended = end;
    if (on_body) on_body(id, bytes, end);
  }
  void OnTrailers(StreamId id, Headers&& trailers) override {
    EXPECT_FALSE(requests[id].ended);
    requests[id].trailers = std::move(trailers);
    requests[id].has_trailers = requests[id].ended = true;
  }
  void OnRefused(StreamId id, const Refusal& refusal, const RequestHead& head) override {
    requests[id].head = head;
    requests[id].refused = refusal.status;
    requests[id].rule = refusal.rule;
    if (on_refused) on_refused(id, refusal.status);
  }
  void OnReset(StreamId id, const Error& error) override {
    EXPECT_FALSE(requests[id].is_reset) << "reset twice";
    EXPECT_FALSE(requests[id].is_done) << "reset behind the end";
    requests[id].is_reset = true;
    requests[id].reset_code = error.code;
    if (on_gone) on_gone(id);
  }
  void OnStreamDone(StreamId id) override {
    EXPECT_FALSE(requests[id].is_reset) << "done behind the reset";
    EXPECT_FALSE(requests[id].is_done) << "done twice";
    requests[id].is_done = true;
    if (on_gone) on_gone(id);
  }

  std::map<StreamId, Request> requests;
  int accepted = 0;
  bool takes_bodies = true;
  std::function<void(StreamId)> on_request;
  std::function<void(StreamId, size_t, bool)> on_body;
  std::function<void(StreamId, int)> on_refused;
  std::function<void(StreamId)> on_gone;
};

inline ResponseHead Response(int status, Headers headers = {}) {
  ResponseHead head;
  head.status = status;
  head.headers = std::move(headers);
  return head;
}

inline ResponseHead SizedResponse(uint64_t length) {
  ResponseHead head = Response(200);
  head.framing = BodyFraming::kContentLength;
  head.content_length = length;
  return head;
}

class H2CodecTest : public ::testing::Test {
 protected:
  H2CodecTest() { Start(CodecLimits()); }

  void Start(const CodecLimits& limits) {
    codec = MakeH2ServerCodec(sink, limits, clock);
    client = std::make_unique<test::H2RawClient>();
    frames.clear();
  }
  // Preface, SETTINGS and their acknowledgement; what the server says to that is read and
  // forgotten.
  void Hello() {
    ASSERT_TRUE(Send(test::H2RawClient::Hello()));
    frames.clear();
  }
  Status Receive(std::string_view bytes) {
    Buffer in(bytes);
    return codec->Receive(in);
  }
  // Feeds the codec and collects what it answers.
  bool Send(std::string_view bytes) {
    Status status = Receive(bytes);
    Collect();
    return status.has_value();
  }
  void Collect(size_t limit = 16 * 1024) {
    for (int i = 0; i < 10'000 && codec->has_output(); ++i) {
      Buffer out;
      codec->Produce(out, limit);
      auto more = client->Read(out.ToText());
      frames.insert(frames.end(), more.begin(), more.end());
      if (out.empty()) break;
    }
  }
  void Body(StreamId id, std::string_view text, bool end) {
    Buffer data(text);
    codec->SendBody(id, data, end);
    EXPECT_TRUE(data.empty());
  }
  const test::H2Frame* Last(uint8_t type, uint32_t stream) const {
    const test::H2Frame* last = nullptr;
    for (const auto& frame : frames) {
      if (frame.type == type && frame.stream == stream) last = &frame;
    }
    return last;
  }
  std::string BodyOf(uint32_t stream) const {
    std::string body;
    for (const auto& frame : frames) {
      if (frame.type == test::kData && frame.stream == stream) body += frame.payload;
    }
    return body;
  }
  static std::string FieldOf(const test::H2Frame* head, std::string_view name) {
    if (head == nullptr) return "(no head)";
    for (const auto& [key, value] : head->fields) {
      if (key == name) return value;
    }
    return "(none)";
  }
  // -1: no such frame.
  int64_t ResetCode(uint32_t stream) const {
    const auto* frame = Last(test::kRstStream, stream);
    return frame == nullptr ? -1 : static_cast<int64_t>(frame->error());
  }
  int64_t GoAwayCode() const {
    const auto* frame = Last(test::kGoAwayFrame, 0);
    return frame == nullptr ? -1 : static_cast<int64_t>(frame->error());
  }

  ManualClock clock;
  RecordingSink sink;
  std::unique_ptr<ServerCodec> codec;
  std::unique_ptr<test::H2RawClient> client;
  std::vector<test::H2Frame> frames;
};

}  // namespace genkan::http
