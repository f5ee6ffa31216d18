#include "proxy/tls/openssl_memory.h"

#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <cstring>
#include <thread>
#include <vector>

namespace genkan::tls {
namespace {

// OpenSSL takes such functions only before its first allocation: a process of its own.
void UseBlocks() {
  KeepOpensslBlocks();
  unsigned seed = 1;
  auto random = [&seed](unsigned below) {
    return (seed = seed * 1664525 + 1013904223) / 65536 % below;
  };
  std::vector<std::pair<unsigned char*, size_t>> blocks;
  for (int i = 0; i < 200'000; ++i) {
    if (blocks.size() < 300 && random(2) == 0) {
      size_t size = 1 + random(random(4) == 0 ? 20'000 : 1'200);
      auto* block = static_cast<unsigned char*>(OPENSSL_malloc(size));
      std::memset(block, static_cast<int>(size % 251), size);
      blocks.emplace_back(block, size);
    } else if (!blocks.empty()) {
      size_t at = random(static_cast<unsigned>(blocks.size()));
      auto& [block, size] = blocks[at];
      if (random(8) == 0) {
        size_t larger = size + random(3'000);
        block = static_cast<unsigned char*>(OPENSSL_realloc(block, larger));
        std::memset(block + size, static_cast<int>(size % 251), larger - size);
        if (block[0] != size % 251 || block[larger - 1] != size % 251) _exit(1);
        std::memset(block, static_cast<int>(larger % 251), larger);
        size = larger;
        continue;
      }
      for (size_t byte : {size_t{0}, size / 2, size - 1}) {
        if (block[byte] != size % 251) _exit(2);
      }
      OPENSSL_free(block);
      blocks[at] = blocks.back();
      blocks.pop_back();
    }
  }
  for (auto& [block, size] : blocks) OPENSSL_free(block);
}

TEST(OpensslMemory, BlocksAreNobodyElses) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        UseBlocks();
        // What one thread takes another may free, and a thread's end frees what it kept.
        void* shared = OPENSSL_malloc(100);
        std::thread([shared] {
          OPENSSL_free(shared);
          UseBlocks();
        }).join();
        _exit(0);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace genkan::tls
