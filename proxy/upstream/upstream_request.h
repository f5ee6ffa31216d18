// One request on its way to an origin, as the exchange sees it: a handle. The pool owns the
// connection behind it. Worker's thread; owned by the exchange. Destroying it before the response
// is complete gives the request up at once.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/http/messages.h"

namespace genkan::upstream {

// Calls come from the loop, never from within Start or a method of the request.
class UpstreamHandler {
 public:
  virtual void OnUpstreamInterim(http::ResponseHead&& head) = 0;
  virtual void OnUpstreamResponse(http::ResponseHead&& head, bool end) = 0;
  virtual void OnUpstreamBody(Buffer& data, bool end) = 0;
  virtual void OnUpstreamTrailers(http::Headers&& trailers) = 0;
  // No (further) response. Nothing is called after it. error.code: kTimeout = 504 (connect,
  // response head), kBusy = 503 with Retry-After (queue full or queue timeout), kInvalid, kClosed,
  // kIo … = 502.
  virtual void OnUpstreamFailed(const Error& error) = 0;
  // buffered() fell below half of the mark: more request body may be sent.
  virtual void OnUpstreamWritable() = 0;
  // How much of the response's body would leave for the client at once now, so that it may be read in one piece.
  // 0: what buffered() and Consumed say is all there is.
  virtual size_t TakesAtOnce() { return 0; }

 protected:
  ~UpstreamHandler() = default;
};

// For the access log and metrics.
struct UpstreamInfo {
  std::string address;  // of the server that was tried last, "127.0.0.1:8080"
  int attempts = 0;
  bool is_reused = false;   // an idle connection took it
  Millis connect_time{-1};  // -1: none was made
  Millis head_time{-1};     // from Start to the response head
};

class UpstreamRequest {
 public:
  virtual ~UpstreamRequest() = default;
  // Body bytes move out of `data`. After a 101 the bytes of the tunnel.
  virtual void SendBody(Buffer& data, bool end) = 0;
  virtual void SendTrailers(const http::Headers& trailers) = 0;
  // These bytes of the response body have left for the client: the window opens again.
  virtual void Consumed(size_t bytes) = 0;
  // Request body bytes that the kernel has not taken yet. The exchange stops reading the client at
  // 64 KiB.
  virtual size_t buffered() const = 0;
  // How much of the request's body would leave for the origin at once now; 0: not known.
  virtual size_t TakesAtOnce() const { return 0; }
  virtual const UpstreamInfo& info() const = 0;
};

// What the exchange says when it starts one.
struct StartOptions {
  std::string_view client_address;  // for PROXY protocol out and consistent_hash
  uint16_t client_port = 0;
  std::string_view local_address;
  uint16_t local_port = 0;
};

}  // namespace genkan::upstream
