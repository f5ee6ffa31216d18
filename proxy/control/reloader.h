// The configuration as it is written now, as a snapshot: read, checked, its modules loaded and
// configured. All or nothing. Control thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/validate.h"
#include "proxy/server/snapshot.h"

namespace genkan::control {

using ConfigLoader =
    std::function<config::OrErrors<config::Checked>(const std::vector<std::string_view>& modules)>;

struct Loaded {
  server::SnapshotPtr snapshot;
  std::vector<std::string> warnings;
};

// What is left of the configuration that was read. Who runs it goes by the snapshot's own sites.
enum class KeepConfig { kAll, kWithoutSites };

// The errors are lines with their positions. `before` may be null: see BuildSnapshot.
config::OrErrors<Loaded> LoadSnapshot(const ConfigLoader& load, const server::Snapshot* before,
                                      KeepConfig keep = KeepConfig::kWithoutSites);
// The same of a configuration that has been read.
config::OrErrors<Loaded> LoadSnapshot(config::Checked checked, const server::Snapshot* before,
                                      KeepConfig keep = KeepConfig::kWithoutSites);

std::vector<std::string_view> BuiltinModuleNames();
const ModuleEntry* FindBuiltinModule(std::string_view name);

// What differs between two configurations but is taken only at a start: one line each.
std::vector<std::string> NeedRestart(const config::Config& before, const config::Config& now);

}  // namespace genkan::control
