#include "proxy/http/h2_request.h"

#include <algorithm>
#include <utility>

#include "proxy/base/text.h"
#include "proxy/http/message_rules.h"

namespace genkan::http {
namespace {

bool HasUpperCase(std::string_view name) {
  return std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool HasBlankOrControl(std::string_view value) {
  return std::any_of(value.begin(), value.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f;
  });
}

}  // namespace

bool IsConnectionSpecific(FieldKind kind) {
  // TE may say `trailers`, and Proxy is no field of HTTP's at all.
  return IsHopByHop(kind) && kind != FieldKind::kTe && kind != FieldKind::kProxy;
}

void H2RequestReader::Add(std::string_view name, std::string_view value) {
  bytes_ += name.size() + value.size();
  ++count_;
  if (bytes_ > limits_.all_fields || count_ > limits_.field_count ||
      name.size() + value.size() > limits_.one_field) {
    is_too_large_ = true;
    return;
  }
  if (name.empty()) return Break("a field without a name");
  if (name.front() == ':') {
    AddPseudo(name, value);
  } else {
    has_regular_ = true;
    AddRegular(name, value);
  }
}

void H2RequestReader::AddPseudo(std::string_view name, std::string_view value) {
  if (has_regular_) return Break("a pseudo-header behind a field");
  std::optional<std::string>* slot = name == ":method"      ? &method_
                                     : name == ":scheme"    ? &scheme_
                                     : name == ":path"      ? &path_
                                     : name == ":authority" ? &authority_
                                     : name == ":protocol"  ? &protocol_
                                                            : nullptr;
  if (slot == nullptr) return Break("an unknown pseudo-header");
  if (slot->has_value()) return Break("a repeated pseudo-header");
  if (HasBlankOrControl(value)) return Break("a blank or control in a pseudo-header");
  if (value.empty() && slot != &authority_) return Break("an empty pseudo-header");
  slot->emplace(value);
}

void H2RequestReader::AddRegular(std::string_view name, std::string_view value) {
  if (HasUpperCase(name)) return Break("upper case in a name");
  if (!IsToken(name)) return Break("a name that is no token");
  if (!IsFieldValue(value) || value != Trim(value)) return Break("a byte not allowed in a value");
  if (IsConnectionSpecific(KindOf(name))) return Break("a connection-specific field");
  if (name == "te" && !EqualsIgnoreCase(value, "trailers")) return Break("TE other than trailers");
  if (name == "host") {
    if (host_.has_value()) return Break("a second Host");
    host_.emplace(value);
    return;
  }
  if (name == "content-length") {
    if (content_length_.has_value()) return Break("a repeated Content-Length");
    content_length_ = ParseDecimal(value);
    if (!content_length_.has_value()) Break("Content-Length is no number");
    return;
  }
  if (name == "cookie") {
    // RFC 9113 8.2.3: crumbs are one field again before anybody else sees them.
    if (!cookie_.empty()) cookie_ += "; ";
    cookie_ += value;
    return;
  }
  if (name == "expect" && EqualsIgnoreCase(value, "100-continue")) head_.expects_continue = true;
  head_.headers.Add(name, value);
}

void H2RequestReader::CheckTarget() {
  if (!path_.has_value()) return Break(":path is missing");
  if (!scheme_.has_value()) return Break(":scheme is missing");
  head_.scheme = ToLower(*scheme_);
  if (head_.scheme != "http" && head_.scheme != "https") return Break(":scheme is not http(s)");
  if (*path_ == "*") {
    if (head_.method != "OPTIONS") return Break(":path * without OPTIONS");
  } else if (!IsOriginForm(*path_)) {
    return Break(":path is not in origin form");
  }
}

void H2RequestReader::CheckAuthority() {
  if (authority_.has_value() && !authority_->empty()) {
    if (!IsAuthority(*authority_)) return Break(":authority is not valid");
    if (host_.has_value() && !EqualsIgnoreCase(*host_, *authority_)) {
      return Break("Host differs from :authority");
    }
    head_.authority = *authority_;
  } else if (host_.has_value()) {
    // RFC 9113 8.3.1: a request that was translated from HTTP/1.1 may have Host alone.
    if (!IsAuthority(*host_)) return Break("Host is not valid");
    head_.authority = *host_;
  } else if (!authority_.has_value()) {
    return Break("neither :authority nor Host");
  }
}

void H2RequestReader::DecideFraming(bool end) {
  if (content_length_.has_value()) {
    if (end && *content_length_ != 0) return Break("Content-Length without a body");
    head_.framing = BodyFraming::kContentLength;
    head_.content_length = *content_length_;
  } else if (!end) {
    head_.framing = BodyFraming::kChunked;
  }
}

std::optional<Refusal> H2RequestReader::Finish(bool end, RequestHead& head) {
  head_.version = Version::kHttp2;
  head_.method = method_.value_or("");
  head_.target = path_.value_or("");
  if (!cookie_.empty()) head_.headers.Add("cookie", cookie_);

  std::optional<Refusal> refusal;
  bool is_connect = head_.method == "CONNECT";
  bool is_tunnel = is_connect && protocol_.has_value();
  if (is_too_large_) {
    refusal = Refusal{431, "the head is too large"};
  } else if (head_.target.size() > limits_.request_line) {
    refusal = Refusal{414, "the target is too long"};
  } else {
    if (!IsToken(head_.method)) Break(":method is no token");
    CheckAuthority();
    if (is_connect && !is_tunnel) {
      if (path_.has_value() || scheme_.has_value()) Break("CONNECT with :path or :scheme");
    } else {
      CheckTarget();
    }
    if (protocol_.has_value() && !is_connect) Break(":protocol without CONNECT");
    DecideFraming(end);
    if (is_tunnel && content_length_.has_value()) Break("Content-Length on a tunnel");
    if (is_tunnel && end) Break("a tunnel that is closed already");
    if (!broken_.empty()) refusal = Refusal{400, broken_};
  }
  if (!refusal && head_.method == "TRACE") refusal = Refusal{405, "TRACE"};
  if (!refusal && is_connect) {
    if (is_tunnel && EqualsIgnoreCase(*protocol_, "websocket")) {
      // RFC 8441 5: a WebSocket's CONNECT is the GET of RFC 6455 in other clothes.
      head_.method = "GET";
      head_.upgrade = "websocket";
      head_.framing = BodyFraming::kNone;
    } else {
      refusal = Refusal{405, "CONNECT is not for a WebSocket"};
    }
  }
  head = std::move(head_);
  head_ = RequestHead();
  return refusal;
}

}  // namespace genkan::http
