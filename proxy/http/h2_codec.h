// HTTP/2 server codec (RFC 9113, 8441) over nghttp2. One connection each; its worker's thread.
#pragma once

#include <memory>

#include "proxy/base/clock.h"
#include "proxy/http/codec.h"

namespace genkan::http {

// `sink` and `clock` outlive the codec; the clock serves the counters of floods alone. The server
// preface (SETTINGS) is in the first Produce. Calls for a stream that is gone are ignored; Consumed
// for one is not needed.
//
// A WebSocket's CONNECT (RFC 8441) comes as HTTP/1.1's would: a GET that is complete, with
// head.upgrade (and without Sec-WebSocket-Key). Answered with 101 it becomes a tunnel; bytes that
// came before that are kept back until then. Refused heads want their answer as any request does;
// the rest of such a request is dropped by the codec. The first GoAway lets in what is under way,
// then says which stream is the last; a second one says it at once.
std::unique_ptr<ServerCodec> MakeH2ServerCodec(RequestSink& sink, const CodecLimits& limits,
                                               const Clock& clock = SystemClock());

}  // namespace genkan::http
