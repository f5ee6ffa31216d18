// genkan run: the proxy, from a file or from flags.
#include <filesystem>
#include <memory>

#include "CLI/CLI.hpp"
#include "proxy/cli/cli.h"
#include "proxy/cli/commands.h"
#include "proxy/config/from_flags.h"
#include "proxy/control/supervisor.h"

namespace genkan::cli {
namespace {

struct Flags {
  std::string config;
  config::RunFlags run;
};

int Usage(const std::string& what) {
  std::fprintf(stderr, "genkan run: %s\nRun `genkan run --help` for more.\n", what.c_str());
  return kExitUsage;
}

// A flag that was not given is read from its variable.
void ReadVariable(const CLI::App& command, const char* flag, const char* variable,
                  std::vector<std::string>& value) {
  if (command.count(flag) != 0) return;
  if (auto text = FromEnvironment(variable)) value = SplitList(*text);
}
void ReadVariable(const CLI::App& command, const char* flag, const char* variable,
                  std::string& value) {
  if (command.count(flag) != 0) return;
  if (auto text = FromEnvironment(variable)) value = *text;
}

int RunFromFile(const std::string& path) {
  control::RunOptions options;
  // A reload may come after somebody changed the working directory's meaning; the path stays what it was.
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error);
  bool is_first = true;
  options.load = [path, absolute, is_first](const std::vector<std::string_view>& modules) mutable {
    return config::LoadConfigFile(std::exchange(is_first, false) ? path : absolute, modules);
  };
  return control::Supervise(std::move(options));
}

int RunFromFlags(const config::RunFlags& flags) {
  control::RunOptions options;
  options.load = [flags](const std::vector<std::string_view>&) {
    return config::CheckConfig(config::ConfigFromFlags(flags));
  };
  return control::Supervise(std::move(options));
}

int Run(const CLI::App& command, Flags& flags) {
  bool has_file_flag = command.count("-c") != 0;
  bool has_site_flag = command.count("--cert") != 0 || command.count("--upstream") != 0;
  bool has_other_flag = command.count("--listen") != 0 || command.count("--http") != 0 ||
                        command.count("--acme-webroot") != 0 || command.count("--name") != 0;
  bool has_site_variable = FromEnvironment("GENKAN_CERT") || FromEnvironment("GENKAN_UPSTREAM");
  bool has_file_variable = FromEnvironment("GENKAN_CONFIG").has_value();
  if (has_file_flag && (has_site_flag || has_other_flag))
    return Usage("a file (-c) and --cert, --upstream and the like do not go together");
  // Flags win over variables; variables win over the file that nobody named.
  bool runs_file = has_file_flag;
  if (!has_file_flag && !has_site_flag) {
    if (has_site_variable && has_file_variable)
      return Usage("GENKAN_CONFIG and GENKAN_CERT or GENKAN_UPSTREAM do not go together");
    runs_file = !has_site_variable;
  }
  if (runs_file) {
    if (has_other_flag) return Usage("--listen, --http, --acme-webroot and --name need --cert and --upstream");
    std::string path = ConfigPath(flags.config);
    std::error_code error;
    if (!has_file_flag && !has_file_variable && !std::filesystem::exists(path, error)) {
      return Usage(fmt::format(
          "there is no {}; name a file with -c FILE, or give --cert PATH and --upstream URL", path));
    }
    return RunFromFile(path);
  }
  ReadVariable(command, "--cert", "GENKAN_CERT", flags.run.certs);
  ReadVariable(command, "--upstream", "GENKAN_UPSTREAM", flags.run.upstream);
  ReadVariable(command, "--listen", "GENKAN_LISTEN", flags.run.listen);
  ReadVariable(command, "--http", "GENKAN_HTTP", flags.run.http);
  ReadVariable(command, "--acme-webroot", "GENKAN_ACME_WEBROOT", flags.run.acme_webroot);
  ReadVariable(command, "--name", "GENKAN_NAME", flags.run.names);
  if (flags.run.certs.empty()) return Usage("--cert PATH (or GENKAN_CERT) is missing");
  if (flags.run.upstream.empty()) return Usage("--upstream URL (or GENKAN_UPSTREAM) is missing");
  return RunFromFlags(flags.run);
}

}  // namespace

void AddRun(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("run", "The proxy, from a file or from flags");
  auto flags = std::make_shared<Flags>();
  command->add_option("-c,--config", flags->config,
                      "The configuration [$GENKAN_CONFIG, /etc/genkan/genkan.toml]")
      ->type_name("FILE");
  command->add_option("--cert", flags->run.certs,
                      "Lineage directory, file or glob of a certificate [$GENKAN_CERT]")
      ->type_name("PATH");
  command->add_option("--upstream", flags->run.upstream,
                      "The server behind: http://127.0.0.1:8080 [$GENKAN_UPSTREAM]")
      ->type_name("URL");
  command->add_option("--listen", flags->run.listen, "TLS listener [$GENKAN_LISTEN, :443]")
      ->type_name("ADDR");
  command->add_option("--http", flags->run.http,
                      "Plain listener for challenges and the redirect, or off [$GENKAN_HTTP, :80]")
      ->type_name("ADDR");
  command->add_option("--acme-webroot", flags->run.acme_webroot,
                      "Where the ACME client puts its tokens [$GENKAN_ACME_WEBROOT]")
      ->type_name("DIR");
  command->add_option("--name", flags->run.names, "Names to serve; none: all [$GENKAN_NAME]")
      ->type_name("HOST");
  command->footer(
      "Variables may hold lists, by comma or space.\n"
      "Example: genkan run -c /etc/genkan/genkan.toml\n"
      "         genkan run --cert /etc/letsencrypt/live/example.com --upstream "
      "http://127.0.0.1:8080");
  command->callback([command, flags, &exit_code] { exit_code = Run(*command, *flags); });
}

}  // namespace genkan::cli
