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

CertStore::CertStore(std::vector<SiteEntry> sites) {
  auto names = std::make_shared<Names>();
  std::vector<std::shared_ptr<Page>> pages;
  for (size_t i = 0; i < sites.size(); ++i) {
    if (i % kPage == 0) pages.push_back(std::make_shared<Page>());
    pages.back()->push_back(std::exchange(sites[i].bundles, {}));
    const auto index = static_cast<uint32_t>(i);
    // The configuration refuses a name in two sites; should one slip through, the first has it.
    for (const std::string& name : sites[i].names) {
      if (name == "*") {
        if (names->catch_all < 0) names->catch_all = static_cast<int>(i);
      } else if (name.starts_with("*.")) {
        names->wildcard.emplace(name.substr(2), index);
      } else {
        names->exact.emplace(name, index);
      }
    }
    if (sites[i].is_default && names->default_site < 0) names->default_site = static_cast<int>(i);
  }
  if (names->default_site < 0 && !sites.empty()) names->default_site = 0;
  names->sites = std::move(sites);
  names_ = std::move(names);
  pages_.assign(pages.begin(), pages.end());
}

CertStore CertStore::With(std::vector<Change> changes) const {
  CertStore store(names_, pages_);
  std::unordered_map<size_t, std::shared_ptr<Page>> copies;
  for (auto& [index, bundles] : changes) {
    std::shared_ptr<Page>& copy = copies[index / kPage];
    if (copy == nullptr) {
      copy = std::make_shared<Page>(*pages_.at(index / kPage));
      store.pages_[index / kPage] = copy;
    }
    copy->at(index % kPage) = std::move(bundles);
  }
  return store;
}

const std::vector<BundlePtr>& CertStore::BundlesOf(size_t index) const {
  return pages_.at(index / kPage)->at(index % kPage);
}

std::vector<CertStore::SiteEntry> CertStore::sites() const {
  std::vector<SiteEntry> sites = names_->sites;
  for (size_t i = 0; i < sites.size(); ++i) sites[i].bundles = BundlesOf(i);
  return sites;
}

CertStore::Match CertStore::Find(std::string_view server_name, bool offers_ecdsa,
                                 bool offers_rsa) const {
  if (!server_name.empty() && server_name.back() == '.') server_name.remove_suffix(1);
  const std::string name = ToLower(server_name);
  int found = -1;
  if (const auto exact = names_->exact.find(name); exact != names_->exact.end()) {
    found = static_cast<int>(exact->second);
  }
  // From the left: the first parent that is there is the longest.
  for (size_t dot = name.find('.');
       found < 0 && dot != std::string::npos && !names_->wildcard.empty();
       dot = name.find('.', dot + 1)) {
    const auto wildcard = names_->wildcard.find(name.substr(dot + 1));
    if (wildcard != names_->wildcard.end()) found = static_cast<int>(wildcard->second);
  }
  if (found < 0 && !name.empty()) found = names_->catch_all;

  Match match;
  match.is_known = found >= 0 || name.empty();
  if (found < 0) found = names_->default_site;
  if (found < 0) return {};  // no site at all
  match.site = names_->sites[static_cast<size_t>(found)].site;
  match.bundle = Choose(BundlesOf(static_cast<size_t>(found)), name, offers_ecdsa, offers_rsa);
  return match;
}

}  // namespace genkan::tls
