// SNI -> bundles: exact names first, then the longest wildcard, then the default. Immutable: built
// on the control thread and published to each worker. Any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
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

  // Of some site, another list of bundles; the first is the index of its SiteEntry.
  using Change = std::pair<size_t, std::vector<BundlePtr>>;

  explicit CertStore(std::vector<SiteEntry> sites);
  // The same with these changes. What does not change is shared between both: with thousands of
  // sites a swap copies some hundred pointers.
  CertStore With(std::vector<Change> changes) const;

  Match Find(std::string_view server_name, bool offers_ecdsa, bool offers_rsa) const;
  size_t size() const { return names_->sites.size(); }
  const std::vector<BundlePtr>& BundlesOf(size_t index) const;
  std::vector<SiteEntry> sites() const;

 private:
  // Everything but the bundles.
  struct Names {
    std::vector<SiteEntry> sites;                        // without bundles
    std::unordered_map<std::string, uint32_t> exact;     // name -> index in `sites`
    std::unordered_map<std::string, uint32_t> wildcard;  // "example.com" of "*.example.com"
    int catch_all = -1;
    int default_site = -1;
  };
  static constexpr size_t kPage = 64;
  using Page = std::vector<std::vector<BundlePtr>>;  // of kPage sites, in their order

  CertStore(std::shared_ptr<const Names> names, std::vector<std::shared_ptr<const Page>> pages)
      : names_(std::move(names)), pages_(std::move(pages)) {}

  std::shared_ptr<const Names> names_;
  std::vector<std::shared_ptr<const Page>> pages_;
};
using CertStorePtr = std::shared_ptr<const CertStore>;

}  // namespace genkan::tls
