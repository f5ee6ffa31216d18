// What a process hands over of barred leaves, with anything in it: refused, or written again as it
// was read.
#include "proxy/control/barred_leaves.h"

#include "proxy/base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace genkan::control;
  const auto read = ParseBarred({reinterpret_cast<const char*>(data), size});
  if (!read) return 0;
  const auto again = ParseBarred(PackBarred(*read));
  GENKAN_CHECK(again && *again == *read);
  for (const auto& [sha256, until] : *read) GENKAN_CHECK(sha256.size() == 32);
  return 0;
}
