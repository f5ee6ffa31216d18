// The h2 server codec from the inside: h2_codec.cc has what comes in, h2_codec_send.cc what goes
// out. Private to these two. One connection's; its worker's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/http/codec.h"
#include "proxy/http/h2_flood_guard.h"
#include "proxy/http/h2_frame_scanner.h"
#include "proxy/http/h2_request.h"
#include "proxy/http/h2_session.h"
#include "proxy/http/h2_stream_ledger.h"

namespace genkan::http {

// One request and its answer, as far as they are in the codec.
struct H2Stream {
  std::unique_ptr<H2RequestReader> reader;  // until the head is complete
  Headers trailers_in;
  size_t trailer_bytes = 0;
  size_t unconsumed = 0;    // body bytes that still fill the windows
  bool is_told = false;     // the sink knows it
  bool is_lost = false;     // the sink was told that it is gone
  bool is_reset = false;    // by our owner
  bool drops_body = false;  // refused: what follows of the request is of no interest
  bool request_ended = false;
  bool trailers_broken = false;

  bool is_tunnel = false;       // asked for
  bool is_tunnel_open = false;  // and granted: bytes go through
  bool was_refused_tunnel = false;
  bool early_end = false;
  Buffer early;  // tunnel bytes that came before the answer; the window bounds them

  bool has_response = false;
  bool response_ended = false;        // END_STREAM is on its way
  bool is_answered_early = false;     // … and the request has not ended: the sink is done with it
  bool send_end = false;              // nothing more will be given to `send`
  std::optional<uint64_t> announced;  // Content-Length less what was given so far
  Buffer send;
  Headers trailers_out;

  bool is_gone() const { return is_lost || is_reset; }
};

class H2ServerCodec final : public ServerCodec, private H2SessionHandler {
 public:
  H2ServerCodec(RequestSink& sink, const CodecLimits& limits, const Clock& clock)
      : sink_(sink), limits_(limits), clock_(clock), flood_(clock), session_(*this, limits_) {}

  Version version() const override { return Version::kHttp2; }
  Status Receive(Buffer& in) override;
  void ReceiveEnd() override;
  bool is_mid_head() const override { return in_head_ || scanner_.is_mid_head(); }
  bool wants_bytes() const override { return !failed_.has_value() && !has_ended_; }

  void SendInterim(StreamId id, const ResponseHead& head) override;
  void SendResponse(StreamId id, const ResponseHead& head, bool end) override;
  void SendBody(StreamId id, Buffer& data, bool end) override;
  void SendTrailers(StreamId id, const Headers& trailers) override;
  void Reset(StreamId id, const Error& error) override;
  void Consumed(StreamId id, size_t bytes) override;
  size_t buffered(StreamId id) const override;
  size_t send_room(StreamId id) const override;
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

  H2Stream* Find(StreamId id) {
    auto found = streams_.find(id);
    return found == streams_.end() ? nullptr : &found->second;
  }
  // The stream, if a response may still be written on it.
  H2Stream* Answerable(StreamId id) {
    H2Stream* stream = Find(id);
    return stream != nullptr && stream->is_told && !stream->is_gone() ? stream : nullptr;
  }
  void ReceivePiece(std::string_view bytes);
  bool Judge(const H2FrameHeader& frame);
  void OnFrameEnd(const H2FrameHeader& frame);
  void DeliverHead(StreamId id, bool end);
  void DeliverTrailers(StreamId id);
  void DeliverBody(StreamId id, bool end);
  void DeliverEarly();
  // What is left of requests that were answered early, where it is more than a moment's.
  void ResetLate();
  // The client broke a rule in the middle of a request …
  void Blame(StreamId id, std::string_view rule);
  // … or went away.
  void Lose(StreamId id, ErrorCode code, std::string detail, H2Error answer);
  void EndConnection(H2Error code, std::string_view rule);
  // Notes body bytes on their way out; false where they do not fit the Content-Length that was
  // announced.
  bool Account(H2Stream& stream, size_t bytes, bool end);

  RequestSink& sink_;
  const CodecLimits limits_;
  const Clock& clock_;
  std::unordered_map<StreamId, H2Stream> streams_;
  std::unordered_set<StreamId> held_;  // gone here, still at work at an origin
  H2FrameScanner scanner_;
  H2StreamLedger ledger_;
  H2FloodGuard flood_;
  size_t continuations_ = 0;
  bool in_head_ = false;  // CONTINUATION must follow
  size_t data_in_frame_ = 0;
  std::optional<MonotonicTime> settings_sent_;  // and not yet acknowledged
  bool settings_acked_ = false;
  Buffer body_;                   // of the frame in progress
  StreamId body_of_ = 0;          // whose it is
  std::vector<StreamId> opened_;  // tunnels just granted, with bytes that came early
  std::vector<std::pair<StreamId, MonotonicTime>> late_;  // answered early, and when
  std::optional<Error> failed_;
  bool has_ended_ = false;
  bool goes_away_ = false;
  bool is_inside_ = false;  // within Receive or Produce: neither may be entered again
  Buffer* out_ = nullptr;
  size_t out_full_ = 0;
  H2Session session_;  // last: it calls us while it is made
};

}  // namespace genkan::http
