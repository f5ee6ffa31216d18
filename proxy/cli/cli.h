// What the subcommands share: which configuration and which admin socket are meant, and one request
// to it. Main thread; blocks.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/module/api.h"

namespace genkan::cli {

// The flag's value, else $GENKAN_CONFIG, else /etc/genkan/genkan.toml.
std::string ConfigPath(const std::string& flag);
inline constexpr const char* kDefaultConfig = "/etc/genkan/genkan.toml";

// Nothing where it is not set or empty.
std::optional<std::string> FromEnvironment(const char* name);
// "a, b c" -> a, b, c
std::vector<std::string> SplitList(std::string_view text);

// Where the running proxy's admin is: `socket` if given, else the first of [admin] listen of the
// configuration, else the default. "unix:/path" or "host:port".
struct AdminChoice {
  std::string socket;       // --socket
  std::string config_flag;  // -c
};
Result<std::string> AdminAddress(const AdminChoice& choice);

// One request. An error says what to do about it.
Result<FetchResponse> AskAdmin(const std::string& address, const std::string& method,
                               const std::string& target);

// "genkan: …" on stderr; returns kExitCannot.
int Cannot(const std::string& why);
// The answer to POST /reload, /stop: errors one a line; the exit code.
int ReportAnswer(const FetchResponse& response, std::string_view done);

}  // namespace genkan::cli
