// genkan drill revocation --site HOST: the running proxy walks its reaction to a revocation and
// touches nothing.
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "CLI/CLI.hpp"
#include "proxy/base/text.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/commands.h"

namespace genkan::cli {
namespace {

using Json = nlohmann::json;

struct Flags {
  AdminChoice admin;
  std::string site;
};

bool IsHost(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (char c : name) {
    if (!IsAlpha(c) && !IsDigit(c) && c != '.' && c != '-' && c != '_' && c != '*') return false;
  }
  return true;
}

std::string TextOf(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool IsTrue(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

// Each line on its own, so that a command's output stays readable and forges no line of ours.
void PrintStep(const Json& step) {
  std::printf("%-5s %s: ", IsTrue(step, "good") ? "ok" : "BAD", TextOf(step, "name").c_str());
  const std::string text = TextOf(step, "text");
  bool is_first = true;
  for (std::string_view line : Split(text, '\n')) {
    std::printf("%s%s\n", is_first ? "" : "        ", EscapeControl(line).c_str());
    is_first = false;
  }
}

int Drill(const Flags& flags) {
  if (!IsHost(flags.site))
    return Cannot("--site: \"" + EscapeControl(flags.site) + "\" is no name");
  auto address = AdminAddress(flags.admin);
  if (!address) return Cannot(address.error().detail);
  auto started = AskAdmin(*address, "POST", "/drill/" + flags.site);
  if (!started) return Cannot(started.error().detail);
  if (started->status != 200) return ReportAnswer(*started, "");
  std::printf("rehearsal of a revocation for %s; nothing is changed\n", flags.site.c_str());
  size_t shown = 0;
  bool is_good = true;
  // The hook has its own limit, of an hour at most; this one is for a proxy that goes meanwhile.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(70);
  while (std::chrono::steady_clock::now() < deadline) {
    auto answer = AskAdmin(*address, "GET", "/drill");
    if (!answer) return Cannot(answer.error().detail);
    const Json report = Json::parse(answer->body, nullptr, false);
    if (!report.is_object() || !report.contains("steps") || !report["steps"].is_array())
      return Cannot("the admin's answer is no JSON");
    for (; shown < report["steps"].size(); ++shown) {
      PrintStep(report["steps"][shown]);
      is_good &= IsTrue(report["steps"][shown], "good");
    }
    std::fflush(stdout);
    if (!IsTrue(report, "running")) {
      std::printf("%s\n", is_good ? "all of it would work" : "not all of it would work");
      return is_good ? kExitGood : kExitFinding;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  return Cannot("the rehearsal does not end");
}

}  // namespace

void AddDrill(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("drill", "Rehearse an emergency; nothing is touched but the hook");
  command->require_subcommand(1);
  CLI::App* revocation =
      command->add_subcommand("revocation", "Walk the reaction to a revocation (GENKAN_DRILL=1)");
  auto flags = std::make_shared<Flags>();
  revocation->add_option("--site", flags->site, "A name of the site")
      ->type_name("HOST")
      ->required();
  revocation
      ->add_option("-c,--config", flags->admin.config_flag, "The configuration, for its socket")
      ->type_name("FILE");
  revocation->add_option("--socket", flags->admin.socket, "The admin socket")->type_name("PATH");
  revocation->footer("Example: genkan drill revocation --site example.com");
  command->footer("Example: genkan drill revocation --site example.com");
  revocation->callback([flags, &exit_code] { exit_code = Drill(*flags); });
}

}  // namespace genkan::cli
