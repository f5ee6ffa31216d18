// Our HTTP/1 request parser against llhttp (strict mode): every request that we take, llhttp must
// take too and read alike: method, target, fields, body, trailers, and the byte where it ends. What
// llhttp takes and we refuse is fine: we are stricter (bare CR in values, several Content-Lengths,
// HTTP/1.0 with chunked …).
//
// Where llhttp 8.1 differs and we are right, comparing stops or bends, and only there:
//  - methods beyond its list (any token is one, RFC 9110 9.1), and a target with bytes above 0x7f;
//  - blanks behind a value stay in its values (RFC 9110 5.5: they are not part of it); tabs there,
//  around a length or
//    a coding, are refused by it;
//  - chunk extensions that are no plain `;name=token`: it wants their grammar and stumbles over a
//  second one, we want
//    them free of control bytes and drop them (RFC 9112 7.1.1);
//  - framing fields in trailers: it refuses some, we drop them (RFC 9110 6.5.1);
//  - Upgrade: it stops at every protocol, we go on unless the origin answers 101;
//  - Connection: close: it refuses what follows; we never look at it. Proxy-Connection means the
//  same to it.
#include <llhttp.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/http/message_rules.h"
#include "tests/unit/http/h1_recorder.h"

namespace {

using namespace genkan::http;
using genkan::Buffer;
using genkan::EqualsIgnoreCase;

struct Message {
  std::string method;
  std::string target;
  std::string version;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  std::vector<std::pair<std::string, std::string>> trailers;
  size_t end = 0;           // offset behind it
  bool is_chunked = false;  // as we see it
};

std::string Describe(const Message& message) {
  std::string text = fmt::format("{} {} {}", message.method, message.target, message.version);
  for (const auto& [name, value] : message.fields) text += fmt::format("\n  {}: <{}>", name, value);
  text += fmt::format("\n  body <{}>", message.body);
  for (const auto& [name, value] : message.trailers) {
    text += fmt::format("\n  trailer {}: <{}>", name, value);
  }
  return text + fmt::format("\n  ends at {}\n", message.end);
}

// Fields that become something else in a RequestHead.
bool IsFolded(std::string_view name) {
  return EqualsIgnoreCase(name, "host") || EqualsIgnoreCase(name, "content-length") ||
         EqualsIgnoreCase(name, "transfer-encoding") || EqualsIgnoreCase(name, "expect");
}

class Ours final : public RequestSink {
 public:
  explicit Ours(std::string_view input) : in_(input), size_(input.size()) {
    codec_ = MakeH1ServerCodec(*this, CodecLimits());
    for (size_t before = size_ + 1; !in_.empty() && in_.size() < before;) {
      before = in_.size();
      if (!codec_->Receive(in_)) break;
      Buffer out;
      while (codec_->has_output()) codec_->Produce(out, 1 << 20);
      if (codec_->is_done()) break;
    }
  }

  std::vector<Message> whole;

  void OnRequest(StreamId stream, RequestHead&& head, bool end) override {
    current_ = Message();
    current_.method = head.method;
    current_.target = head.scheme.empty() ? head.target : "";
    current_.version = ToString(head.version);
    current_.is_chunked = head.framing == BodyFraming::kChunked;
    for (Headers::Field field : head.headers) {
      if (!IsFolded(field.name)) current_.fields.emplace_back(field.name, field.value);
    }
    if (end) End(stream);
  }
  void OnBody(StreamId stream, Buffer& data, bool end) override {
    current_.body += data.ToText();
    codec_->Consumed(stream, data.size());
    if (end) End(stream);
  }
  void OnTrailers(StreamId stream, Headers&& trailers) override {
    for (Headers::Field field : trailers) current_.trailers.emplace_back(field.name, field.value);
    End(stream);
  }
  void OnRefused(StreamId, const Refusal&, const RequestHead&) override {}
  void OnReset(StreamId, const genkan::Error&) override {}
  void OnStreamDone(StreamId) override {}

 private:
  void End(StreamId stream) {
    current_.end = size_ - in_.size();
    whole.push_back(std::move(current_));
    ResponseHead answer;
    codec_->SendResponse(stream, answer, true);
  }

  Buffer in_;
  size_t size_;
  Message current_;
  std::unique_ptr<ServerCodec> codec_;
};

class Oracle {
 public:
  explicit Oracle(std::string_view input) : begin_(input.data()) {
    llhttp_settings_init(&settings_);
    settings_.on_message_begin = [](llhttp_t* p) { return Self(p).Begin(); };
    settings_.on_method = [](llhttp_t* p, const char* at, size_t n) {
      return Append(Self(p).current_.method, at, n);
    };
    settings_.on_url = [](llhttp_t* p, const char* at, size_t n) {
      return Append(Self(p).current_.target, at, n);
    };
    settings_.on_header_field = [](llhttp_t* p, const char* at, size_t n) {
      return Append(Self(p).name_, at, n);
    };
    settings_.on_header_value = [](llhttp_t* p, const char* at, size_t n) {
      return Append(Self(p).value_, at, n);
    };
    settings_.on_header_value_complete = [](llhttp_t* p) { return Self(p).EndField(); };
    settings_.on_headers_complete = [](llhttp_t* p) {
      Self(p).is_in_trailers_ = true;
      Self(p).current_.version = fmt::format("HTTP/{}.{}", p->http_major, p->http_minor);
      return 0;
    };
    settings_.on_body = [](llhttp_t* p, const char* at, size_t n) {
      return Append(Self(p).current_.body, at, n);
    };
    // Paused there, the parser says where the message ended.
    settings_.on_message_complete = [](llhttp_t*) { return static_cast<int>(HPE_PAUSED); };
    llhttp_init(&parser_, HTTP_REQUEST, &settings_);
    parser_.data = this;
    llhttp_set_lenient_keep_alive(&parser_, 1);
    Parse(input);
  }

