// The status as one HTML page without external resources. Pure.
#pragma once

#include <string>
#include <string_view>

#include "proxy/control/status.h"

namespace genkan::control {

std::string StatusPage(const RunStatus& status);
// What the page's script gets once a second, as one line of JSON: {"html": …, "requests": …,
// "bytes": …}.
std::string StatusEvent(const RunStatus& status);

std::string EscapeHtml(std::string_view text);

}  // namespace genkan::control
