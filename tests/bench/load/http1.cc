#include "tests/bench/load/http1.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace bench {

bool Answer::ReadHead(std::string_view& data) {
  size_t before = head_.size();
  head_.append(data);
  size_t end = head_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    data = {};
    return false;
  }
  data.remove_prefix(end + 4 - before);
  head_.resize(end + 2);
  std::transform(head_.begin(), head_.end(), head_.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  status_ = head_.size() > 12 ? std::atoi(head_.c_str() + 9) : 0;
  if (size_t at = head_.find("\r\ncontent-length:"); at != std::string::npos) {
    left_ = std::strtoull(head_.c_str() + at + 17, nullptr, 10);
  }
  is_chunked_ = head_.find("\r\ntransfer-encoding: chunked") != std::string::npos;
  says_close_ = head_.find("\r\nconnection: close") != std::string::npos;
  has_head_ = true;
  return true;
}

bool Answer::ReadChunks(std::string_view data) {
  while (!data.empty()) {
    if (is_in_chunk_) {
      size_t taken = std::min<uint64_t>(left_, data.size());
      left_ -= taken;
      body_ += taken;
      data.remove_prefix(taken);
      if (left_ == 0) is_in_chunk_ = false;
      continue;
    }
    size_t end = data.find('\n');
    line_.append(data.substr(0, end));
    if (end == std::string_view::npos) return false;
    data.remove_prefix(end + 1);
    bool is_blank = line_.empty() || line_ == "\r";
    if (is_blank && is_last_chunk_) return true;
    if (!is_blank) {
      left_ = std::strtoull(line_.c_str(), nullptr, 16);
      is_last_chunk_ = left_ == 0;
      is_in_chunk_ = left_ > 0;
    }
    line_.clear();
  }
  return false;
}

bool Answer::Take(std::string_view data) {
  if (!has_head_ && !ReadHead(data)) return false;
  if (is_chunked_) return ReadChunks(data);
  size_t taken = std::min<uint64_t>(left_, data.size());
  left_ -= taken;
  body_ += taken;
  return left_ == 0;
}

}  // namespace bench
