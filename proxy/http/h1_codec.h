// HTTP/1.0 and 1.1 codecs (RFC 9112). Sans-io: strings in, strings out. One connection each; its worker's thread.
#pragma once

#include <memory>

#include "proxy/http/codec.h"

namespace genkan::http {

// `sink` outlives the codec.
std::unique_ptr<ServerCodec> MakeH1ServerCodec(RequestSink& sink, const CodecLimits& limits);
std::unique_ptr<ClientCodec> MakeH1ClientCodec(ResponseSink& sink, const CodecLimits& limits);

}  // namespace genkan::http
