#include "proxy/http/forwarding.h"

#include <algorithm>
#include <array>
#include <span>

#include "proxy/base/text.h"
#include "proxy/http/message_rules.h"

namespace genkan::http {
namespace {

constexpr std::string_view kPseudonym = "genkan";  // in Via (RFC 9110 7.6.3)

bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && EqualsIgnoreCase(text.substr(0, prefix.size()), prefix);
}

bool IsWordOrDash(char c) { return IsAlpha(c) || IsDigit(c) || c == '-'; }

// CGI maps both '-' and '_' to '_', and PHP '.' as well: X_Forwarded_For and X.Forwarded.For reach
// it as X-Forwarded-For would. Whatever is no letter or digit is taken for the same.
bool ImitatesOurs(std::string_view name) {
  std::string dashed(name);
  for (char& c : dashed) c = IsWordOrDash(c) ? c : '-';
  return KindOf(dashed) == FieldKind::kForwarded || IsHopByHop(dashed) ||
         EqualsIgnoreCase(dashed, "via") || EqualsIgnoreCase(dashed, "content-length");
}

bool IsPlain(const Headers::Field& field) {
  return field.is_plain || std::all_of(field.name.begin(), field.name.end(), IsWordOrDash);
}

// Away with what imitates fields of ours, and with what says who is asking where a stranger says
// it. False: the policy refuses one of them.
bool RemoveFalseOnes(Headers& headers, UnderscoreHeaders policy, bool is_trusted) {
  bool is_refused = false;
  headers.RemoveIf([&](const Headers::Field& field) {
    if (!is_trusted && field.kind == FieldKind::kForwarded) {
      is_refused |=
          policy == UnderscoreHeaders::kRefuse && field.name.find('_') != std::string_view::npos;
      return true;
    }
    if (IsPlain(field)) return false;
    if (field.name.find('_') == std::string_view::npos) return ImitatesOurs(field.name);
    if (policy == UnderscoreHeaders::kRefuse) is_refused = true;
    return policy != UnderscoreHeaders::kPass || ImitatesOurs(field.name);
  });
  return !is_refused;
}

// One field with all values of that name and `value` behind them.
void Extend(Headers& headers, std::string_view name, std::string_view value) {
  std::string joined;
  for (Headers::Field field : headers) {
    if (!EqualsIgnoreCase(field.name, name) || field.value.empty()) continue;
    joined += field.value;
    joined += ", ";
  }
  if (joined.empty()) {
    headers.Set(name, value);
    return;
  }
  joined += value;
  headers.Set(name, joined);
}

// token, or quoted where it has other bytes (RFC 7239 4).
void AppendNode(std::string& text, std::string_view value) {
  if (IsToken(value)) {
    text += value;
  } else {
    text += '"';
    text += value;
    text += '"';
  }
}

std::string ForwardedElement(const RequestHead& head, const PeerView& peer) {
  std::string text = "for=";
  if (peer.address.find(':') == std::string_view::npos) {
    AppendNode(text, peer.address.empty() ? "unknown" : peer.address);
  } else {
    text += "\"[";
    text += peer.address;
    text += "]\"";
  }
  if (!head.authority.empty()) {
    text += ";host=";
    AppendNode(text, head.authority);
  }
  text += peer.is_tls ? ";proto=https" : ";proto=http";
  return text;
}

void ExtendVia(Headers& headers, Version version) {
  std::string value(version == Version::kHttp2 ? "2" : version == Version::kHttp11 ? "1.1" : "1.0");
  value += ' ';
  value += kPseudonym;
  Extend(headers, "via", value);
}

void AddWhereMissing(Headers& headers, std::string_view name, std::string_view value) {
  if (!value.empty() && !headers.Has(name)) headers.Add(name, value);
}

// A trusted peer has said what it knows; what it has left out is ours to say.
void SayWhoIsAsking(RequestHead& head, const PeerView& peer) {
  Headers& headers = head.headers;
  std::string_view protocol = peer.is_tls ? "https" : "http";
  if (peer.is_trusted) {
    if (!peer.address.empty()) Extend(headers, "x-forwarded-for", peer.address);
    AddWhereMissing(headers, "x-forwarded-proto", protocol);
    AddWhereMissing(headers, "x-forwarded-host", head.authority);
    AddWhereMissing(headers, "x-forwarded-port", peer.local_port);
    return;
  }
  // A stranger's are gone by now: there is nothing to look for.
  std::array<Headers::Field, 4> fields;
  size_t count = 0;
  auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) fields[count++] = {name, value};
  };
  add("x-forwarded-for", peer.address);
  add("x-forwarded-proto", protocol);
  add("x-forwarded-host", head.authority);
  add("x-forwarded-port", peer.local_port);
  headers.AddAll(std::span(fields).first(count));
}

