// genkan preflight: would a certificate authority get the answer to a challenge?
#include "proxy/control/preflight.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "CLI/CLI.hpp"
#include "proxy/base/text.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/commands.h"
#include "proxy/config/reader.h"
#include "proxy/config/upstream_url.h"
#include "proxy/control/token_file.h"
#include "proxy/server/challenge_board.h"

namespace genkan::cli {
namespace {

using control::Placement;
using control::PreflightReport;
using control::ProxyHit;
using Json = nlohmann::json;

struct Flags {
  AdminChoice admin;
  std::string host, webroot, connect_to;
  uint16_t http_port = 80, https_port = 443;
  double timeout = 10;
  bool json = false;
};

// What the proxy keeps the token for, should we be killed.
constexpr int kWatchSeconds = 300;
constexpr size_t kMostAddresses = 8;

std::string RandomToken() {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::array<unsigned char, 32> bytes{};
  // The kernel gives 32 bytes whole or not at all.
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return {};
  std::string token;
  for (unsigned char byte : bytes) token += kDigits[byte & 63];
  return token;
}

// The configuration, where there is one; nothing where nobody named one and the usual place is
// empty.
Result<std::optional<config::Config>> ReadConfig(const Flags& flags) {
  std::string path = ConfigPath(flags.admin.config_flag);
  std::error_code error;
  bool is_named = !flags.admin.config_flag.empty() || FromEnvironment("GENKAN_CONFIG").has_value();
  if (!is_named && !std::filesystem::exists(path, error)) return std::optional<config::Config>();
  auto text = config::ReadText(path);
  if (!text) return PassOn(text);
  return std::optional(config::Read(*text, path).config);
}

// The running proxy, as far as it can be asked.
class RunningProxy {
 public:
  RunningProxy(const AdminChoice& choice, std::string token) : token_(std::move(token)) {
    auto address = AdminAddress(choice);
    if (address) address_ = *address;
  }
  ~RunningProxy() {
    if (!is_watching_) return;
    // Without us it forgets the token by itself, only later.
    static_cast<void>(AskAdmin(address_, "POST", "/preflight?end=1&token=" + token_));
  }
  RunningProxy(const RunningProxy&) = delete;
  RunningProxy& operator=(const RunningProxy&) = delete;

  // `answer` empty: it only watches. True: it does.
  bool Watch(const std::string& answer) {
    if (address_.empty()) return false;
    auto response = AskAdmin(
        address_, "POST",
        fmt::format("/preflight?token={}&answer={}&seconds={}", token_, answer, kWatchSeconds));
    is_watching_ = response && response->status == 200;
    return is_watching_;
  }

  // All that it saw in this walk so far. Who asks again is given a moment before.
  std::vector<ProxyHit> Hits() {
    timespec moment{0, 50'000'000};
    if (questions_++ > 0) nanosleep(&moment, nullptr);
    return AskHits();
  }
  // What it has seen until now belongs to the walk before.
  void BeginWalk() {
    walk_begins_ = seen_;
    questions_ = 0;
  }

 private:
  std::vector<ProxyHit> AskHits() {
    auto response = AskAdmin(address_, "GET", "/challenges.json?token=" + token_);
    std::vector<ProxyHit> hits;
    if (!response || response->status != 200) return hits;
    Json json = Json::parse(response->body, nullptr, false);
    if (!json.is_object() || !json["tokens"].is_array()) return hits;
    for (const Json& record : json["tokens"]) {
      const Json list = record.value("hits", Json::array());
      seen_ = record.value("count", size_t{0});
      // It keeps only the last ones.
      size_t number = seen_ - std::min(seen_, list.size());
      for (const Json& one : list) {
        if (number++ < walk_begins_) continue;
        ProxyHit hit;
        hit.host = one.value("host", "");
        hit.target = one.value("target", "");
        hit.site = one.value("site", "");
        hit.answered_by = one.value("answered_by", "");
        hit.module = one.value("module", "");
        hit.upstream = one.value("upstream", "");
        hit.reason = one.value("reason", "");
        hit.is_tls = one.value("tls", false);
        hit.status = one.value("status", 0);
        hits.push_back(std::move(hit));
      }
    }
    return hits;
  }

