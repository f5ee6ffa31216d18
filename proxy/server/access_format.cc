#include <fmt/format.h>

#include <array>
#include <ctime>
#include <iterator>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/server/access_log.h"

namespace genkan::server {
namespace {

using Line = fmt::memory_buffer;

void Append(Line& line, std::string_view text) { line.append(text.data(), text.data() + text.size()); }

template <class T>
void AppendNumber(Line& line, T number) {
  fmt::format_int text(number);
  line.append(text.data(), text.data() + text.size());
}

// What a client sent must not end a line or a quoted field: \xHH, as Apache and fail2ban's filters know it.
void AppendEscaped(Line& line, std::string_view text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      line.push_back(c);
      continue;
    }
    Append(line, "\\x");
    line.push_back(kDigits[byte >> 4]);
    line.push_back(kDigits[byte & 15]);
  }
}

// RFC 8259 7. Bytes that are no ASCII are taken for Latin-1, so that the line is valid JSON whatever came in.
void AppendJsonString(Line& line, std::string_view text) {
  line.push_back('"');
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line.push_back('\\');
      line.push_back(c);
    } else if (byte < 0x20 || byte >= 0x7f) {
      fmt::format_to(std::back_inserter(line), "\\u{:04x}", byte);
    } else {
      line.push_back(c);
    }
  }
  line.push_back('"');
}

constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// 22/Nov/2026:03:04:05 +0900, in local time as Apache has it. The text of a second is made once a thread.
std::string_view ApacheTime(WallTime time) {
  thread_local time_t known = -1;
  thread_local std::string text;
  time_t seconds = std::chrono::system_clock::to_time_t(time);
  if (seconds == known) return text;
  tm local{};
  localtime_r(&seconds, &local);
  long offset = local.tm_gmtoff / 60;
  char sign = offset < 0 ? '-' : '+';
  if (offset < 0) offset = -offset;
  text = fmt::format("{:02}/{}/{}:{:02}:{:02}:{:02} {}{:02}{:02}", local.tm_mday,
                     kMonths[static_cast<size_t>(local.tm_mon)], local.tm_year + 1900, local.tm_hour,
                     local.tm_min, local.tm_sec, sign, offset / 60, offset % 60);
  known = seconds;
  return text;
}

std::string IsoTime(WallTime time) {
  std::string text = FormatIso8601(time);
  auto millis = std::chrono::duration_cast<Millis>(time.time_since_epoch()).count() % 1000;
  if (text.ends_with('Z')) text.pop_back();
  return fmt::format("{}.{:03}Z", text, millis);
}

// One field of a record. Text is escaped by whoever writes it; numbers below zero are not known.
struct Value {
  enum class Kind { kText, kNumber, kBool, kTime } kind = Kind::kText;
  std::string_view text;
  int64_t number = 0;
};

struct FieldSpec {
  std::string_view name;
  Value (*get)(const AccessRecord&);
};

Value Text(std::string_view text) { return {Value::Kind::kText, text, 0}; }
Value Number(int64_t number) { return {Value::Kind::kNumber, {}, number}; }
Value Bool(bool value) { return {Value::Kind::kBool, {}, value ? 1 : 0}; }

// Their names are stable from 1.0 on; additions go to the end.
constexpr FieldSpec kFields[] = {
    {"time", [](const AccessRecord&) { return Value{Value::Kind::kTime, {}, 0}; }},
    {"client", [](const AccessRecord& r) { return Text(r.client_address); }},
    {"user", [](const AccessRecord& r) { return Text(r.user); }},
    {"method", [](const AccessRecord& r) { return Text(r.method); }},
    {"host", [](const AccessRecord& r) { return Text(r.host); }},
    {"target", [](const AccessRecord& r) { return Text(r.target); }},
    {"version", [](const AccessRecord& r) { return Text(r.version); }},
    {"status", [](const AccessRecord& r) { return Number(r.status); }},
    {"bytes", [](const AccessRecord& r) { return Number(static_cast<int64_t>(r.body_bytes)); }},
    {"request_bytes", [](const AccessRecord& r) { return Number(static_cast<int64_t>(r.request_bytes)); }},
    {"referer", [](const AccessRecord& r) { return Text(r.referer); }},
    {"user_agent", [](const AccessRecord& r) { return Text(r.user_agent); }},
    {"site", [](const AccessRecord& r) { return Text(r.site); }},
    {"sni", [](const AccessRecord& r) { return Text(r.server_name); }},
    {"tls_version", [](const AccessRecord& r) { return Text(r.tls_version); }},
    {"cipher", [](const AccessRecord& r) { return Text(r.cipher); }},
    {"alpn", [](const AccessRecord& r) { return Text(r.alpn); }},
    {"resumed", [](const AccessRecord& r) { return Bool(r.is_resumed); }},
    {"staple_sent", [](const AccessRecord& r) { return Bool(r.has_sent_staple); }},
    {"upstream", [](const AccessRecord& r) { return Text(r.upstream); }},
    {"answered_by", [](const AccessRecord& r) { return Text(r.answered_by); }},
    {"id", [](const AccessRecord& r) { return Text(r.id); }},
    {"error", [](const AccessRecord& r) { return Text(r.error); }},
    {"duration_us", [](const AccessRecord& r) { return Number(r.duration_us); }},
    {"upstream_connect_us", [](const AccessRecord& r) { return Number(r.upstream_connect_us); }},
    {"upstream_head_us", [](const AccessRecord& r) { return Number(r.upstream_head_us); }},
    {"request_id", [](const AccessRecord& r) { return Text(r.request_id); }},
};

