// Request and response heads as the codecs hand them over: checked, framing decided, not yet rewritten for
// the next hop. Values; one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/http/headers.h"
#include "proxy/http/types.h"

namespace genkan::http {

// How the body is framed on its way in, or is to be framed on its way out.
enum class BodyFraming : uint8_t {
  kNone,           // no body
  kContentLength,  // exactly content_length bytes
  kChunked,        // h1 chunked; h2 without content-length
  kUntilClose,     // responses of h1 only
};

struct RequestHead {
  std::string method;     // token, case as sent
  std::string scheme;     // "http" or "https": of the target where it is absolute or h2, otherwise empty
  std::string authority;  // Host or :authority, checked (rule 7 of the message rules); may be empty for HTTP/1.0
  std::string target;     // origin-form as sent ("/a?b"), never re-encoded; "*" for OPTIONS *
  Version version = Version::kHttp11;
  // Without Host (it is `authority`), without Content-Length and Transfer-Encoding (they are `framing`), and
  // without h2 pseudo-headers; everything else as sent. Cookie crumbs of h2 are joined.
  Headers headers;
  BodyFraming framing = BodyFraming::kNone;
  uint64_t content_length = 0;     // for kContentLength
  bool expects_continue = false;   // Expect: 100-continue (the field stays in headers)
  // A tunnel is asked for: "websocket" (h1 Upgrade with Connection: upgrade, h2 :protocol). Otherwise empty.
  // h2's CONNECT with :protocol arrives as method "GET" with this set, h1's as sent.
  std::string upgrade;

  std::string_view path() const { return std::string_view(target).substr(0, target.find('?')); }
  std::string_view query() const {
    size_t at = target.find('?');
    return at == std::string::npos ? std::string_view() : std::string_view(target).substr(at + 1);
  }
};

struct ResponseHead {
  int status = 200;
  std::string reason;  // as the origin sent it; h2 drops it; empty = the standard phrase
  Version version = Version::kHttp11;
  Headers headers;     // without Content-Length and Transfer-Encoding
  BodyFraming framing = BodyFraming::kNone;
  // For kContentLength; with framing kNone on a response to HEAD (or a 304): the length that is announced.
  std::optional<uint64_t> content_length;
};

}  // namespace genkan::http
