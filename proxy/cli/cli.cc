#include "proxy/cli/cli.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "proxy/cli/commands.h"
#include "proxy/config/reader.h"
#include "proxy/control/fetcher.h"

namespace genkan::cli {

std::optional<std::string> FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::string ConfigPath(const std::string& flag) {
  if (!flag.empty()) return flag;
  return FromEnvironment("GENKAN_CONFIG").value_or(kDefaultConfig);
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> list;
  while (!text.empty()) {
    size_t end = text.find_first_of(", \t\n");
    if (end != 0) list.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return list;
}

Result<std::string> AdminAddress(const AdminChoice& choice) {
  if (!choice.socket.empty())
    return choice.socket.starts_with("unix:") ? choice.socket : "unix:" + choice.socket;
  std::string path = ConfigPath(choice.config_flag);
  config::Config config;
  std::error_code error;
  bool is_named = !choice.config_flag.empty() || FromEnvironment("GENKAN_CONFIG").has_value();
  if (is_named || std::filesystem::exists(path, error)) {
    auto text = config::ReadText(path);
    if (!text) return PassOn(text);
    // Its other mistakes do not matter here: the proxy runs with the text of its start.
    config = config::Read(*text, path).config;
  }
  if (config.admin.listen.empty()) {
    return Fail(ErrorCode::kInvalid,
                "{}: [admin] listen = [] turns the admin off, so nobody can be asked", path);
  }
  for (const std::string& address : config.admin.listen) {
    if (address.starts_with("unix:")) return address;
  }
  return config.admin.listen.front();
}

Result<FetchResponse> AskAdmin(const std::string& address, const std::string& method,
                               const std::string& target) {
  FetchRequest request;
  request.method = method;
  // A reload reads every certificate.
  request.timeout = Millis(120'000);
  request.max_bytes = 256 * 1024 * 1024;
  std::string socket;
  if (address.starts_with("unix:")) {
    socket = address.substr(5);
    request.url = "http://localhost" + target;
  } else {
    request.url = "http://" + (address.starts_with(':') ? "localhost" + address : address) + target;
  }
  auto response = control::FetchBlocking(request, {}, socket);
  if (response) return response;
  if (!socket.empty() && !std::filesystem::exists(socket)) {
    return Fail(ErrorCode::kNotFound,
                "{}: there is no such socket. Is genkan running? Its socket is what [admin] listen "
                "says: name the configuration with -c FILE, or the socket with --socket PATH",
                socket);
  }
  return Fail(response.error().code,
              "cannot reach the admin at {}: {}. Is genkan running, and may this user talk to it "
              "(the socket's owner and group may)?",
              address, response.error().detail);
}

int Cannot(const std::string& why) {
  std::fprintf(stderr, "genkan: %s\n", why.c_str());
  return kExitCannot;
}

int ReportAnswer(const FetchResponse& response, std::string_view done) {
  if (response.status == 200) {
    std::printf("%.*s\n", static_cast<int>(done.size()), done.data());
    return kExitGood;
  }
  auto json = nlohmann::json::parse(response.body, nullptr, false);
  if (json.is_object() && json.contains("errors") && json["errors"].is_array()) {
    for (const auto& error : json["errors"]) {
      if (error.is_string()) std::fprintf(stderr, "%s\n", error.get<std::string>().c_str());
    }
    std::fprintf(stderr, "genkan: nothing was changed\n");
    return kExitCannot;
  }
  return Cannot(fmt::format("the admin answered {}: {}", response.status, response.body));
}

}  // namespace genkan::cli
