#include "proxy/config/config.h"

namespace genkan::config {

bool ModuleInstance::operator==(const ModuleInstance& other) const {
  if (name != other.name || use != other.use) return false;
  if (options == other.options) return true;
  return options != nullptr && other.options != nullptr && options->Equals(*other.options);
}

const Upstream* Config::FindUpstream(const std::string& name) const {
  for (const Upstream& upstream : upstreams) {
    if (upstream.name == name) return &upstream;
  }
  return nullptr;
}

const ModuleInstance* Config::FindModule(const std::string& name) const {
  for (const ModuleInstance& instance : modules) {
    if (instance.name == name) return &instance;
  }
  return nullptr;
}

}  // namespace genkan::config
