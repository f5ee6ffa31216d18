#include "proxy/config/state_dir.h"

namespace genkan::config {

std::string StateDir(const Config& config, bool is_root, const Environment& environment) {
  if (config.has_state_dir || is_root) return config.state_dir;
  // Relative values are to be ignored (XDG Base Directory Specification); so are empty ones.
  auto absolute = [&](const char* name) {
    std::string value = environment(name).value_or("");
    return value.starts_with('/') ? value : std::string();
  };
  std::string folder = absolute("STATE_DIRECTORY");
  folder = folder.substr(0, folder.find(':'));  // one for each StateDirectory= of the unit
  if (!folder.empty()) return folder;
  folder = absolute("XDG_STATE_HOME");
  if (!folder.empty()) return folder + "/genkan";
  folder = absolute("HOME");
  if (!folder.empty()) return folder + "/.local/state/genkan";
  return config.state_dir;
}

}  // namespace genkan::config
