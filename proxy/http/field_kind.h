// What a field's name means to a proxy that passes it on (RFC 9110 7.6.1, RFC 9112). Found once,
// when the field is read, and asked for by everybody on its way. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace genkan::http {

enum class FieldKind : uint8_t {
  kOther,
  kHost,
  kContentLength,
  kExpect,
  kForwarded,  // Forwarded and X-Forwarded-…: who is asking
  // Of one connection only, from here on.
  kConnection,
  kKeepAlive,
  kProxyConnection,
  kProxy,
  kTe,
  kTransferEncoding,
  kUpgrade,
  kHttp2Settings,
};

FieldKind KindOf(std::string_view name);

constexpr bool IsHopByHop(FieldKind kind) { return kind >= FieldKind::kConnection; }

}  // namespace genkan::http
