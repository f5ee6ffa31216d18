#include "proxy/base/allocator.h"

#include <malloc.h>

namespace genkan {

void TuneAllocator() {
  constexpr int kMebibyte = 1024 * 1024;
  mallopt(M_MMAP_THRESHOLD, kMebibyte);
  mallopt(M_TRIM_THRESHOLD, 4 * kMebibyte);
  mallopt(M_TOP_PAD, 256 * 1024);
}

}  // namespace genkan
