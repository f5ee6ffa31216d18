// Where an HTTP/1.1 answer ends. Enough for servers that we start ourselves: Content-Length or
// chunked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

class Answer {
 public:
  // Takes what has come. True when the answer is whole; what stands behind it is dropped (nobody
  // pipelines here).
  bool Take(std::string_view data);
  // Of the bytes taken so far, those of the body.
  uint64_t body_bytes() const { return body_; }
  int status() const { return status_; }
  bool says_close() const { return says_close_; }
  void Restart() { *this = Answer(); }

 private:
  bool ReadHead(std::string_view& data);
  bool ReadChunks(std::string_view data);

  std::string head_, line_;
  uint64_t body_ = 0, left_ = 0;
  int status_ = 0;
  bool has_head_ = false, is_chunked_ = false, says_close_ = false, is_last_chunk_ = false,
       is_in_chunk_ = false;
};

}  // namespace bench
