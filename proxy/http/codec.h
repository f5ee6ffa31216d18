// The seam between bytes and messages. A codec has no socket, no clock and no thread of its own; its owner
// feeds it bytes and pulls bytes. ServerCodec faces a client, ClientCodec an origin.
//
// Flow control, the one rule: a body byte counts as consumed only when it has left for the other side
// (Consumed). Until then it fills the stream's window (h2) or the codec stops wanting bytes (h1).
#pragma once

#include <cstdint>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/result.h"
#include "proxy/http/messages.h"

namespace genkan::http {

struct CodecLimits {
  size_t request_line = 8 * 1024;
  size_t one_field = 16 * 1024;
  size_t all_fields = 32 * 1024;
  size_t field_count = 100;
  size_t response_head = 64 * 1024;
  size_t response_field_count = 1000;
  int interim_responses = 100;
  size_t trailer_bytes = 16 * 1024;
  size_t trailer_count = 100;
  size_t chunk_line = 16 * 1024;        // chunk size line with its extension
  size_t chunk_extensions = 64 * 1024;  // of all extensions of a body
  size_t buffered_per_stream = 64 * 1024;
  // h2
  uint32_t concurrent_streams = 100;
  uint32_t stream_window = 64 * 1024;
  uint32_t connection_window = 1024 * 1024;
  size_t continuations = 8;
  uint32_t header_table = 4096;
  uint32_t settings_entries = 32;
};

// Why a codec refused a request: the answer's status and the broken rule in words (for logs, never sent).
struct Refusal {
  int status = 400;
  std::string_view rule;
};

// What a ServerCodec tells its connection. The calls come from within Receive (and Produce, for OnReset).
class RequestSink {
 public:
  // `end`: no body and no trailers follow.
  virtual void OnRequest(StreamId stream, RequestHead&& head, bool end) = 0;
  // Bytes of the body move out of `data`; what is not taken is lost. end: the last of it.
  virtual void OnBody(StreamId stream, Buffer& data, bool end) = 0;
  // Ends the body.
  virtual void OnTrailers(StreamId stream, Headers&& trailers) = 0;
  // A head that must be refused before anybody sees it. The owner answers with SendResponse(stream, …); h1
  // codecs close after that answer and read nothing more. `head` holds what could be read (for the log).
  virtual void OnRefused(StreamId stream, const Refusal& refusal, const RequestHead& head) = 0;
  // The stream is gone: reset by the peer, or its body broke a rule (then h1's connection is done too, and the
  // codec has answered or will close). No further call for it; send nothing more on it.
  virtual void OnReset(StreamId stream, const Error& error) = 0;
  // All of the response is with the kernel's side of the codec (Produce handed it out), or the stream was reset
  // by us. The stream's number is free to forget.
  virtual void OnStreamDone(StreamId stream) = 0;

 protected:
  ~RequestSink() = default;
};

class ServerCodec {
 public:
  virtual ~ServerCodec() = default;

  virtual Version version() const = 0;
  // Takes what it can from `in`; what it leaves (a pipelined request behind one in progress) is offered again.
  // An error is the connection's end: send what Produce still gives (an answer, a GOAWAY), then close.
  virtual Status Receive(Buffer& in) = 0;
  // The peer closed its side. Requests in the middle are reset through OnReset.
  virtual void ReceiveEnd() = 0;
  // False: stop reading from the socket (a window is full, a pipelined request waits).
  virtual bool wants_bytes() const = 0;
  // How much of a body may come in from now on before any of it is Consumed; never less than the limit. h1: for an
  // owner that knows that the other side takes more at once (h2 has told the peer its window already).
  virtual void SetWindow(size_t) {}

  // Part of a head has come (h2: of the preface or of a frame's header, too) and the rest is awaited: the time limit of
  // heads applies. h1 leaves a head that is not whole in `in` and need not say.
  virtual bool is_mid_head() const { return false; }

