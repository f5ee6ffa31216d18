// Where genkan keeps what it must remember when nobody says so. Pure.
#pragma once

#include <string>

#include "proxy/config/config.h"
#include "proxy/config/value.h"

namespace genkan::config {

// What the configuration says; otherwise /var/lib/genkan for root, and for others $STATE_DIRECTORY
// (systemd, its first folder), $XDG_STATE_HOME/genkan, ~/.local/state/genkan.
std::string StateDir(const Config& config, bool is_root, const Environment& environment);

}  // namespace genkan::config
