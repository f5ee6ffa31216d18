// genkan stop: the running proxy drains and ends.
#include <memory>

#include "CLI/CLI.hpp"
#include "proxy/cli/cli.h"
#include "proxy/cli/commands.h"

namespace genkan::cli {
namespace {

struct Flags {
  AdminChoice admin;
  bool now = false;
};

int Stop(const Flags& flags) {
  auto address = AdminAddress(flags.admin);
  if (!address) return Cannot(address.error().detail);
  auto response = AskAdmin(*address, "POST", flags.now ? "/stop?now=1" : "/stop");
  if (!response) return Cannot(response.error().detail);
  return ReportAnswer(*response, flags.now ? "stopping now" : "draining, then it stops");
}

}  // namespace

void AddStop(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("stop", "The running proxy drains and ends");
  auto flags = std::make_shared<Flags>();
  command->add_option("-c,--config", flags->admin.config_flag, "The configuration, for its socket")
      ->type_name("FILE");
  command->add_option("--socket", flags->admin.socket, "The admin socket")->type_name("PATH");
  command->add_flag("--now", flags->now, "Do not wait for requests under way");
  command->footer("Example: genkan stop --now");
  command->callback([flags, &exit_code] { exit_code = Stop(*flags); });
}

}  // namespace genkan::cli
