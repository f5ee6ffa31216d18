#include "proxy/base/buffer.h"

#include <algorithm>
#include <bit>
#include <new>

#include "proxy/base/allocator.h"

namespace genkan {
namespace {

constexpr size_t kSmallestBlock = 512;
// Blocks that small texts are gathered in grow to this.
constexpr size_t kLargestGathering = 4096;

}  // namespace

Buffer::Piece* Buffer::MakePiece(size_t bytes) {
  size_t size = std::bit_ceil(std::max(bytes + sizeof(Block), kSmallestBlock));
  void* memory = TakeBlock(size);
  if (memory == nullptr) throw std::bad_alloc();
  auto* block = new (memory) Block{{}, size, 1};
  block->first = {nullptr, block->bytes(), block->bytes(), block};
  return &block->first;
}

void Buffer::Release(Piece* piece) {
  Block* block = piece->block;
  if (piece != &block->first) GiveBlock(piece, sizeof(Piece));
  // The only one there is need not tell the others.
  bool is_last = block->pieces.load(std::memory_order_acquire) == 1 ||
                 block->pieces.fetch_sub(1, std::memory_order_acq_rel) == 1;
  if (is_last) GiveBlock(block, block->size);
}

Buffer::Piece* Buffer::CutFront(Piece* piece, size_t bytes) {
  void* memory = TakeBlock(sizeof(Piece));
  if (memory == nullptr) throw std::bad_alloc();
  piece->block->pieces.fetch_add(1, std::memory_order_relaxed);
  auto* cut = new (memory) Piece{nullptr, piece->begin, piece->begin + bytes, piece->block};
  piece->begin += bytes;
  return cut;
}

void Buffer::AppendPiece(Piece* piece) {
  (last_ == nullptr ? first_ : last_->next) = piece;
  last_ = piece;
  size_ += piece->size();
}

void Buffer::AppendSlowly(std::string_view text) {
  size_t gathered = kSmallestBlock;
  if (last_ != nullptr) {
    gathered = std::min(2 * last_->block->size, kLargestGathering);
    if (size_t room = std::min(last_->room(), text.size()); room > 0) {
      std::memcpy(last_->end, text.data(), room);
      last_->end += room;
      size_ += room;
      text.remove_prefix(room);
    }
  }
  Piece* piece = MakePiece(std::max(text.size(), gathered - sizeof(Block)));
  std::memcpy(piece->begin, text.data(), text.size());
  piece->end += text.size();
  AppendPiece(piece);
}

void Buffer::AppendCopy(Buffer& other) {
  last_->end += other.CopyFront({last_->end, other.size_});
  size_ += other.size_;
  other.Clear();
}

void Buffer::Prepend(std::string_view text) {
  if (text.empty()) return;
  Buffer all(text);
  all.Append(*this);
  *this = std::move(all);
}

size_t Buffer::MoveTo(Buffer& to, size_t limit) {
  if (limit >= size_) {
    size_t moved = size_;
    to.Append(*this);
    return moved;
  }
  // There is a byte behind what moves.
  size_t left = limit;
  while (left >= first_->size()) {
    Piece* piece = std::exchange(first_, first_->next);
    piece->next = nullptr;
    left -= piece->size();
    size_ -= piece->size();
    to.AppendPiece(piece);
  }
  if (left > kCopied) {
    to.AppendPiece(CutFront(first_, left));
  } else if (left > 0) {
    to.Append(std::string_view(first_->begin, left));
    first_->begin += left;
  }
  size_ -= left;
  return limit;
}

void Buffer::Join(size_t bytes) {
  if (first_->room() + first_->size() < bytes) {
    Piece* joined = MakePiece(bytes);
    joined->next = first_;
    first_ = joined;
  }
  Piece* joined = first_;
  for (size_t left = bytes - joined->size(); left > 0;) {
    Piece* next = joined->next;
    size_t here = std::min(left, next->size());
    std::memcpy(joined->end, next->begin, here);
    joined->end += here;
    next->begin += here;
    left -= here;
    if (next->size() > 0) continue;
    joined->next = next->next;
    if (next == last_) last_ = joined;
    Release(next);
  }
}

int Buffer::Peek(std::span<iovec> pieces, size_t limit) const {
  size_t filled = 0;
  limit = std::min(limit, size_);
  for (Piece* piece = first_; limit > 0 && filled < pieces.size(); piece = piece->next) {
    size_t here = std::min(limit, piece->size());
    pieces[filled++] = {piece->begin, here};
    limit -= here;
  }
  return static_cast<int>(filled);
}

size_t Buffer::CopyFront(std::span<char> into) const {
  size_t wanted = std::min(into.size(), size_), copied = 0;
  for (Piece* piece = first_; copied < wanted; piece = piece->next) {
    size_t here = std::min(wanted - copied, piece->size());
    std::memcpy(into.data() + copied, piece->begin, here);
    copied += here;
  }
  return copied;
}

std::span<char> Buffer::ReserveBlock(size_t bytes) {
  if (reserve_ != nullptr && reserve_->room() < bytes) Release(std::exchange(reserve_, nullptr));
  if (reserve_ == nullptr) reserve_ = MakePiece(bytes);
  return {reserve_->end, reserve_->room()};
}

void Buffer::CommitBlock(size_t bytes) {
  Piece* piece = std::exchange(reserve_, nullptr);
  if (bytes == 0) return Release(piece);
  piece->end += bytes;
  AppendPiece(piece);
}

void Buffer::Free() {
  Clear();
  if (reserve_ != nullptr) Release(reserve_);
}

}  // namespace genkan
