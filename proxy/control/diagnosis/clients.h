// The kinds of client through whose eyes a server is seen, and what each of them prints when it
// refuses. A kind is a trust profile (tls/trust_profile.h) and what it does beyond it. Immutable;
// any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/control/diagnosis/finding.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/trust_profile.h"

namespace genkan::control {

struct ClientKind {
  std::string id;  // "no_aia": stable
  tls::TrustProfilePtr profile;
  // Fetches a missing intermediate from the URL in the certificate (AIA): browsers do.
  bool fetches_issuers = false;
  // Takes the certificates exactly as they come, each as the issuer of the one before.
  bool is_strict_about_order = false;
};

// The trust profiles of `profiles` ("builtin" or a directory) over these roots. "modern" is three
// kinds: itself, "no_aia" (which fetches nothing) and "strict_order". None where there are no
// roots.
Result<std::vector<ClientKind>> MakeClients(const std::vector<tls::CertificatePtr>& roots,
                                            const std::string& profiles);

// Who that is, for people; the id itself for a profile of the operator's.
std::string LabelOf(std::string_view client, Language language);

struct ClientVerdict {
  std::string client;
  bool is_accepted = false;
  // It would refuse, but fetches what is missing where the certificate says.
  bool is_fetched = false;
  int code = 0;  // X509_V_ERR_…
  std::string subject, reason;
};

// `sent`: leaf first, then as the server sent it. The name is not looked at.
ClientVerdict Judge(const ClientKind& client, const std::vector<tls::CertificatePtr>& sent,
                    WallTime now);

// Errors that are not the chain's.
inline constexpr int kCodeHostMismatch = X509_V_ERR_HOSTNAME_MISMATCH,
                     kCodeRevoked = X509_V_ERR_CERT_REVOKED,
                     kCodeNoStaple = X509_V_ERR_OCSP_VERIFY_NEEDED;

// How this kind of client says it. `sent`: how many certificates it got.
std::vector<ClientMessage> MessagesOf(std::string_view client, int code, size_t sent,
                                      std::string_view host);

// Whether `issuer` may have signed `subject`, by names, key ids and signature.
bool IsIssuerOf(const tls::Certificate& issuer, const tls::Certificate& subject);

}  // namespace genkan::control
