// A queue of bytes in pieces: an evbuffer with an owner. Moving bytes between Buffers moves the pieces,
// it does not copy them. One thread.
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
  Buffer() : raw_(evbuffer_new()) {}
  explicit Buffer(std::string_view text) : Buffer() { Append(text); }
  ~Buffer() {
    if (raw_ != nullptr) evbuffer_free(raw_);
  }
  Buffer(Buffer&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  size_t size() const { return evbuffer_get_length(raw_); }
  bool empty() const { return size() == 0; }

  void Append(std::string_view text) {
    if (!text.empty()) evbuffer_add(raw_, text.data(), text.size());
  }
  void Append(std::span<const unsigned char> bytes) {
    if (!bytes.empty()) evbuffer_add(raw_, bytes.data(), bytes.size());
  }
  // All of `other` moves to the end of this one; no copy.
  void Append(Buffer&& other) { evbuffer_add_buffer(raw_, other.raw_); }
  void Append(Buffer& other) { evbuffer_add_buffer(raw_, other.raw_); }
  void Prepend(std::string_view text) { evbuffer_prepend(raw_, text.data(), text.size()); }

  // At most `limit` bytes move from the front of this one to the end of `to`. Returns how many.
  size_t MoveTo(Buffer& to, size_t limit) {
    if (limit >= size()) {
      size_t all = size();
      evbuffer_add_buffer(to.raw_, raw_);
      return all;
    }
    int moved = evbuffer_remove_buffer(raw_, to.raw_, limit);
    return moved < 0 ? 0 : static_cast<size_t>(moved);
  }

  void Drain(size_t bytes) { evbuffer_drain(raw_, bytes); }
  void Clear() { Drain(size()); }

  // The first contiguous piece; empty when the buffer is.
  std::string_view Front() const {
    evbuffer_iovec piece{};
    if (evbuffer_peek(raw_, -1, nullptr, &piece, 1) < 1) return {};
    return {static_cast<const char*>(piece.iov_base), piece.iov_len};
  }
  // The first `bytes` (at most all) as one contiguous run; copies where pieces must be joined.
  std::string_view Linear(size_t bytes) {
    if (bytes > size()) bytes = size();
    if (bytes == 0) return {};
    return {reinterpret_cast<const char*>(evbuffer_pullup(raw_, static_cast<ev_ssize_t>(bytes))),
            bytes};
  }
  // The pieces at the front, up to `limit` bytes; returns how many entries of `pieces` are filled.
  int Peek(std::span<evbuffer_iovec> pieces, size_t limit) const;

  // Copies the front into `into`, as much as both hold; returns how much. The bytes stay.
  size_t CopyFront(std::span<char> into) const {
    auto copied = evbuffer_copyout(raw_, into.data(), into.size());
    return copied < 0 ? 0 : static_cast<size_t>(copied);
  }
  // The same, and the bytes are gone from the front.
  size_t Take(std::span<char> into) {
    auto taken = evbuffer_remove(raw_, into.data(), into.size());
    return taken < 0 ? 0 : static_cast<size_t>(taken);
  }

  // A copy of all bytes; for tests and small texts.
  std::string ToText() const {
    std::string text(size(), '\0');
    evbuffer_copyout(raw_, text.data(), text.size());
    return text;
  }

  // Room for at least `bytes` at the end; what was written is added by Commit.
  std::span<char> Reserve(size_t bytes) {
    evbuffer_reserve_space(raw_, static_cast<ev_ssize_t>(bytes), &reserved_, 1);
    return {static_cast<char*>(reserved_.iov_base), reserved_.iov_len};
  }
  void Commit(size_t bytes) {
    reserved_.iov_len = bytes;
    evbuffer_commit_space(raw_, &reserved_, 1);
  }

  evbuffer* raw() { return raw_; }

 private:
  evbuffer* raw_;
  evbuffer_iovec reserved_{};
};

}  // namespace genkan
