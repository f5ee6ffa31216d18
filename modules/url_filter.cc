// Keeps paths shut: 403 for those that a glob of `deny` fits and none of `allow`. Judges exactly
// the path that is forwarded, after its one normalisation, so that no spelling gets round it.
#include "proxy/module/api.h"

namespace {
using namespace genkan;

struct Options {
  std::vector<std::string> deny, allow, methods;
  bool deny_dotfiles = false;

  void Read(ConfigReader& config) {
    config.Read("deny", deny);
    config.Read("allow", allow);
    config.Read("methods", methods);
    config.Read("deny_dotfiles", deny_dotfiles);
    CheckGlobs(config, "deny", deny);
    CheckGlobs(config, "allow", allow);
    for (const std::string& method : methods) {
      for (char c : method) {
        if (c >= 'A' && c <= 'Z') continue;
        config.Fail("methods", "\"" + EscapeControl(method) + "\" is no method in capitals");
        break;
      }
    }
  }

  static void CheckGlobs(ConfigReader& config, std::string_view key,
                         const std::vector<std::string>& globs) {
    for (const std::string& glob : globs) {
      if (glob.starts_with('/') || glob.starts_with('*')) continue;
      config.Fail(key, "\"" + EscapeControl(glob) + "\" fits no path; begin with / or *");
    }
  }
};

class UrlFilter final : public ExchangeFilter {
 public:
  explicit UrlFilter(const Options& options) : options_(options) {}

  Verdict OnRequestHead(Exchange& exchange) override {
    const http::RequestHead& request = exchange.request();
    if (request.target == "*" || !IsMeant(request.method)) return Verdict::kContinue;
    auto path = exchange.normalized_path();
    if (!path) {
      exchange.ReplyStatus(400, "url_filter");
      return Verdict::kStop;
    }
    std::string_view rule = FindDenial(*path);
    if (rule.empty() || FitsAny(options_.allow, *path)) return Verdict::kContinue;
    LOG_DEBUG("url_filter_denied", "x={} path={} rule={}", exchange.id(), *path, rule);
    exchange.ReplyStatus(403, "url_filter");
    return Verdict::kStop;
  }

 private:
  bool IsMeant(std::string_view method) const {
    if (options_.methods.empty()) return true;
    for (const std::string& one : options_.methods) {
      if (one == method) return true;
    }
    return false;
  }

  // The rule that shuts the path; empty where none does.
  std::string_view FindDenial(std::string_view path) const {
    if (options_.deny_dotfiles && path.find("/.") != std::string_view::npos) return "deny_dotfiles";
    for (const std::string& glob : options_.deny) {
      if (GlobMatch(glob, path)) return glob;
    }
    return {};
  }

  static bool FitsAny(const std::vector<std::string>& globs, std::string_view path) {
    for (const std::string& glob : globs) {
      if (GlobMatch(glob, path)) return true;
    }
    return false;
  }

  const Options& options_;
};
}  // namespace

GENKAN_MODULE(url_filter, UrlFilter, Options);
