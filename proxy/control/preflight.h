// Would a certificate authority get the answer? A token is fetched the way http-01 does it, hop by
// hop, and the stop at which it fails is named in words. Pure over a function that fetches and what
// the running proxy tells.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "proxy/control/acme_probe.h"

namespace genkan::control {

// What the running proxy tells of a request (server::ChallengeHit, as it comes over the admin
// socket).
struct ProxyHit {
  std::string host, target, site, answered_by, module, upstream, reason;
  bool is_tls = false;
  int status = 0;
};

// Where the token is and what answers it.
struct Placement {
  std::string token;
  std::string answer;                 // "" = nothing was put in place: only the way is looked at
  std::string how;                    // "webroot", "proxy", "thumbprint", "nothing"
  std::string where;                  // of a webroot: the folder that the token lies in
  std::vector<std::string> webroots;  // all of [acme_challenge]
  bool is_proxy_asked = false;        // the running proxy tells what reaches it
};

// The way by one of the name's addresses.
struct Walk {
  std::string address;  // "" = as the options say
  std::vector<Hop> hops;
  // By hop; nothing where the proxy did not see that request, or was not asked.
  std::vector<std::optional<ProxyHit>> hits;
  std::string code;          // stable: "OK", "PORT_CLOSED" …
  std::string text, advice;  // in words
  bool is_good() const { return code == "OK" || code == "REACHABLE"; }
};

inline constexpr size_t kMostRedirects = 10;

// Follows redirects as an authority does, and says how it ends. `hits`: all that the proxy saw of this walk so far, in
// order; asked again, with a moment in between that is the callee's to wait, until the last answer is among them.
Walk WalkAsAuthority(const std::string& host, const std::string& address,
                     const Placement& placement,
                     const std::function<Hop(const std::string& url)>& fetch,
                     const std::function<std::vector<ProxyHit>()>& hits);

struct PreflightReport {
  std::string host;
  Placement placement;
  std::vector<std::string> addresses;
  std::string resolve_error;  // the name has no address, in words
  std::vector<Walk> walks;
  bool is_good() const;
  // Of the first walk that fails, or of the first.
  const Walk* decisive() const;
};

std::string PreflightText(const PreflightReport& report);
std::string PreflightJson(const PreflightReport& report);

}  // namespace genkan::control
