#include "proxy/control/admin.h"

#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "proxy/base/allocator.h"
#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/control/challenges_json.h"
#include "proxy/control/metrics_text.h"
#include "proxy/control/status_page.h"

namespace genkan::control {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr unsigned kSocketMode = 0660;

ServiceResponse Plain(int status, std::string text) {
  ServiceResponse response;
  response.status = status;
  response.body = std::move(text) + "\n";
  return response;
}

ServiceResponse JsonAnswer(int status, std::string body) {
  ServiceResponse response;
  response.status = status;
  response.content_type = kJson;
  response.body = std::move(body);
  return response;
}

bool HasFlag(std::string_view query, std::string_view name) {
  for (std::string_view part : Split(query, '&')) {
    size_t equals = part.find('=');
    if (part.substr(0, equals) != name) continue;
    std::string_view value =
        equals == std::string_view::npos ? std::string_view("1") : part.substr(equals + 1);
    return value == "1" || value == "true";
  }
  return false;
}

std::string_view Value(std::string_view query, std::string_view name) {
  for (std::string_view part : Split(query, '&')) {
    size_t equals = part.find('=');
    if (equals != std::string_view::npos && part.substr(0, equals) == name)
      return part.substr(equals + 1);
  }
  return {};
}

constexpr Seconds kLongestWatch{600};

}  // namespace

Admin::Admin(event::EventLoop& loop, AdminTarget& target, SocketOpener& sockets)
    : target_(target),
      sockets_(sockets),
      service_(loop, [this](const ServiceRequest& request) { return Answer(request); }) {}

genkan::Status Admin::Listen(const std::vector<std::string>& addresses,
                             const std::function<void(const std::string& path)>& on_made) {
  if (addresses == addresses_) return {};
  Close();
  addresses_ = addresses;
  genkan::Status result;
  for (const std::string& text : addresses) {
    auto address = net::Address::Parse(text);
    genkan::Status listening = address ? genkan::Status() : genkan::Status(PassOn(address));
    if (address) {
      std::string path = address->is_unix() ? text.substr(text.find(':') + 1) : std::string();
      std::error_code error;
      if (!path.empty())
        std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
      auto socket = sockets_.Open(text, 1, kSocketMode);
      if (socket) {
        auto local = net::Acceptor::LocalAddress(socket->front().get());
        listening_.push_back(local ? *local : *address);
        open_.emplace_back(text, socket->front().get());
        service_.Adopt(std::move(socket->front()));
        if (!path.empty() && on_made) on_made(path);
      } else {
        listening = PassOn(socket, "cannot listen on {}", text);
      }
    }
    if (result && !listening) result = std::move(listening);
  }
  return result;
}

std::vector<std::string> Admin::addresses() const {
  std::vector<std::string> list;
  for (const net::Address& address : listening_) list.push_back(address.ToString());
  return list;
}

void Admin::Close() {
  for (const net::Address& address : listening_) {
    std::string text = address.ToString();
    if (address.is_unix()) unlink(text.substr(text.find(':') + 1).c_str());
  }
  Leave();
}

void Admin::Leave() {
  service_.CloseListeners();
  listening_.clear();
  open_.clear();
  addresses_.clear();
}

bool IsAdminHost(std::string_view authority, const net::Address& local) {
  std::string_view host = authority;
  size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos)
    host = host.substr(0, colon);
  if (EqualsIgnoreCase(host, "localhost") || host == "127.0.0.1" || host == "[::1]") return true;
  std::string own = local.HostString();
  return host == own || host == "[" + own + "]";
}

ServiceResponse Admin::Answer(const ServiceRequest& request) {
  ServiceResponse response = Respond(request);
  // Of thousands of certificates: what it took to write this is several times as much.
  constexpr size_t kLarge = 1024 * 1024;
  if (response.body.size() > kLarge) GiveBackFreed();
  return response;
}

