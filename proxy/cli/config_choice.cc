#include "proxy/cli/config_choice.h"

#include <cstdio>
#include <filesystem>
#include <utility>

#include "CLI/CLI.hpp"
#include "proxy/cli/cli.h"
#include "proxy/cli/commands.h"

namespace genkan::cli {
namespace {

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

control::ConfigLoader FileLoader(const std::string& path) {
  // A reload may come after somebody changed the working directory's meaning; the path stays what
  // it was.
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error);
  bool is_first = true;
  return [path, absolute, is_first](const std::vector<std::string_view>& modules) mutable {
    return config::LoadConfigFile(std::exchange(is_first, false) ? path : absolute, modules);
  };
}

}  // namespace

void AddConfigFlags(CLI::App& command, ConfigFlags& flags) {
  command
      .add_option("-c,--config", flags.config,
                  "The configuration [$GENKAN_CONFIG, /etc/genkan/genkan.toml]")
      ->type_name("FILE");
  command
      .add_option("--cert", flags.run.certs,
                  "Lineage directory, file or glob of a certificate [$GENKAN_CERT]")
      ->type_name("PATH");
  command
      .add_option("--upstream", flags.run.upstream,
                  "The server behind: http://127.0.0.1:8080 [$GENKAN_UPSTREAM]")
      ->type_name("URL");
  command.add_option("--listen", flags.run.listen, "TLS listener [$GENKAN_LISTEN, :443]")
      ->type_name("ADDR");
  command
      .add_option("--http", flags.run.http,
                  "Plain listener for challenges and the redirect, or off [$GENKAN_HTTP, :80]")
      ->type_name("ADDR");
  command
      .add_option("--acme-webroot", flags.run.acme_webroot,
                  "Where the ACME client puts its tokens [$GENKAN_ACME_WEBROOT]")
      ->type_name("DIR");
  command.add_option("--name", flags.run.names, "Names to serve; none: all [$GENKAN_NAME]")
      ->type_name("HOST");
}

Result<control::ConfigLoader> ChooseConfig(const CLI::App& command, ConfigFlags& flags) {
  const bool has_file_flag = command.count("-c") != 0;
  const bool has_site_flag = command.count("--cert") != 0 || command.count("--upstream") != 0;
  const bool has_other_flag = command.count("--listen") != 0 || command.count("--http") != 0 ||
                              command.count("--acme-webroot") != 0 || command.count("--name") != 0;
  const bool has_site_variable =
      FromEnvironment("GENKAN_CERT") || FromEnvironment("GENKAN_UPSTREAM");
  const bool has_file_variable = FromEnvironment("GENKAN_CONFIG").has_value();
  if (has_file_flag && (has_site_flag || has_other_flag)) {
    return Fail(ErrorCode::kInvalid,
                "a file (-c) and --cert, --upstream and the like do not go together");
  }
  // Flags win over variables; variables win over the file that nobody named.
  bool is_file = has_file_flag;
  if (!has_file_flag && !has_site_flag) {
    if (has_site_variable && has_file_variable) {
      return Fail(ErrorCode::kInvalid,
                  "GENKAN_CONFIG and GENKAN_CERT or GENKAN_UPSTREAM do not go together");
    }
    is_file = !has_site_variable;
  }
  if (is_file) {
    if (has_other_flag) {
      return Fail(ErrorCode::kInvalid,
                  "--listen, --http, --acme-webroot and --name need --cert and --upstream");
    }
    std::string path = ConfigPath(flags.config);
    std::error_code error;
    if (!has_file_flag && !has_file_variable && !std::filesystem::exists(path, error)) {
      return Fail(
          ErrorCode::kNotFound,
          "there is no {}; name a file with -c FILE, or give --cert PATH and --upstream URL", path);
    }
    return FileLoader(path);
  }
  config::RunFlags& run = flags.run;
  ReadVariable(command, "--cert", "GENKAN_CERT", run.certs);
  ReadVariable(command, "--upstream", "GENKAN_UPSTREAM", run.upstream);
  ReadVariable(command, "--listen", "GENKAN_LISTEN", run.listen);
  ReadVariable(command, "--http", "GENKAN_HTTP", run.http);
  ReadVariable(command, "--acme-webroot", "GENKAN_ACME_WEBROOT", run.acme_webroot);
  ReadVariable(command, "--name", "GENKAN_NAME", run.names);
  if (run.certs.empty())
    return Fail(ErrorCode::kInvalid, "--cert PATH (or GENKAN_CERT) is missing");
  if (run.upstream.empty())
    return Fail(ErrorCode::kInvalid, "--upstream URL (or GENKAN_UPSTREAM) is missing");
  return control::ConfigLoader([run](const std::vector<std::string_view>&) {
    return config::CheckConfig(config::ConfigFromFlags(run));
  });
}

int Usage(const CLI::App& command, const std::string& what) {
  std::fprintf(stderr, "genkan %s: %s\nRun `genkan %s --help` for more.\n",
               command.get_name().c_str(), what.c_str(), command.get_name().c_str());
  return kExitUsage;
}

}  // namespace genkan::cli
