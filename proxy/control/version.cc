#include "proxy/control/version.h"

namespace genkan::control {

std::string_view Version() { return GENKAN_VERSION; }

}  // namespace genkan::control
