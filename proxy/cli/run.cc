// genkan run: the proxy, from a file or from flags.
#include <memory>

#include "CLI/CLI.hpp"
#include "proxy/cli/commands.h"
#include "proxy/cli/config_choice.h"
#include "proxy/control/supervisor.h"

namespace genkan::cli {
namespace {

int Run(const CLI::App& command, ConfigFlags& flags) {
  auto load = ChooseConfig(command, flags);
  if (!load) return Usage(command, load.error().detail);
  control::RunOptions options;
  options.load = *std::move(load);
  return control::Supervise(std::move(options));
}

}  // namespace

void AddRun(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("run", "The proxy, from a file or from flags");
  auto flags = std::make_shared<ConfigFlags>();
  AddConfigFlags(*command, *flags);
  command->footer(
      "Variables may hold lists, by comma or space.\n"
      "Example: genkan run -c /etc/genkan/genkan.toml\n"
      "         genkan run --cert /etc/letsencrypt/live/example.com --upstream "
      "http://127.0.0.1:8080");
  command->callback([command, flags, &exit_code] { exit_code = Run(*command, *flags); });
}

}  // namespace genkan::cli
