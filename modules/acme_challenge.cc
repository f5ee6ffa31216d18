// The challenge guard: HTTP-01 (RFC 8555 8.3) gets through, whatever filters, redirects and modules
// say, and nothing else gets through with it. Always there, always first, on every listener.
// Decided on the raw path; everything under the prefix that is not GET or HEAD of a token ends
// here.
//
// A token is looked for in the webroots, at a client in standalone mode, at the site's own upstream
// where it says so, and last answered from an account's thumbprint. Files and sockets are touched
// off the worker.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "proxy/module/api.h"

namespace {
using namespace genkan;
using Steady = std::chrono::steady_clock;

constexpr std::string_view kName = "acme_challenge";
constexpr std::string_view kPrefix = "/.well-known/acme-challenge/";
constexpr size_t kMaxToken = 128;
constexpr size_t kMaxAnswer = 1024;
constexpr size_t kThumbprint = 43;  // base64url of a SHA-256 (RFC 7638)
constexpr Millis kStandaloneTimeout{5000};

bool IsBase64Url(std::string_view text) {
  for (char c : text) {
    if (!IsAlpha(c) && !IsDigit(c) && c != '-' && c != '_') return false;
  }
  return !text.empty();
}

bool IsToken(std::string_view text) { return text.size() <= kMaxToken && IsBase64Url(text); }

// RFC 8555 8.1: TOKEN.THUMBPRINT, blanks at the end aside (8.3). Nothing, or what is wrong with it.
std::string_view FindFault(std::string_view token, std::string_view answer) {
  if (answer.size() != token.size() + 1 + kThumbprint) return "wrong length";
  if (!answer.starts_with(token) || answer[token.size()] != '.')
    return "does not begin with the token and a dot";
  if (!IsBase64Url(answer.substr(token.size() + 1))) return "the thumbprint is no base64url";
  return {};
}

std::string_view TrimEnd(std::string_view text) {
  while (!text.empty() &&
         (text.back() == '\n' || text.back() == '\r' || text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// One round of what decoders do, and of what careless ones do: escapes, IIS's %uXXXX, bytes of too long or
// full-width UTF-8 as the ASCII that they are taken for; bytes that some ignore are left out.
std::string DecodeCarelessly(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    bool is_wide = text[i] == '%' && i + 5 < text.size() && ToLower(text[i + 1]) == 'u';
    size_t digits = is_wide ? i + 4 : i + 1;  // %u00XX: the last two count
    int high = text[i] == '%' && digits + 1 < text.size() ? HexValue(text[digits]) : -1;
    int low = high >= 0 ? HexValue(text[digits + 1]) : -1;
    if (low >= 0) {
      bytes += static_cast<char>(high << 4 | low);
      i = digits + 1;
    } else {
      bytes += text[i];
    }
  }
  std::string folded;
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto at = [&](size_t k) {
      return i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u;
    };
    auto is_more = [&](size_t k) { return (at(k) & 0xc0) == 0x80; };
    if (at(0) >= 0xc0 && at(0) <= 0xc1 && is_more(1)) {
      folded += static_cast<char>((at(0) & 1) << 6 | (at(1) & 0x3f));
      i += 1;
    } else if (at(0) == 0xe0 && at(1) >= 0x80 && at(1) <= 0x81 && is_more(2)) {
      folded += static_cast<char>((at(1) & 1) << 6 | (at(2) & 0x3f));
      i += 2;
    } else if (at(0) == 0xf0 && at(1) == 0x80 && at(2) >= 0x80 && at(2) <= 0x81 && is_more(3)) {
      folded += static_cast<char>((at(2) & 1) << 6 | (at(3) & 0x3f));
      i += 3;
    } else if (at(0) == 0xef && (at(1) == 0xbc || at(1) == 0xbd) && is_more(2)) {
      // U+FF01 … U+FF5E are "!" … "~".
      folded += static_cast<char>(0x20 + (at(1) - 0xbc) * 0x40 + (at(2) & 0x3f));
      i += 2;
    } else if (at(0) >= 0x20 && at(0) < 0x7f) {
      folded += bytes[i];
    }
  }
  return folded;
}

// A segment without what some systems cut off: parameters, blanks and dots at its end.
std::string_view CutSegment(std::string_view segment) {
  segment = segment.substr(0, segment.find_first_of(";?#"));
  while (segment.ends_with(' ')) segment.remove_suffix(1);
  if (segment == "." || segment == "..") return segment;
  while (segment.ends_with('.') || segment.ends_with(' ')) segment.remove_suffix(1);
  return segment;
}

// Whether some reader might take `path`, which does not begin with the prefix as it stands, for
// something below it: escaped (also several times), with dot segments, doubled slashes, backslashes,
// parameters, letters that only look like these, or in another case.
bool IsDisguised(std::string_view path) {
  bool is_suspicious = false;
  for (size_t i = 0; i < path.size() && !is_suspicious; ++i) {
    char c = path[i];
    bool is_after_slash = i > 0 && path[i - 1] == '/';
    is_suspicious = c == '%' || c == '\\' || (is_after_slash && (c == '.' || c == '/')) ||
                    static_cast<unsigned char>(c) >= 0x7f;
  }
  if (!is_suspicious) return false;
  std::string text(path);
  for (int round = 0; round < 4; ++round) {
    std::string decoded = DecodeCarelessly(text);
    if (decoded == text) break;
    text = std::move(decoded);
  }
  for (char& c : text) {
    if (c == '\\') c = '/';
  }
  std::vector<std::string> segments;
  for (std::string_view segment : Split(text, '/')) {
    segment = CutSegment(segment);
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else {
      segments.push_back(ToLower(segment));
    }
  }
  return segments.size() >= 2 && segments[0] == ".well-known" && segments[1] == "acme-challenge";
}

// A host as it is counted: "A.test.:80" is "a.test".
std::string HostOf(std::string_view authority) {
  size_t colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos)
    authority = authority.substr(0, colon);
  if (authority.ends_with('.')) authority.remove_suffix(1);
  return ToLower(authority);
}

// ---- options

enum class Mode { kAuto, kAlways, kOff };

struct Loopback {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

// "127.0.0.1:8888", "[::1]:8888". Only loopback: a token must not become a way to ask other
// machines things.
std::optional<Loopback> ParseLoopback(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto port = ParseDecimal(text.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) return std::nullopt;
  std::string host(text.substr(0, colon));
  Loopback address;
  if (host.starts_with('[') && host.ends_with(']')) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1 ||
        !IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr))
      return std::nullopt;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(*port));
    address.length = sizeof *v6;
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) != 1 ||
        (ntohl(v4->sin_addr.s_addr) >> 24) != 127)
      return std::nullopt;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(*port));
    address.length = sizeof *v4;
  }
  return address;
}

