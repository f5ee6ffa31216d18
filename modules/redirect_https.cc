// Sends plain HTTP to https: 301 for GET and HEAD, 308 for the rest, so that a form that was posted
// stays posted. Sites with certificates do this by themselves; this is for the routes of those that
// serve plain HTTP on purpose.
#include "proxy/module/api.h"

namespace {
using namespace genkan;

struct Options {
  int64_t port = 443;

  void Read(ConfigReader& config) {
    config.Read("port", port);
    if (port < 1 || port > 65535) config.Fail("port", "is not from 1 to 65535");
  }
};

class RedirectHttps final : public ExchangeFilter {
 public:
  explicit RedirectHttps(const Options& options) : options_(options) {}

  Verdict OnRequestHead(Exchange& exchange) override {
    const http::RequestHead& request = exchange.request();
    if (exchange.connection().is_tls) return Verdict::kContinue;
    // A balancer of ours that speaks TLS with the client: a redirect would never end.
    if (exchange.is_from_trusted_proxy() &&
        EqualsIgnoreCase(request.headers.Get("x-forwarded-proto").value_or(""), "https")) {
      return Verdict::kContinue;
    }
    std::string host = HostOf(request.authority, exchange.site());
    if (host.empty()) {
      // HTTP/1.0 without Host, to a site of any name: there is nowhere to send it.
      exchange.ReplyStatus(400, "redirect_https");
      return Verdict::kStop;
    }
    std::string location = "https://" + host;
    if (options_.port != 443) location += ":" + std::to_string(options_.port);
    location += request.target.starts_with('/') ? request.target : "/";
    http::ResponseHead head;
    head.status = request.method == "GET" || request.method == "HEAD" ? 301 : 308;
    head.headers.Add("Location", location);
    exchange.Reply(std::move(head), "", "redirect_https");
    return Verdict::kStop;
  }

 private:
  static std::string HostOf(std::string_view authority, std::string_view site) {
    if (authority.empty()) return std::string(site.find('*') == std::string_view::npos ? site : "");
    size_t bracket = authority.find(']');
    size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
    return std::string(authority.substr(0, colon));
  }

  const Options& options_;
};
}  // namespace

GENKAN_MODULE(redirect_https, RedirectHttps, Options);
