#include "proxy/tls/cert_store.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "proxy/base/text.h"

namespace genkan::tls {
namespace {

// 2: the name itself, 1: a wildcard over it, 0: not covered.
int Fit(const Certificate& leaf, const std::string& name) {
  if (name.empty() || !leaf.Covers(name)) return 0;
  const auto& names = leaf.names();
  return std::find(names.begin(), names.end(), name) != names.end() ? 2 : 1;
}

// Of a site's bundles: what the client can use at all, then what fits the name, then the cheaper
// key, then the order of the configuration.
BundlePtr Choose(const std::vector<BundlePtr>& bundles, const std::string& name, bool offers_ecdsa,
                 bool offers_rsa) {
  const auto rank = [&](const BundlePtr& bundle) {
    const Certificate& leaf = bundle->leaf();
    const bool is_usable = (leaf.is_ecdsa() && offers_ecdsa) || (leaf.is_rsa() && offers_rsa);
    return std::tuple(is_usable, Fit(leaf, name), leaf.is_ecdsa());
  };
  BundlePtr best;
  for (const BundlePtr& bundle : bundles) {
    if (!bundle) continue;
    if (!best || rank(bundle) > rank(best)) best = bundle;
  }
  return best;
}

}  // namespace

CertStore::CertStore(std::vector<SiteEntry> sites) : sites_(std::move(sites)) {
  for (size_t i = 0; i < sites_.size(); ++i) {
    const auto index = static_cast<uint32_t>(i);
    // The configuration refuses a name in two sites; should one slip through, the first has it.
    for (const std::string& name : sites_[i].names) {
      if (name == "*") {
        if (catch_all_ < 0) catch_all_ = static_cast<int>(i);
      } else if (name.starts_with("*.")) {
        wildcard_.emplace(name.substr(2), index);
      } else {
        exact_.emplace(name, index);
      }
    }
    if (sites_[i].is_default && default_ < 0) default_ = static_cast<int>(i);
  }
  if (default_ < 0 && !sites_.empty()) default_ = 0;
}

CertStore::Match CertStore::Find(std::string_view server_name, bool offers_ecdsa,
                                 bool offers_rsa) const {
  if (!server_name.empty() && server_name.back() == '.') server_name.remove_suffix(1);
  const std::string name = ToLower(server_name);
  int found = -1;
  if (const auto exact = exact_.find(name); exact != exact_.end()) {
    found = static_cast<int>(exact->second);
  }
  // From the left: the first parent that is there is the longest.
  for (size_t dot = name.find('.'); found < 0 && dot != std::string::npos && !wildcard_.empty();
       dot = name.find('.', dot + 1)) {
    const auto wildcard = wildcard_.find(name.substr(dot + 1));
    if (wildcard != wildcard_.end()) found = static_cast<int>(wildcard->second);
  }
  if (found < 0 && !name.empty()) found = catch_all_;

  Match match;
  match.is_known = found >= 0 || name.empty();
  if (found < 0) found = default_;
  if (found < 0) return {};  // no site at all
  const SiteEntry& site = sites_[static_cast<size_t>(found)];
  match.site = site.site;
  match.bundle = Choose(site.bundles, name, offers_ecdsa, offers_rsa);
  return match;
}

}  // namespace genkan::tls