  // 1xx (not 101): any number before the response. Dropped towards HTTP/1.0.
  virtual void SendInterim(StreamId stream, const ResponseHead& head) = 0;
  // `end`: no body follows. The codec frames for its version: head.framing says what is known. For a tunnel (h1:
  // status 101; h2: 200 to an extended CONNECT; both are written as 101 by the caller) body bytes go both ways
  // until either side ends. After GoAway h1 says Connection: close and closes behind the response.
  virtual void SendResponse(StreamId stream, const ResponseHead& head, bool end) = 0;
  virtual void SendBody(StreamId stream, Buffer& data, bool end) = 0;
  virtual void SendTrailers(StreamId stream, const Headers& trailers) = 0;
  // Ends the stream so that the peer sees it cut: h2 RST_STREAM; h1 closes without the last chunk.
  virtual void Reset(StreamId stream, const Error& error) = 0;
  // These bytes of the request body have left for the other side: open the window.
  virtual void Consumed(StreamId stream, size_t bytes) = 0;
  // Called from within OnReset or OnStreamDone: the request is gone here but still at work at an origin. It counts
  // against the client's streams until Release, so that resets do not buy more requests (h2; h1 has one at a time).
  virtual void Hold(StreamId) {}
  virtual void Release(StreamId) {}
  // Body bytes given to SendBody that Produce has not handed out yet. The owner stops reading the origin at 64 KiB.
  virtual size_t buffered(StreamId stream) const = 0;
  // Body bytes that the peer lets us send now, beyond those that wait.
  virtual size_t send_room(StreamId) const { return SIZE_MAX; }

  // Pulls what goes on the wire next, about `limit` bytes, to the end of `out`.
  virtual void Produce(Buffer& out, size_t limit) = 0;
  virtual bool has_output() const = 0;

  // Graceful end: h2 GOAWAY, h1 Connection: close on the next response. Streams in progress go on. A client of h1 that
  // has been promised a connection that stays (its answer has begun) keeps it for one more request: it would meet our
  // close without having been told.
  virtual void GoAway() = 0;
  // Nothing in progress and nothing more will be accepted, or an error was answered: once has_output() is false
  // the connection can be closed.
  virtual bool is_done() const = 0;
  // Once is_done(): what was cut last would look whole if the connection ended in order (a body to an HTTP/1.0 client
  // ends where the connection does). The owner resets it instead.
  virtual bool must_reset() const { return false; }
  virtual size_t open_streams() const = 0;
};

// What a ClientCodec tells the owner of the request.
class ResponseSink {
 public:
  // 1xx but 101. At most limits.interim_responses of them.
  virtual void OnInterim(StreamId stream, ResponseHead&& head) = 0;
  // The final response, or 101 where the request asked for an upgrade: then a tunnel follows.
  virtual void OnResponse(StreamId stream, ResponseHead&& head, bool end) = 0;
  virtual void OnBody(StreamId stream, Buffer& data, bool end) = 0;
  virtual void OnTrailers(StreamId stream, Headers&& trailers) = 0;
  // The response broke a rule or was cut. error.code kInvalid: 502 if no head was passed on yet.
  virtual void OnReset(StreamId stream, const Error& error) = 0;

 protected:
  ~ResponseSink() = default;
};

class ClientCodec {
 public:
  virtual ~ClientCodec() = default;

  virtual Version version() const = 0;
  virtual Status Receive(Buffer& in) = 0;
  // The origin closed its side: ends a close-delimited body, cuts anything else.
  virtual void ReceiveEnd() = 0;
  virtual bool wants_bytes() const = 0;
  // As ServerCodec's.
  virtual void SetWindow(size_t) {}

  // Writes the head anew from its parts. head.framing decides; head.upgrade adds Connection: upgrade and Upgrade.
  virtual StreamId SendRequest(const RequestHead& head, bool end) = 0;
  virtual void SendBody(StreamId stream, Buffer& data, bool end) = 0;
  virtual void SendTrailers(StreamId stream, const Headers& trailers) = 0;
  // Gives the request up. h1: the connection is of no further use.
  virtual void Reset(StreamId stream) = 0;
  // These bytes of the response body have left for the client.
  virtual void Consumed(StreamId stream, size_t bytes) = 0;
  virtual size_t buffered(StreamId stream) const = 0;

  virtual void Produce(Buffer& out, size_t limit) = 0;
  virtual bool has_output() const = 0;

  // Another request may be sent: the response was complete, nothing followed it, the request body was sent whole,
  // neither side said close (message rule 21).
  virtual bool is_reusable() const = 0;
  // The origin's Keep-Alive: timeout in seconds, 0 when it said none.
  virtual int keep_alive_timeout() const = 0;
};

}  // namespace genkan::http
