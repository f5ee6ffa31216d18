// The words of HTTP that every codec shares (RFC 9110). Values; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace genkan::http {

// One message exchange on a connection. h1: 1, 2, 3 … in order; h2: the stream's number.
using StreamId = uint32_t;

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };

// "HTTP/1.0", "HTTP/1.1", "HTTP/2.0" (as access logs write it).
std::string_view ToString(Version version);

// The standard reason phrase, or "" for a code without one.
std::string_view ReasonPhrase(int status);

// RFC 9110 9.2.2.
bool IsIdempotent(std::string_view method);

// A status that never has a body: 1xx, 204, 304 (RFC 9110 6.4.1).
constexpr bool HasNoBody(int status) {
  return (status >= 100 && status < 200) || status == 204 || status == 304;
}

}  // namespace genkan::http
