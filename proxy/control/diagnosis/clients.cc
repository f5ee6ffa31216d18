#include "proxy/control/diagnosis/clients.h"

#include <fmt/core.h>

#include <algorithm>

#include "proxy/tls/trust_profiles.h"

namespace genkan::control {
namespace {

using tls::CertificatePtr;

// As the client sees it: what comes next must be the issuer of what came before. It reads no
// further once it knows the issuer, so what follows a good path does no harm.
std::vector<CertificatePtr> AsFarAsInOrder(const std::vector<CertificatePtr>& sent) {
  std::vector<CertificatePtr> chain = {sent.front()};
  for (size_t i = 1; i < sent.size() && IsIssuerOf(*sent[i], *chain.back()); ++i)
    chain.push_back(sent[i]);
  return chain;
}

bool IsIssuerMissing(int code) {
  return code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
         code == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
         code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT;
}

bool IsDate(int code) {
  return code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID;
}

std::vector<ClientMessage> OfBrowsers(int code) {
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return {{"Chrome, Edge", "NET::ERR_CERT_DATE_INVALID"},
              {"Firefox", code == X509_V_ERR_CERT_HAS_EXPIRED
                              ? "SEC_ERROR_EXPIRED_CERTIFICATE"
                              : "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE"}};
    case kCodeHostMismatch:
      return {{"Chrome, Edge", "NET::ERR_CERT_COMMON_NAME_INVALID"},
              {"Firefox", "SSL_ERROR_BAD_CERT_DOMAIN"}};
    case kCodeRevoked:
      return {{"Chrome, Edge", "NET::ERR_CERT_REVOKED"},
              {"Firefox", "SEC_ERROR_REVOKED_CERTIFICATE"}};
    case kCodeNoStaple:
      return {{"Firefox", "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING"}};
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return {{"Chrome, Edge", "NET::ERR_CERT_AUTHORITY_INVALID"},
              {"Firefox", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"}};
    default:
      return {{"Chrome, Edge", "NET::ERR_CERT_AUTHORITY_INVALID"},
              {"Firefox", "SEC_ERROR_UNKNOWN_ISSUER"}};
  }
}

// What `openssl s_client` prints last. It goes on after an error: of a leaf alone it says in the
// end that even that could not be verified.
std::string ReturnCode(int code, size_t sent) {
  if (code == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY && sent == 1)
    code = X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
  return fmt::format("Verify return code: {} ({})", code, X509_verify_cert_error_string(code));
}

std::string WgetReason(int code) {
  if (IsIssuerMissing(code)) return "Unable to locally verify the issuer's authority.";
  if (code == X509_V_ERR_CERT_HAS_EXPIRED) return "Issued certificate has expired.";
  if (code == X509_V_ERR_CERT_NOT_YET_VALID) return "Issued certificate not yet valid.";
  if (code == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
      code == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN) {
    return "Self-signed certificate encountered.";
  }
  return X509_verify_cert_error_string(code);
}

std::vector<ClientMessage> OfOpenssl(int code, size_t sent, std::string_view host, bool is_old) {
  if (code == kCodeRevoked || code == kCodeNoStaple) return {};  // they do not look
  if (code == kCodeHostMismatch) {
    return {{"curl", fmt::format("curl: (60) SSL: no alternative certificate subject name matches "
                                 "target host name '{}'",
                                 host)},
            {"PHP", fmt::format("Peer certificate CN=`…' did not match expected CN=`{}'", host)},
            {"openssl s_client -verify_hostname", ReturnCode(code, sent)}};
  }
  const char* reason = X509_verify_cert_error_string(code);
  std::vector<ClientMessage> messages;
  if (!is_old) {
    messages.push_back({"curl", fmt::format("curl: (60) SSL certificate problem: {}", reason)});
    messages.push_back({"Python", fmt::format("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify "
                                              "failed: {}",
                                              reason)});
  }
  messages.push_back(
      {is_old ? "PHP 5" : "PHP",
       std::string("file_get_contents(): SSL operation failed with code 1. OpenSSL Error "
                   "messages: ") +
           (is_old ? "error:14090086:SSL routines:ssl3_get_server_certificate:certificate verify "
                     "failed"
                   : "error:0A000086:SSL routines::certificate verify failed")});
  if (is_old) messages.push_back({"wget", WgetReason(code)});
  messages.push_back({"openssl s_client", ReturnCode(code, sent)});
  return messages;
}

std::vector<ClientMessage> OfGnutls(int code) {
  if (code == kCodeRevoked || code == kCodeNoStaple) return {};
  const char* reason = "The certificate issuer is unknown.";
  if (code == kCodeHostMismatch) {
    reason = "The name in the certificate does not match the expected.";
  } else if (code == X509_V_ERR_CERT_HAS_EXPIRED) {
    reason = "The certificate chain uses expired certificate.";
  } else if (code == X509_V_ERR_CERT_NOT_YET_VALID) {
    reason = "The certificate chain uses not yet valid certificate.";
  }
  return {{"gnutls-cli", fmt::format("Status: The certificate is NOT trusted. {}", reason)}};
}

std::vector<ClientMessage> OfAndroid(int code, std::string_view host) {
  if (code == kCodeRevoked || code == kCodeNoStaple) return {};
  if (code == kCodeHostMismatch) {
    return {{"Android", fmt::format("javax.net.ssl.SSLPeerUnverifiedException: Hostname {} not "
                                    "verified",
                                    host)}};
  }
  if (IsDate(code)) {
    return {{"Android", "java.security.cert.CertificateExpiredException"}};
  }
  return {{"Android",
           "java.security.cert.CertPathValidatorException: Trust anchor for certification path not "
           "found."}};
}

struct Label {
  std::string_view id;
  const char *english, *japanese;
};
constexpr Label kLabels[] = {
    {"modern", "browsers of today (they fetch a missing intermediate)",
     "現在のブラウザ（足りない中間証明書を自動取得）"},
    {"no_aia", "curl, wget, PHP, Python, OpenSSL 1.1 and 3 (they fetch nothing)",
     "curl・wget・PHP・Python・OpenSSL 1.1/3（自動取得しない）"},
    {"openssl_1_0", "OpenSSL 1.0.x (CentOS 6 and 7, PHP 5)",
     "OpenSSL 1.0.x（CentOS 6・7、PHP 5 など）"},
    {"gnutls_2020", "GnuTLS before 3.6.14 (Debian 10, Ubuntu 18.04 and 20.04)",
     "GnuTLS 3.6.14 より前（Debian 10、Ubuntu 18.04・20.04 など）"},
    {"old_android", "Android before 7.1.1", "Android 7.1.1 より前"},
    {"strict_order", "small libraries that take the order as it comes (wolfSSL, BearSSL)",
     "順序どおりに検証する小さなライブラリ（wolfSSL・BearSSL など）"},
};

}  // namespace

bool IsIssuerOf(const tls::Certificate& issuer, const tls::Certificate& subject) {
  if (issuer.subject_der() != subject.issuer_der()) return false;
  const tls::ErrorQueueGuard guard;
  if (X509_check_issued(issuer.x509(), subject.x509()) != X509_V_OK) return false;
  EVP_PKEY* key = X509_get0_pubkey(issuer.x509());
  return key != nullptr && X509_verify(subject.x509(), key) == 1;
}

Result<std::vector<ClientKind>> MakeClients(const std::vector<CertificatePtr>& roots,
                                            const std::string& profiles) {
  auto loaded = tls::LoadTrustProfiles(profiles, roots);
  if (!loaded) return PassOn(loaded);
  std::vector<ClientKind> clients;
  for (const tls::TrustProfilePtr& profile : *loaded) {
    clients.push_back({profile->name(), profile, profile->name() == "modern", false});
    if (profile->name() != "modern") continue;
    // The same store and rules, but who fetches and who does not is what most reports are about.
    clients.push_back({"no_aia", profile, false, false});
    clients.push_back({"strict_order", profile, false, true});
  }
  const auto rank = [](const ClientKind& client) {
    return client.id == "modern" ? 0 : client.id == "no_aia" ? 1 : 2;
  };
  std::stable_sort(clients.begin(), clients.end(),
                   [&](const ClientKind& a, const ClientKind& b) { return rank(a) < rank(b); });
  return clients;
}

std::string LabelOf(std::string_view client, Language language) {
  for (const Label& label : kLabels) {
    if (label.id == client) return language == Language::kJapanese ? label.japanese : label.english;
  }
  return std::string(client);
}

ClientVerdict Judge(const ClientKind& client, const std::vector<CertificatePtr>& sent,
                    WallTime now) {
  ClientVerdict verdict;
  verdict.client = client.id;
  if (sent.empty()) return verdict;
  const auto& chain = client.is_strict_about_order ? AsFarAsInOrder(sent) : sent;
  const auto judged = client.profile->Judge(chain, now);
  if (!judged) {
    verdict.code = X509_V_ERR_UNSPECIFIED;
    verdict.reason = judged.error().detail;
    return verdict;
  }
  verdict.is_accepted = judged->is_accepted;
  verdict.code = judged->code;
  verdict.subject = judged->subject;
  verdict.reason = judged->reason;
  if (client.fetches_issuers && !verdict.is_accepted && IsIssuerMissing(verdict.code)) {
    // The end of what was sent says where to go on.
    verdict.is_fetched = std::any_of(sent.begin(), sent.end(), [](const CertificatePtr& one) {
      return !one->ca_issuer_urls().empty();
    });
  }
  return verdict;
}

std::vector<ClientMessage> MessagesOf(std::string_view client, int code, size_t sent,
                                      std::string_view host) {
  if (client == "modern") return OfBrowsers(code);
  if (client == "no_aia") return OfOpenssl(code, sent, host, false);
  if (client == "openssl_1_0") return OfOpenssl(code, sent, host, true);
  if (client == "gnutls_2020") return OfGnutls(code);
  if (client == "old_android") return OfAndroid(code, host);
  if (client == "strict_order" && IsIssuerMissing(code)) {
    return {{"wolfSSL", "error -188 (ASN no signer error to confirm failure)"},
            {"BearSSL", "BR_ERR_X509_DN_MISMATCH"}};
  }
  return {};
}

}  // namespace genkan::control
