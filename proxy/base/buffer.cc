#include "proxy/base/buffer.h"

#include <algorithm>

namespace genkan {

size_t Buffer::MoveTo(Buffer& to, size_t limit) {
  size_t moved = std::min(limit, size_);
  if (moved == size_) {
    to.Append(*this);
    return moved;
  }
  if (moved == 0) return 0;
  int done = evbuffer_remove_buffer(raw_, to.raw(), moved);
  moved = done < 0 ? 0 : static_cast<size_t>(done);
  size_ -= moved;
  to.size_ += moved;
  return moved;
}

int Buffer::Peek(std::span<evbuffer_iovec> pieces, size_t limit) const {
  if (empty()) return 0;
  int wanted = evbuffer_peek(raw_, static_cast<ev_ssize_t>(limit), nullptr, pieces.data(),
                             static_cast<int>(pieces.size()));
  int filled = wanted < static_cast<int>(pieces.size()) ? wanted : static_cast<int>(pieces.size());
  // evbuffer_peek gives whole pieces; the last one may reach past the limit.
  size_t total = 0;
  for (int i = 0; i < filled; ++i) {
    auto& piece = pieces[static_cast<size_t>(i)];
    if (total + piece.iov_len > limit) piece.iov_len = limit - total;
    total += piece.iov_len;
  }
  return filled;
}

}  // namespace genkan
