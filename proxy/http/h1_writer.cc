#include "proxy/http/h1_writer.h"

#include <charconv>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/http/byte_classes.h"

namespace genkan::http {
namespace {

// Content-Length and Transfer-Encoding are the message's framing, the others the connection's.
bool IsWrittenByCodec(std::string_view name) {
  switch (name.size()) {
    case 2:
      return EqualsIgnoreCase(name, "te");
    case 4:
      return EqualsIgnoreCase(name, "host");
    case 7:
      return EqualsIgnoreCase(name, "upgrade");
    case 10:
      return EqualsIgnoreCase(name, "connection") || EqualsIgnoreCase(name, "keep-alive");
    case 14:
      return EqualsIgnoreCase(name, "content-length");
    case 16:
      return EqualsIgnoreCase(name, "proxy-connection");
    case 17:
      return EqualsIgnoreCase(name, "transfer-encoding");
    default:
      return false;
  }
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

void HeadWriter::EndToEndFields(const Headers& headers) {
  for (Headers::Field field : headers) {
    if (!IsWrittenByCodec(field.name)) Field(field.name, field.value);
  }
}

}  // namespace genkan::http
