// A queue of bytes in pieces: an evbuffer with an owner. Moving bytes between Buffers moves the
// pieces, it does not copy them. One thread.
#pragma once

#include <event2/buffer.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace genkan {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::string_view text) { Append(text); }
  ~Buffer() {
    if (raw_ != nullptr) evbuffer_free(raw_);
  }
  Buffer(Buffer&& other) noexcept
      : raw_(std::exchange(other.raw_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(raw_, other.raw_);
    std::swap(size_, other.size_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  void Append(std::string_view text) { Add(text.data(), text.size()); }
  void Append(std::span<const unsigned char> bytes) { Add(bytes.data(), bytes.size()); }
  // All of `other` moves to the end of this one; no copy.
  void Append(Buffer&& other) { Append(other); }
  void Append(Buffer& other) {
    if (other.empty() || evbuffer_add_buffer(raw(), other.raw_) != 0) return;
    size_ += std::exchange(other.size_, 0);
  }
  void Prepend(std::string_view text) {
    if (text.empty() || evbuffer_prepend(raw(), text.data(), text.size()) != 0) return;
    size_ += text.size();
  }

  // At most `limit` bytes move from the front of this one to the end of `to`. Returns how many.
  size_t MoveTo(Buffer& to, size_t limit);

  void Drain(size_t bytes) {
    if (bytes > size_) bytes = size_;
    if (bytes == 0 || evbuffer_drain(raw_, bytes) != 0) return;
    size_ -= bytes;
  }
  void Clear() { Drain(size_); }

  // The first contiguous piece; empty when the buffer is.
  std::string_view Front() const {
    evbuffer_iovec piece{};
    if (empty() || evbuffer_peek(raw_, -1, nullptr, &piece, 1) < 1) return {};
    return {static_cast<const char*>(piece.iov_base), piece.iov_len};
  }
  // The first `bytes` (at most all) as one contiguous run; copies where pieces must be joined.
  std::string_view Linear(size_t bytes) {
    if (bytes > size_) bytes = size_;
    if (bytes == 0) return {};
    return {reinterpret_cast<const char*>(evbuffer_pullup(raw_, static_cast<ev_ssize_t>(bytes))),
            bytes};
  }
  // The pieces at the front, up to `limit` bytes; returns how many entries of `pieces` are filled.
  int Peek(std::span<evbuffer_iovec> pieces, size_t limit) const;

  // Copies the front into `into`, as much as both hold; returns how much. The bytes stay.
  size_t CopyFront(std::span<char> into) const {
    if (empty()) return 0;
    auto copied = evbuffer_copyout(raw_, into.data(), into.size());
    return copied < 0 ? 0 : static_cast<size_t>(copied);
  }
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

  // Room for at least `bytes` at the end; what was written is added by Commit.
  std::span<char> Reserve(size_t bytes) {
    evbuffer_reserve_space(raw(), static_cast<ev_ssize_t>(bytes), &reserved_, 1);
    return {static_cast<char*>(reserved_.iov_base), reserved_.iov_len};
  }
  void Commit(size_t bytes) {
    reserved_.iov_len = bytes;
    if (evbuffer_commit_space(raw_, &reserved_, 1) == 0) size_ += bytes;
  }

 private:
  void Add(const void* bytes, size_t size) {
    if (size > 0 && evbuffer_add(raw(), bytes, size) == 0) size_ += size;
  }
  // Made by the first byte: many a Buffer never has one.
  evbuffer* raw() {
    if (raw_ == nullptr) raw_ = evbuffer_new();
    return raw_;
  }

  evbuffer* raw_ = nullptr;
  size_t size_ = 0;  // evbuffer's own is a call away, and it is asked a hundred times a request
  evbuffer_iovec reserved_{};
};

}  // namespace genkan
