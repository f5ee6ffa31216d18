#include "proxy/cli/demo_stage.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "proxy/base/log.h"
#include "proxy/base/text.h"

namespace genkan::cli {
namespace {

namespace fs = std::filesystem;
using control::ServiceRequest;
using control::ServiceResponse;

constexpr char kUserOfRoot[] = "nobody";
constexpr char kLineage[] = "localhost";
const std::vector<std::string> kNames = {"localhost", "127.0.0.1", "::1"};
// sockaddr_un has 108 bytes for the path of the admin socket.
constexpr size_t kLongestFolder = 90;

tl::unexpected<Error> SystemFailed(const std::string& what) {
  return Fail(ErrorCode::kIo, "{}: {}", what, std::strerror(errno));
}

// Whether the user that root drops to comes through all folders on the way, and can remove what is
// his in the last one.
bool IsOpenToAll(const fs::path& folder) {
  mode_t needed = S_IXOTH | S_IWOTH;
  for (fs::path at = folder;; at = at.parent_path()) {
    struct stat info;
    if (stat(at.c_str(), &info) != 0 || (info.st_mode & needed) != needed) return false;
    if (at == at.parent_path()) return true;
    needed = S_IXOTH;
  }
}

std::string ParentFolder() {
  const char* asked = getenv("TMPDIR");
  if (asked == nullptr || asked[0] != '/') return "/tmp";
  fs::path folder = fs::path(asked).lexically_normal();
  if (!folder.has_filename() && folder.has_relative_path()) folder = folder.parent_path();
  if (folder.native().size() > kLongestFolder - sizeof "/genkan-demo.XXXXXX") return "/tmp";
  if (geteuid() == 0 && !IsOpenToAll(folder)) return "/tmp";
  return folder;
}

std::string RandomToken(size_t size) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::random_device random;
  std::string token;
  while (token.size() < size) token += kLetters[random() % kLetters.size()];
  return token;
}

// A TOML string in which nothing means anything, ${…} of ours neither.
std::string Quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '$') quoted += '$';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&')
      escaped += "&amp;";
    else if (c == '<')
      escaped += "&lt;";
    else if (c == '>')
      escaped += "&gt;";
    else
      escaped += c;
  }
  return escaped;
}

// %XX of a path (RFC 3986 2.1); what is no escape stays as it is.
std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte =
        text[i] == '%' && i + 2 < text.size() ? ParseHex(text.substr(i + 1, 2)) : std::nullopt;
    plain += byte ? static_cast<char>(*byte) : text[i];
    if (byte) i += 2;
  }
  return plain;
}

ServiceResponse Text(int status, std::string body) {
  ServiceResponse response;
  response.status = status;
  response.body = std::move(body) + "\n";
  return response;
}

}  // namespace

DemoStage::DemoStage()
    : origin_(loop_, [this](const ServiceRequest& request) { return ServeOrigin(request); }),
      authority_(loop_, [this](const ServiceRequest& request) { return ServeAuthority(request); }) {
}

DemoStage::~DemoStage() {
  if (thread_.joinable()) {
    loop_.Stop();
    thread_.join();
  }
  std::error_code error;
  if (!folder_.empty()) fs::remove_all(folder_, error);
  if (error) LOG_WARN("demo_folder_left", "path={} error={}", folder_.native(), error.message());
}

Result<std::unique_ptr<DemoStage>> DemoStage::Make(uint16_t tls_port, uint16_t plain_port) {
  std::unique_ptr<DemoStage> stage(new DemoStage);
  auto ca = tls::DemoCa::Make(SystemClock().Wall());
  if (!ca) return PassOn(ca);
  stage->ca_ = std::move(*ca);
  if (auto made = stage->MakeFolder(); !made) return PassOn(made);
  if (auto opened = stage->OpenServices(); !opened) return PassOn(opened);
  if (auto written = stage->WriteFiles(tls_port, plain_port); !written) return PassOn(written);
  stage->thread_ = std::thread([loop = &stage->loop_] {
    SetLogThreadName("demo");
    loop->Run();
  });
  return stage;
}

