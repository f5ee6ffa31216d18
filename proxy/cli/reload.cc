// genkan reload: configuration and certificates are read again, now.
#include <memory>

#include "CLI/CLI.hpp"
#include "proxy/cli/cli.h"
#include "proxy/cli/commands.h"

namespace genkan::cli {
namespace {

struct Flags {
  AdminChoice admin;
  bool force = false;
};

int Reload(const Flags& flags) {
  auto address = AdminAddress(flags.admin);
  if (!address) return Cannot(address.error().detail);
  auto response = AskAdmin(*address, "POST", flags.force ? "/reload?force=1" : "/reload");
  if (!response) return Cannot(response.error().detail);
  return ReportAnswer(*response, "reloaded");
}

}  // namespace

void AddReload(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("reload", "Configuration and certificates are read again, now");
  auto flags = std::make_shared<Flags>();
  command->add_option("-c,--config", flags->admin.config_flag, "The configuration, for its socket")
      ->type_name("FILE");
  command->add_option("--socket", flags->admin.socket, "The admin socket")->type_name("PATH");
  command->add_flag("--force", flags->force,
                    "Take every certificate that parses, matches its key and is not expired");
  command->footer(
      "All or nothing: with a mistake in the file everything stays as it is.\n"
      "Example: genkan reload --force");
  command->callback([flags, &exit_code] { exit_code = Reload(*flags); });
}

}  // namespace genkan::cli
