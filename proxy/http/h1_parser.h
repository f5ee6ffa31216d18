// Reads HTTP/1 heads (RFC 9112 2 to 5), strictly: what is not exactly the grammar is refused,
// nothing is repaired. Pure: bytes in, values out. Any thread.
#pragma once

#include <cstddef>
#include <string_view>

#include "proxy/http/codec.h"
#include "proxy/http/messages.h"

namespace genkan::http {

struct HeadLimits {
  size_t first_line;
  size_t one_field;   // a field's line
  size_t all_fields;  // their lines with the line ends
  size_t field_count;
  size_t whole;  // all of it
  // Origins of old end lines with LF alone (RFC 9112 2.2 allows to take it); requests that do are
  // refused.
  bool takes_bare_lf;
};

HeadLimits RequestHeadLimits(const CodecLimits& limits);
HeadLimits ResponseHeadLimits(const CodecLimits& limits);

// Finds where a head ends, and goes on where it stopped when more bytes have come: a head that
// drips in costs no more than one that comes whole.
class HeadScanner {
 public:
  enum class State {
    kMore,
    kWhole,  // head_size() bytes are the head with its empty line
    kBareLf,
    kFirstLineTooLong,
    kFieldsTooLarge,
  };

  explicit HeadScanner(const HeadLimits& limits) : limits_(limits) {}

  // `bytes` begins with the head's first byte, each time.
  State Scan(std::string_view bytes);
  size_t head_size() const { return line_start_; }
  size_t field_count() const { return field_count_; }
  bool has_begun() const { return scanned_ > 0; }
  // Scan over the front of `in`, whose pieces are joined only where the head reaches over them.
  // `bytes` is what was looked at.
  State Scan(Buffer& in, std::string_view& bytes);
  void Restart() { *this = HeadScanner(limits_); }

 private:
  State EndLine(std::string_view bytes, size_t line_feed);

  HeadLimits limits_;
  size_t scanned_ = 0;
  size_t line_start_ = 0;
  size_t fields_start_ = 0;  // 0: in the first line
  size_t field_count_ = 0;
  bool is_whole_ = false;
};

// What a head's Connection field says about the connection itself.
struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
};

// A head that HeadScanner found whole. Status 0 in the answer: it is good. Otherwise `head` holds
// what could be read.
Refusal ParseRequestHead(std::string_view bytes, size_t field_count, RequestHead& head,
                         ConnectionOptions& options);
// As much as the first line gives, for the log of a head that is refused for its size.
void ParseRequestLineForLog(std::string_view bytes, RequestHead& head);

struct ResponseHints {
  ConnectionOptions options;
  int keep_alive_timeout = 0;  // seconds, from Keep-Alive: timeout=; 0 without
  bool upgrades_to_websocket = false;
};

// The broken rule, empty when the head is good. `is_head_request`: the answer to HEAD has no body.
// Framing is decided (RFC 9112 6.3); a 101 gets kUntilClose.
std::string_view ParseResponseHead(std::string_view bytes, size_t field_count, bool is_head_request,
                                   ResponseHead& head, ResponseHints& hints);

// False as soon as the bytes that are there cannot begin a request or a status line.
bool CanBeginRequest(std::string_view bytes);
bool CanBeginResponse(std::string_view bytes);

// The first of the lines, all of which are whole, leaves them as a field with its value trimmed.
// The broken rule, empty when it is good.
std::string_view TakeField(std::string_view& lines, Headers::Field& field);

}  // namespace genkan::http
