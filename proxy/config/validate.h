// Holds the values of a configuration against each other: names, addresses, words, limits. Looks at
// no file but the configuration's own and its ari_file: what certificates are worth is for who reads
// them. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/config/problem.h"
#include "proxy/config/reader.h"

namespace genkan::config {

struct Findings {
  std::vector<Problem> errors, warnings;
};

// `modules`: the names of all modules; empty: references to modules are not checked (building the
// snapshot does), and neither are they where load_modules may bring more.
Findings Validate(const Config& config, const std::vector<std::string_view>& modules = {});

struct Checked {
  Config config;
  std::vector<std::string> warnings;
};

// Reading and Validate in one: every error there is, in the order of the file.
OrErrors<Checked> LoadConfigText(std::string_view text, const std::string& file,
                                 const std::vector<std::string_view>& modules = {},
                                 const Environment& environment = ProcessEnvironment());
OrErrors<Checked> LoadConfigFile(const std::string& path,
                                 const std::vector<std::string_view>& modules = {});
// For a configuration that was not read (from_flags.h).
OrErrors<Checked> CheckConfig(Config config);

}  // namespace genkan::config
