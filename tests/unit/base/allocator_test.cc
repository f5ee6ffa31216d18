#include "proxy/base/allocator.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstring>
#include <thread>
#include <vector>

namespace genkan {
namespace {

void UseBlocks() {
  unsigned seed = 1;
  auto random = [&seed](unsigned below) {
    return (seed = seed * 1664525 + 1013904223) / 65536 % below;
  };
  std::vector<std::pair<unsigned char*, size_t>> blocks;
  for (int i = 0; i < 200'000; ++i) {
    if (blocks.size() < 300 && random(2) == 0) {
      size_t size = 1 + random(random(4) == 0 ? 20'000 : 1'200);
      auto* block = static_cast<unsigned char*>(TakeBlock(size));
      std::memset(block, static_cast<int>(size % 251), size);
      blocks.emplace_back(block, size);
    } else if (!blocks.empty()) {
      size_t at = random(static_cast<unsigned>(blocks.size()));
      auto& [block, size] = blocks[at];
      if (random(8) == 0) {
        size_t larger = size + random(3'000);
        block = static_cast<unsigned char*>(ResizeBlock(block, larger));
        std::memset(block + size, static_cast<int>(size % 251), larger - size);
        ASSERT_EQ(block[0], size % 251);
        std::memset(block, static_cast<int>(larger % 251), larger);
        size = larger;
        continue;
      }
      for (size_t byte : {size_t{0}, size / 2, size - 1}) {
        ASSERT_EQ(block[byte], size % 251) << byte << " of " << size;
      }
      GiveBlock(block);
      blocks[at] = blocks.back();
      blocks.pop_back();
    }
  }
  for (auto& [block, size] : blocks) GiveBlock(block);
}

TEST(Allocator, BlocksAreNobodyElses) { UseBlocks(); }

TEST(Allocator, OneThreadFreesWhatAnotherTook) {
  void* shared = TakeBlock(100);
  std::thread([shared] {
    GiveBlock(shared);
    UseBlocks();
    GiveBlock(TakeBlock(4'000));
  }).join();
  UseBlocks();
}

TEST(Allocator, WhatAThreadOnlyFreesGoesBack) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  std::vector<void*> taken;
  for (int i = 0; i < 1'000; ++i) taken.push_back(TakeBlock(1'000));
  std::thread([&taken] {
    KeepAtMost(4 * 1024 * 1024);
    for (void* block : taken) GiveBlock(block, 1'000);
    // Of the main thread's heap, where they came from.
    auto in_use = [] { return mallinfo2().uordblks; };
    TrimBlocks();  // from here on it is known what is not needed
    const size_t before = in_use();
    TrimBlocks();
    const size_t after = in_use();
    EXPECT_GT(before, after + 600'000);
    // A quarter of a MiB stays.
    TrimBlocks();
    EXPECT_GT(in_use() + 10'000, after);
  }).join();
#endif
}

TEST(Allocator, AFreedBlockServesTheNextOfItsSize) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  void* first = TakeBlock(5'000);
  GiveBlock(first);
  void* second = TakeBlock(5'000);
  EXPECT_EQ(second, first);
  GiveBlock(second);
#endif
  GiveBlock(nullptr);
}

}  // namespace
}  // namespace genkan
