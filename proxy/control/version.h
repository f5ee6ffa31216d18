// Which genkan this is. Any thread.
#pragma once

#include <string_view>

namespace genkan::control {

// "0.1.0"
std::string_view Version();

}  // namespace genkan::control
