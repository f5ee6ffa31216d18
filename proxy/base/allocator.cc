#include "proxy/base/allocator.h"

#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace genkan {
namespace {

constexpr size_t kStep = 16;  // glibc's own
constexpr size_t kLargest = 8 * 1024;
constexpr size_t kMostKept = 256 * 1024;  // where a thread says nothing else

// A free block's first bytes.
struct Block {
  Block* next;
};

// Plain data, so that it can be used until the last destructor of the thread has run.
struct Lists {
  std::array<Block*, kLargest / kStep + 1> heads;
  size_t kept;
  size_t least;  // that were kept since the last TrimBlocks
  size_t most;
  bool is_over;     // the thread ends: nothing is kept any more
  bool is_watched;  // its end is ours to hear of
};
thread_local constinit Lists lists{{}, 0, 0, kMostKept, false, false};

struct Emptier {
  ~Emptier() {
    lists.is_over = true;
    for (Block*& head : lists.heads) {
      while (head != nullptr) {
        Block* next = head->next;
        std::free(head);
        head = next;
      }
    }
  }
};
thread_local Emptier emptier;

// A block of this size serves requests up to it: glibc gives sizes of 16 n + 8.
constexpr size_t ClassOf(size_t usable) { return usable / kStep; }
constexpr size_t ClassFor(size_t bytes) { return bytes <= 8 ? 1 : (bytes - 8 + kStep - 1) / kStep; }

}  // namespace

void TuneAllocator() {
  constexpr int kMebibyte = 1024 * 1024;
  mallopt(M_MMAP_THRESHOLD, kMebibyte);
  mallopt(M_TRIM_THRESHOLD, 4 * kMebibyte);
  mallopt(M_TOP_PAD, 256 * 1024);
}

void GiveBackFreed() { malloc_trim(0); }

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

void* TakeBlock(size_t bytes) { return std::malloc(bytes); }
void* ResizeBlock(void* block, size_t bytes) { return std::realloc(block, bytes); }
void GiveBlock(void* block) { std::free(block); }
void GiveBlock(void* block, size_t) { std::free(block); }
void KeepAtMost(size_t) {}
void TrimBlocks() {}

#else

namespace {

// With the first block of a thread.
[[gnu::noinline]] void Watch() {
  [[maybe_unused]] Emptier* touched = &emptier;
  lists.is_watched = true;
}

inline void Keep(void* pointer, size_t size_class) {
  if (!lists.is_watched) Watch();
  auto* block = static_cast<Block*>(pointer);
  block->next = lists.heads[size_class];
  lists.heads[size_class] = block;
  lists.kept += size_class * kStep + 8;
}

}  // namespace

void* TakeBlock(size_t bytes) {
  size_t size_class = ClassFor(bytes);
  if (size_class < lists.heads.size()) {
    if (Block* block = lists.heads[size_class]; block != nullptr) {
      lists.heads[size_class] = block->next;
      lists.kept -= size_class * kStep + 8;
      if (lists.kept < lists.least) lists.least = lists.kept;
      return block;
    }
  }
  return std::malloc(bytes);
}

void* ResizeBlock(void* block, size_t bytes) { return std::realloc(block, bytes); }

void KeepAtMost(size_t bytes) { lists.most = bytes; }

void TrimBlocks() {
  size_t idle = lists.least > kMostKept ? lists.least - kMostKept : 0;
  for (size_t size_class = lists.heads.size(); size_class-- > 1 && idle > 0;) {
    const size_t usable = size_class * kStep + 8;
    while (lists.heads[size_class] != nullptr && idle > 0) {
      Block* block = lists.heads[size_class];
      lists.heads[size_class] = block->next;
      std::free(block);
      lists.kept -= usable;
      idle -= std::min(idle, usable);
    }
  }
  lists.least = lists.kept;
}

void GiveBlock(void* pointer) {
  if (pointer == nullptr) return;
  size_t usable = malloc_usable_size(pointer);
  size_t size_class = ClassOf(usable);
  bool fits = usable == size_class * kStep + 8 && size_class < lists.heads.size() && size_class > 0;
  if (!fits || lists.is_over || lists.kept + usable > lists.most) return std::free(pointer);
  Keep(pointer, size_class);
}

void GiveBlock(void* pointer, size_t bytes) {
  if (pointer == nullptr) return;
  size_t size_class = ClassFor(bytes);
  if (size_class >= lists.heads.size() || lists.is_over || lists.kept + bytes > lists.most)
    return std::free(pointer);
  Keep(pointer, size_class);
}

#endif

}  // namespace genkan