  std::string token_, address_;
  bool is_watching_ = false;
  size_t seen_ = 0, walk_begins_ = 0;  // of all hits, by number
  int questions_ = 0;
};

std::string ThumbprintFor(const config::Config& config, const std::string& host) {
  for (const config::Site& site : config.sites) {
    if (!site.thumbprint.empty() &&
        std::find(site.names.begin(), site.names.end(), host) != site.names.end())
      return site.thumbprint;
  }
  return config.acme_challenge.thumbprint;
}

// Puts the token where the configuration or a flag says, or has the proxy hold it.
Result<std::unique_ptr<control::TokenFile>> Place(const Flags& flags,
                                                  const std::optional<config::Config>& config,
                                                  RunningProxy& proxy, Placement& placement) {
  const std::string answer = placement.token + "." + std::string(43, 'p');
  std::string webroot = flags.webroot;
  if (config) placement.webroots = config->acme_challenge.webroot;
  if (webroot.empty() && !placement.webroots.empty()) webroot = placement.webroots.front();
  if (!webroot.empty()) {
    auto file = control::TokenFile::Put(webroot, placement.token, answer);
    if (!file) return PassOn(file);
    placement.how = "webroot";
    placement.where = (*file)->folder();
    placement.answer = answer;
    placement.is_proxy_asked = proxy.Watch("");
    return file;
  }
  std::string thumbprint = config ? ThumbprintFor(*config, flags.host) : "";
  placement.is_proxy_asked = proxy.Watch(thumbprint.empty() ? answer : "");
  placement.how = !thumbprint.empty()        ? "thumbprint"
                  : placement.is_proxy_asked ? "proxy"
                                             : "nothing";
  if (!thumbprint.empty()) {
    placement.answer = placement.token + "." + thumbprint;
  } else if (placement.is_proxy_asked) {
    placement.answer = answer;
  }
  return std::unique_ptr<control::TokenFile>();
}

// All of the name's addresses, each once.
std::vector<std::string> Resolve(const std::string& host, std::string& error) {
  std::vector<std::string> found;
  addrinfo hints{}, *list = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  int code = getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (code != 0) {
    error = fmt::format("{} does not resolve: {}", host, gai_strerror(code));
    return found;
  }
  for (addrinfo* one = list; one != nullptr && found.size() < kMostAddresses; one = one->ai_next) {
    char text[INET6_ADDRSTRLEN] = "";
    if (getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) !=
        0)
      continue;
    if (std::find(found.begin(), found.end(), text) == found.end()) found.emplace_back(text);
  }
  freeaddrinfo(list);
  if (found.empty()) error = host + " has no address";
  return found;
}

int Preflight(const Flags& given) {
  Flags flags = given;
  flags.host = ToLower(flags.host);
  if (flags.host.ends_with('.')) flags.host.pop_back();
  if (!config::IsHostName(flags.host)) {
    std::fprintf(stderr, "genkan: \"%s\" is no host name; write: genkan preflight example.com\n",
                 EscapeControl(flags.host).c_str());
    return kExitUsage;
  }
  auto config = ReadConfig(flags);
  if (!config) return Cannot(config.error().detail);
  PreflightReport report;
  report.host = flags.host;
  report.placement.token = RandomToken();
  if (report.placement.token.empty()) return Cannot("the kernel gives no random bytes");
  if (flags.connect_to.empty()) {
    report.addresses = Resolve(flags.host, report.resolve_error);
  } else {
    report.addresses = {flags.connect_to};
  }
  RunningProxy proxy(flags.admin, report.placement.token);
  auto file = Place(flags, *config, proxy, report.placement);
  if (!file) return Cannot(file.error().detail);
  for (const std::string& address : report.addresses) {
    control::ProbeOptions options;
    proxy.BeginWalk();
    options.host = flags.host;
    options.address = address;
    options.is_for_all = !flags.connect_to.empty();
    options.http_port = flags.http_port;
    options.https_port = flags.https_port;
    options.user_agent = server::PreflightAgent(report.placement.token);
    options.timeout = Millis(static_cast<int64_t>(flags.timeout * 1000));
    report.walks.push_back(control::WalkAsAuthority(
        flags.host, address, report.placement,
        [&](const std::string& url) { return control::ProbeOnce(url, options); },
        [&] { return proxy.Hits(); }));
  }
  file->reset();
  std::string text = flags.json ? control::PreflightJson(report) : control::PreflightText(report);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return report.is_good() ? kExitGood : kExitFinding;
}

}  // namespace

void AddPreflight(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "preflight",
      "Fetches a token as a certificate authority would, and names the stop at which it fails");
  auto flags = std::make_shared<Flags>();
  command->add_option("host", flags->host, "The name to validate")->type_name("HOST")->required();
  command
      ->add_option("-c,--config", flags->admin.config_flag,
                   "The configuration: its webroot, its admin socket")
      ->type_name("FILE");
  command->add_option("--socket", flags->admin.socket, "The admin socket")->type_name("PATH");
  command
      ->add_option("--webroot", flags->webroot,
                   "Put the token below this folder instead (any server's docroot)")
      ->type_name("DIR");
  command
      ->add_option("--connect-to", flags->connect_to,
                   "Go to this address instead of where the names resolve to")
      ->type_name("ADDRESS");
  command->add_option("--http-port", flags->http_port, "Go to this port instead of 80")
      ->type_name("PORT");
  command->add_option("--https-port", flags->https_port, "Go to this port instead of 443")
      ->type_name("PORT");
  command->add_option("--timeout", flags->timeout, "For each request")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.1, 600.0));
  command->add_flag("--json", flags->json, "As JSON, schema 1");
  command->footer("Example: genkan preflight www.example.com -c /etc/genkan/genkan.toml");
  command->callback([flags, &exit_code] { exit_code = Preflight(*flags); });
}

}  // namespace genkan::cli
