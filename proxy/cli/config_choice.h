// Which configuration a command line means: a file, or the flags that stand for one, each also a
// variable. Main thread.
#pragma once

#include <string>

#include "proxy/base/result.h"
#include "proxy/config/from_flags.h"
#include "proxy/control/reloader.h"

namespace CLI {
class App;
}

namespace genkan::cli {

struct ConfigFlags {
  std::string config;
  config::RunFlags run;
};

// -c, --cert, --upstream …; `flags` outlives the parsing.
void AddConfigFlags(CLI::App& command, ConfigFlags& flags);

// After the parsing. The error is one of usage: what does not go together, what is missing.
Result<control::ConfigLoader> ChooseConfig(const CLI::App& command, ConfigFlags& flags);

// Says it on stderr; returns kExitUsage.
int Usage(const CLI::App& command, const std::string& what);

}  // namespace genkan::cli
