// Writes HTTP/1 heads (RFC 9112 3 to 5) anew from their parts, in one pass into room that is
// reserved once. Pure; lives on the stack of whoever writes a head.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "proxy/base/buffer.h"
#include "proxy/http/messages.h"

namespace genkan::http {

class HeadWriter {
 public:
  // At most `room` bytes are written to the end of `out`, which nobody else touches meanwhile.
  HeadWriter(Buffer& out, size_t room)
      : out_(out), begin_(out.Reserve(room).data()), at_(begin_), room_(room) {}
  ~HeadWriter();
  HeadWriter(const HeadWriter&) = delete;
  HeadWriter& operator=(const HeadWriter&) = delete;

  // What the fields need at most.
  static size_t SizeOf(const Headers& headers) { return headers.bytes() + 4 * headers.size(); }

  void Text(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void Number(uint64_t number);
  // A field whose bytes could end the line early is left out: a module's mistake must not split a
  // response.
  void Field(std::string_view name, std::string_view value);
  // One that was read from a line.
  void CleanField(const Headers::Field& field);
  // All but those that the codec itself writes: framing and what belongs to one connection.
  void EndToEndFields(const Headers& headers);

 private:
  Buffer& out_;
  char* begin_;
  char* at_;
  size_t room_;
};

// A head's bytes beside its fields: room for the framing and connection fields too.
inline constexpr size_t kHeadRoom = 256;

}  // namespace genkan::http
