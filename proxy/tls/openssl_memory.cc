#include "proxy/tls/openssl_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace genkan::tls {
namespace {

constexpr size_t kStep = 16;  // glibc's own
constexpr size_t kLargest = 8 * 1024;
constexpr size_t kMostKept = 1024 * 1024;

// A free block's first bytes.
struct Block {
  Block* next;
};

// Plain data, so that it can be used until the last destructor of the thread has run.
struct Lists {
  std::array<Block*, kLargest / kStep + 1> heads;
  size_t kept;
  bool is_over;  // the thread ends: nothing is kept any more
};
thread_local constinit Lists lists{};

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

void* Allocate(size_t bytes, const char*, int) {
  if (bytes == 0) return nullptr;
  size_t size_class = ClassFor(bytes);
  if (size_class < lists.heads.size()) {
    if (Block* block = lists.heads[size_class]; block != nullptr) {
      lists.heads[size_class] = block->next;
      lists.kept -= size_class * kStep + 8;
      return block;
    }
  }
  return std::malloc(bytes);
}

void Free(void* pointer, const char*, int) {
  if (pointer == nullptr) return;
  size_t usable = malloc_usable_size(pointer);
  size_t size_class = ClassOf(usable);
  bool fits = usable == size_class * kStep + 8 && size_class < lists.heads.size() && size_class > 0;
  if (!fits || lists.is_over || lists.kept + usable > kMostKept) return std::free(pointer);
  // The first of a thread: its end is ours to hear of.
  [[maybe_unused]] Emptier* touched = &emptier;
  auto* block = static_cast<Block*>(pointer);
  block->next = lists.heads[size_class];
  lists.heads[size_class] = block;
  lists.kept += usable;
}

void* Reallocate(void* pointer, size_t bytes, const char* file, int line) {
  if (pointer == nullptr) return Allocate(bytes, file, line);
  if (bytes == 0) {
    Free(pointer, file, line);
    return nullptr;
  }
  return std::realloc(pointer, bytes);
}

}  // namespace

void KeepOpensslBlocks() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CRYPTO_set_mem_functions(&Allocate, &Reallocate, &Free);
#endif
}

}  // namespace genkan::tls
