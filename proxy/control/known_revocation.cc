#include "proxy/control/known_revocation.h"

#include <fstream>
#include <iterator>

#include "proxy/tls/crl.h"
#include "proxy/tls/digest.h"
#include "proxy/tls/ocsp.h"

namespace genkan::control {
namespace {

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

std::optional<KnownRevocation> FindKnownRevocation(const std::string& state_dir,
                                                   const tls::Certificate& leaf,
                                                   const tls::Certificate& issuer, WallTime now) {
  if (!leaf.ocsp_urls().empty()) {
    const std::string response = ReadWhole(state_dir + "/ocsp/" + leaf.sha256_hex());
    auto answer = tls::VerifyOcsp(response, leaf, issuer, now);
    if (answer && answer->state == tls::OcspState::kRevoked)
      return KnownRevocation{"ocsp", answer->reason, answer->revoked_at};
  }
  for (const std::string& url : leaf.crl_urls()) {
    const std::string list = ReadWhole(state_dir + "/crl/" + tls::Sha256Hex(url));
    auto answer = tls::LookUpInCrl(list, leaf, issuer, now);
    if (answer && answer->is_revoked)
      return KnownRevocation{"crl", answer->reason, answer->revoked_at};
  }
  return std::nullopt;
}

}  // namespace genkan::control