Status DemoStage::MakeFolder() {
  owner_ = geteuid();
  group_ = getegid();
  if (owner_ == 0) {
    const passwd* user = getpwnam(kUserOfRoot);
    if (user == nullptr) return Fail(ErrorCode::kNotFound, "no user {} to drop to", kUserOfRoot);
    owner_ = user->pw_uid;
    group_ = user->pw_gid;
  }
  std::string path = ParentFolder() + "/genkan-demo.XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return SystemFailed(path);
  folder_ = path;
  // The root certificate is for whoever pastes the lines; what is secret is in files of mode 0600.
  if (chmod(path.c_str(), 0755) != 0) return SystemFailed(path);
  for (const char* below : {"archive", "archive/localhost", "live", "live/localhost", "webroot",
                            "webroot/.well-known", "webroot/.well-known/acme-challenge", "state"}) {
    const std::string folder = folder_ / below;
    if (mkdir(folder.c_str(), 0755) != 0 || chown(folder.c_str(), owner_, group_) != 0)
      return SystemFailed(folder);
  }
  if (chown(path.c_str(), owner_, group_) != 0) return SystemFailed(path);
  return {};
}

Status DemoStage::OpenServices() {
  const auto any_port = net::Address::Parse("127.0.0.1:0");
  if (!any_port) return PassOn(any_port);
  if (auto opened = origin_.Listen(*any_port); !opened) return opened;
  return authority_.Listen(*any_port);
}

Status DemoStage::WriteFile(const fs::path& path, std::string_view text, unsigned mode) {
  const std::string beside = path.native() + ".new";
  unlink(beside.c_str());  // of an attempt that failed
  const net::Fd file(open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file.is_open() || fchown(file.get(), owner_, group_) != 0) return SystemFailed(beside);
  if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return SystemFailed(beside);
  if (rename(beside.c_str(), path.c_str()) != 0) return SystemFailed(path.native());
  return {};
}

Status DemoStage::Link(const std::string& name, int version) {
  const std::string path = folder_ / "live" / kLineage / (name + ".pem");
  const std::string beside = path + ".new";
  unlink(beside.c_str());
  const std::string target = fmt::format("../../archive/{}/{}{}.pem", kLineage, name, version);
  if (symlink(target.c_str(), beside.c_str()) != 0 || lchown(beside.c_str(), owner_, group_) != 0 ||
      rename(beside.c_str(), path.c_str()) != 0) {
    return SystemFailed(path);
  }
  return {};
}

Result<std::string> DemoStage::Renew() {
  const std::string ocsp_url = "http://" + authority_.address().ToString() + "/ocsp";
  auto leaf = ca_->Issue(kNames, ocsp_url, SystemClock().Wall());
  if (!leaf) return PassOn(leaf);
  const int version = version_ + 1;
  const fs::path archive = folder_ / "archive" / kLineage;
  // No fullchain.pem, and the leaf alone in cert.pem: the chain is genkan's to complete.
  const std::vector<std::tuple<std::string, std::string_view, unsigned>> files = {
      {"cert", leaf->pem, 0644},
      {"chain", ca_->intermediate_pem(), 0644},
      {"privkey", leaf->key_pem, 0600}};
  for (const auto& [name, text, mode] : files) {
    if (auto s = WriteFile(archive / fmt::format("{}{}.pem", name, version), text, mode); !s)
      return PassOn(s);
  }
  for (const auto& [name, text, mode] : files) {
    if (auto linked = Link(name, version); !linked) return PassOn(linked);
  }
  version_ = version;
  return leaf->certificate->serial_hex();
}

