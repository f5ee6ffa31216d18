// Any bytes, in any pieces, into the h2 server codec, with a sink that answers, resets and stalls
// by the numbers. The first byte chooses how; with its top bit clear the client's preface is put in
// front.
#include <cstdint>
#include <string_view>
#include <unordered_set>

#include "proxy/base/check.h"
#include "proxy/http/h2_codec.h"

namespace genkan::http {
namespace {

constexpr std::string_view kHello(
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\0\x04\x01\0\0\0\0", 42);

constexpr std::string_view kNotInNames("\r\n\0 ABCDEFGHIJKLMNOPQRSTUVWXYZ", 30);
constexpr std::string_view kNotInValues("\r\n\0", 3);

class Sink final : public RequestSink {
 public:
  explicit Sink(uint8_t choice) : choice_(choice) {}

  void OnRequest(StreamId id, RequestHead&& head, bool end) override {
    GENKAN_CHECK(!head.method.empty() && head.version == Version::kHttp2);
    GENKAN_CHECK(head.method != "CONNECT" && head.method != "TRACE");
    GENKAN_CHECK(!head.target.empty() && (head.target[0] == '/' || head.target == "*"));
    GENKAN_CHECK(!end || head.content_length == 0);
    for (auto field : head.headers) {
      GENKAN_CHECK(!field.name.empty() && field.name[0] != ':');
      GENKAN_CHECK(field.name.find_first_of(kNotInNames) == std::string_view::npos);
      GENKAN_CHECK(field.value.find_first_of(kNotInValues) == std::string_view::npos);
    }
    Open(id);
    bool is_tunnel = !head.upgrade.empty();
    if (end && !is_tunnel) ended_.insert(id);
    switch ((choice_ + id / 2) % 5) {
      case 0:
        return Answer(id, is_tunnel ? 101 : 200, 10);
      case 1:
        return codec->Reset(id, Error{ErrorCode::kTimeout, ""});
      case 2:
        codec->SendInterim(id, Head(103));
        return Answer(id, 200, 100'000);
      case 3:
        codec->SendResponse(id, Head(204), true);
        return;
      default:
        return;  // a slow origin
    }
  }
  void OnBody(StreamId id, Buffer& data, bool end) override {
    Live(id);
    body_bytes_ += data.size();
    if (choice_ % 3 != 0) codec->Consumed(id, data.size());
    if (choice_ % 2 != 0) data.Clear();
    if (end) GENKAN_CHECK(ended_.insert(id).second);
  }
  void OnTrailers(StreamId id, Headers&&) override {
    Live(id);
    GENKAN_CHECK(ended_.insert(id).second);
  }
  void OnRefused(StreamId id, const Refusal& refusal, const RequestHead&) override {
    GENKAN_CHECK(refusal.status >= 400 && refusal.status < 500 && !refusal.rule.empty());
    Open(id);
    Answer(id, refusal.status, 0);
  }
  void OnReset(StreamId id, const Error&) override { Close(id); }
  void OnStreamDone(StreamId id) override { Close(id); }

  void Finish() {
    // Whatever is open gets its answer; closing changes the set, so look from the start again.
    while (!open_.empty()) {
      StreamId id = *open_.begin();
      codec->SendResponse(id, Head(502), true);
      codec->Reset(id, Error{});
      open_.erase(id);
      closing_.insert(id);
    }
  }

  ServerCodec* codec = nullptr;

 private:
  static ResponseHead Head(int status) {
    ResponseHead head;
    head.status = status;
    head.headers.Add("Content-Type", "text/plain");
    return head;
  }
  void Answer(StreamId id, int status, size_t bytes) {
    codec->SendResponse(id, Head(status), bytes == 0);
    if (bytes == 0) return;
    Buffer body(std::string(bytes, 'x'));
    codec->SendBody(id, body, choice_ % 4 != 0);
  }
  void Open(StreamId id) { GENKAN_CHECK(open_.insert(id).second); }
  void Live(StreamId id) { GENKAN_CHECK(open_.contains(id) && !ended_.contains(id)); }
  void Close(StreamId id) {
    GENKAN_CHECK(open_.erase(id) + closing_.erase(id) == 1);
    ended_.erase(id);
    if (choice_ % 7 == 0) codec->Hold(id);
  }

  const uint8_t choice_;
  size_t body_bytes_ = 0;
  std::unordered_set<StreamId> open_, ended_, closing_;
};

void Drain(ServerCodec& codec, size_t limit) {
  for (int i = 0; i < 1000 && codec.has_output(); ++i) {
    Buffer out;
    codec.Produce(out, limit);
    if (out.empty()) return;
  }
  GENKAN_CHECK(!codec.has_output());
}

void Run(uint8_t choice, std::string_view bytes) {
  ManualClock clock;
  Sink sink(choice);
  auto codec = MakeH2ServerCodec(sink, CodecLimits(), clock);
  sink.codec = codec.get();
  std::string talk((choice & 0x80) == 0 ? kHello : std::string_view());
  talk += bytes;
  size_t step = choice % 16 == 0 ? talk.size() : choice % 16;
  for (size_t at = 0; at < talk.size(); at += step) {
    Buffer in(std::string_view(talk).substr(at, step));
    Status status = codec->Receive(in);
    GENKAN_CHECK(in.empty());
    if ((choice & 0x40) == 0) Drain(*codec, 16 * 1024);
    if (!status || codec->is_done()) break;
  }
  codec->ReceiveEnd();
  sink.Finish();
  Drain(*codec, 1'000'000);
}

}  // namespace
}  // namespace genkan::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 64 * 1024) return 0;
  genkan::http::Run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
