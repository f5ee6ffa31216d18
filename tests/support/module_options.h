// A module's table from TOML text, for tests of modules.
#pragma once

#include <memory>
#include <string>

#include "proxy/config/reader.h"

namespace genkan::testing {

// `keys`: the lines below [module.m]. Null where they are no TOML; the test then fails at the
// module's defaults.
inline std::shared_ptr<const ModuleTable> ModuleOptions(const std::string& keys) {
  auto config = config::ReadConfigText("[module.m]\nuse = \"m\"\n" + keys + "\n", "test.toml");
  return config ? config->modules.at(0).options : nullptr;
}

}  // namespace genkan::testing
