#include "proxy/http/message_rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/http/byte_classes.h"

namespace genkan::http {
namespace {

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [name](std::string_view known) { return EqualsIgnoreCase(name, known); });
}

bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && EqualsIgnoreCase(text.substr(0, prefix.size()), prefix);
}

bool IsPort(std::string_view digits) {
  if (digits.size() > 5) return false;
  std::optional<uint64_t> port = ParseDecimal(digits);
  return port.has_value() && *port <= 65535;
}

bool IsIpv6(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> literal{};
  if (text.size() >= literal.size()) return false;
  std::copy(text.begin(), text.end(), literal.begin());
  // An embedded NUL would end the text early for inet_pton.
  if (text.find('\0') != std::string_view::npos) return false;
  in6_addr address{};
  return inet_pton(AF_INET6, literal.data(), &address) == 1;
}

// Letters, digits, hyphen and underscore in labels; one dot at the end is fine. What RFC 3986
// allows beyond (percent-encoding, sub-delims) names no host that a certificate could have, and
// differs in every server.
bool IsHostName(std::string_view name) {
  if (!name.empty() && name.back() == '.') name.remove_suffix(1);
  if (name.empty() || name.size() > 253) return false;
  char previous = '.';
  for (char c : name) {
    if (c == '.') {
      if (previous == '.') return false;
    } else if (!IsDigit(c) && !IsAlpha(c) && c != '-' && c != '_') {
      return false;
    }
    previous = c;
  }
  return true;
}

// Where the port's colon stands; npos without one.
size_t PortColon(std::string_view authority) {
  if (!authority.empty() && authority.front() == '[') {
    size_t close = authority.find(']');
    if (close == std::string_view::npos || close + 1 == authority.size()) {
      return std::string_view::npos;
    }
    return close + 1;
  }
  return authority.find(':');
}

}  // namespace

bool IsTokenByte(char c) { return IsIn(kTokenBytes, c); }

bool IsToken(std::string_view text) { return !text.empty() && AreAllIn(kTokenBytes, text); }

bool IsFieldValue(std::string_view value) { return AreValueBytes(value); }

bool IsAuthority(std::string_view authority) {
  size_t colon = PortColon(authority);
  if (colon != std::string_view::npos) {
    // "name:" is grammar in RFC 3986, but a port nobody means.
    if (authority[colon] != ':' || !IsPort(authority.substr(colon + 1))) return false;
    authority = authority.substr(0, colon);
  }
  if (authority.size() > 2 && authority.front() == '[' && authority.back() == ']') {
    return IsIpv6(authority.substr(1, authority.size() - 2));
  }
  return IsHostName(authority);
}

bool IsOriginForm(std::string_view target) {
  return !target.empty() && target.front() == '/' && AreAllIn(kTargetBytes, target);
}

std::string NormalizeHost(std::string_view authority) {
  std::string_view host = authority.substr(0, PortColon(authority));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (!host.empty() && host.back() == '.') host.remove_suffix(1);
  return ToLower(host);
}

bool IsHopByHop(std::string_view name) { return IsHopByHop(KindOf(name)); }

namespace {

// Names that a Connection field lists beyond the known ones.
void CollectNamed(std::string_view list, std::vector<std::string_view>& named) {
  for (;;) {
    size_t at = list.find(',');
    std::string_view name = Trim(list.substr(0, at));
    bool is_harmless = name.empty() || IsHopByHop(name) || EqualsIgnoreCase(name, "close");
    // A client must not strip what tells the origin who it is, nor the body's length.
    bool is_protected =
        IsOneOf(name, {"host", "content-length"}) || StartsWithIgnoreCase(name, "x-forwarded-");
    if (!is_harmless && !is_protected) named.push_back(name);
    if (at == std::string_view::npos) return;
    list.remove_prefix(at + 1);
  }
}

}  // namespace

void RemoveHopByHop(Headers& headers, bool keeps_te_trailers) {
  // Names beyond the known ones are rare: the usual head allocates nothing here. The views stay
  // good, RemoveIf moves no bytes.
  std::vector<std::string_view> named;
  bool has_any = false;
  bool has_te = false;
  for (Headers::Field field : headers) {
    if (!IsHopByHop(field.kind)) continue;
    has_any = true;
    if (field.kind == FieldKind::kTe) has_te = true;
    if (field.kind == FieldKind::kConnection) CollectNamed(field.value, named);
  }
  if (!has_any) return;
  bool wants_trailers = keeps_te_trailers && has_te && headers.HasToken("te", "trailers");
  headers.RemoveIf([&named](const Headers::Field& field) {
    return IsHopByHop(field.kind) ||
           std::any_of(named.begin(), named.end(), [&field](std::string_view other) {
             return EqualsIgnoreCase(field.name, other);
           });
  });
  if (wants_trailers) headers.Add("te", "trailers");
}

bool IsForbiddenTrailer(std::string_view name) {
  if (IsHopByHop(name)) return true;
  // A digest is the one Content-* field whose value is known only at the end (RFC 9530).
  if (StartsWithIgnoreCase(name, "content-")) {
    return !IsOneOf(name, {"content-digest", "content-md5"});
  }
  if (StartsWithIgnoreCase(name, "x-forwarded-") || StartsWithIgnoreCase(name, "if-")) return true;
  return IsOneOf(name, {"host",
                        "trailer",
                        "forwarded",
                        "via",
                        "x-real-ip",  // routing
                        "authorization",
                        "proxy-authorization",
                        "www-authenticate",  // authentication
                        "proxy-authenticate",
                        "authentication-info",
                        "proxy-authentication-info",
                        "cookie",
                        "set-cookie",
                        "set-cookie2",
                        "cache-control",
                        "pragma",
                        "expect",
                        "max-forwards",
                        "range",  // modifiers
                        "age",
                        "date",
                        "expires",
                        "location",
                        "refresh",
                        "retry-after",
                        "vary",  // control data
                        "warning",
                        "strict-transport-security"});
}

}  // namespace genkan::http
