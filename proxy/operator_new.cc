// The program's new and delete, from our lists of blocks: a request makes and frees a few dozen
// small objects, and glibc searches, splits and joins for them. Every block is one of malloc's, so
// that a module with an operator of its own, or none, may free what it gets. In the program alone:
// tests and sanitizers see the library's.
#include <cstdlib>
#include <new>

#include "proxy/base/allocator.h"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

void* operator new(std::size_t bytes) {
  while (true) {
    if (void* block = genkan::TakeBlock(bytes > 0 ? bytes : 1); block != nullptr) return block;
    std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

void operator delete(void* block) noexcept { genkan::GiveBlock(block); }
void operator delete(void* block, std::size_t bytes) noexcept { genkan::GiveBlock(block, bytes); }

#endif
