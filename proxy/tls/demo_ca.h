// A throw-away certificate authority for `genkan demo`: a root and an intermediate whose keys never
// leave the process, leaves on demand, and the OCSP answers about them. One thread at a time; owned
// by the demo.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/tls/certificate.h"

namespace genkan::tls {

class DemoCa {
 public:
  struct Leaf {
    CertificatePtr certificate;
    std::string pem;
    std::string key_pem;  // PKCS#8
  };

  // Certificates begin an hour before `now` (clocks of clients differ) and last 90 days, the CA's a
  // year.
  static Result<std::unique_ptr<DemoCa>> Make(WallTime now);

  // A new key each time. `names`: DNS names and IP addresses. `ocsp_url` may be empty.
  Result<Leaf> Issue(const std::vector<std::string>& names, const std::string& ocsp_url,
                     WallTime now);

  // The OCSPResponse (RFC 6960) to a request: good for what was issued here, unknown for the rest,
  // valid for a day. What is no request, or about another issuer, gets the protocol's own refusal.
  Result<std::string> AnswerOcsp(std::string_view request_der, WallTime now) const;

  const std::string& root_pem() const { return root_pem_; }
  const std::string& intermediate_pem() const { return intermediate_pem_; }
  const CertificatePtr& root() const { return root_; }
  const CertificatePtr& intermediate() const { return intermediate_; }

 private:
  DemoCa() = default;

  CertificatePtr root_, intermediate_;
  EvpPkeyPtr intermediate_key_;  // the root's is gone once the intermediate is signed
  std::string root_pem_, intermediate_pem_;
  std::set<std::string> issued_;  // serials, as Certificate::serial_hex()
};

}  // namespace genkan::tls
