// Tells the origin about the client's certificate in fields of the request. What a client sends
// under these names, in whatever spelling an origin might take for them, is always removed: the
// origin may believe what it finds.
#include "proxy/module/api.h"

namespace {
using namespace genkan;

struct Options {
  std::string prefix = "X-SSL-Client-";
  std::string certificate = "off";

  void Read(ConfigReader& config) {
    config.Read("prefix", prefix);
    config.Read("certificate", certificate);
    bool is_token = prefix.size() >= 3 && IsAlpha(prefix.front());
    for (char c : prefix) is_token = is_token && (IsAlpha(c) || IsDigit(c) || c == '-');
    if (!is_token)
      config.Fail("prefix", "is no beginning of a field's name, as in \"X-SSL-Client-\"");
    if (certificate != "off" && certificate != "pem" && certificate != "rfc9440")
      config.Fail("certificate",
                  "\"" + EscapeControl(certificate) + "\" is not \"off\", \"pem\" or \"rfc9440\"");
  }
};

// As CGI, and PHP in front of it, see a name: what is no letter or digit is all one.
std::string Folded(std::string_view name) {
  std::string folded;
  folded.reserve(name.size());
  for (char c : name) folded += IsAlpha(c) || IsDigit(c) ? ToLower(c) : '-';
  return folded;
}

// A certificate in one line: as nginx's $ssl_client_escaped_cert and Apache's escapes have it.
std::string EscapedPem(std::string_view der) {
  std::string text = "-----BEGIN CERTIFICATE-----\n";
  std::string base64 = Base64Encode(AsBytes(der));
  constexpr size_t kLine = 64;
  for (size_t at = 0; at < base64.size(); at += kLine) text += base64.substr(at, kLine) + '\n';
  text += "-----END CERTIFICATE-----\n";
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string escaped;
  for (char c : text) {
    if (IsAlpha(c) || IsDigit(c) || c == '-') {
      escaped += c;
    } else {
      escaped += '%';
      escaped += kDigits[static_cast<unsigned char>(c) >> 4];
      escaped += kDigits[static_cast<unsigned char>(c) & 15];
    }
  }
  return escaped;
}

class ClientCertHeaders final : public ExchangeFilter {
 public:
  explicit ClientCertHeaders(const Options& options) : options_(options) {}

  // At the listener as well as at the end: other modules see none of the client's either.
  Verdict OnRequestHead(Exchange& exchange) override {
    Strip(exchange.request().headers);
    return Verdict::kContinue;
  }

  Verdict OnUpstreamRequest(Exchange& exchange) override {
    http::Headers& headers = exchange.request().headers;
    Strip(headers);
    const ClientCertificateView* certificate = exchange.connection().client_certificate;
    Add(headers, "Verify", certificate != nullptr ? "SUCCESS" : "NONE");
    if (certificate == nullptr) return Verdict::kContinue;
    Add(headers, "Subject", certificate->subject);
    Add(headers, "Issuer", certificate->issuer);
    Add(headers, "Serial", certificate->serial_hex);
    Add(headers, "Fingerprint", certificate->sha256_hex);
    Add(headers, "Not-Before", FormatIso8601(certificate->not_before));
    Add(headers, "Not-After", FormatIso8601(certificate->not_after));
    if (options_.certificate == "pem") Add(headers, "Cert", EscapedPem(certificate->der));
    // RFC 9440 2.2: the DER as a byte sequence of structured fields.
    if (options_.certificate == "rfc9440")
      headers.Add("Client-Cert", ":" + Base64Encode(AsBytes(certificate->der)) + ":");
    return Verdict::kContinue;
  }

 private:
  void Strip(http::Headers& headers) const {
    std::string prefix = Folded(options_.prefix);
    headers.RemoveIf([&](std::string_view name, std::string_view) {
      std::string folded = Folded(name);
      return folded.starts_with(prefix) || folded == "client-cert" || folded == "client-cert-chain";
    });
  }

  void Add(http::Headers& headers, std::string_view name, std::string_view value) const {
    // A name in a certificate is whatever its authority let through.
    std::string clean(value);
    for (char& c : clean) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    headers.Add(options_.prefix + std::string(name), clean);
  }

  const Options& options_;
};
}  // namespace

GENKAN_MODULE(client_cert_headers, ClientCertHeaders, Options);
