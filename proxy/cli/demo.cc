#include "proxy/cli/demo.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "CLI/CLI.hpp"
#include "proxy/base/text.h"
#include "proxy/cli/commands.h"
#include "proxy/cli/demo_stage.h"
#include "proxy/control/supervisor.h"

namespace genkan::cli {
namespace {

constexpr int kDefaultPort = 8443;

// Asked before anything is made, because this is what people run into. 0 is always free.
Status CheckPort(uint16_t port) {
  auto address = net::Address::ParseHost("127.0.0.1", port);
  if (!address) return PassOn(address);
  net::ListenOptions options;
  options.must_be_free = true;
  auto listener = net::Acceptor::OpenListener(*address, options);
  return listener ? Status() : Status(PassOn(listener));
}

bool HasWebProxy() {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    const char* value = getenv(name);
    if (value != nullptr && value[0] != '\0') return true;
  }
  return false;
}

// Our own fetches stay on loopback too.
void BypassWebProxy() {
  for (const char* name : {"no_proxy", "NO_PROXY"}) {
    const char* value = getenv(name);
    const std::string before = value != nullptr && value[0] != '\0' ? std::string(value) + "," : "";
    setenv(name, (before + "localhost,127.0.0.1").c_str(), 1);
  }
}

std::string OwnProgram() {
  std::error_code error;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "genkan" : path.native();
}

uint16_t PortOf(const std::string& address) {
  auto parsed = net::Address::Parse(address);
  return parsed ? parsed->port() : 0;
}

int RunDemo(int port) {
  const auto tls_port = static_cast<uint16_t>(port);
  const auto plain_port = static_cast<uint16_t>(port == 0 ? 0 : port + 1);
  for (const uint16_t one : {tls_port, plain_port}) {
    if (auto is_free = CheckPort(one); !is_free) {
      fmt::print(stderr,
                 "genkan demo: {}\n"
                 "It needs two ports, --port and the one after it; choose others: "
                 "genkan demo --port 9443\n",
                 is_free.error().detail);
      return kExitCannot;
    }
  }
  DemoPlaces places;
  places.has_web_proxy = HasWebProxy();
  BypassWebProxy();
  auto made = DemoStage::Make(tls_port, plain_port);
  if (!made) {
    fmt::print(stderr, "genkan demo: {}\n", made.error().detail);
    return kExitCannot;
  }
  DemoStage& stage = **made;
  places.program = OwnProgram();
  places.folder = stage.folder();
  places.root_file = stage.root_file();
  places.admin_socket = stage.admin_socket();
  places.origin = stage.origin_address();
  places.renew_url = stage.renew_url();
  places.token = stage.token();

  control::RunOptions options;
  options.default_user = "nobody";
  // The stage's files are nobody's, and its threads run.
  options.has_keeper = false;
  options.may_hand_over = false;
  options.load = [&stage](const std::vector<std::string_view>& modules) {
    return config::LoadConfigFile(stage.config_file(), modules);
  };
  options.on_ready = [&places](const std::vector<control::ListenerStatus>& listeners) {
    for (const control::ListenerStatus& one : listeners)
      (one.tls ? places.tls_port : places.plain_port) = PortOf(one.address);
    const std::string text = DemoText(places);
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  return control::Supervise(std::move(options));
}

}  // namespace

std::string ShellWord(const std::string& text) {
  const auto is_plain = [](char c) {
    return IsAlpha(c) || IsDigit(c) || std::string_view("/._-:=,+@%").find(c) != std::string::npos;
  };
  if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string DemoText(const DemoPlaces& places) {
  const std::string root = ShellWord(places.root_file);
  const std::string curl = places.has_web_proxy ? "curl --noproxy '*'" : "curl";
  const std::string https = fmt::format("https://localhost:{}", places.tls_port);
  const std::string connect =
      fmt::format("openssl s_client -connect localhost:{} -servername localhost -CAfile {}",
                  places.tls_port, root);
  const std::string serial =
      fmt::format("{} </dev/null 2>/dev/null | openssl x509 -noout -serial", connect);
  const std::string challenge = "/.well-known/acme-challenge/" + places.token;
  const std::string status_of = curl + " -s -o /dev/null -w '%{http_code}\\n'";

  std::string text = fmt::format(
      "\ngenkan demo: {}/ stands before a server that knows no TLS (http://{}/).\n"
      "Everything is on loopback and in {}.\n"
      "Paste into another terminal; Ctrl-C here ends the demo and removes the folder.\n\n",
      https, places.origin, places.folder);
  text += fmt::format(
      "# HTTP/2, a chain that verifies, a good staple: 2 200 0\n"
      "{} --cacert {} --cert-status -s -o /dev/null"
      " -w '%{{http_version}} %{{http_code}} %{{ssl_verify_result}}\\n' {}/\n\n"
      "# What the server behind was asked\n"
      "{} --cacert {} -s {}/\n\n",
      curl, root, https, curl, root, https);
  text += fmt::format(
      "# The lineage has only the leaf in cert.pem; what is sent is leaf and intermediate, and the "
      "staple\n"
      "{} -status </dev/null 2>/dev/null | grep -E '^ *[0-9] s:|OCSP Response Status|Cert "
      "Status|Verify return'\n\n",
      connect);
  text += fmt::format(
      "# A renewal: the same server, a new serial, no signal sent\n"
      "{}\n"
      "{} -s -X POST {}\n"
      "sleep 2; {}\n\n",
      serial, curl, places.renew_url, serial);
  text += fmt::format(
      "# The challenge passes (200) although the site's filter shuts dotfiles and /private (403)\n"
      "{} -s -w ' %{{http_code}}\\n' http://127.0.0.1:{}{}\n"
      "{} --cacert {} {}/.env\n"
      "{} --cacert {} {}/private\n\n",
      curl, places.plain_port, challenge, status_of, root, https, status_of, root, https);
  text += fmt::format("# What genkan knows about its certificates\n{} status --socket {}\n\n",
                      ShellWord(places.program), ShellWord(places.admin_socket));
  return text;
}

void AddDemo(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "demo", "Try it: everything on loopback with a throw-away CA, and lines to paste");
  auto port = std::make_shared<int>(kDefaultPort);
  command->add_option("--port", *port, "TLS on this port, plain HTTP on the next; 0: any")
      ->check(CLI::Range(0, 65534))
      ->capture_default_str();
  command->footer("Example: genkan demo --port 9443");
  command->callback([port, &exit_code] { exit_code = RunDemo(*port); });
}

}  // namespace genkan::cli
