// SNI -> bundles: exact names first, then the longest wildcard, then the default. Immutable: built
// whole on the control thread and published to each worker. Any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/tls/certificate_bundle.h"

namespace genkan::tls {

class CertStore {
 public:
  // The bundles of one site, in configured order. Several: those whose names fit the SNI, then
  // ECDSA where the client takes it, otherwise RSA.
  struct SiteEntry {
    uint32_t site = 0;               // index in the snapshot
    std::vector<std::string> names;  // lower case, "*.example.com", "*"
    std::vector<BundlePtr> bundles;  // empty: the site's certificates are missing; it refuses TLS
    bool is_default = false;
  };
  struct Match {
    bool is_known =
        false;          // the name is a site's (or the default was taken because there was no SNI)
    uint32_t site = 0;  // the matched or the default site
    BundlePtr bundle;   // null: no certificate in service: refuse with an alert
  };

  explicit CertStore(std::vector<SiteEntry> sites);

  Match Find(std::string_view server_name, bool offers_ecdsa, bool offers_rsa) const;
  const std::vector<SiteEntry>& sites() const { return sites_; }

 private:
  std::vector<SiteEntry> sites_;
  std::unordered_map<std::string, uint32_t> exact_;     // name -> index in sites_
  std::unordered_map<std::string, uint32_t> wildcard_;  // "example.com" of "*.example.com"
  int catch_all_ = -1;
  int default_ = -1;
};
using CertStorePtr = std::shared_ptr<const CertStore>;

}  // namespace genkan::tls
