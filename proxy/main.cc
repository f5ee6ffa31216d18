// genkan's command line: picks the subcommand; cli/ has one file for each.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "proxy/cli/commands.h"
#include "proxy/control/version.h"

namespace {

int Run(int argc, char** argv) {
  CLI::App app{"genkan: a TLS-terminating reverse proxy with modules", "genkan"};
  app.set_version_flag("--version", "genkan " + std::string(genkan::control::Version()));
  app.require_subcommand(1);
  app.footer("Example: genkan run -c /etc/genkan/genkan.toml\n`genkan COMMAND --help` says more.");
  int exit_code = genkan::cli::kExitGood;
  genkan::cli::AddRun(app, exit_code);
  genkan::cli::AddDemo(app, exit_code);
  genkan::cli::AddCheck(app, exit_code);
  genkan::cli::AddStatus(app, exit_code);
  genkan::cli::AddReload(app, exit_code);
  genkan::cli::AddStop(app, exit_code);
  genkan::cli::AddModules(app, exit_code);
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
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "genkan: %s\n", error.what());
    return genkan::cli::kExitCannot;
  }
}
