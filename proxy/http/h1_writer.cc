#include "proxy/http/h1_writer.h"

#include <charconv>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/http/byte_classes.h"

namespace genkan::http {
namespace {

// Eight bytes at a time: whether any is below 0x20 or is 0x7f. A tab is among them, so a yes needs
// a second look.
bool MayHaveControl(std::string_view text) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  constexpr uint64_t kHighs = 0x8080808080808080u;
  const char* at = text.data();
  size_t left = text.size();
  for (; left >= 8; left -= 8, at += 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    uint64_t below_blank = (word - kOnes * 0x20) & ~word;
    uint64_t deletes = word ^ kOnes * 0x7f;
    uint64_t is_delete = (deletes - kOnes) & ~deletes;
    if (((below_blank | is_delete) & kHighs) != 0) return true;
  }
  for (; left > 0; --left, ++at) {
    if (!IsIn(kValueBytes, *at)) return true;
  }
  return false;
}

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
  if (name.empty() || !AreAllIn(kTokenBytes, name)) return;
  if (MayHaveControl(value) && !AreAllIn(kValueBytes, value)) return;
  Text(name);
  Text(": ");
  Text(value);
  Text("\r\n");
}

void HeadWriter::EndToEndFields(const Headers& headers) {
  for (Headers::Field field : headers) {
    if (!IsWrittenByCodec(field.name)) Field(field.name, field.value);
  }
}

}  // namespace genkan::http