ServiceResponse Admin::Respond(const ServiceRequest& request) {
  bool is_socket = request.local.is_unix();
  if (!is_socket && !IsAdminHost(request.head.authority, request.local))
    return Plain(421, "the admin answers to its own address and to localhost only");
  std::string_view path = request.head.path();
  const std::string& method = request.head.method;
  if (method == "POST") {
    if (!is_socket) return Plain(403, "over TCP the admin is read-only; use the Unix socket");
    return Post(path, request.head.query());
  }
  // A command's output may be in it: not over TCP.
  if (path == "/drill" && method == "GET" && is_socket)
    return JsonAnswer(200, DrillJson(target_.Drill()));
  if (method != "GET" && method != "HEAD") return Plain(405, "GET, or POST over the Unix socket");
  if (path == "/status.json") return JsonAnswer(200, StatusJson(target_.Status()));
  if (path == "/metrics") {
    ServiceResponse response;
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = MetricsText(target_.Status());
    return response;
  }
  if (path == "/events") return Events();
  if (path == "/challenges.json") {
    // Who asked is nobody's business on the network.
    if (!is_socket) return Plain(403, "over the Unix socket alone");
    return JsonAnswer(200, ChallengesJson(target_.Challenges(), SystemClock().Now(),
                                          Value(request.head.query(), "token")));
  }
  if (path == "/") {
    ServiceResponse response;
    response.content_type = "text/html; charset=utf-8";
    response.headers = {
        {"content-security-policy",
         "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
         "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
         "frame-ancestors 'none'"},
        {"x-content-type-options", "nosniff"},
        {"referrer-policy", "no-referrer"}};
    response.body = StatusPage(target_.Status());
    return response;
  }
  return Plain(
      404,
      "here are: / /status.json /metrics /events /challenges.json, POST /reload /refresh /stop");
}

ServiceResponse Admin::Post(std::string_view path, std::string_view query) {
  if (path == "/reload") {
    AdminTarget::ReloadResult result = target_.Reload(HasFlag(query, "force"));
    nlohmann::ordered_json json;
    json["schema"] = 1;
    json["reloaded"] = result.errors.empty();
    json["errors"] = result.errors;
    int status = result.errors.empty() ? 200 : result.is_possible ? 422 : 409;
    return JsonAnswer(
        status, json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  }
  constexpr std::string_view kDrill = "/drill/";
  if (path.starts_with(kDrill)) {
    auto started = target_.StartDrill(std::string(path.substr(kDrill.size())));
    if (!started) return Plain(409, started.error().detail);
    return JsonAnswer(200, "{\"schema\": 1, \"drilling\": true}\n");
  }
  if (path == "/refresh") {
    target_.Refresh();
    return JsonAnswer(200, "{\"schema\": 1, \"refreshing\": true}\n");
  }
  if (path == "/stop") {
    bool now = HasFlag(query, "now");
    target_.StopSoon(now);
    return JsonAnswer(200, now ? "{\"schema\": 1, \"stopping\": \"now\"}\n"
                               : "{\"schema\": 1, \"stopping\": \"draining\"}\n");
  }
  if (path == "/preflight") return Watch(query);
  return Plain(404, "POST /reload, /refresh, /preflight, /drill/HOST or /stop");
}

ServiceResponse Admin::Watch(std::string_view query) {
  std::string_view token = Value(query, "token"), answer = Value(query, "answer");
  bool is_answer = answer.starts_with(token) && answer.substr(token.size()).starts_with('.') &&
                   server::IsChallengeToken(answer.substr(token.size() + 1));
  if (!server::IsChallengeToken(token) || (!answer.empty() && !is_answer))
    return Plain(400, "token=TOKEN, and perhaps answer=TOKEN.THUMBPRINT");
  if (HasFlag(query, "end")) {
    target_.Challenges().Drop(token);
    return JsonAnswer(200, "{\"schema\": 1, \"watching\": false}\n");
  }
  Seconds time(ParseDecimal(Value(query, "seconds")).value_or(60));
  MonotonicTime until = SystemClock().Now() + std::min(time, kLongestWatch);
  if (!target_.Challenges().Put(token, std::string(answer), until))
    return Plain(429, "too many preflights at a time");
  LOG_INFO("preflight", "token={} answered={}", token, !answer.empty());
  return JsonAnswer(200, "{\"schema\": 1, \"watching\": true}\n");
}

ServiceResponse Admin::Events() {
  ServiceResponse response;
  response.content_type = "text/event-stream";
  response.next_event = [this] { return "data: " + StatusEvent(target_.Status()) + "\n\n"; };
  return response;
}

}  // namespace genkan::control
