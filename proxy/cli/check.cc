// genkan check: configuration and certificates as a client would see them.
#include "proxy/control/check.h"

#include <unistd.h>

#include <cstdio>
#include <memory>

#include "CLI/CLI.hpp"
#include "proxy/cli/commands.h"
#include "proxy/cli/config_choice.h"
#include "proxy/config/reader.h"
#include "proxy/config/state_dir.h"

namespace genkan::cli {
namespace {

struct Flags {
  ConfigFlags config;
  bool is_json = false;
};

int ExitCodeOf(const control::CheckReport& report) {
  switch (report.worst()) {
    case control::Severity::kNote:
      return kExitGood;
    case control::Severity::kWillBreak:
      return kExitFinding;
    case control::Severity::kBroken:
      return kExitCannot;
  }
  return kExitCannot;
}

void Print(const std::string& text, std::FILE* to) { std::fwrite(text.data(), 1, text.size(), to); }

int RunCheck(const CLI::App& command, Flags& flags) {
  auto load = ChooseConfig(command, flags.config);
  if (!load) return Usage(command, load.error().detail);
  // With modules loaded and configured, so that their options are looked at too.
  auto loaded = control::LoadSnapshot(*load, nullptr, control::KeepConfig::kAll);
  if (!loaded) {
    // As `genkan run` says it, for people and for editors that jump to file:line:column.
    for (const std::string& error : loaded.error()) {
      if (!flags.is_json) Print(error + "\n", stderr);
    }
    const control::CheckReport report = control::ReportOf(loaded.error());
    if (flags.is_json) Print(control::CheckJson(report), stdout);
    return ExitCodeOf(report);
  }
  const WallTime now = SystemClock().Wall();
  const auto files = control::MakeDirectFileAccess();
  const config::Config& config = *loaded->snapshot->config;
  control::CheckReport report = control::CheckCertificates(
      config, *files, now, config::StateDir(config, geteuid() == 0, config::ProcessEnvironment()));
  control::AddWarnings(report, loaded->warnings);
  Print(flags.is_json ? control::CheckJson(report) : control::CheckText(report, now), stdout);
  return ExitCodeOf(report);
}

}  // namespace

void AddCheck(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("check", "Configuration and certificates as a client would see them");
  auto flags = std::make_shared<Flags>();
  AddConfigFlags(*command, flags->config);
  command->add_flag("--json", flags->is_json, "For programs, schema 1");
  command->footer(
      "Exit code: 0 good, 1 will break, 2 broken.\n"
      "Example: genkan check -c /etc/genkan/genkan.toml\n"
      "         genkan check --cert /etc/letsencrypt/live/example.com --upstream "
      "http://127.0.0.1:8080");
  command->callback([command, flags, &exit_code] { exit_code = RunCheck(*command, *flags); });
}

}  // namespace genkan::cli
