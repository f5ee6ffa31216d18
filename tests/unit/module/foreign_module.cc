// A module of another genkan: its tag differs, and it would show if any of it ran.
#include <cstdlib>

namespace {
struct Traitor {
  Traitor() { setenv("GENKAN_TEST_FOREIGN_MODULE_RAN", "1", 1); }
};
const Traitor kTraitor;
}  // namespace

extern "C" {
extern const char genkan_module_abi[];
const char genkan_module_abi[] = "genkan-module-abi: sdk-0123456789abcdef gcc-4 abi-1002 cxx11-0";
extern const void* const genkan_module_entry;
const void* const genkan_module_entry = nullptr;
}