  std::vector<Message> whole;
  std::string error;

 private:
  static Oracle& Self(llhttp_t* parser) { return *static_cast<Oracle*>(parser->data); }
  static int Append(std::string& text, const char* at, size_t size) {
    text.append(at, size);
    return 0;
  }
  int Begin() {
    current_ = Message();
    is_in_trailers_ = false;
    return 0;
  }
  int EndField() {
    std::string value(genkan::Trim(value_));
    if (is_in_trailers_) {
      if (!IsForbiddenTrailer(name_)) current_.trailers.emplace_back(name_, value);
    } else if (!IsFolded(name_)) {
      current_.fields.emplace_back(name_, value);
    }
    name_.clear();
    value_.clear();
    return 0;
  }
  void Parse(std::string_view input) {
    const char* at = input.data();
    const char* end = at + input.size();
    while (true) {
      llhttp_errno_t code = llhttp_execute(&parser_, at, static_cast<size_t>(end - at));
      if (code == HPE_OK) return;
      if (code != HPE_PAUSED && code != HPE_PAUSED_UPGRADE) {
        error = fmt::format("{} {}", llhttp_errno_name(code), llhttp_get_error_reason(&parser_));
        return;
      }
      at = llhttp_get_error_pos(&parser_);
      if (code == HPE_PAUSED) {
        current_.end = static_cast<size_t>(at - begin_);
        whole.push_back(current_);
        llhttp_resume(&parser_);
      } else {
        llhttp_resume_after_upgrade(&parser_);
      }
    }
  }

  const char* begin_;
  llhttp_settings_t settings_{};
  llhttp_t parser_{};
  Message current_;
  std::string name_;
  std::string value_;
  bool is_in_trailers_ = false;
};

bool IsKnownMethod(std::string_view method) {
#define GENKAN_IS_METHOD(number, name, string) \
  if (method == #string) return true;
  HTTP_METHOD_MAP(GENKAN_IS_METHOD)
#undef GENKAN_IS_METHOD
  return false;
}

bool HasTabBeforeCr(std::string_view text) { return text.find("\t\r") != std::string_view::npos; }

// Whether trailer lines name a field of framing or of the connection.
bool HasFramingTrailer(std::string_view lines) {
  while (!lines.empty()) {
    std::string_view name = lines.substr(0, lines.find(':'));
    if (IsHopByHop(name) || EqualsIgnoreCase(name, "content-length")) return true;
    lines.remove_prefix(std::min(lines.find('\n'), lines.size() - 1) + 1);
  }
  return false;
}

// Whether a chunked message that we took has an extension other than one `;name` or `;name=token`,
// or such a trailer.
bool HasOddChunking(std::string_view bytes) {
  size_t at = bytes.find("\r\n\r\n", bytes.find_first_not_of("\r\n"));
  if (at == std::string_view::npos) return false;
  bytes.remove_prefix(at + 4);
  for (;;) {
    size_t line_end = bytes.find("\r\n");
    if (line_end == std::string_view::npos) return false;
    size_t digits_end = std::min(bytes.find(';'), line_end);
    std::string_view extension = bytes.substr(digits_end, line_end - digits_end);
    if (!extension.empty()) {
      extension.remove_prefix(1);  // ';'
      size_t equals = std::min(extension.find('='), extension.size());
      if (!IsToken(extension.substr(0, equals))) return true;
      if (equals < extension.size() && !IsToken(extension.substr(equals + 1))) return true;
    }
    std::optional<uint64_t> size = genkan::ParseHex(bytes.substr(0, digits_end));
    if (size == uint64_t{0}) return HasFramingTrailer(bytes.substr(line_end + 2));
    if (!size || *size + line_end + 4 > bytes.size()) return false;
    bytes.remove_prefix(line_end + 2 + static_cast<size_t>(*size) + 2);
  }
}

// The documented differences, judged on the bytes of one message.
bool IsKnownDifference(const Message& ours, std::string_view bytes) {
  bool has_high_target = false;
  // The target itself may spell "HTTP/1": the line ends where it ends.
  size_t begin = std::min(bytes.find_first_not_of("\r\n"), bytes.size());
  std::string_view line = bytes.substr(0, bytes.find('\n', begin));
  for (char c : line) has_high_target = has_high_target || static_cast<unsigned char>(c) >= 0x80;
  return !IsKnownMethod(ours.method) || has_high_target || HasTabBeforeCr(bytes) ||
         (ours.is_chunked && HasOddChunking(bytes));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Ours ours(input);
  if (ours.whole.empty()) return 0;
  Oracle oracle(input);
  size_t begin = 0;
  for (size_t i = 0; i < ours.whole.size(); ++i) {
    Message& mine = ours.whole[i];
    std::string_view bytes = input.substr(begin, mine.end - begin);
    begin = mine.end;
    if (IsKnownDifference(mine, bytes)) return 0;
    if (i < oracle.whole.size()) {
      Message& theirs = oracle.whole[i];
      // Absolute form: ours is origin-form by now.
      if (mine.target.empty()) theirs.target.clear();
      if (Describe(mine) == Describe(theirs)) continue;
      fmt::print(stderr, "read differently\nours: {}\nllhttp: {}\n", Describe(mine),
                 Describe(theirs));
    } else {
      fmt::print(stderr, "taken by us alone\nours: {}\nllhttp: {}\n", Describe(mine), oracle.error);
    }
    std::abort();
  }
  return 0;
}
