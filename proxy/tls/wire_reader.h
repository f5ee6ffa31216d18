// Reads messages of TLS (RFC 8446 3): numbers and vectors from the front of a text. A value; any thread.
#pragma once

#include <string_view>

namespace genkan::tls {

// Takes lengths and bytes from the front of a text; once something is missing it stays failed.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : left_(bytes) {}

  unsigned Int(size_t width) {
    std::string_view bytes = Bytes(width);
    unsigned value = 0;
    for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view Bytes(size_t count) {
    if (count > left_.size()) {
      has_failed_ = true;
      left_ = {};
      return {};
    }
    std::string_view bytes = left_.substr(0, count);
    left_.remove_prefix(count);
    return bytes;
  }
  // A vector with its length in `width` bytes in front.
  std::string_view Vector(size_t width) { return Bytes(Int(width)); }
  bool is_empty() const { return left_.empty(); }
  bool has_failed() const { return has_failed_; }
  // Everything was taken, and nothing was missing.
  bool is_done() const { return left_.empty() && !has_failed_; }

 private:
  std::string_view left_;
  bool has_failed_ = false;
};

}  // namespace genkan::tls
