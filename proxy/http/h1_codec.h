// HTTP/1.0 and 1.1 codecs (RFC 9112). Sans-io: strings in, strings out. One connection each; its
// worker's thread.
//
// What Receive leaves in `in` (a pipelined request, a body over the window, a head that is not
// whole) is offered again: with more bytes, and whenever wants_bytes() is true after Produce or
// Consumed. The server's stream ends in Produce, so has_output() is also true when only
// OnStreamDone is due. SendResponse on stream 0 answers a connection whose request never came whole
// (408) and closes it. When is_done() after an answer that the client may still be sending against,
// the owner closes its writing side and reads on for a moment, or the kernel's reset takes the
// answer away (RFC 9112 9.6).
#pragma once

#include <memory>

#include "proxy/http/codec.h"

namespace genkan::http {

// `sink` outlives the codec.
std::unique_ptr<ServerCodec> MakeH1ServerCodec(RequestSink& sink, const CodecLimits& limits);
std::unique_ptr<ClientCodec> MakeH1ClientCodec(ResponseSink& sink, const CodecLimits& limits);

}  // namespace genkan::http
