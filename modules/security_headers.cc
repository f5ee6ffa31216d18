// Response fields that tell browsers to be careful. What the application itself says about a page
// stands, unless `override` is set: it may know better, and a milder value in its place would take
// protection away.
#include "proxy/module/api.h"

namespace {
using namespace genkan;

struct Options {
  std::string hsts = "max-age=63072000";
  std::string content_type_options = "nosniff";
  std::string frame_options = "SAMEORIGIN";
  std::string referrer_policy = "strict-origin-when-cross-origin";
  std::string content_security_policy, permissions_policy, cross_origin_opener_policy,
      cross_origin_resource_policy;
  bool overrides = false;

  void Read(ConfigReader& config) {
    ReadValue(config, "hsts", hsts);
    ReadValue(config, "content_type_options", content_type_options);
    ReadValue(config, "frame_options", frame_options);
    ReadValue(config, "referrer_policy", referrer_policy);
    ReadValue(config, "content_security_policy", content_security_policy);
    ReadValue(config, "permissions_policy", permissions_policy);
    ReadValue(config, "cross_origin_opener_policy", cross_origin_opener_policy);
    ReadValue(config, "cross_origin_resource_policy", cross_origin_resource_policy);
    config.Read("override", overrides);
  }

  static void ReadValue(ConfigReader& config, std::string_view key, std::string& value) {
    config.Read(key, value);
    for (char c : value) {
      if (c >= 0x20 && c < 0x7f) continue;
      config.Fail(key, "has a byte that no field's value may have");
      return;
    }
  }
};

class SecurityHeaders final : public ExchangeFilter {
 public:
  explicit SecurityHeaders(const Options& options) : options_(options) {}

  Verdict OnResponseHead(Exchange& exchange) override {
    http::Headers& headers = exchange.response().headers;
    if (IsSecure(exchange)) {
      Put(headers, "Strict-Transport-Security", options_.hsts);
    } else {
      // RFC 6797 7.2: never over plain HTTP, whoever set it.
      headers.Remove("Strict-Transport-Security");
    }
    Put(headers, "X-Content-Type-Options", options_.content_type_options);
    Put(headers, "X-Frame-Options", options_.frame_options);
    Put(headers, "Referrer-Policy", options_.referrer_policy);
    Put(headers, "Content-Security-Policy", options_.content_security_policy);
    Put(headers, "Permissions-Policy", options_.permissions_policy);
    Put(headers, "Cross-Origin-Opener-Policy", options_.cross_origin_opener_policy);
    Put(headers, "Cross-Origin-Resource-Policy", options_.cross_origin_resource_policy);
    return Verdict::kContinue;
  }

 private:
  // Also behind a balancer of ours that speaks TLS with the client.
  static bool IsSecure(Exchange& exchange) {
    if (exchange.connection().is_tls) return true;
    return exchange.is_from_trusted_proxy() &&
           EqualsIgnoreCase(exchange.request().headers.Get("x-forwarded-proto").value_or(""),
                            "https");
  }

  void Put(http::Headers& headers, std::string_view name, const std::string& value) const {
    if (value.empty() || (headers.Has(name) && !options_.overrides)) return;
    headers.Set(name, value);
  }

  const Options& options_;
};
}  // namespace

GENKAN_MODULE(security_headers, SecurityHeaders, Options);
