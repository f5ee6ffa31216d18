#include "proxy/tls/openssl_memory.h"

#include <openssl/crypto.h>

#include "proxy/base/allocator.h"

namespace genkan::tls {
namespace {

void* Take(size_t bytes, const char*, int) { return bytes == 0 ? nullptr : TakeBlock(bytes); }

void* Resize(void* block, size_t bytes, const char*, int) {
  if (bytes > 0) return ResizeBlock(block, bytes);
  GiveBlock(block);
  return nullptr;
}

void Give(void* block, const char*, int) { GiveBlock(block); }

}  // namespace

void KeepOpensslBlocks() { CRYPTO_set_mem_functions(&Take, &Resize, &Give); }

}  // namespace genkan::tls
