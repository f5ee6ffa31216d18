#include "proxy/control/preflight.h"

#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/base/text.h"

namespace genkan::control {
namespace {

constexpr std::string_view kPrefix = "/.well-known/acme-challenge/";

constexpr int kMostQuestions = 40;

std::string Join(const std::vector<std::string>& parts) {
  std::string joined;
  for (const std::string& part : parts) joined += (joined.empty() ? "" : ", ") + part;
  return joined;
}

struct UrlParts {
  std::string scheme, host, target;
  int port = 0;
};

// Of an absolute URL that libcurl has made of a Location.
UrlParts PartsOf(std::string_view url) {
  UrlParts parts;
  size_t colon = url.find("://");
  if (colon == std::string_view::npos) return parts;
  parts.scheme = ToLower(url.substr(0, colon));
  url.remove_prefix(colon + 3);
  size_t end = std::min(url.find_first_of("/?#"), url.size());
  std::string_view authority = url.substr(0, end);
  parts.target = url.substr(end, url.find('#', end) - end);
  if (parts.target.empty() || parts.target[0] != '/') parts.target.insert(0, "/");
  size_t at = authority.rfind('@');
  if (at != std::string_view::npos) authority.remove_prefix(at + 1);
  size_t port = authority.rfind(':');
  bool has_port =
      port != std::string_view::npos && authority.find(']', port) == std::string_view::npos;
  parts.host = ToLower(authority.substr(0, has_port ? port : authority.size()));
  auto number = has_port ? ParseDecimal(authority.substr(port + 1)) : std::nullopt;
  parts.port = number ? static_cast<int>(*number) : parts.scheme == "https" ? 443 : 80;
  return parts;
}

// Says of each hop what the proxy saw of it: both are in order, but not every hop came to the
// proxy.
void MatchHits(Walk& walk, const std::vector<ProxyHit>& hits) {
  size_t next = 0;
  walk.hits.assign(walk.hops.size(), std::nullopt);
  for (size_t i = 0; i < walk.hops.size(); ++i) {
    const UrlParts url = PartsOf(walk.hops[i].url);
    for (size_t k = next; k < hits.size(); ++k) {
      std::string_view host = hits[k].host;
      host = host.substr(0, host.rfind(':') > host.rfind(']') + 1 ? host.rfind(':') : host.size());
      if (!EqualsIgnoreCase(host, url.host) || hits[k].target != url.target ||
          hits[k].status != walk.hops[i].status)
        continue;
      walk.hits[i] = hits[k];
      next = k + 1;
      break;
    }
  }
}

class Judge {
 public:
  Judge(Walk& walk, const Placement& placement)
      : walk_(walk), placement_(placement), hop_(walk.hops.back()), hit_(walk.hits.back()) {
    who_ = hop_.server.empty() ? "a server that does not say its name" : "\"" + hop_.server + "\"";
  }

  void JudgeEnd();
  void JudgeAnswer();
  void Say(std::string code, std::string text, std::string advice = {}) {
    walk_.code = std::move(code);
    walk_.text = std::move(text);
    walk_.advice = std::move(advice);
  }
  const Hop& hop() const { return hop_; }

 private:
  bool is_first() const { return walk_.hops.size() == 1; }
  std::string Target() const { return hop_.address.empty() ? hop_.url : hop_.address; }
  void JudgeGood();
  void JudgeNotFound();
  void JudgeDenied();
  void JudgeStranger();

