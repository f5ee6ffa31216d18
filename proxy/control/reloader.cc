#include "proxy/control/reloader.h"

#include "proxy/module/builtin.h"
#include "proxy/module/loader.h"

namespace genkan::control {

std::vector<std::string_view> BuiltinModuleNames() {
  std::vector<std::string_view> names;
  for (const ModuleEntry* entry : BuiltinModules()) names.emplace_back(entry->name);
  return names;
}

const ModuleEntry* FindBuiltinModule(std::string_view name) {
  for (const ModuleEntry* entry : BuiltinModules()) {
    if (name == entry->name) return entry;
  }
  return nullptr;
}

config::OrErrors<Loaded> LoadSnapshot(const ConfigLoader& load, const server::Snapshot* before,
                                      KeepConfig keep) {
  auto checked = load(BuiltinModuleNames());
  if (!checked) return tl::unexpected<std::vector<std::string>>(checked.error());
  return LoadSnapshot(*std::move(checked), before, keep);
}

config::OrErrors<Loaded> LoadSnapshot(config::Checked checked, const server::Snapshot* before,
                                      KeepConfig keep) {
  std::vector<std::string> errors;
  std::vector<const ModuleEntry*> loaded;
  const std::vector<std::string>& paths = checked.config.load_modules;
  for (size_t i = 0; i < paths.size(); ++i) {
    auto entry = LoadModule(paths[i]);
    if (entry) {
      loaded.push_back(*entry);
      continue;
    }
    auto at = checked.config.origins.Find(fmt::format("load_modules[{}]", i)).ToString();
    errors.push_back(at.empty() ? entry.error().detail : at + ": " + entry.error().detail);
  }
  if (!errors.empty()) return tl::unexpected<std::vector<std::string>>(std::move(errors));
  auto find_module = [&](std::string_view name) -> const ModuleEntry* {
    for (const ModuleEntry* entry : loaded) {
      if (name == entry->name) return entry;
    }
    return FindBuiltinModule(name);
  };
  auto config = std::make_shared<config::Config>(std::move(checked.config));
  auto snapshot = server::BuildSnapshot(config, find_module, before);
  if (!snapshot) return tl::unexpected<std::vector<std::string>>(snapshot.error());
  // The snapshot has its own sites, and nobody asks for positions any more: MBs of thousands.
  if (keep == KeepConfig::kWithoutSites) {
    config->sites = {};
    config->origins = {};
  }
  return Loaded{*std::move(snapshot), std::move(checked.warnings)};
}

std::vector<std::string> NeedRestart(const config::Config& before, const config::Config& now) {
  std::vector<std::string> keys;
  if (before.user != now.user) keys.emplace_back("user");
  if (before.state_dir != now.state_dir || before.has_state_dir != now.has_state_dir)
    keys.emplace_back("state_dir");
  return keys;
}

}  // namespace genkan::control
