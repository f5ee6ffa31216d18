// Keeps paths shut: 403 for those that a glob of `deny` fits and none of `allow`. Judges exactly
// the path that is forwarded, after its one normalisation, so that no spelling gets round it.
//
// Escapes that the normalisation leaves (%20, %21, %C3) and the bytes that they stand for name the
// same file at every origin, so the comparison is between bytes: "/a b" and "/a%20b" are one glob
// and one path.
#include "proxy/module/api.h"

namespace {
using namespace genkan;

// "/wp-admin/*", "*.bak": * is any run of bytes, ? one; an escape is the byte that it stands for,
// never a wildcard.
class Glob {
 public:
  explicit Glob(std::string written) : written_(std::move(written)) {
    for (size_t i = 0; i < written_.size(); ++i) {
      char c = written_[i];
      if (c == '*' || c == '?') {
        pieces_.push_back(c == '*' ? kAnyRun : kAnyByte);
        continue;
      }
      int byte = EscapedByte(written_, i);
      pieces_.push_back(static_cast<int16_t>(byte < 0 ? static_cast<unsigned char>(c) : byte));
      if (byte >= 0) i += 2;
    }
  }

  const std::string& written() const { return written_; }

  // `path` is unescaped. Linear in both lengths but for runs, no recursion.
  bool Fits(std::string_view path) const { return FitsFrom(pieces_.size(), path); }

  // What is below a file that is shut is that file, with PATH_INFO ("/admin.php/x"); and the folder
  // whose insides are shut ("/admin/*") has an index that some origins show without the slash.
  bool Shuts(std::string_view path) const {
    if (Fits(path)) return true;
    size_t size = pieces_.size();
    if (size > 2 && pieces_[size - 1] == kAnyRun && pieces_[size - 2] == '/' &&
        FitsFrom(size - 2, path)) {
      return true;
    }
    for (size_t slash = path.find('/', 1); slash != std::string_view::npos;
         slash = path.find('/', slash + 1)) {
      if (Fits(path.substr(0, slash))) return true;
    }
    return false;
  }

 private:
  static constexpr int16_t kAnyRun = -1, kAnyByte = -2;

  bool FitsFrom(size_t size, std::string_view path) const {
    size_t p = 0, t = 0, star = size, mark = 0;
    while (t < path.size()) {
      if (p < size && pieces_[p] == kAnyRun) {
        star = p++;
        mark = t;
      } else if (p < size &&
                 (pieces_[p] == kAnyByte || pieces_[p] == static_cast<unsigned char>(path[t]))) {
        ++p;
        ++t;
      } else if (star < size) {
        p = star + 1;
        t = ++mark;
      } else {
        return false;
      }
    }
    while (p < size && pieces_[p] == kAnyRun) ++p;
    return p == size;
  }

  std::string written_;
  std::vector<int16_t> pieces_;
};

struct Options {
  std::vector<std::string> deny, allow, methods, except_methods;
  bool deny_dotfiles = false, ignore_case = false;
  std::vector<Glob> deny_globs, allow_globs;

  void Read(ConfigReader& config) {
    config.Read("deny", deny);
    config.Read("allow", allow);
    config.Read("methods", methods);
    config.Read("except_methods", except_methods);
    config.Read("deny_dotfiles", deny_dotfiles);
    config.Read("ignore_case", ignore_case);
    ReadGlobs(config, "deny", deny, deny_globs);
    ReadGlobs(config, "allow", allow, allow_globs);
    CheckMethods(config, "methods", methods);
    CheckMethods(config, "except_methods", except_methods);
    if (!methods.empty() && !except_methods.empty())
      config.Fail("except_methods", "stands beside methods; one of the two says which are meant");
  }

  void ReadGlobs(ConfigReader& config, std::string_view key, const std::vector<std::string>& texts,
                 std::vector<Glob>& globs) const {
    for (const std::string& text : texts) {
      if (!text.starts_with('/') && !text.starts_with('*'))
        config.Fail(key, "\"" + EscapeControl(text) + "\" fits no path; begin with / or *");
      globs.emplace_back(ignore_case ? ToLower(text) : text);
    }
  }

  static void CheckMethods(ConfigReader& config, std::string_view key,
                           const std::vector<std::string>& methods) {
    for (const std::string& method : methods) {
      for (char c : method) {
        if (c >= 'A' && c <= 'Z') continue;
        config.Fail(key, "\"" + EscapeControl(method) + "\" is no method in capitals");
        break;
      }
    }
  }
};

// Fields by which frameworks let a POST stand for another method.
constexpr std::string_view kOverrides[] = {"x-http-method-override", "x-http-method",
                                           "x-method-override"};

class UrlFilter final : public ExchangeFilter {
 public:
  explicit UrlFilter(const Options& options) : options_(options) {}

  Verdict OnRequestHead(Exchange& exchange) override {
    const http::RequestHead& request = exchange.request();
    if (request.target == "*" || !IsMeant(request)) return Verdict::kContinue;
    auto forwarded = exchange.normalized_path();
    if (!forwarded) {
      exchange.ReplyStatus(400, "url_filter");
      return Verdict::kStop;
    }
    std::string path = Unescape(*forwarded);
    if (options_.ignore_case) path = ToLower(path);
    std::string_view rule = FindDenial(path);
    if (rule.empty() || IsAllowed(path)) return Verdict::kContinue;
    LOG_DEBUG("url_filter_denied", "x={} path={} rule={}", exchange.id(), *forwarded, rule);
    exchange.ReplyStatus(403, "url_filter");
    return Verdict::kStop;
  }

 private:
  bool IsMeant(const http::RequestHead& request) const {
    if (options_.methods.empty() && options_.except_methods.empty()) return true;
    if (IsMeant(request.method)) return true;
    for (http::Headers::Field field : request.headers) {
      for (std::string_view name : kOverrides) {
        if (EqualsIgnoreCase(field.name, name) && IsMeant(field.value)) return true;
      }
    }
    return false;
  }

  // Case aside: PHP runs a "post" as any other method. GET is HEAD's as well.
  bool IsMeant(std::string_view method) const {
    bool is_meant_if_named = !options_.methods.empty();
    for (const std::string& one : is_meant_if_named ? options_.methods : options_.except_methods) {
      if (EqualsIgnoreCase(method, one) || (one == "GET" && EqualsIgnoreCase(method, "HEAD")))
        return is_meant_if_named;
    }
    return !is_meant_if_named;
  }

  // The rule that shuts the path; empty where none does.
  std::string_view FindDenial(std::string_view path) const {
    if (options_.deny_dotfiles && path.find("/.") != std::string_view::npos) return "deny_dotfiles";
    for (const Glob& glob : options_.deny_globs) {
      if (glob.Shuts(path)) return glob.written();
    }
    return {};
  }

  bool IsAllowed(std::string_view path) const {
    for (const Glob& glob : options_.allow_globs) {
      if (glob.Fits(path)) return true;
    }
    return false;
  }

  const Options& options_;
};
}  // namespace

GENKAN_MODULE(url_filter, UrlFilter, Options);
