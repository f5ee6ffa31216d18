// HTTP/2 server codec (RFC 9113, 8441) over nghttp2. One connection each; its worker's thread.
#pragma once

#include <memory>

#include "proxy/http/codec.h"

namespace genkan::http {

// `sink` outlives the codec. The server preface (SETTINGS) is in the first Produce.
std::unique_ptr<ServerCodec> MakeH2ServerCodec(RequestSink& sink, const CodecLimits& limits);

}  // namespace genkan::http
