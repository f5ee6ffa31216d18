// GENKAN_CHECK(x) is for what our own code promises; never for what a peer or an operator sent.
#pragma once

namespace genkan {
[[noreturn]] void CheckFailed(const char* expression, const char* file, int line);
}  // namespace genkan

#define GENKAN_CHECK(expression)   \
  ((expression) ? static_cast<void>(0) \
                : ::genkan::CheckFailed(#expression, __FILE__, __LINE__))
