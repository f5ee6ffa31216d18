// genkan modules: what is built in, and what loadable modules must have been built against.
#include <cstdio>
#include <memory>

#include "CLI/CLI.hpp"
#include "proxy/cli/commands.h"
#include "proxy/module/builtin.h"

namespace genkan::cli {
namespace {

// How a module may be used, from the hooks that it has.
const char* KindOf(const ModuleEntry& entry) {
  auto module = entry.make();
  return module->hooks() != 0 ? "exchange filter" : "certificate watcher";
}

int ListModules(bool only_abi) {
  if (only_abi) {
    std::printf("%s\n", SdkAbiTag());
    return kExitGood;
  }
  for (const ModuleEntry* entry : BuiltinModules())
    std::printf("%-20s %s, built in\n", entry->name, KindOf(*entry));
  return kExitGood;
}

}  // namespace

void AddModules(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("modules", "The modules that are built in");
  auto only_abi = std::make_shared<bool>(false);
  command->add_flag("--abi", *only_abi, "What a module for load_modules must be built against");
  command->footer("Example: genkan modules --abi");
  command->callback([only_abi, &exit_code] { exit_code = ListModules(*only_abi); });
}

}  // namespace genkan::cli
