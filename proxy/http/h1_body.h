// HTTP/1 bodies (RFC 9112 6 and 7): taken out of their framing on the way in, put into it on the
// way out. Pure: buffers in, buffers out; pieces move where the framing leaves them whole. One
// message at a time; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/http/codec.h"
#include "proxy/http/messages.h"

namespace genkan::http {

class BodyReader {
 public:
  enum class State {
    kMore,
    kDone,    // all of the body, with its trailers
    kBroken,  // see broken_rule()
  };

  explicit BodyReader(const CodecLimits& limits) : limits_(limits) {}

  // `length` counts for kContentLength only.
  void Start(BodyFraming framing, uint64_t length);
  // Moves at most `limit` bytes of the body from `in` to `body`; what belongs to the next message
  // stays in `in`. Framing is read even when `limit` is 0.
  State Read(Buffer& in, Buffer& body, size_t limit);

  bool is_done() const { return step_ == Step::kDone; }
  bool is_until_close() const { return step_ == Step::kUntilClose; }
  // Bytes that are still to come; nothing where the framing does not say.
  std::optional<uint64_t> remaining() const;
  // Without the fields that may not stand there (RFC 9110 6.5.1).
  Headers& trailers() { return trailers_; }
  std::string_view broken_rule() const { return broken_rule_; }

 private:
  enum class Step : uint8_t {
    kLength,      // remaining_ bytes
    kUntilClose,  // all that comes
    kSize,        // digits of a chunk's size
    kExtension,   // behind them, up to CR
    kSizeLf,      // the LF of the size line
    kData,        // remaining_ bytes of a chunk
    kDataCr,
    kDataLf,
    kTrailer,  // in a trailer line
    kDone,
    kBroken,
  };

  void MoveData(Buffer& in, Buffer& body, size_t limit);
  // Reads framing from the front of `bytes`; returns how much.
  size_t ReadFraming(std::string_view bytes);
  void ReadByte(char c);
  void ReadSizeByte(char c);
  void ReadExtensionByte(char c);
  void EndSizeLine();
  void EndTrailerLine();
  void Break(std::string_view rule);

  const CodecLimits limits_;
  Step step_ = Step::kDone;
  uint64_t remaining_ = 0;
  int size_digits_ = 0;
  size_t line_size_ = 0;        // of the chunk's size line so far
  size_t extension_bytes_ = 0;  // of all chunks
  size_t trailer_bytes_ = 0;
  size_t trailer_count_ = 0;
  std::string line_;  // a trailer line so far
  Headers trailers_;
  std::string_view broken_rule_;
};

class BodyWriter {
 public:
  // kNone swallows what is written; kUntilClose writes it as it is.
  void Start(BodyFraming framing, uint64_t length);
  // `data` is empty afterwards.
  void Write(Buffer& data, bool end, Buffer& out);
  void WriteTrailers(const Headers& trailers, Buffer& out);

  bool has_ended() const { return has_ended_; }
  bool ends_with_connection() const { return framing_ == BodyFraming::kUntilClose; }
  // The message's end can be told from its framing: a body that was announced has been written
  // whole.
  bool is_whole() const {
    return has_ended_ && framing_ != BodyFraming::kUntilClose && remaining_ == 0;
  }

 private:
  BodyFraming framing_ = BodyFraming::kNone;
  uint64_t remaining_ = 0;  // of kContentLength
  bool has_ended_ = true;
};

}  // namespace genkan::http
