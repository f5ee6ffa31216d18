// genkan.toml as structs: one small reader a table, each key one line. Says all that is wrong, not
// only the first thing. Any thread; blocks on the file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/config/config.h"
#include "proxy/config/problem.h"
#include "proxy/config/value.h"

namespace genkan::config {

// The errors are lines, "genkan.toml:12:3: unknown key \"upstrem\" in [[site]]; did you mean
// \"upstream\"?".
template <class T>
using OrErrors = tl::expected<T, std::vector<std::string>>;

// The process's environment variables.
const Environment& ProcessEnvironment();

// What was read, and what was wrong with it: where a value was, the default stands.
struct Reading {
  Config config;
  std::vector<Problem> problems;
  bool is_readable = true;  // false: not even TOML
  // The path of every key that was looked for, there or not; a test holds conf/genkan.toml against
  // them.
  std::vector<std::string> known_keys;
};
Reading Read(std::string_view text, const std::string& file,
             const Environment& environment = ProcessEnvironment());

// Syntax, keys, types and variables alone. config/validate.h has LoadConfigFile, which also holds
// the values together.
OrErrors<Config> ReadConfigText(std::string_view text, const std::string& file,
                                const Environment& environment = ProcessEnvironment());
OrErrors<Config> ReadConfigFile(const std::string& path);

// At most 16 MiB.
Result<std::string> ReadText(const std::string& path);

}  // namespace genkan::config
