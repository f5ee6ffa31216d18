// genkan status: certificates, chains, staples, swaps, upstreams and traffic of the running proxy.
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "CLI/CLI.hpp"
#include "proxy/base/text.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/commands.h"

namespace genkan::cli {
namespace {

using Json = nlohmann::json;

struct Flags {
  AdminChoice admin;
  bool json = false, refresh = false;
};

// What a terminal may be shown of a value, "" where there is none.
std::string Text(const Json& object, const char* key) {
  auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  return EscapeControl(it->is_string() ? it->get<std::string>() : it->dump());
}

bool IsTrue(const Json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}

const Json& List(const Json& object, const char* key) {
  static const Json kNone = Json::array();
  auto it = object.find(key);
  return it != object.end() && it->is_array() ? *it : kNone;
}

std::string Joined(const Json& list, const char* separator) {
  std::string joined;
  for (const Json& item : list) {
    if (!item.is_string()) continue;
    joined += (joined.empty() ? "" : separator) + EscapeControl(item.get<std::string>());
  }
  return joined;
}

void Line(const char* name, const std::string& value) {
  if (!value.empty()) std::printf("    %-11s %s\n", name, value.c_str());
}

void PrintCertificate(const Json& certificate) {
  std::printf("  %s (%s)\n", Text(certificate, "site").c_str(), Text(certificate, "name").c_str());
  if (IsTrue(certificate, "in_service")) {
    Line("expires",
         Text(certificate, "not_after") + ", " + Text(certificate, "days_left") + " days left");
    Line("names", Joined(List(certificate, "names"), ", "));
    Line("serial", Text(certificate, "serial"));
    std::string missing = Text(certificate, "missing_issuer");
    Line("chain",
         Joined(List(certificate, "chain"), " -> ") +
             (IsTrue(certificate, "chain_complete")
                  ? " (complete)"
                  : " (INCOMPLETE" + (missing.empty() ? "" : ": missing " + missing) + ")"));
    Line("long chain", Joined(List(certificate, "long_chain"), " -> "));
    for (const Json& client : List(certificate, "clients")) {
      if (client.is_object() && !IsTrue(client, "accepted"))
        Line("refused by", Text(client, "client") + ": " + Text(client, "reason"));
    }
    Line("staple", Text(certificate, "staple"));
    std::string why = Text(certificate, "revocation_why");
    Line("revocation", Text(certificate, "revocation") + (why.empty() ? "" : " (" + why + ")"));
    const std::string renewal = Text(certificate, "renewal");
    if (!renewal.empty()) {
      const std::string see = Text(certificate, "explanation");
      Line("renewal", renewal + " (" + Text(certificate, "renewal_why") +
                          (see.empty() ? "" : "; see " + see) + ")");
    }
    Line("on_revoked", Text(certificate, "hook"));
    if (IsTrue(certificate, "standby")) {
      Line("standby", IsTrue(certificate, "serving") ? "SERVING" : "waiting");
    } else if (!IsTrue(certificate, "serving")) {
      Line("serving", "NO: the site's standby takes its place");
    }
    Line("swaps", Text(certificate, "swaps") + ", this one since " + Text(certificate, "since"));
  } else {
    Line("state", "NOT IN SERVICE: this site refuses TLS");
  }
  if (Text(certificate, "proof") == "proving") Line("proof", "still being tried");
  Line("files", Joined(List(certificate, "files"), ", "));
  const std::string standing = Text(certificate, "last_refusal");
  Line("not taken", standing);
  if (standing.empty() && !Text(certificate, "refused_last").empty()) {
    Line("refused", Text(certificate, "refusals") + " times, last on " +
                        Text(certificate, "refused_last_at") + ": " +
                        Text(certificate, "refused_last"));
  }
  const Json& codes = List(certificate, "finding_codes");
  size_t at = 0;
  for (const Json& finding : List(certificate, "findings")) {
    const Json code = at < codes.size() ? codes[at] : Json();
    ++at;
    if (!finding.is_string()) continue;
    const std::string name =
        code.is_string() ? " (" + EscapeControl(code.get<std::string>()) + ")" : "";
    Line("finding", EscapeControl(finding.get<std::string>()) + name);
  }
}

void PrintTraffic(const Json& traffic) {
  auto part = [&](const char* key) {
    auto it = traffic.find(key);
    return it != traffic.end() && it->is_object() ? *it : Json::object();
  };
  Json connections = part("connections"), requests = part("requests"),
       handshakes = part("handshakes");
  Json responses = part("responses");
  std::printf("traffic\n");
  Line("connections", Text(connections, "open") + " open, " + Text(connections, "accepted") +
                          " accepted, " + Text(connections, "refused") + " refused");
  Line("handshakes", Text(handshakes, "tls1.3") + " TLS 1.3, " + Text(handshakes, "tls1.2") +
                         " TLS 1.2, " + Text(handshakes, "failed") + " failed");
  Line("requests", Text(requests, "open") + " open, " + Text(requests, "h1") + " h1, " +
                       Text(requests, "h2") + " h2");
  Line("responses", Text(responses, "2xx") + " 2xx, " + Text(responses, "3xx") + " 3xx, " +
                        Text(responses, "4xx") + " 4xx, " + Text(responses, "5xx") + " 5xx");
}

void PrintStatus(const Json& status) {
  std::printf("genkan %s, pid %s, %s since %s, configuration %s, %s workers\n",
              Text(status, "version").c_str(), Text(status, "pid").c_str(),
              Text(status, "state").c_str(), Text(status, "started").c_str(),
              Text(status, "generation").c_str(), Text(status, "workers").c_str());
  std::printf("listeners\n");
  for (const Json& listener : List(status, "listeners")) {
    std::printf("  %s%s\n", Text(listener, "address").c_str(),
                IsTrue(listener, "tls") ? " (tls)" : "");
  }
  std::printf("certificates\n");
  for (const Json& certificate : List(status, "certificates")) PrintCertificate(certificate);
  std::printf("upstreams\n");
  for (const Json& upstream : List(status, "upstreams")) {
    std::printf("  %s\n", Text(upstream, "name").c_str());
    for (const Json& server : List(upstream, "servers")) {
      Line(IsTrue(server, "up") ? "up" : "DOWN",
           fmt::format("{}, {} connections, {} requests, {} failures", Text(server, "address"),
                       Text(server, "connections"), Text(server, "requests_total"),
                       Text(server, "failures_total")));
    }
  }
  auto traffic = status.find("traffic");
  if (traffic != status.end() && traffic->is_object()) PrintTraffic(*traffic);
}

int ShowStatus(const Flags& flags) {
  auto address = AdminAddress(flags.admin);
  if (!address) return Cannot(address.error().detail);
  if (flags.refresh) {
    auto refreshed = AskAdmin(*address, "POST", "/refresh");
    if (!refreshed) return Cannot(refreshed.error().detail);
    if (refreshed->status != 200) return ReportAnswer(*refreshed, "");
  }
  auto response = AskAdmin(*address, "GET", "/status.json");
  if (!response) return Cannot(response.error().detail);
  if (response->status != 200) return ReportAnswer(*response, "");
  if (flags.json) {
    std::fwrite(response->body.data(), 1, response->body.size(), stdout);
    return kExitGood;
  }
  Json status = Json::parse(response->body, nullptr, false);
  if (!status.is_object()) return Cannot("the admin's answer is no JSON");
  PrintStatus(status);
  return kExitGood;
}

}  // namespace

void AddStatus(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "status", "Certificates, chains, staples, swaps, upstreams and traffic of the running proxy");
  auto flags = std::make_shared<Flags>();
  command->add_option("-c,--config", flags->admin.config_flag, "The configuration, for its socket")
      ->type_name("FILE");
  command->add_option("--socket", flags->admin.socket, "The admin socket")->type_name("PATH");
  command->add_flag("--json", flags->json, "As JSON, schema 1");
  command->add_flag("--refresh", flags->refresh, "Ask OCSP responders, revocation lists and ARI again");
  command->footer("Example: genkan status --json | jq '.certificates[].not_after'");
  command->callback([flags, &exit_code] { exit_code = ShowStatus(*flags); });
}

}  // namespace genkan::cli
