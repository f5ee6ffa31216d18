// genkan's command line: picks the subcommand; cli/ has one file for each.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/allocator.h"
#include "proxy/base/text.h"
#include "proxy/cli/commands.h"
#include "proxy/control/version.h"
#include "proxy/event/event_memory.h"
#include "proxy/tls/openssl_memory.h"

namespace {

std::vector<std::string> CommandNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

int UnknownCommand(const std::vector<std::string>& names, std::string_view word) {
  std::vector<std::string_view> known(names.begin(), names.end());
  std::string_view nearest = genkan::NearestWord(word, known);
  std::string hint = nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?";
  std::fprintf(stderr, "genkan: there is no command \"%s\"%s\nRun `genkan --help` for a list.\n",
               genkan::EscapeControl(word).c_str(), hint.c_str());
  return genkan::cli::kExitUsage;
}

int Run(int argc, char** argv) {
  CLI::App app{"genkan: a TLS-terminating reverse proxy with modules", "genkan"};
  app.set_version_flag("--version", "genkan " + std::string(genkan::control::Version()));
  app.require_subcommand(1);
  app.footer("Example: genkan run -c /etc/genkan/genkan.toml\n`genkan COMMAND --help` says more.");
  int exit_code = genkan::cli::kExitGood;
  genkan::cli::AddRun(app, exit_code);
  genkan::cli::AddDemo(app, exit_code);
  genkan::cli::AddCheck(app, exit_code);
  genkan::cli::AddPreflight(app, exit_code);
  genkan::cli::AddDoctor(app, exit_code);
  genkan::cli::AddStatus(app, exit_code);
  genkan::cli::AddReload(app, exit_code);
  genkan::cli::AddStop(app, exit_code);
  genkan::cli::AddDrill(app, exit_code);
  genkan::cli::AddModules(app, exit_code);
  // CLI11 says only that a subcommand is missing.
  std::vector<std::string> names = CommandNames(app);
  if (argc > 1 && argv[1][0] != '-' && std::find(names.begin(), names.end(), argv[1]) == names.end())
    return UnknownCommand(names, argv[1]);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version are "errors" that succeed.
    return app.exit(error) == 0 ? genkan::cli::kExitGood : genkan::cli::kExitUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  genkan::TuneAllocator();
  genkan::tls::KeepOpensslBlocks();
  genkan::event::KeepEventBlocks();
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "genkan: %s\n", error.what());
    return genkan::cli::kExitCannot;
  }
}
