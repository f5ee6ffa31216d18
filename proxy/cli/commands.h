// The subcommands: one function a file, each adds its flags to the program's parser and what to do
// when it was chosen. Main thread.
#pragma once

namespace CLI {
class App;
}

namespace genkan::cli {

// Exit codes (they are stable): a finding, cannot, wrong usage.
inline constexpr int kExitGood = 0, kExitFinding = 1, kExitCannot = 2, kExitUsage = 64;

// `exit_code` is set when the subcommand has run; it outlives the parsing.
void AddRun(CLI::App& app, int& exit_code);
void AddDemo(CLI::App& app, int& exit_code);
void AddPreflight(CLI::App& app, int& exit_code);
void AddCheck(CLI::App& app, int& exit_code);
void AddDoctor(CLI::App& app, int& exit_code);
void AddStatus(CLI::App& app, int& exit_code);
void AddReload(CLI::App& app, int& exit_code);
void AddStop(CLI::App& app, int& exit_code);
void AddDrill(CLI::App& app, int& exit_code);
void AddModules(CLI::App& app, int& exit_code);

}  // namespace genkan::cli
