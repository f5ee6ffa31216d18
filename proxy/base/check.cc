#include "proxy/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace genkan {

void CheckFailed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, expression);
  std::abort();
}

}  // namespace genkan