struct SplitAuthority {
  std::string_view host;
  std::string_view port;
};

SplitAuthority SplitPort(std::string_view authority) {
  size_t colon = authority.rfind(':');
  size_t bracket = authority.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return {authority, {}};
  }
  return {authority.substr(0, colon), authority.substr(colon + 1)};
}

// "http://host/rest" -> "https://authority/rest" where the host is `authority`'s and the port is
// its own, 80 or absent. Empty: not ours, leave it.
std::string RewriteUrl(std::string_view url, std::string_view authority) {
  constexpr std::string_view kScheme = "http://";
  if (!StartsWithIgnoreCase(url, kScheme)) return {};
  url.remove_prefix(kScheme.size());
  size_t end = std::min(url.find_first_of("/?#"), url.size());
  SplitAuthority theirs = SplitPort(url.substr(0, end));
  SplitAuthority ours = SplitPort(authority);
  if (!EqualsIgnoreCase(theirs.host, ours.host)) return {};
  if (!theirs.port.empty() && theirs.port != "80" && theirs.port != ours.port) return {};
  std::string rewritten = "https://";
  rewritten += ours.host;
  if (!ours.port.empty() && ours.port != "443" && ours.port != "80") {
    rewritten += ':';
    rewritten += ours.port;
  }
  rewritten += url.substr(end);
  return rewritten;
}

// "5; url=http://host/" and its quoted form.
std::string RewriteRefresh(std::string_view value, std::string_view authority) {
  size_t at = value.find_first_of(";,");
  if (at == std::string_view::npos) return {};
  at = std::min(value.find_first_not_of("; ,\t", at), value.size());
  std::string_view rest = value.substr(at);
  if (StartsWithIgnoreCase(rest, "url")) {
    rest.remove_prefix(3);
    rest = Trim(rest);
    if (rest.empty() || rest.front() != '=') return {};
    rest.remove_prefix(1);
    rest = Trim(rest);
  }
  if (!rest.empty() && (rest.front() == '"' || rest.front() == '\'')) rest.remove_prefix(1);
  std::string url = RewriteUrl(rest, authority);
  if (url.empty()) return {};
  std::string rewritten(value.substr(0, static_cast<size_t>(rest.data() - value.data())));
  rewritten += url;
  return rewritten;
}

bool IsSecureCookie(std::string_view cookie) {
  size_t at = cookie.find(';');
  while (at != std::string_view::npos) {
    cookie.remove_prefix(at + 1);
    at = cookie.find(';');
    std::string_view attribute = cookie.substr(0, at);
    if (EqualsIgnoreCase(Trim(attribute.substr(0, attribute.find('='))), "secure")) return true;
  }
  return false;
}

}  // namespace

bool PrepareForUpstream(RequestHead& head, const PeerView& peer, const ForwardingPolicy& policy) {
  Headers& headers = head.headers;
  // First what the client asks to remove: what is written below cannot be removed that way.
  RemoveHopByHop(headers, true);
  if (!RemoveFalseOnes(headers, policy.underscores, peer.is_trusted)) return false;
  // RFC 7239 7.4: both forms say the same; one that came from a trusted peer is not left one hop
  // short.
  if (policy.forwarded || (peer.is_trusted && headers.Has("forwarded"))) {
    Extend(headers, "forwarded", ForwardedElement(head, peer));
  }
  SayWhoIsAsking(head, peer);
  if (policy.via) ExtendVia(headers, head.version);
  return true;
}

void PrepareForDownstream(ResponseHead& head, const ForwardingPolicy& policy) {
  RemoveHopByHop(head.headers, false);
  if (policy.via) ExtendVia(head.headers, head.version);
}

void RewriteResponse(ResponseHead& head, std::string_view authority, const RewritePolicy& policy) {
  if (!policy.location && !policy.cookies_secure) return;
  Headers& headers = head.headers;
  for (size_t i = 0; i < headers.size(); ++i) {
    Headers::Field field = headers.at(i);
    if (policy.cookies_secure && EqualsIgnoreCase(field.name, "set-cookie")) {
      if (!IsSecureCookie(field.value)) {
        headers.SetValueAt(i, std::string(field.value) + "; Secure");
      }
      continue;
    }
    if (!policy.location || authority.empty()) continue;
    std::string rewritten;
    if (EqualsIgnoreCase(field.name, "location") ||
        EqualsIgnoreCase(field.name, "content-location")) {
      rewritten = RewriteUrl(field.value, authority);
    } else if (EqualsIgnoreCase(field.name, "refresh")) {
      rewritten = RewriteRefresh(field.value, authority);
    }
    if (!rewritten.empty()) headers.SetValueAt(i, rewritten);
  }
}

}  // namespace genkan::http
