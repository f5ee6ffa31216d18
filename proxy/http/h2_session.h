// A server's nghttp2_session with an owner: frames, HPACK, windows and the state of streams. What
// the frames mean as messages is the handler's business (h2_codec.cc). The only file beside
// h2_session.cc that knows of nghttp2. One connection; its worker's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/result.h"
#include "proxy/http/codec.h"
#include "proxy/http/types.h"

struct nghttp2_session;

namespace genkan::http {

// RFC 9113 7.
enum class H2Error : uint32_t {
  kNoError = 0x0,
  kProtocolError = 0x1,
  kInternalError = 0x2,
  kFlowControlError = 0x3,
  kSettingsTimeout = 0x4,
  kStreamClosed = 0x5,
  kFrameSizeError = 0x6,
  kRefusedStream = 0x7,
  kCancel = 0x8,
  kCompressionError = 0x9,
  kEnhanceYourCalm = 0xb,
};

struct H2Field {
  std::string_view name;
  std::string_view value;
};

// What the session tells and asks. The calls come from within Receive and Send; every method of the
// session but those two may be called from them.
class H2SessionHandler {
 public:
  enum class Take {
    kGoOn,
    kDropStream,  // the handler has reset the stream: ignore the rest of its head
    kStop,        // the handler has terminated the session: decode nothing more
  };
  struct BodyPart {
    size_t bytes = 0;
    bool is_deferred = false;  // nothing now; ResumeBody says when
    bool is_last = false;
    bool has_trailers = false;  // with is_last: the stream is ended by trailers that were submitted
  };

  virtual Take OnHeadBegin(StreamId stream, bool is_trailers) = 0;
  virtual Take OnField(StreamId stream, std::string_view name, std::string_view value) = 0;
  virtual void OnHeadEnd(StreamId stream, bool is_trailers, bool end) = 0;
  // Body bytes; counted against both windows until ConsumeStream and ConsumeConnection.
  virtual void OnData(StreamId stream, std::string_view bytes) = 0;
  // The client ended its side with a DATA frame that kept the rules.
  virtual void OnDataEnd(StreamId stream) = 0;
  virtual void OnPingAck() = 0;
  virtual void OnSettingsAck() = 0;
  // Our END_STREAM is on its way.
  virtual void OnEndSent(StreamId stream) = 0;
  virtual void OnGoAwaySent(H2Error error) = 0;
  // The stream is gone. `error` of the RST_STREAM that ended it, from either side, or kNoError.
  virtual void OnClosed(StreamId stream, H2Error error) = 0;
  // A frame that breaks a rule was answered by a reset of its stream or will end the connection.
  virtual void OnFault(StreamId stream) = 0;
  // How much of the body may go out next, at most `limit` bytes.
  virtual BodyPart PlanBody(StreamId stream, size_t limit) = 0;
  // Append `frame_header` and the next `bytes` of the body. False: enough for this time.
  virtual bool WriteBody(StreamId stream, std::string_view frame_header, size_t bytes) = 0;

 protected:
  ~H2SessionHandler() = default;
};

class H2Session {
 public:
  // Submits SETTINGS and the connection's window. `handler` outlives the session.
  H2Session(H2SessionHandler& handler, const CodecLimits& limits);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  // Never from within a callback.
  Status Receive(std::string_view bytes);
  // Appends control and header frames to `out` until it has grown by `limit`; body frames go
  // through WriteBody.
  void Send(Buffer& out, size_t limit);
  // What the stream's and the connection's windows let out.
  size_t SendWindow(StreamId stream) const;
  bool wants_write() const;
  bool wants_read() const;

  // Each false: the session refused (no such stream, no memory).
  bool SubmitInterim(StreamId stream, std::span<const H2Field> fields);
  bool SubmitResponse(StreamId stream, std::span<const H2Field> fields, bool end);
  bool SubmitTrailers(StreamId stream, std::span<const H2Field> fields);
  void ResumeBody(StreamId stream);
  void ResetStream(StreamId stream, H2Error error);
  void ConsumeStream(StreamId stream, size_t bytes);
  void ConsumeConnection(size_t bytes);
  // RFC 9218: takes turns with the other streams frame by frame.
  void ShareFairly(StreamId stream);

  // GOAWAY with the highest number and a PING: when its answer is here, no request can be under way
  // any more.
  void AnnounceShutdown();
  // GOAWAY with the last stream that was taken; those in progress go on.
  void Shutdown();
  // GOAWAY and the end.
  void Terminate(H2Error error);

 private:
  struct Callbacks;
  struct Delete {
    void operator()(nghttp2_session* raw) const noexcept;
  };

  H2SessionHandler& handler_;
  std::unique_ptr<nghttp2_session, Delete> raw_;
};

}  // namespace genkan::http