  Walk& walk_;
  const Placement& placement_;
  const Hop& hop_;
  const std::optional<ProxyHit>& hit_;
  std::string who_;
};

void Judge::JudgeEnd() {
  const std::string port = is_first() ? "port 80" : "the port that the redirect leads to";
  switch (hop_.end) {
    case HopEnd::kNotResolved:
      return Say("NAME_NOT_RESOLVED", fmt::format("the name in {} does not resolve", hop_.url),
                 "correct the redirect, or the name in the DNS");
    case HopEnd::kRefused:
      return Say(
          "PORT_CLOSED", fmt::format("{} is closed: {}", port, hop_.error),
          "nothing listens there: start genkan with a plain [[listener]] on :80, or open and "
          "forward the port");
    case HopEnd::kSilent:
      return Say(
          "CONNECT_TIMEOUT", fmt::format("no connection within the time: {}", hop_.error),
          "a firewall swallows the packets, or the address is another machine's; authorities "
          "come from many addresses, so open the port to all");
    case HopEnd::kMute:
      return Say(
          "ANSWER_TIMEOUT",
          fmt::format("{} takes the connection and gives no answer: {}", Target(), hop_.error),
          "look at what listens there");
    case HopEnd::kTlsFailed:
      return Say(
          "TLS_FAILED", fmt::format("the handshake fails: {}", hop_.error),
          "no certificate serves that name yet? Then do not redirect the challenge to https");
    default:
      return Say("NOT_HTTP",
                 fmt::format("what {} says is no HTTP answer: {}", Target(), hop_.error),
                 "something else than a web server listens there, or it closes the connection");
  }
}

void Judge::JudgeAnswer() {
  if (hop_.status == 200) return JudgeGood();
  if (hit_) {
    if (hop_.status == 404) return JudgeNotFound();
    return JudgeDenied();
  }
  JudgeStranger();
}

void Judge::JudgeGood() {
  std::string_view body = hop_.body;
  while (!body.empty() &&
         (body.back() == '\n' || body.back() == '\r' || body.back() == ' ' || body.back() == '\t'))
    body.remove_suffix(1);
  if (!placement_.answer.empty() && body == placement_.answer) {
    if (hit_ || !placement_.is_proxy_asked)
      return Say("OK", "an authority gets the right answer" +
                           (hit_ ? " (" + hit_->answered_by + ")" : std::string()));
    return Say(
        "OK",
        "an authority gets the right answer, though not from the running genkan, but from " + who_);
  }
  std::string from = !hit_                    ? who_
                     : hit_->upstream.empty() ? hit_->answered_by
                                              : "the upstream " + hit_->upstream;
  std::string code = hit_ || !placement_.is_proxy_asked ? "WRONG_ANSWER" : "ANOTHER_SERVER";
  Say(code, fmt::format("200, but {} says something else than the token's answer", from),
      code == "ANOTHER_SERVER"
          ? "the name leads to another server than the genkan that runs here: look at the DNS, a "
            "balancer or a CDN in front"
          : "a page that is sent for every path answers the challenge path too; it must be 404 for "
            "tokens that it does not have");
}

void Judge::JudgeNotFound() {
  std::string reason = hit_->reason.empty() ? "" : ": " + hit_->reason;
  if (!hit_->upstream.empty()) {
    return Say("NOT_FOUND_AT_UPSTREAM",
               fmt::format("404 by the docroot of the upstream {} of site {}{}", hit_->upstream,
                           hit_->site, reason),
               "the guard passes the path on (mode, challenge_to_upstream), and the upstream does "
               "not have the token where it looks");
  }
  if (hit_->answered_by.starts_with("acme_challenge")) {
    std::string searched = placement_.webroots.empty()
                               ? "no webroot is configured"
                               : "searched were " + Join(placement_.webroots);
    return Say("NOT_FOUND", fmt::format("404 by genkan: {}{}", searched, reason),
               "the ACME client must write below one of these; the running proxy may have other "
               "settings than this file (genkan reload), or may not read the folder");
  }
  JudgeDenied();
}

void Judge::JudgeDenied() {
  std::string reason = hit_->reason.empty() ? "" : ": " + hit_->reason;
  bool is_denial = hop_.status == 401 || hop_.status == 403 || hop_.status == 429;
  if (hit_->answered_by.starts_with("acme_challenge")) {
    return Say("TOO_MANY", fmt::format("{} by the challenge guard{}", hop_.status, reason),
               "try again in a moment");
  }
  if (!hit_->answered_by.empty()) {
    std::string name = hit_->module.empty() || hit_->module == hit_->answered_by
                           ? hit_->answered_by
                           : fmt::format("{} ([module.{}])", hit_->answered_by, hit_->module);
    return Say(is_denial ? "DENIED_BY_FILTER" : "ANSWERED_BY_MODULE",
               fmt::format("{} by {} of genkan{}", hop_.status, name, reason),
               "filters see the challenge only where [acme_challenge] mode = \"off\", or where a "
               "redirect leads away from its path");
  }
  if (!hit_->upstream.empty()) {
    return Say(is_denial ? "DENIED_BY_UPSTREAM" : "UPSTREAM_ERROR",
               fmt::format("{} by the upstream {} of site {}{}", hop_.status, hit_->upstream,
                           hit_->site, reason),
               "let genkan answer: name the ACME client's webroot in [acme_challenge]");
  }
  Say("NOT_SERVED", fmt::format("{} by genkan itself{}", hop_.status, reason),
      "a redirect led away from the challenge's path or to a name that no site has");
}

// Nobody that we can ask saw the request.
void Judge::JudgeStranger() {
  if (placement_.is_proxy_asked) {
    return Say(
        "ANOTHER_SERVER",
        fmt::format("answered with {} by {}, not by the genkan that runs here", hop_.status, who_),
        "the name leads to another server: look at the DNS, a balancer or a CDN in front");
  }
  if (hop_.status == 404) {
    if (placement_.answer.empty()) {
      return Say(
          "REACHABLE",
          fmt::format("{} answers 404 for a token that nobody has, as it should; nothing was "
                      "put in place, so more cannot be said",
                      who_),
          "name a configuration (-c) or a docroot (--webroot) to try a token that exists");
    }
    return Say("NOT_FOUND", fmt::format("404 by {}: it does not serve {}", who_, placement_.where),
               "its docroot for this name is another: give the ACME client that one, or put genkan "
               "in front");
  }
  bool is_denial = hop_.status == 401 || hop_.status == 403 || hop_.status == 429;
  Say(is_denial ? "DENIED" : "SERVER_ERROR", fmt::format("{} by {}", hop_.status, who_),
      is_denial ? "a rule of that server keeps the path shut (a URL filter, a password, fail2ban)"
                : "look at that server's log");
}

}  // namespace

Walk WalkAsAuthority(const std::string& host, const std::string& address,
                     const Placement& placement,
                     const std::function<Hop(const std::string& url)>& fetch,
                     const std::function<std::vector<ProxyHit>()>& hits) {
  Walk walk;
  walk.address = address;
  bool is_v6 = host.find(':') != std::string::npos;
  std::string url =
      fmt::format("http://{}{}{}", is_v6 ? "[" + host + "]" : host, kPrefix, placement.token);
  std::string loop, bad;
  for (;;) {
    walk.hops.push_back(fetch(url));
    const Hop& hop = walk.hops.back();
    if (hop.end != HopEnd::kAnswered || hop.redirect.empty() || hop.status < 301 ||
        hop.status > 308)
      break;
    if (walk.hops.size() > kMostRedirects) break;
    UrlParts parts = PartsOf(hop.redirect);
    if ((parts.scheme != "http" && parts.scheme != "https") ||
        (parts.port != 80 && parts.port != 443)) {
      bad = hop.redirect;
      break;
    }
    auto seen = [&](const Hop& before) { return before.url == hop.redirect; };
    if (std::any_of(walk.hops.begin(), walk.hops.end(), seen)) {
      loop = hop.redirect;
      break;
    }
    url = hop.redirect;
  }
  MatchHits(walk, {});
  // The proxy writes a request down when its answer has gone out: the last one may take a moment.
  for (int i = 0; i < kMostQuestions && placement.is_proxy_asked; ++i) {
    MatchHits(walk, hits());
    if (walk.hits.back() || walk.hops.back().end != HopEnd::kAnswered) break;
  }
  Judge judge(walk, placement);
  std::string shown = EscapeControl(loop.empty() ? bad : loop);
  if (!loop.empty()) {
    judge.Say("REDIRECT_LOOP",
              fmt::format("a loop of {} redirects: back at {}", walk.hops.size(), shown),
              "two servers, or a server and an application, each redirect to what the other "
              "redirects from; leave "
              "the challenge path out of both");
  } else if (!bad.empty()) {
    judge.Say("BAD_REDIRECT",
              fmt::format("a redirect to {}, which authorities do not follow", shown),
              "only http and https on ports 80 and 443 are");
  } else if (walk.hops.size() > kMostRedirects) {
    judge.Say("TOO_MANY_REDIRECTS", fmt::format("more than {} redirects", kMostRedirects),
              "authorities give up then");
  } else if (judge.hop().end != HopEnd::kAnswered) {
    judge.JudgeEnd();
  } else {
    judge.JudgeAnswer();
  }
  return walk;
}

bool PreflightReport::is_good() const {
  return !walks.empty() &&
         std::all_of(walks.begin(), walks.end(), [](const Walk& walk) { return walk.is_good(); });
}

const Walk* PreflightReport::decisive() const {
  for (const Walk& walk : walks) {
    if (!walk.is_good()) return &walk;
  }
  return walks.empty() ? nullptr : &walks.front();
}

}  // namespace genkan::control