const FieldSpec* FindField(std::string_view name) {
  for (const FieldSpec& field : kFields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

// Apache's: "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"".
void FormatCombined(Line& line, const AccessRecord& record) {
  auto text_or_dash = [&](std::string_view text) { AppendEscaped(line, text.empty() ? "-" : text); };
  text_or_dash(record.client_address);
  Append(line, " - ");
  // A name with a blank would shift the columns behind it; Apache leaves that to the reader, we do not.
  for (char c : record.user.empty() ? "-" : record.user) {
    if (c == ' ') {
      Append(line, "\\x20");
    } else {
      AppendEscaped(line, {&c, 1});
    }
  }
  Append(line, " [");
  Append(line, ApacheTime(record.time));
  Append(line, "] \"");
  if (record.method.empty()) {
    // No request line could be read.
    line.push_back('-');
  } else {
    AppendEscaped(line, record.method);
    line.push_back(' ');
    AppendEscaped(line, record.target);
    line.push_back(' ');
    AppendEscaped(line, record.version);
  }
  Append(line, "\" ");
  if (record.status > 0) {
    AppendNumber(line, record.status);
  } else {
    line.push_back('-');
  }
  line.push_back(' ');
  if (record.body_bytes > 0) {
    AppendNumber(line, record.body_bytes);
  } else {
    line.push_back('-');
  }
  Append(line, " \"");
  text_or_dash(record.referer);
  Append(line, "\" \"");
  text_or_dash(record.user_agent);
  line.push_back('"');
}

void FormatJson(Line& line, const AccessRecord& record) {
  char separator = '{';
  for (const FieldSpec& field : kFields) {
    Value value = field.get(record);
    // What is not known is left out; `user` is "-" then.
    bool is_known = value.kind == Value::Kind::kText     ? !value.text.empty() && value.text != "-"
                    : value.kind == Value::Kind::kNumber ? value.number >= 0
                                                         : true;
    if (!is_known) continue;
    line.push_back(separator);
    separator = ',';
    line.push_back('"');
    Append(line, field.name);
    Append(line, "\":");
    switch (value.kind) {
      case Value::Kind::kText: AppendJsonString(line, value.text); break;
      case Value::Kind::kNumber: AppendNumber(line, value.number); break;
      case Value::Kind::kBool: Append(line, value.number != 0 ? "true" : "false"); break;
      case Value::Kind::kTime: AppendJsonString(line, IsoTime(record.time)); break;
    }
  }
  line.push_back('}');
}

void FormatFields(Line& line, std::string_view format, const AccessRecord& record) {
  while (!format.empty()) {
    size_t open = format.find('{');
    size_t close = open == std::string_view::npos ? open : format.find('}', open);
    if (close == std::string_view::npos) break;
    Append(line, format.substr(0, open));
    const FieldSpec* field = FindField(format.substr(open + 1, close - open - 1));
    format.remove_prefix(close + 1);
    if (field == nullptr) continue;
    Value value = field->get(record);
    switch (value.kind) {
      case Value::Kind::kText: AppendEscaped(line, value.text.empty() ? "-" : value.text); break;
      case Value::Kind::kNumber:
        if (value.number < 0) {
          line.push_back('-');
        } else {
          AppendNumber(line, value.number);
        }
        break;
      case Value::Kind::kBool: Append(line, value.number != 0 ? "true" : "false"); break;
      case Value::Kind::kTime: Append(line, IsoTime(record.time)); break;
    }
  }
  Append(line, format);
}

}  // namespace

Status CheckAccessFormat(std::string_view format) {
  if (format == "combined" || format == "json") return {};
  bool has_field = false;
  for (size_t open = format.find('{'); open != std::string_view::npos; open = format.find('{', open + 1)) {
    size_t close = format.find('}', open);
    if (close == std::string_view::npos) {
      return Fail(ErrorCode::kInvalid, "access_log.format: \"{{\" without \"}}\"");
    }
    std::string_view name = format.substr(open + 1, close - open - 1);
    has_field = true;
    if (FindField(name) != nullptr) continue;
    std::vector<std::string_view> known;
    for (const FieldSpec& field : kFields) known.push_back(field.name);
    std::string_view nearest = NearestWord(name, known);
    std::string hint = nearest.empty() ? "" : fmt::format("; did you mean {{{}}}?", nearest);
    return Fail(ErrorCode::kInvalid, "access_log.format: unknown field {{{}}}{}", EscapeControl(name), hint);
  }
  if (!has_field) {
    return Fail(ErrorCode::kInvalid,
                "access_log.format: \"{}\" is neither \"combined\" nor \"json\" and has no {{field}}",
                EscapeControl(format));
  }
  return {};
}

std::string FormatAccessRecord(std::string_view format, const AccessRecord& record) {
  Line line;
  if (format == "combined") {
    FormatCombined(line, record);
  } else if (format == "json") {
    FormatJson(line, record);
  } else {
    FormatFields(line, format, record);
  }
  line.push_back('\n');
  return fmt::to_string(line);
}

}  // namespace genkan::server
