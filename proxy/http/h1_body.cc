#include "proxy/http/h1_body.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "proxy/base/percent.h"
#include "proxy/base/text.h"
#include "proxy/http/byte_classes.h"
#include "proxy/http/h1_parser.h"
#include "proxy/http/h1_writer.h"
#include "proxy/http/message_rules.h"

namespace genkan::http {
namespace {

constexpr uint64_t kMaxChunk = (uint64_t{1} << 63) - 1;

}  // namespace

void BodyReader::Start(BodyFraming framing, uint64_t length) {
  remaining_ = 0;
  size_digits_ = 0;
  line_size_ = extension_bytes_ = trailer_bytes_ = trailer_count_ = 0;
  line_.clear();
  trailers_.Clear();
  broken_rule_ = {};
  switch (framing) {
    case BodyFraming::kNone:
      step_ = Step::kDone;
      break;
    case BodyFraming::kContentLength:
      remaining_ = length;
      step_ = length == 0 ? Step::kDone : Step::kLength;
      break;
    case BodyFraming::kChunked:
      step_ = Step::kSize;
      break;
    case BodyFraming::kUntilClose:
      step_ = Step::kUntilClose;
      break;
  }
}

std::optional<uint64_t> BodyReader::remaining() const {
  switch (step_) {
    case Step::kDone:
      return 0;
    case Step::kLength:
      return remaining_;
    default:
      return std::nullopt;
  }
}

BodyReader::State BodyReader::Read(Buffer& in, Buffer& body, size_t limit) {
  while (step_ != Step::kDone && step_ != Step::kBroken && !in.empty()) {
    if (step_ == Step::kLength || step_ == Step::kData || step_ == Step::kUntilClose) {
      size_t room = limit - std::min(limit, body.size());
      if (room == 0) break;
      MoveData(in, body, room);
    } else {
      in.Drain(ReadFraming(in.Front()));
    }
  }
  if (step_ == Step::kDone) return State::kDone;
  return step_ == Step::kBroken ? State::kBroken : State::kMore;
}

void BodyReader::MoveData(Buffer& in, Buffer& body, size_t limit) {
  if (step_ == Step::kUntilClose) {
    in.MoveTo(body, limit);
    return;
  }
  remaining_ -= in.MoveTo(body, static_cast<size_t>(std::min<uint64_t>(limit, remaining_)));
  if (remaining_ > 0) return;
  step_ = step_ == Step::kLength ? Step::kDone : Step::kDataCr;
}

size_t BodyReader::ReadFraming(std::string_view bytes) {
  size_t read = 0;
  while (read < bytes.size() && step_ != Step::kData && step_ != Step::kDone &&
         step_ != Step::kBroken) {
    ReadByte(bytes[read++]);
  }
  return read;
}

void BodyReader::ReadByte(char c) {
  switch (step_) {
    case Step::kSize:
      return ReadSizeByte(c);
    case Step::kExtension:
      return ReadExtensionByte(c);
    case Step::kSizeLf:
      return c == '\n' ? EndSizeLine() : Break("chunk size line without CRLF");
    case Step::kDataCr:
      if (c != '\r') return Break("chunk longer than its size");
      step_ = Step::kDataLf;
      return;
    case Step::kDataLf:
      if (c != '\n') return Break("chunk data without CRLF");
      step_ = Step::kSize;
      return;
    case Step::kTrailer:
      if (++trailer_bytes_ > limits_.trailer_bytes) return Break("trailers too large");
      line_ += c;
      return c == '\n' ? EndTrailerLine() : void();
    default:
      return;
  }
}

void BodyReader::ReadSizeByte(char c) {
  int digit = HexValue(c);
  if (digit >= 0) {
    // The size is what smuggling is made of: no sign, no 0x, no blank, no overflow.
    if (++size_digits_ > 16) return Break("chunk size too long");
    remaining_ = remaining_ << 4 | static_cast<uint64_t>(digit);
    if (remaining_ > kMaxChunk) return Break("chunk size too large");
    ++line_size_;
    return;
  }
  if (size_digits_ == 0) return Break("chunk size that is no number");
  if (c == '\r') {
    step_ = Step::kSizeLf;
  } else if (c == ';') {
    step_ = Step::kExtension;
    ReadExtensionByte(c);
  } else {
    Break("chunk size that is no number");
  }
}

void BodyReader::ReadExtensionByte(char c) {
  if (c == '\r') {
    step_ = Step::kSizeLf;
    return;
  }
  if (!IsIn(kValueBytes, c)) return Break("control byte in a chunk extension");
  if (++line_size_ > limits_.chunk_line || ++extension_bytes_ > limits_.chunk_extensions) {
    Break("chunk extension too large");
  }
}

void BodyReader::EndSizeLine() {
  size_digits_ = 0;
  line_size_ = 0;
  step_ = remaining_ == 0 ? Step::kTrailer : Step::kData;
}

void BodyReader::EndTrailerLine() {
  std::string_view line = line_;
  if (line.size() < 2 || line[line.size() - 2] != '\r') return Break("trailer line without CRLF");
  if (line == "\r\n") {
    step_ = Step::kDone;
    return;
  }
  Headers::Field field;
  std::string_view broken_rule = TakeField(line, field);
  if (!broken_rule.empty()) return Break(broken_rule);
  if (++trailer_count_ > limits_.trailer_count) return Break("too many trailers");
  if (!IsForbiddenTrailer(field.name)) trailers_.Add(field.name, field.value);
  line_.clear();
}

void BodyReader::Break(std::string_view rule) {
  step_ = Step::kBroken;
  broken_rule_ = rule;
}

void BodyWriter::Start(BodyFraming framing, uint64_t length) {
  framing_ = framing;
  remaining_ = framing == BodyFraming::kContentLength ? length : 0;
  has_ended_ = framing == BodyFraming::kNone;
}

void BodyWriter::Write(Buffer& data, bool end, Buffer& out) {
  if (has_ended_) {
    data.Clear();
    return;
  }
  switch (framing_) {
    case BodyFraming::kNone:
      data.Clear();
      break;
    case BodyFraming::kContentLength:
      // More than was announced would be read as the next message.
      remaining_ -=
          data.MoveTo(out, static_cast<size_t>(std::min<uint64_t>(remaining_, data.size())));
      data.Clear();
      break;
    case BodyFraming::kChunked:
      if (!data.empty()) {
        std::array<char, 20> line;
        char* past = std::to_chars(line.data(), line.data() + 16, data.size(), 16).ptr;
        *past++ = '\r';
        *past++ = '\n';
        out.Append(std::string_view(line.data(), static_cast<size_t>(past - line.data())));
        out.Append(data);
        out.Append(end ? "\r\n0\r\n\r\n" : "\r\n");
      } else if (end) {
        out.Append("0\r\n\r\n");
      }
      break;
    case BodyFraming::kUntilClose:
      out.Append(data);
      break;
  }
  has_ended_ = end;
}

void BodyWriter::WriteTrailers(const Headers& trailers, Buffer& out) {
  if (has_ended_) return;
  has_ended_ = true;
  // Only chunked has a place for them.
  if (framing_ != BodyFraming::kChunked) return;
  HeadWriter writer(out, HeadWriter::SizeOf(trailers) + 8);
  writer.Text("0\r\n");
  for (Headers::Field field : trailers) {
    if (!IsForbiddenTrailer(field.name)) writer.Field(field.name, field.value);
  }
  writer.Text("\r\n");
}

}  // namespace genkan::http