// A folder that clients put tokens into. The folder may be a symlink, but then from the start: what
// takes a folder's place later is followed nowhere.
struct Webroot {
  std::string path;
  bool is_symlink = false;
};

struct Options {
  std::vector<Webroot> webroots;
  std::string standalone, thumbprint;
  Mode mode = Mode::kAuto;
  std::optional<Loopback> standalone_address;
  // 20 requests a second for a host, 64 tokens under way; of all workers together. Never by source
  // address: authorities ask from several.
  std::shared_ptr<HostGate> gate = std::make_shared<HostGate>();
  // Tokens that nobody has.
  std::shared_ptr<LineBudget> misses = std::make_shared<LineBudget>(10);

  void Read(ConfigReader& config) {
    std::vector<std::string> webroot;
    config.Read("webroot", webroot);
    for (std::string& path : webroot) {
      while (path.size() > 1 && path.ends_with('/')) path.pop_back();
      struct stat status {};
      bool is_symlink = lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
      webroots.push_back({std::move(path), is_symlink});
    }
    config.Read("standalone", standalone);
    config.Read("thumbprint", thumbprint);
    std::string word = "auto";
    config.Read("mode", word);
    if (word == "always") {
      mode = Mode::kAlways;
    } else if (word == "off") {
      mode = Mode::kOff;
    } else if (word != "auto") {
      config.Fail("mode",
                  "\"" + EscapeControl(word) + "\" is none of \"auto\", \"always\", \"off\"");
    }
    if (!standalone.empty()) {
      standalone_address = ParseLoopback(standalone);
      if (!standalone_address)
        config.Fail("standalone", "\"" + EscapeControl(standalone) +
                                      "\" is no loopback address such as 127.0.0.1:8888");
    }
    if (!thumbprint.empty() && (thumbprint.size() != kThumbprint || !IsBase64Url(thumbprint)))
      config.Fail("thumbprint", "is not 43 letters of base64url");
  }
};

// ---- where a token may be (all off the worker)