Status DemoStage::WriteFiles(uint16_t tls_port, uint16_t plain_port) {
  if (auto s = WriteFile(root_file(), ca_->root_pem(), 0644); !s) return s;
  token_ = "demo-" + RandomToken(27);
  // RFC 8555 8.1: the token, a dot and the thumbprint of an account's key, here of nobody's.
  const std::string answer = token_ + "." + RandomToken(43);
  const fs::path challenge = folder_ / "webroot/.well-known/acme-challenge" / token_;
  if (auto s = WriteFile(challenge, answer, 0644); !s) return s;
  if (auto renewed = Renew(); !renewed) return PassOn(renewed);
  return WriteConfig(tls_port, plain_port);
}

Status DemoStage::WriteConfig(uint16_t tls_port, uint16_t plain_port) {
  const auto path = [this](std::string_view below) { return Quote((folder_ / below).native()); };
  std::string text = fmt::format(
      "# Written by `genkan demo`; gone when it ends.\n"
      "workers       = 2\n"
      "state_dir     = {}\n"
      "drain_timeout = \"2s\"\n\n"
      "[admin]\nlisten = [{}]\n\n"
      "[certificates]\ntrust_store = {}\n\n",
      path("state"), Quote("unix:" + admin_socket()), Quote(root_file()));
  text += fmt::format(
      "[[listener]]\naddress = \"127.0.0.1:{}\"\ntls     = true\n\n"
      "[[listener]]\naddress = \"127.0.0.1:{}\"\n\n",
      tls_port, plain_port);
  text += fmt::format(
      "[[site]]\n"
      "names        = [\"localhost\", \"127.0.0.1\", \"::1\"]\n"
      "certificates = [{}]\n"
      "upstream     = \"http://{}\"\n"
      "modules      = [\"shut\"]\n\n"
      "[module.shut]\nuse = \"url_filter\"\ndeny = [\"/private\", \"/private/*\"]\n"
      "deny_dotfiles = true\n\n"
      "[acme_challenge]\nwebroot = [{}]\n",
      path(fmt::format("live/{}", kLineage)), origin_address(), path("webroot"));
  return WriteFile(config_file(), text, 0644);
}

ServiceResponse DemoStage::ServeOrigin(const ServiceRequest& request) const {
  std::string headers;
  for (const auto& header : request.head.headers)
    headers += EscapeHtml(fmt::format("{}: {}\n", header.name, header.value));
  ServiceResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.body = fmt::format(
      "<!doctype html>\n<title>A server that knows no TLS</title>\n"
      "<h1>A server that knows no TLS</h1>\n"
      "<p>This is what it was asked, in plain HTTP:</p>\n"
      "<pre>{} {}\nhost: {}\n{}</pre>\n",
      EscapeHtml(request.head.method), EscapeHtml(request.head.target),
      EscapeHtml(request.head.authority), headers);
  return response;
}

ServiceResponse DemoStage::ServeAuthority(const ServiceRequest& request) {
  const std::string_view path = request.head.path();
  const bool is_post = request.head.method == "POST";
  if (path == "/renew") {
    if (!is_post) return Text(405, "POST renews");
    auto serial = Renew();
    if (!serial) return Text(500, serial.error().detail);
    return Text(200, fmt::format("issued, serial={}", *serial));
  }
  // RFC 6960 A.1: POST, or GET with the request as the path's last part.
  constexpr std::string_view kOcsp = "/ocsp";
  if (!path.starts_with(kOcsp)) return Text(404, "POST /renew, or OCSP at /ocsp");
  std::string der = request.body;
  if (!is_post) {
    const std::string_view rest = path.substr(std::min(path.size(), kOcsp.size() + 1));
    der = Base64Decode(Unescape(rest)).value_or("");
  }
  auto answer = ca_->AnswerOcsp(der, SystemClock().Wall());
  if (!answer) return Text(500, answer.error().detail);
  ServiceResponse response;
  response.content_type = "application/ocsp-response";
  response.body = std::move(*answer);
  return response;
}

}  // namespace genkan::cli
