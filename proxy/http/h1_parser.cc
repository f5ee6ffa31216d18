#include "proxy/http/h1_parser.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/http/byte_classes.h"
#include "proxy/http/message_rules.h"

namespace genkan::http {
namespace {

constexpr size_t kNone = std::string_view::npos;

size_t FindLineFeed(std::string_view bytes, size_t from) {
  if (from >= bytes.size()) return kNone;
  const void* at = std::memchr(bytes.data() + from, '\n', bytes.size() - from);
  if (at == nullptr) return kNone;
  return static_cast<size_t>(static_cast<const char*>(at) - bytes.data());
}

// The next line of a whole head, without its line end.
std::string_view TakeLine(std::string_view& bytes) {
  size_t line_feed = FindLineFeed(bytes, 0);
  if (line_feed == kNone) line_feed = bytes.size();
  std::string_view line = bytes.substr(0, line_feed);
  bytes.remove_prefix(line_feed < bytes.size() ? line_feed + 1 : bytes.size());
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

template <class Use>
void ForEachListed(std::string_view list, Use use) {
  for (;;) {
    size_t comma = list.find(',');
    use(Trim(list.substr(0, comma)));
    if (comma == kNone) return;
    list.remove_prefix(comma + 1);
  }
}

void ReadConnection(std::string_view value, ConnectionOptions& options) {
  ForEachListed(value, [&options](std::string_view option) {
    if (EqualsIgnoreCase(option, "close")) options.close = true;
    if (EqualsIgnoreCase(option, "keep-alive")) options.keep_alive = true;
    if (EqualsIgnoreCase(option, "upgrade")) options.upgrade = true;
  });
}

bool NamesWebSocket(std::string_view value) {
  bool is_named = false;
  ForEachListed(value, [&is_named](std::string_view protocol) {
    is_named = is_named || EqualsIgnoreCase(protocol, "websocket");
  });
  return is_named;
}

bool IsVersion(std::string_view text) {
  return text.size() == 8 && text.substr(0, 5) == "HTTP/" && IsDigit(text[5]) && text[6] == '.' &&
         IsDigit(text[7]);
}

bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && EqualsIgnoreCase(text.substr(0, prefix.size()), prefix);
}

Refusal Refuse(int status, std::string_view rule) { return {status, rule}; }
constexpr Refusal kGood{0, {}};

// Origin-form, absolute-form, or * with OPTIONS (RFC 9112 3.2). An absolute one becomes scheme,
// authority and origin-form.
Refusal ReadTarget(std::string_view target, RequestHead& head) {
  if (target.empty()) return Refuse(400, "empty request target");
  if (!AreAllIn(kTargetBytes, target)) return Refuse(400, "forbidden byte in the request target");
  if (target.front() == '/') {
    head.target = target;
    return kGood;
  }
  if (target == "*") {
    head.target = target;
    return head.method == "OPTIONS" ? kGood : Refuse(400, "asterisk-form without OPTIONS");
  }
  size_t after_scheme = 0;
  if (StartsWithIgnoreCase(target, "http://")) {
    head.scheme = "http";
    after_scheme = 7;
  } else if (StartsWithIgnoreCase(target, "https://")) {
    head.scheme = "https";
    after_scheme = 8;
  } else {
    return Refuse(400, "request target of no known form");
  }
  target.remove_prefix(after_scheme);
  size_t end = std::min(target.find_first_of("/?"), target.size());
  std::string_view authority = target.substr(0, end);
  if (!IsAuthority(authority)) return Refuse(400, "request target without a valid authority");
  head.authority = authority;
  target.remove_prefix(end);
  if (target.empty()) {
    head.target = head.method == "OPTIONS" ? "*" : "/";  // RFC 9112 3.2.4
  } else if (target.front() == '?') {
    head.target = "/";
    head.target += target;
  } else {
    head.target = target;
  }
  return kGood;
}

Refusal ReadRequestLine(std::string_view line, RequestHead& head) {
  size_t method_end = CountLeading(kTokenBytes, line);
  if (method_end == 0 || method_end == line.size() || line[method_end] != ' ') {
    return Refuse(400, "request line without a method");
  }
  head.method = line.substr(0, method_end);
  size_t version_start = line.rfind(' ');
  if (version_start == method_end) return Refuse(400, "request line without a version");
  std::string_view version = line.substr(version_start + 1);
  std::string_view target = line.substr(method_end + 1, version_start - method_end - 1);
  if (!IsVersion(version)) {
    head.target = target;
    return Refuse(400, "malformed version");
  }
  if (version == "HTTP/1.1") {
    head.version = Version::kHttp11;
  } else if (version == "HTTP/1.0") {
    head.version = Version::kHttp10;
  } else {
    head.target = target;
    return Refuse(505, "version that is neither 1.0 nor 1.1");
  }
  if (head.method == "CONNECT" || head.method == "TRACE") {
    head.target = target;
    return Refuse(405, "method that is never forwarded");
  }
  return ReadTarget(target, head);
}

// What the request's fields say until all of them are read.
struct RequestFacts {
  bool has_host = false;
  std::string_view host;
  bool has_length = false;
  bool is_chunked = false;
  bool expects_continue = false;
  bool names_websocket = false;
};

Refusal ReadRequestField(const Headers::Field& field, RequestHead& head, RequestFacts& facts,
                         ConnectionOptions& options) {
  switch (field.kind) {
    case FieldKind::kHost:
      if (facts.has_host) return Refuse(400, "more than one Host");
      if (!IsAuthority(field.value)) return Refuse(400, "Host that is no host");
      facts.has_host = true;
      facts.host = field.value;
      return kGood;
    case FieldKind::kContentLength: {
      // Equal ones too: an origin that joins them differently is all that smuggling needs.
      if (facts.has_length) return Refuse(400, "more than one Content-Length");
      std::optional<uint64_t> length = ParseDecimal(field.value);
      if (!length) return Refuse(400, "Content-Length that is no number");
      facts.has_length = true;
      head.content_length = *length;
      return kGood;
    }
    case FieldKind::kTransferEncoding:
      if (facts.is_chunked) return Refuse(400, "more than one Transfer-Encoding");
      // RFC 9112 6.1: in 1.0 the framing is faulty.
      if (head.version == Version::kHttp10) return Refuse(400, "Transfer-Encoding in HTTP/1.0");
      if (field.value.empty()) return Refuse(400, "empty Transfer-Encoding");
      if (!EqualsIgnoreCase(field.value, "chunked")) {
        return Refuse(501, "Transfer-Encoding other than chunked");
      }
      facts.is_chunked = true;
      return kGood;
    case FieldKind::kExpect:
      if (head.version == Version::kHttp10)
        return kGood;  // RFC 9110 10.1.1: ignored, and not passed on
      if (!EqualsIgnoreCase(field.value, "100-continue")) {
        return Refuse(417, "expectation other than 100-continue");
      }
      facts.expects_continue = true;
      return kGood;
    case FieldKind::kConnection:
      ReadConnection(field.value, options);
      break;
    case FieldKind::kUpgrade:
      facts.names_websocket = facts.names_websocket || NamesWebSocket(field.value);
      break;
    default:
      break;
  }
  head.headers.AddFromBlock(field);
  return kGood;
}

Refusal DecideRequest(const RequestFacts& facts, const ConnectionOptions& options,
                      RequestHead& head) {
  // RFC 9112 6.3: both mean smuggling, not a choice.
  if (facts.is_chunked && facts.has_length) {
    return Refuse(400, "Transfer-Encoding with Content-Length");
  }
  if (!facts.has_host && head.version == Version::kHttp11) return Refuse(400, "no Host");
  if (facts.has_host) {
    if (!head.authority.empty() && !EqualsIgnoreCase(head.authority, facts.host)) {
      return Refuse(400, "Host that differs from the target's authority");
    }
    head.authority = facts.host;
  }
  if (facts.is_chunked) head.framing = BodyFraming::kChunked;
  if (facts.has_length) head.framing = BodyFraming::kContentLength;
  bool has_body = facts.is_chunked || head.content_length > 0;
  // Without a body there is nothing to wait for; RFC 9110 10.1.1 forbids it to the client.
  if (facts.expects_continue && has_body) {
    head.expects_continue = true;
    head.headers.Add("Expect", "100-continue");
  }
  if (facts.names_websocket && options.upgrade && !has_body && head.method == "GET" &&
      head.version == Version::kHttp11) {
    head.upgrade = "websocket";
  }
  return kGood;
}

// 3DIGIT from 100 on, else -1.
int ReadStatus(std::string_view digits) {
  if (digits.size() != 3 || !IsDigit(digits[0]) || !IsDigit(digits[1]) || !IsDigit(digits[2])) {
    return -1;
  }
  int status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
  return status >= 100 ? status : -1;
}

std::string_view ReadStatusLine(std::string_view line, ResponseHead& head) {
  // Origins without the blank behind the code, when there is no reason, are many.
  if (line.size() < 12 || !IsVersion(line.substr(0, 8)) || line[5] != '1' || line[8] != ' ' ||
      (line.size() > 12 && line[12] != ' ')) {
    return "malformed status line";
  }
  head.version = line[7] == '0' ? Version::kHttp10 : Version::kHttp11;
  head.status = ReadStatus(line.substr(9, 3));
  if (head.status < 0) return "status that is no number from 100 on";
  if (line.size() > 13) {
    std::string_view reason = line.substr(13);
    if (!AreValueBytes(reason)) return "control byte in the reason";
    head.reason = reason;
  }
  return {};
}

int ReadKeepAliveTimeout(std::string_view value) {
  int seconds = 0;
  ForEachListed(value, [&seconds](std::string_view parameter) {
    if (!StartsWithIgnoreCase(parameter, "timeout")) return;
    parameter = Trim(parameter.substr(7));
    if (parameter.empty() || parameter.front() != '=') return;
    std::optional<uint64_t> number = ParseDecimal(Trim(parameter.substr(1)));
    if (number && *number <= 24 * 3600) seconds = static_cast<int>(*number);
  });
  return seconds;
}

struct ResponseFacts {
  std::optional<uint64_t> length;
  bool has_encoding = false;
};

std::string_view ReadResponseField(const Headers::Field& field, ResponseHead& head,
                                   ResponseFacts& facts, ResponseHints& hints) {
  switch (field.kind) {
    case FieldKind::kContentLength: {
      std::optional<uint64_t> length = ParseDecimal(field.value);
      if (!length) return "Content-Length that is no number";
      if (facts.length && *facts.length != *length) return "Content-Lengths that differ";
      facts.length = length;
      return {};
    }
    case FieldKind::kTransferEncoding:
      if (facts.has_encoding) return "more than one Transfer-Encoding";
      if (!EqualsIgnoreCase(field.value, "chunked")) return "Transfer-Encoding other than chunked";
      if (head.version == Version::kHttp10) return "Transfer-Encoding in HTTP/1.0";
      facts.has_encoding = true;
      return {};
    case FieldKind::kConnection:
      ReadConnection(field.value, hints.options);
      break;
    case FieldKind::kKeepAlive:
      hints.keep_alive_timeout = ReadKeepAliveTimeout(field.value);
      break;
    case FieldKind::kUpgrade:
      hints.upgrades_to_websocket = hints.upgrades_to_websocket || NamesWebSocket(field.value);
      break;
    default:
      break;
  }
  head.headers.AddFromBlock(field);
  return {};
}

}  // namespace

HeadLimits RequestHeadLimits(const CodecLimits& limits) {
  return {limits.request_line,
          limits.one_field,
          limits.all_fields,
          limits.field_count,
          limits.request_line + limits.all_fields + 4,
          false};
}

HeadLimits ResponseHeadLimits(const CodecLimits& limits) {
  return {limits.response_head,        limits.response_head, limits.response_head,
          limits.response_field_count, limits.response_head, true};
}

inline HeadScanner::State HeadScanner::EndLine(std::string_view bytes, size_t line_feed) {
  bool has_cr = line_feed > line_start_ && bytes[line_feed - 1] == '\r';
  size_t length = line_feed - line_start_ - (has_cr ? 1 : 0);
  bool is_first = fields_start_ == 0;
  line_start_ = scanned_ = line_feed + 1;
  // Sizes first: a line that drips in is refused for its size before its end is seen.
  if (is_first) {
    if (length > limits_.first_line) return State::kFirstLineTooLong;
    fields_start_ = line_start_;
  } else {
    bool is_last = length == 0;
    if (!is_last) ++field_count_;
    if (length > limits_.one_field || field_count_ > limits_.field_count ||
        (!is_last &&
         (line_start_ - fields_start_ > limits_.all_fields || line_start_ + 2 > limits_.whole))) {
      return State::kFieldsTooLarge;
    }
    is_whole_ = is_last;
  }
  if (!has_cr && !limits_.takes_bare_lf) return State::kBareLf;
  return is_whole_ ? State::kWhole : State::kMore;
}

HeadScanner::State HeadScanner::Scan(std::string_view bytes) {
  if (is_whole_) return State::kWhole;
  for (;;) {
    size_t line_feed = FindLineFeed(bytes, scanned_);
    if (line_feed == kNone) break;
    State state = EndLine(bytes, line_feed);
    if (state != State::kMore) return state;
  }
  scanned_ = bytes.size();
  // One more byte than the limit may be the line end's CR.
  size_t pending = scanned_ - line_start_;
  if (fields_start_ == 0) {
    return pending > limits_.first_line + 1 ? State::kFirstLineTooLong : State::kMore;
  }
  bool is_too_large =
      pending > limits_.one_field + 1 || scanned_ - fields_start_ > limits_.all_fields + 1;
  return is_too_large ? State::kFieldsTooLarge : State::kMore;
}

HeadScanner::State HeadScanner::Scan(Buffer& in, std::string_view& bytes) {
  bytes = in.Front();
  State state = Scan(bytes);
  if (state == State::kMore && bytes.size() < in.size()) {
    // By then it is whole or refused.
    bytes = in.Linear(limits_.whole + 2);
    state = Scan(bytes);
  }
  return state;
}

namespace {

// `at`: the first byte that belongs to no name and is no colon.
std::string_view BrokenName(const char* begin, const char* at) {
  if (*at == '\n' || (*at == '\r' && at[1] == '\n')) return "field line without a colon";
  bool is_folded = at == begin && (*at == ' ' || *at == '\t');
  return is_folded ? "folded field line" : "field name that is no token";
}

// The empty line that ends a head is next.
bool IsAtEnd(std::string_view bytes) {
  return bytes.empty() || bytes.front() == '\n' || bytes.starts_with("\r\n");
}

}  // namespace

std::string_view TakeField(std::string_view& bytes, Headers::Field& field) {
  // The line feed at the end stops each of the loops.
  GENKAN_CHECK(bytes.ends_with('\n'));
  const char* const begin = bytes.data();
  const char* const end = begin + bytes.size();
  const char* at = begin;
  uint8_t common = kTokenBit | kPlainBit;
  while (uint8_t bits = kNameBytes[static_cast<unsigned char>(*at)]) {
    common &= bits;
    ++at;
  }
  if (*at != ':') return BrokenName(begin, at);
  if (at == begin) return "empty field name";
  field.name = {begin, static_cast<size_t>(at - begin)};
  field.kind = KindOf(field.name);
  field.is_plain = (common & kPlainBit) != 0;
  field.is_clean = true;
  auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  do ++at;
  while (is_blank(*at));
  const char* const value = at;
  while (*(at = FindControl(at, end)) == '\t') ++at;
  const char* value_end = at;
  if (*at == '\r') ++at;
  if (*at != '\n') return "control byte in a field value";
  while (value_end != value && is_blank(value_end[-1])) --value_end;
  field.value = {value, static_cast<size_t>(value_end - value)};
  bytes.remove_prefix(static_cast<size_t>(at + 1 - begin));
  return {};
}

Refusal ParseRequestHead(std::string_view bytes, size_t field_count, RequestHead& head,
                         ConnectionOptions& options) {
  size_t whole_size = bytes.size();
  Refusal refusal = ReadRequestLine(TakeLine(bytes), head);
  if (refusal.status != 0) return refusal;
  head.headers.Reserve(field_count + 1, whole_size);  // and an Expect, for the request line's bytes
  head.headers.AdoptBlock(bytes);
  RequestFacts facts;
  while (!IsAtEnd(bytes)) {
    Headers::Field field;
    std::string_view broken_rule = TakeField(bytes, field);
    if (!broken_rule.empty()) return Refuse(400, broken_rule);
    refusal = ReadRequestField(field, head, facts, options);
    if (refusal.status != 0) return refusal;
  }
  return DecideRequest(facts, options, head);
}

void ParseRequestLineForLog(std::string_view bytes, RequestHead& head) {
  static_cast<void>(ReadRequestLine(TakeLine(bytes), head));
}

std::string_view ParseResponseHead(std::string_view bytes, size_t field_count, bool is_head_request,
                                   ResponseHead& head, ResponseHints& hints) {
  size_t whole_size = bytes.size();
  std::string_view broken_rule = ReadStatusLine(TakeLine(bytes), head);
  if (!broken_rule.empty()) return broken_rule;
  head.headers.Reserve(field_count + 4, whole_size + 64);
  head.headers.AdoptBlock(bytes);
  ResponseFacts facts;
  while (!IsAtEnd(bytes)) {
    Headers::Field field;
    broken_rule = TakeField(bytes, field);
    if (!broken_rule.empty()) return broken_rule;
    broken_rule = ReadResponseField(field, head, facts, hints);
    if (!broken_rule.empty()) return broken_rule;
  }
  if (facts.has_encoding && facts.length) return "Transfer-Encoding with Content-Length";
  if (head.status == 101) {
    head.framing = BodyFraming::kUntilClose;
  } else if (is_head_request || head.status == 304) {
    head.content_length = facts.length;
  } else if (HasNoBody(head.status)) {
    head.framing = BodyFraming::kNone;
  } else if (facts.has_encoding) {
    head.framing = BodyFraming::kChunked;
  } else if (facts.length) {
    head.framing = BodyFraming::kContentLength;
    head.content_length = facts.length;
  } else {
    head.framing = BodyFraming::kUntilClose;
  }
  return {};
}

bool CanBeginRequest(std::string_view bytes) {
  bytes = bytes.substr(0, 16);
  size_t method = CountLeading(kTokenBytes, bytes);
  return method == bytes.size() || (method > 0 && bytes[method] == ' ');
}

bool CanBeginResponse(std::string_view bytes) {
  constexpr std::string_view kBegin = "HTTP/1.";
  bytes = bytes.substr(0, kBegin.size());
  return bytes == kBegin.substr(0, bytes.size());
}

}  // namespace genkan::http
