#include "proxy/http/h1_writer.h"

#include <charconv>

#include "proxy/base/check.h"
#include "proxy/http/byte_classes.h"

namespace genkan::http {
namespace {

// Content-Length and Transfer-Encoding are the message's framing, the others the connection's.
constexpr bool IsWrittenByCodec(FieldKind kind) {
  switch (kind) {
    case FieldKind::kHost:
    case FieldKind::kContentLength:
    case FieldKind::kConnection:
    case FieldKind::kKeepAlive:
    case FieldKind::kProxyConnection:
    case FieldKind::kTe:
    case FieldKind::kTransferEncoding:
    case FieldKind::kUpgrade:
      return true;
    case FieldKind::kOther:
    case FieldKind::kExpect:
    case FieldKind::kForwarded:
    case FieldKind::kProxy:
    case FieldKind::kHttp2Settings:
      return false;
  }
  return false;
}

}  // namespace

HeadWriter::~HeadWriter() {
  auto written = static_cast<size_t>(at_ - begin_);
  GENKAN_CHECK(written <= room_);
  out_.Commit(written);
}

void HeadWriter::Number(uint64_t number) { at_ = std::to_chars(at_, at_ + 20, number).ptr; }

void HeadWriter::Field(std::string_view name, std::string_view value) {
  char* begin = at_;
  Text(name);
  Text(": ");
  Text(value);
  // Looked at once it is written: name and value stand in one run.
  std::string_view line(begin, static_cast<size_t>(at_ - begin));
  if (name.empty() || !AreValueBytes(line)) {
    at_ = begin;
    return;
  }
  Text("\r\n");
}

void HeadWriter::CleanField(const Headers::Field& field) {
  const char* name_end = field.name.data() + field.name.size();
  if (field.value.data() == name_end + 2 && name_end[0] == ':' && name_end[1] == ' ') {
    // It came as it is written here: one run.
    Text({field.name.data(), field.name.size() + 2 + field.value.size()});
  } else {
    Text(field.name);
    Text(": ");
    Text(field.value);
  }
  Text("\r\n");
}

void HeadWriter::EndToEndFields(const Headers& headers) {
  for (Headers::Field field : headers) {
    if (IsWrittenByCodec(field.kind)) continue;
    field.is_clean ? CleanField(field) : Field(field.name, field.value);
  }
}

}  // namespace genkan::http
