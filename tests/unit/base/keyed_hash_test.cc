#include "proxy/base/keyed_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "proxy/base/text.h"

namespace genkan {
namespace {

// The key and inputs of the reference: 00 01 02 … 0f, and 00 01 02 … of each length.
const KeyedHash kReference({0x0706050403020100, 0x0f0e0d0c0b0a0908});

std::string Counting(size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(i);
  return bytes;
}

template <class Words>
std::string Hex(const Words& words) {
  return HexEncode({reinterpret_cast<const unsigned char*>(&words), sizeof(words)});
}

// Checked against `openssl mac -macopt size:8 SIPHASH`, and size:16.
TEST(KeyedHash, IsSipHash24) {
  EXPECT_EQ(Hex(kReference(Counting(0))), "310e0edd47db6f72");
  EXPECT_EQ(Hex(kReference(Counting(15))), "e545be4961ca29a1");
  EXPECT_EQ(Hex(kReference.Hash128(Counting(0))), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(Hex(kReference.Hash128(Counting(15))), "5493e99933b0a8117e08ec0f97cfc3d9");
}

TEST(KeyedHash, AnotherKeyIsAnotherHash) {
  EXPECT_NE(KeyedHash()("a"), KeyedHash()("a"));
  KeyedHash hash;
  EXPECT_EQ(hash("a"), hash("a"));
  EXPECT_NE(hash.Hash128("a"), hash.Hash128(std::string_view("a\0", 2)));
}

TEST(KeyedHash, RandomBytesDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    std::array<unsigned char, 16> bytes{};
    FillRandom(bytes);
    seen.insert(HexEncode(bytes));
  }
  EXPECT_EQ(seen.size(), 100u);
}

}  // namespace
}  // namespace genkan