class OwnedFd {
 public:
  explicit OwnedFd(int fd) : fd_(fd) {}
  ~OwnedFd() {
    if (fd_ >= 0) close(fd_);
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

constexpr int kOpenFlags = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY;

// Opens PREFIX/TOKEN below the webroot without following a symlink anywhere.
int OpenBeneath(int root, const std::string& token) {
  std::string path = std::string(kPrefix.substr(1)) + token;
  open_how how{};
  how.flags = static_cast<uint64_t>(kOpenFlags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  auto fd = static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
  // Old kernels do not have it and old containers' filters do not know it. The folders' names are
  // ours and the token has no slash, so step by step is the same.
  OwnedFd well_known(openat(root, ".well-known", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!well_known) return -1;
  OwnedFd folder(
      openat(well_known.get(), "acme-challenge", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return -1;
  return openat(folder.get(), token.c_str(), kOpenFlags);
}

// The file's bytes; nothing, with the reason in `fault` where it is worth telling.
std::optional<std::string> ReadFromWebroot(const Webroot& webroot, const std::string& token,
                                           std::string& fault) {
  int follow = webroot.is_symlink ? 0 : O_NOFOLLOW;
  OwnedFd root(open(webroot.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | follow));
  if (!root) {
    struct stat status {};
    bool is_swapped = follow != 0 && lstat(webroot.path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
    fault = is_swapped ? "has become a symlink; reload if that is meant" : std::strerror(errno);
    return std::nullopt;
  }
  OwnedFd file(OpenBeneath(root.get(), token));
  if (!file) {
    if (errno != ENOENT) fault = std::strerror(errno);
    return std::nullopt;
  }
  struct stat status {};
  if (fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    fault = "no regular file";
    return std::nullopt;
  }
  if (status.st_size > static_cast<off_t>(kMaxAnswer)) {
    fault = "larger than 1 KiB";
    return std::nullopt;
  }
  std::array<char, kMaxAnswer + 1> bytes;
  size_t size = 0;
  while (size < bytes.size()) {
    ssize_t got = read(file.get(), bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      fault = std::strerror(errno);
      return std::nullopt;
    }
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > kMaxAnswer) {
    fault = "larger than 1 KiB";
    return std::nullopt;
  }
  return std::string(bytes.data(), size);
}

bool WaitFor(int fd, short events, Steady::time_point deadline) {
  for (;;) {
    auto left = std::chrono::duration_cast<Millis>(deadline - Steady::now()).count();
    if (left <= 0) return false;
    pollfd item{fd, events, 0};
    int ready = poll(&item, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

// GET over HTTP/1.0, which ends with the connection: all that a client in standalone mode needs.
std::optional<std::string> AskStandalone(const Loopback& address, const std::string& host,
                                         const std::string& token, std::string& fault) {
  auto deadline = Steady::now() + kStandaloneTimeout;
  OwnedFd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  auto failed = [&](const char* what) {
    fault = what;
    return std::nullopt;
  };
  if (!fd) return failed(std::strerror(errno));
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) != 0) {
    // Nobody listens most of the time: that is how standalone mode works.
    if (errno == ECONNREFUSED) return std::nullopt;
    if (errno != EINPROGRESS) return failed(std::strerror(errno));
    int error = 0;
    socklen_t size = sizeof error;
    if (!WaitFor(fd.get(), POLLOUT, deadline)) return failed("timeout");
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == ECONNREFUSED) return std::nullopt;
    if (error != 0) return failed(std::strerror(error));
  }
  std::string out = "GET " + std::string(kPrefix) + token + " HTTP/1.0\r\nHost: " + host +
                    "\r\nConnection: close\r\n\r\n";
  for (size_t sent = 0; sent < out.size();) {
    ssize_t put = send(fd.get(), out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
    if (put > 0) {
      sent += static_cast<size_t>(put);
    } else if (errno != EAGAIN && errno != EINTR) {
      return failed(std::strerror(errno));
    } else if (!WaitFor(fd.get(), POLLOUT, deadline)) {
      return failed("timeout");
    }
  }
  constexpr size_t kMaxHead = 8 * 1024;
  std::string in;
  std::array<char, 4096> piece;
  for (;;) {
    ssize_t got = recv(fd.get(), piece.data(), piece.size(), 0);
    if (got == 0) break;
    if (got > 0) {
      in.append(piece.data(), static_cast<size_t>(got));
      if (in.size() > kMaxHead + kMaxAnswer) return failed("too long an answer");
    } else if (errno != EAGAIN && errno != EINTR) {
      return failed(std::strerror(errno));
    } else if (!WaitFor(fd.get(), POLLIN, deadline)) {
      return failed("timeout");
    }
  }
  size_t body = in.find("\r\n\r\n");
  if (!in.starts_with("HTTP/1.") || body == std::string::npos) return failed("no HTTP answer");
  std::string_view status = std::string_view(in).substr(8, 4);
  if (status != " 200") return status == " 404" ? std::nullopt : failed("another status than 200");
  return in.substr(body + 4);
}

// One search for one token. Run off the worker; it shares nothing but this.
struct Search {
  std::vector<Webroot> webroots;
  std::optional<Loopback> standalone;
  std::string token, host;

  std::string answer, answered_by;
  std::string faults;  // why something that was found could not be used

  void Run() {
    for (const Webroot& webroot : webroots) {
      std::string fault;
      auto found = ReadFromWebroot(webroot, token, fault);
      if (Take(found, "webroot:" + webroot.path, fault)) return;
    }
    if (standalone) {
      std::string fault;
      auto found = AskStandalone(*standalone, host, token, fault);
      Take(found, "standalone", fault);
    }
  }

 private:
  bool Take(const std::optional<std::string>& found, const std::string& where,
            std::string_view fault) {
    std::string_view text = found ? TrimEnd(*found) : std::string_view();
    if (found) fault = FindFault(token, text);
    if (!fault.empty()) {
      faults += (faults.empty() ? "" : "; ") + where + ": " + std::string(fault);
      return false;
    }
    if (!found) return false;
    answer = text;
    answered_by = where;
    return true;
  }
};

// ---- the filter

class AcmeChallenge final : public ExchangeFilter {
 public:
  explicit AcmeChallenge(const Options& options) : options_(options) {}
  ~AcmeChallenge() override { LeaveGate(); }

  Verdict OnRequestHead(Exchange& exchange) override {
    if (options_.mode == Mode::kOff) return Verdict::kContinue;
    const http::RequestHead& request = exchange.request();
    std::string_view path = request.path();
    if (!path.starts_with(kPrefix)) {
      if (path != kPrefix.substr(0, kPrefix.size() - 1) && !IsDisguised(path))
        return Verdict::kContinue;
      return Refuse(exchange, 404, "not spelled as the challenge path is");
    }
    std::string_view token = path.substr(kPrefix.size());
    if (!IsToken(token)) return Refuse(exchange, 404, "no token");
    if (request.target.size() != path.size()) return Refuse(exchange, 404, "a query");
    if (request.method != "GET" && request.method != "HEAD") return Refuse(exchange, 404, "method");
    if (request.framing != http::BodyFraming::kNone || !request.upgrade.empty())
      return Refuse(exchange, 404, "a body");
    if (!options_.gate->Enter(HostOf(request.authority), Steady::now())) return Refuse(exchange, 429, "too many");
    has_entered_ = true;
    token_ = token;

    if (std::string own = exchange.OwnChallenge(token_); !own.empty())
      return SendAnswer(exchange, own, "own");
    if (options_.webroots.empty() && !options_.standalone_address) return Answer(exchange, nullptr);
    auto search = std::make_shared<Search>();
    search->webroots = options_.webroots;
    search->standalone = options_.standalone_address;
    search->token = token_;
    search->host = request.authority;
    bool is_taken = exchange.Offload([search] { search->Run(); },
                                     [this, search, &exchange] { Answer(exchange, search.get()); });
    if (!is_taken) return Refuse(exchange, 503, "no thread to look for it");
    return Verdict::kPause;
  }

  // Only for what went to the site's upstream.
  Verdict OnResponseHead(Exchange& exchange) override {
    if (!is_forwarded_) return Verdict::kContinue;
    is_forwarded_ = false;
    int status = exchange.response().status;
    if (status != 200) return AnswerAfterUpstream(exchange, fmt::format("status {}", status));
    // The head of an answer says nothing that can be checked; an authority never asks for one.
    if (exchange.request().method == "HEAD") {
      Tell(exchange, "upstream", status);
      return Verdict::kContinue;
    }
    exchange.CollectResponse(kMaxAnswer, [this, &exchange](Result<std::string> body) {
      std::string_view text = body ? TrimEnd(*body) : std::string_view();
      std::string fault(body ? FindFault(token_, text) : std::string_view(body.error().detail));
      if (fault.empty()) {
        SendAnswer(exchange, std::string(text), "upstream");
      } else {
        AnswerAfterUpstream(exchange, fault);
      }
    });
    return Verdict::kPause;
  }

 private:
  Verdict Refuse(Exchange& exchange, int status, std::string_view why) {
    LOG_DEBUG("challenge_refused", "x={} client={} host={} status={} path={} reason={}",
              exchange.id(), exchange.connection().client_address, exchange.request().authority,
              status, EscapeControl(exchange.request().path()), why);
    exchange.NoteReason(why);
    exchange.ReplyStatus(status, kName);
    return Verdict::kStop;
  }

  void LeaveGate() {
    if (std::exchange(has_entered_, false)) options_.gate->Leave();
  }

  // `search` is null where there was nowhere to look.
  Verdict Answer(Exchange& exchange, const Search* search) {
    if (search != nullptr) {
      faults_ = search->faults;
      if (!search->answer.empty()) return SendAnswer(exchange, search->answer, search->answered_by);
    }
    if (exchange.site_has_challenge_upstream()) return Forward(exchange);
    std::string thumbprint = ThumbprintFor(exchange);
    if (!thumbprint.empty()) return SendAnswer(exchange, token_ + "." + thumbprint, "thumbprint");
    // "always": who serves tokens behind us in a way of his own.
    if (options_.mode == Mode::kAlways) return Forward(exchange);
    return GiveUp(exchange);
  }

  Verdict GiveUp(Exchange& exchange) {
    Tell(exchange, "", 404);
    if (!faults_.empty()) exchange.NoteReason(faults_);
    exchange.ReplyStatus(404, kName);
    return Verdict::kStop;
  }

  // The upstream's answer is none. A stateless one is better; a refusal or a redirect of the
  // upstream's is passed on as it is, but never a 200 of another form.
  Verdict AnswerAfterUpstream(Exchange& exchange, const std::string& fault) {
    std::string thumbprint = ThumbprintFor(exchange);
    if (!thumbprint.empty()) return SendAnswer(exchange, token_ + "." + thumbprint, "thumbprint");
    faults_ += (faults_.empty() ? "upstream: " : "; upstream: ") + fault;
    if (exchange.response().status == 200) return GiveUp(exchange);
    Tell(exchange, "", exchange.response().status);
    exchange.NoteReason(faults_);
    return Verdict::kContinue;
  }

  Verdict Forward(Exchange& exchange) {
    is_forwarded_ = true;
    // The upstream has limits of its own; one that hangs must not shut the path for all other hosts.
    LeaveGate();
    exchange.ForwardNow();
    return Verdict::kStop;
  }

  Verdict SendAnswer(Exchange& exchange, const std::string& answer, std::string_view answered_by) {
    Tell(exchange, answered_by, 200);
    http::ResponseHead head;
    head.status = 200;
    head.headers.Add("Content-Type", "application/octet-stream");  // RFC 8555 8.3
    head.headers.Add("Cache-Control", "no-store");
    exchange.Reply(std::move(head), answer, fmt::format("{}:{}", kName, answered_by));
    return Verdict::kStop;
  }

  std::string ThumbprintFor(Exchange& exchange) const {
    std::string_view own = exchange.site_thumbprint();
    return std::string(own.empty() ? std::string_view(options_.thumbprint) : own);
  }

  void Tell(Exchange& exchange, std::string_view answered_by, int status) {
    std::string_view client = exchange.connection().client_address;
    const std::string& host = exchange.request().authority;
    if (!answered_by.empty()) {
      LOG_INFO("challenge_answered", "token={} host={} client={} by={} status={} x={}", token_,
               host, client, answered_by, status, exchange.id());
    } else if (auto untold = options_.misses->Take(Steady::now())) {
      // Something is there and cannot be used: whoever renews wants to know why.
      if (!faults_.empty()) {
        LOG_WARN("challenge_answer_unusable",
                 "token={} host={} client={} status={} x={} more={} why=\"{}\"", token_, host,
                 client, status, exchange.id(), *untold, EscapeControl(faults_));
      } else {
        LOG_INFO("challenge_unknown_token", "token={} host={} client={} status={} x={} more={}",
                 token_, host, client, status, exchange.id(), *untold);
      }
    }
  }

  const Options& options_;
  std::string token_, faults_;
  bool has_entered_ = false, is_forwarded_ = false;
};
}  // namespace

GENKAN_MODULE(acme_challenge, AcmeChallenge, Options);
