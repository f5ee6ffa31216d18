// A hash that nobody outside can foresee: SipHash-2-4 under a key of the machine's randomness. For
// tables whose keys strangers choose, and for remembering a secret without keeping it. A value; any
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace genkan {

// Bytes of the machine's randomness.
void FillRandom(std::span<unsigned char> bytes);

class KeyedHash {
 public:
  using Wide = std::array<uint64_t, 2>;

  // A key of its own: another process, another hash.
  KeyedHash();
  explicit KeyedHash(const std::array<uint64_t, 2>& key) : key_(key) {}

  uint64_t operator()(std::string_view bytes) const;
  // 128 bits: equal only where the bytes are.
  Wide Hash128(std::string_view bytes) const;

 private:
  std::array<uint64_t, 2> key_;
};

}  // namespace genkan
