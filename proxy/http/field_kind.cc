#include "proxy/http/field_kind.h"

#include "proxy/base/text.h"

namespace genkan::http {

FieldKind KindOf(std::string_view name) {
  auto is = [name](std::string_view known, FieldKind kind) {
    return EqualsIgnoreCase(name, known) ? kind : FieldKind::kOther;
  };
  constexpr std::string_view kForwarded = "x-forwarded-";
  if (name.size() >= kForwarded.size() && ToLower(name.front()) == 'x') {
    return EqualsIgnoreCase(name.substr(0, kForwarded.size()), kForwarded) ? FieldKind::kForwarded
                                                                           : FieldKind::kOther;
  }
  switch (name.size()) {
    case 2:
      return is("te", FieldKind::kTe);
    case 4:
      return is("host", FieldKind::kHost);
    case 5:
      return is("proxy", FieldKind::kProxy);
    case 6:
      return is("expect", FieldKind::kExpect);
    case 7:
      return is("upgrade", FieldKind::kUpgrade);
    case 9:
      return is("forwarded", FieldKind::kForwarded);
    case 10:
      return ToLower(name.front()) == 'c' ? is("connection", FieldKind::kConnection)
                                          : is("keep-alive", FieldKind::kKeepAlive);
    case 14:
      return ToLower(name.front()) == 'c' ? is("content-length", FieldKind::kContentLength)
                                          : is("http2-settings", FieldKind::kHttp2Settings);
    case 16:
      return is("proxy-connection", FieldKind::kProxyConnection);
    case 17:
      return is("transfer-encoding", FieldKind::kTransferEncoding);
    default:
      return FieldKind::kOther;
  }
}

}  // namespace genkan::http
