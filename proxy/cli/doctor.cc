// genkan doctor: what is wrong with a server or with certificate files, and a text to send about
// it.
#include "proxy/control/diagnosis/doctor.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>

#include "CLI/CLI.hpp"
#include "proxy/cli/cli.h"
#include "proxy/cli/commands.h"
#include "proxy/tls/trust_store.h"

namespace genkan::cli {
namespace {

struct Flags {
  std::vector<std::string> targets;
  std::string language = "en";
  std::string trust_store = "system";
  std::string profiles = "builtin";
  bool is_json = false, has_no_fetches = false;
};

int RunDoctor(const Flags& flags) {
  const MonotonicTime start = SystemClock().Now();
  auto roots = tls::LoadTrustStore(flags.trust_store);
  if (!roots) return Cannot(roots.error().detail);
  if (roots->empty())
    return Cannot(
        "no roots on this machine: install ca-certificates, or name some with --trust-store");
  auto diagnostician = control::Diagnostician::Make(*std::move(roots), flags.profiles);
  if (!diagnostician) return Cannot(diagnostician.error().detail);
  // A server that hangs up while it is spoken to.
  std::signal(SIGPIPE, SIG_IGN);
  const auto files = control::MakeDirectFileAccess();
  control::DoctorOptions options;
  options.asks_revocation = !flags.has_no_fetches;
  // The roots took their share.
  const auto spent = std::chrono::duration_cast<Millis>(SystemClock().Now() - start);
  options.budget = std::max(options.budget - spent, Millis(1000));
  const control::Doctor doctor(*diagnostician, *files, options);
  control::DoctorReport report;
  report.at = SystemClock().Wall();
  for (const std::string& target : flags.targets) {
    for (control::Examination& one : doctor.Examine(target))
      report.examinations.push_back(std::move(one));
  }
  const auto language =
      flags.language == "ja" ? control::Language::kJapanese : control::Language::kEnglish;
  const std::string text =
      flags.is_json ? control::DoctorJson(report, language) : control::DoctorText(report, language);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return report.exit_code();
}

}  // namespace

void AddDoctor(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "doctor", "What is wrong with a running server or with files, and a text to send about it");
  auto flags = std::make_shared<Flags>();
  command->add_option("target", flags->targets, "HOST[:PORT], or files and directories")
      ->type_name("HOST:PORT|PATH…")
      ->required();
  command->add_flag("--json", flags->is_json, "For programs, schema 1 (conf/doctor.md)");
  command->add_option("--lang", flags->language, "Language of words and letters")
      ->check(CLI::IsMember({"en", "ja"}))
      ->type_name("en|ja");
  command
      ->add_option("--trust-store", flags->trust_store, "Roots: \"system\", a file or a directory")
      ->type_name("PATH");
  command
      ->add_option("--trust-profiles", flags->profiles,
                   "Kinds of client: \"builtin\" or a directory")
      ->type_name("DIR");
  command->add_flag("--no-revocation", flags->has_no_fetches, "Ask no OCSP responder and no CRL");
  command->footer(
      "Exit code: 0 nothing found, 1 findings, 2 it could not be looked at, 64 wrong usage.\n"
      "Example: genkan doctor example.com:443 --lang ja\n"
      "         genkan doctor /etc/letsencrypt /var/log/letsencrypt");
  command->callback([flags, &exit_code] { exit_code = RunDoctor(*flags); });
}

}  // namespace genkan::cli
