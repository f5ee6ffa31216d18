#include "proxy/control/known_issuers.h"

#include "proxy/module/watched_file.h"
#include "proxy/tls/aia.h"
#include "proxy/tls/digest.h"

namespace genkan::control {

std::string IssuerFileOf(const std::string& url) { return tls::Sha256Hex(url) + ".der"; }

std::vector<tls::CertificatePtr> FindKnownIssuers(const std::string& state_dir,
                                                  const tls::Certificate& last, WallTime now) {
  for (const std::string& url : last.ca_issuer_urls()) {
    if (!tls::IsAiaUrl(url)) continue;
    auto bytes = ReadWholeFile(state_dir + "/aia/" + IssuerFileOf(url), tls::kMaxAiaBytes);
    if (!bytes) continue;
    auto issuers = tls::AcceptIssuers(last, *bytes, now);
    if (issuers) return *std::move(issuers);
  }
  return {};
}

}  // namespace genkan::control
