// A queue of bytes in pieces. Moving bytes between Buffers moves the pieces, it does not copy them;
// of a piece that is cut in two both parts keep the block that they lie in, and it goes with the
// last of them. What is in a Buffer is never written again. One thread at a time.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace genkan {

class Buffer {
 public:
  // A block is as long as a power of two; a reserve of that less this much fills it.
  static constexpr size_t kBlockOverhead = 64;

  Buffer() = default;
  explicit Buffer(std::string_view text) { Append(text); }
  ~Buffer() {
    if (first_ != nullptr || reserve_ != nullptr) Free();
  }
  Buffer(Buffer&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)),
        last_(std::exchange(other.last_, nullptr)),
        reserve_(std::exchange(other.reserve_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
    std::swap(reserve_, other.reserve_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void Append(std::string_view text) {
    if (text.empty()) return;
    if (last_ == nullptr || last_->room() < text.size()) return AppendSlowly(text);
    std::memcpy(last_->end, text.data(), text.size());
    last_->end += text.size();
    size_ += text.size();
  }
  void Append(std::span<const unsigned char> bytes) {
    Append(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  // All of `other` moves to the end of this one. No copy, but of what is small and finds room: moved,
  // a piece of one byte would hold a block.
  void Append(Buffer&& other) { Append(other); }
  void Append(Buffer& other) {
    if (other.empty() || &other == this) return;
    if (other.size_ <= kCopied && last_ != nullptr && last_->room() >= other.size_)
      return AppendCopy(other);
    (last_ == nullptr ? first_ : last_->next) = std::exchange(other.first_, nullptr);
    last_ = std::exchange(other.last_, nullptr);
    size_ += std::exchange(other.size_, 0);
  }
  void Prepend(std::string_view text);

  // At most `limit` bytes move from the front of this one to the end of `to`. Returns how many.
  size_t MoveTo(Buffer& to, size_t limit);

  void Drain(size_t bytes) {
    if (bytes >= size_) return Clear();
    size_ -= bytes;
    // There is a byte behind what goes.
    while (bytes >= first_->size()) {
      bytes -= first_->size();
      Release(std::exchange(first_, first_->next));
    }
    first_->begin += bytes;
  }
  void Clear() {
    while (first_ != nullptr) Release(std::exchange(first_, first_->next));
    last_ = nullptr;
    size_ = 0;
  }

  // The first contiguous piece; empty when the buffer is.
  std::string_view Front() const {
    if (first_ == nullptr) return {};
    return {first_->begin, first_->size()};
  }
  // The first `bytes` (at most all) as one contiguous run; copies where pieces must be joined.
  std::string_view Linear(size_t bytes) {
    if (bytes > size_) bytes = size_;
    if (bytes == 0) return {};
    if (first_->size() < bytes) Join(bytes);
    return {first_->begin, bytes};
  }
  // The pieces at the front, up to `limit` bytes; returns how many entries of `pieces` are filled.
  int Peek(std::span<iovec> pieces, size_t limit) const;

  // Copies the front into `into`, as much as both hold; returns how much. The bytes stay.
  size_t CopyFront(std::span<char> into) const;
  // The same, and the bytes are gone from the front.
  size_t Take(std::span<char> into) {
    size_t taken = CopyFront(into);
    Drain(taken);
    return taken;
  }

  // A copy of all bytes; for tests and small texts.
  std::string ToText() const {
    std::string text(size_, '\0');
    CopyFront(text);
    return text;
  }

  // Room for at least `bytes` at the end; what was written is added by Commit, also of nothing, so
  // that no empty block stays. In between nothing else is done with the Buffer.
  std::span<char> Reserve(size_t bytes) {
    if (reserve_ != nullptr || last_ == nullptr || last_->room() < bytes)
      return ReserveBlock(bytes);
    return {last_->end, last_->room()};
  }
  void Commit(size_t bytes) {
    if (reserve_ != nullptr) return CommitBlock(bytes);
    last_->end += bytes;
    size_ += bytes;
  }

 private:
  struct Block;
  struct Piece {
    size_t size() const { return static_cast<size_t>(end - begin); }
    // Behind the last byte, where nobody else's piece can be.
    inline size_t room() const;

    Piece* next;
    char* begin;
    char* end;
    Block* block;
  };
  // The bytes follow. Its first piece lies in it; one that is cut off is a block of its own.
  struct Block {
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    char* limit() { return reinterpret_cast<char*>(this) + size; }

    Piece first;
    size_t size;  // of all
    std::atomic<uint32_t> pieces;
  };
  static_assert(sizeof(Block) <= kBlockOverhead);

  // Up to this bytes are copied rather than moved: it costs about the same, and holds no block.
  static constexpr size_t kCopied = 512;

  static Piece* MakePiece(size_t bytes);
  static void Release(Piece* piece);
  // The first `bytes` of `piece`, which is longer, as one of its own.
  static Piece* CutFront(Piece* piece, size_t bytes);
  void AppendPiece(Piece* piece);
  void AppendSlowly(std::string_view text);
  void AppendCopy(Buffer& other);
  void Join(size_t bytes);
  std::span<char> ReserveBlock(size_t bytes);
  void CommitBlock(size_t bytes);
  void Free();

  // None of the pieces is empty.
  Piece* first_ = nullptr;
  Piece* last_ = nullptr;
  Piece* reserve_ = nullptr;  // of Reserve, where it is not in the last piece's block
  size_t size_ = 0;
};

inline size_t Buffer::Piece::room() const {
  if (block->pieces.load(std::memory_order_acquire) != 1) return 0;
  return static_cast<size_t>(block->limit() - end);
}

}  // namespace genkan
