#include "proxy/control/cert_index.h"

#include <algorithm>
#include <utility>

namespace genkan::control {

void CertIndex::Renew() {
  by_site_.clear();
  for (const auto& source : sources_) {
    if (source->site_index >= by_site_.size()) by_site_.resize(source->site_index + 1);
    by_site_[source->site_index].push_back(source.get());
  }
  is_all_ = true;
}

void CertIndex::Touch(CertEntry& entry) { touched_.insert(&entry); }

void CertIndex::TouchLeaf(std::string_view sha256_hex) {
  const auto found = by_leaf_.find(std::string(sha256_hex));
  if (found == by_leaf_.end()) return;
  touched_.insert(found->second.begin(), found->second.end());
}

void CertIndex::Forget(CertEntry& entry) {
  for (const std::string& leaf : std::exchange(entry.leaves, {})) Leave(entry, leaf);
  touched_.erase(&entry);
  entries_.erase(&entry);
  if (entry.source != nullptr) touched_sites_.insert(entry.source->site_index);
}

void CertIndex::Leave(CertEntry& entry, const std::string& sha256_hex) {
  const auto found = by_leaf_.find(sha256_hex);
  if (found == by_leaf_.end()) return;
  std::erase(found->second, &entry);
  noted_.push_back(sha256_hex);
}

// By what it serves and waits for now.
void CertIndex::Sync(CertEntry& entry) {
  entries_.insert(&entry);
  std::vector<std::string> leaves;
  for (const tls::BundlePtr& bundle :
       {entry.in_service, entry.pending ? entry.pending->bundle : nullptr}) {
    if (bundle && (leaves.empty() || leaves.front() != ShaOf(bundle)))
      leaves.push_back(ShaOf(bundle));
  }
  if (leaves == entry.leaves) return;
  for (const std::string& leaf : std::exchange(entry.leaves, leaves)) Leave(entry, leaf);
  for (const std::string& leaf : leaves) by_leaf_[leaf].push_back(&entry);
}

CertIndex::Changes CertIndex::Take() {
  Changes changes;
  changes.is_all = std::exchange(is_all_, false);
  const std::unordered_set<CertEntry*> touched = std::exchange(touched_, {});
  std::set<size_t> sites = std::exchange(touched_sites_, {});
  if (changes.is_all) {
    ForEachEntry(sources_,
                 [&](const CertSource&, CertEntry& entry) { changes.entries.push_back(&entry); });
    for (size_t i = 0; i < by_site_.size(); ++i) sites.insert(i);
  } else {
    changes.entries.assign(touched.begin(), touched.end());
    for (const CertEntry* entry : changes.entries) sites.insert(entry->source->site_index);
  }
  for (CertEntry* entry : changes.entries) Sync(*entry);
  looks_ += changes.entries.size();
  changes.sites.assign(sites.begin(), sites.end());
  for (std::string& leaf : std::exchange(noted_, {})) {
    const auto found = by_leaf_.find(leaf);
    if (found != by_leaf_.end() && !found->second.empty()) continue;
    if (found != by_leaf_.end()) by_leaf_.erase(found);
    changes.gone.push_back(std::move(leaf));
  }
  return changes;
}

bool CertIndex::IsInService(const std::string& sha256_hex) const {
  const auto found = by_leaf_.find(sha256_hex);
  return found != by_leaf_.end() &&
         std::any_of(found->second.begin(), found->second.end(), [&](const CertEntry* entry) {
           return ShaOf(entry->in_service) == sha256_hex;
         });
}

const std::vector<CertSource*>& CertIndex::OfSite(size_t site_index) const {
  static const std::vector<CertSource*>& none =
      *std::make_unique<std::vector<CertSource*>>().release();
  return site_index < by_site_.size() ? by_site_[site_index] : none;
}

}  // namespace genkan::control
