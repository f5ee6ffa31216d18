#include "genkan_abi_tag.h"
#include "proxy/module/api.h"

namespace genkan {

const char* SdkAbiTag() { return GENKAN_ABI_TAG; }

}  // namespace genkan
