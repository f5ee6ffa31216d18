#include "proxy/control/cert_publisher.h"

#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/control/revocation_reaction.h"
#include "proxy/control/standby.h"

namespace genkan::control {
namespace {

constexpr auto kTicketLife = std::chrono::hours(12);
// Of leaves that are no longer in service, besides as many as there are certificates: an authority
// may take back all of them, and all of them be renewed.
constexpr size_t kBarredHistory = 1024;

std::vector<tls::CertStore::SiteEntry> SitesOf(const server::Snapshot& snapshot) {
  std::vector<tls::CertStore::SiteEntry> sites(snapshot.sites.size());
  bool has_default = false;
  for (size_t i = 0; i < sites.size(); ++i) {
    sites[i].site = static_cast<uint32_t>(i);
    sites[i].names = snapshot.sites[i].config.names;
    sites[i].is_default = snapshot.sites[i].config.is_default;
    has_default |= sites[i].is_default;
  }
  if (!has_default && !sites.empty()) sites.front().is_default = true;
  return sites;
}

}  // namespace

void CertPublisher::Bar(const std::string& sha256) {
  BarUntil(sha256, options_.clock.Wall() + kTicketLife);
}

void CertPublisher::BarUntil(const std::string& sha256, WallTime until) {
  has_other_barred_ |= barred_.insert_or_assign(sha256, until).second;
  next_end_ = std::min(next_end_, until);
}

void CertPublisher::Restore(BarredLeaves barred) {
  barred_.merge(std::move(barred));
  has_other_barred_ = true;
  next_end_ = WallTime::min();  // nobody has looked
}

void CertPublisher::BarRevoked(const tls::BundlePtr& bundle, const std::string& sha256_hex) {
  if (options_.leaves.StateOf(sha256_hex).revocation == "revoked")
    BarUntil(bundle->leaf().sha256(), bundle->leaf().not_after() + kTicketLife);
}

// What is in service is never forgotten; of the rest, what ends first.
void CertPublisher::ForgetHistory() {
  const size_t most = kBarredHistory + options_.index.entries();
  if (barred_.size() <= most) return;
  std::vector<std::pair<WallTime, std::string>> history;
  for (const auto& [sha, until] : barred_) {
    if (!options_.index.IsInService(HexEncode(AsBytes(sha)))) history.emplace_back(until, sha);
  }
  if (history.size() <= most) return;
  std::sort(history.begin(), history.end());
  history.resize(history.size() - most);
  for (const auto& [until, sha] : history) barred_.erase(sha);
}

// A site's standby takes the place of what is revoked or must be renewed now, where it can.
void CertPublisher::ChooseStandby(const server::Snapshot& snapshot, size_t site_index) {
  const WallTime now = options_.clock.Wall();
  std::vector<CertEntry*> standby, others;
  for (CertSource* source : options_.index.OfSite(site_index)) {
    for (const auto& entry : source->entries) {
      entry->is_standing_in = false;
      (source->is_standby ? standby : others).push_back(entry.get());
    }
  }
  for (CertEntry* entry : others) {
    const bool was_replaced = std::exchange(entry->is_replaced, false);
    std::string problem;
    if (entry->in_service && !standby.empty() &&
        AlarmOf(options_.leaves.StateOf(ShaOf(entry->in_service))) >= Alarm::kOverdue) {
      for (CertEntry* one : standby) {
        const Status can =
            CanStandIn(*one, *entry, snapshot.sites[site_index].config.names, options_.leaves, now);
        if (can) {
          entry->is_replaced = one->is_standing_in = true;
        } else {
          problem = can.error().detail;
        }
      }
    }
    TellStandby(*entry, was_replaced, entry->is_replaced ? "" : problem);
    // Sessions of a leaf that was given up do not come back.
    if (entry->is_replaced) Bar(entry->in_service->leaf().sha256());
  }
}

void CertPublisher::TellStandby(CertEntry& entry, bool was_replaced, const std::string& problem) {
  if (entry.is_replaced && !was_replaced)
    LOG_ERROR("standby_serving", "site={} in_place_of={}", entry.site, entry.name);
  if (!entry.is_replaced && was_replaced)
    LOG_INFO("standby_relieved", "site={} by={}", entry.site, entry.name);
  if (!problem.empty() && problem != entry.standby_problem)
    LOG_ERROR("standby_unusable", "site={} in_place_of={} reason=\"{}\"", entry.site, entry.name,
              problem);
  entry.standby_problem = problem;
}

// What this site serves from now on.
std::vector<tls::BundlePtr> CertPublisher::BundlesOf(size_t site_index) {
  std::vector<tls::BundlePtr> bundles;
  for (CertSource* source : options_.index.OfSite(site_index)) {
    for (const auto& entry : source->entries) {
      if (!entry->in_service) continue;
      const std::string sha = ShaOf(entry->in_service);
      // A responder may go on saying good for days after the list has said revoked.
      auto staple = options_.leaves.StateOf(sha).revocation == "revoked"
                        ? nullptr
                        : options_.leaves.StapleOf(sha);
      if (entry->in_service->staple() != staple)
        entry->in_service = entry->in_service->WithStaple(std::move(staple));
      BarRevoked(entry->in_service, sha);
      if (source->is_standby ? !entry->is_standing_in : entry->is_replaced) continue;
      bundles.push_back(entry->in_service);
    }
  }
  return bundles;
}

// True where there is another store now.
bool CertPublisher::PublishBundles(const server::Snapshot& snapshot,
                                   const CertIndex::Changes& changes) {
  std::vector<tls::CertStore::Change> others;
  for (const size_t site : changes.sites) {
    if (site >= snapshot.sites.size()) continue;
    ChooseStandby(snapshot, site);
    std::vector<tls::BundlePtr> bundles = BundlesOf(site);
    if (store_ == nullptr || bundles != store_->BundlesOf(site))
      others.emplace_back(site, std::move(bundles));
  }
  if (store_ != nullptr && others.empty()) return false;
  if (store_ != nullptr) {
    store_ = std::make_shared<const tls::CertStore>(store_->With(std::move(others)));
    return true;
  }
  std::vector<tls::CertStore::SiteEntry> sites = SitesOf(snapshot);
  for (auto& [site, bundles] : others) sites[site].bundles = std::move(bundles);
  store_ = std::make_shared<const tls::CertStore>(std::move(sites));
  return true;
}

// True where other leaves are barred now.
bool CertPublisher::PublishBarred() {
  const WallTime now = options_.clock.Wall();
  if (next_end_ <= now) {
    has_other_barred_ |=
        std::erase_if(barred_, [&](const auto& item) { return item.second <= now; }) > 0;
    next_end_ = WallTime::max();
    for (const auto& [sha, until] : barred_) next_end_ = std::min(next_end_, until);
  }
  if (!std::exchange(has_other_barred_, false)) return false;
  ForgetHistory();
  auto barred = std::make_shared<std::vector<std::string>>();
  for (const auto& [sha, until] : barred_) barred->push_back(sha);
  const bool is_other = published_barred_ == nullptr || *barred != *published_barred_;
  published_barred_ = std::move(barred);
  return is_other;
}

void CertPublisher::Publish(const server::Snapshot& snapshot, const CertIndex::Changes& changes) {
  const bool has_other_bundles = PublishBundles(snapshot, changes);
  const bool has_other_barred = PublishBarred();
  if (has_other_bundles || has_other_barred) options_.publish(store_, published_barred_);
}

}  // namespace genkan::control
