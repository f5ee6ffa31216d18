#include "proxy/control/cert_publisher.h"

#include <algorithm>

#include "proxy/base/log.h"
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
  barred_[sha256] = options_.clock.Wall() + kTicketLife;
}

void CertPublisher::BarRevoked(const tls::BundlePtr& bundle, const std::string& sha256_hex) {
  if (options_.leaves.StateOf(sha256_hex).revocation == "revoked")
    barred_[bundle->leaf().sha256()] = bundle->leaf().not_after() + kTicketLife;
}

std::set<std::string> CertPublisher::Barred() {
  const WallTime now = options_.clock.Wall();
  std::erase_if(barred_, [&](const auto& item) { return item.second <= now; });
  ForgetHistory();
  std::set<std::string> barred;
  for (const auto& [sha, until] : barred_) barred.insert(sha);
  return barred;
}

// What is in service is never forgotten; of the rest, what ends first.
void CertPublisher::ForgetHistory() {
  size_t most = kBarredHistory;
  ForEachEntry(options_.sources, [&](const CertSource&, const CertEntry&) { ++most; });
  if (barred_.size() <= most) return;
  std::set<std::string> in_service;
  ForEachEntry(options_.sources, [&](const CertSource&, const CertEntry& entry) {
    if (entry.in_service) in_service.insert(entry.in_service->leaf().sha256());
  });
  std::vector<std::pair<WallTime, std::string>> history;
  for (const auto& [sha, until] : barred_) {
    if (!in_service.contains(sha)) history.emplace_back(until, sha);
  }
  if (history.size() <= most) return;
  std::sort(history.begin(), history.end());
  history.resize(history.size() - most);
  for (const auto& [until, sha] : history) barred_.erase(sha);
}

// A site's standby takes the place of what is revoked or must be renewed now, where it can.
void CertPublisher::ChooseStandby(const server::Snapshot& snapshot) {
  const WallTime now = options_.clock.Wall();
  std::vector<std::vector<CertEntry*>> standby(snapshot.sites.size());
  ForEachEntry(options_.sources, [&](const CertSource& source, CertEntry& entry) {
    entry.is_standing_in = false;
    if (source.is_standby) standby[source.site_index].push_back(&entry);
  });
  ForEachEntry(options_.sources, [&](const CertSource& source, CertEntry& entry) {
    if (source.is_standby) return;
    const bool was_replaced = std::exchange(entry.is_replaced, false);
    std::string problem;
    const auto& mine = standby[source.site_index];
    if (entry.in_service && !mine.empty() &&
        AlarmOf(options_.leaves.StateOf(ShaOf(entry.in_service))) >= Alarm::kOverdue) {
      for (CertEntry* one : mine) {
        const Status can = CanStandIn(*one, entry, snapshot.sites[source.site_index].config.names,
                                      options_.leaves, now);
        if (can) {
          entry.is_replaced = one->is_standing_in = true;
        } else {
          problem = can.error().detail;
        }
      }
    }
    TellStandby(entry, was_replaced, entry.is_replaced ? "" : problem);
    // Sessions of a leaf that was given up do not come back.
    if (entry.is_replaced) Bar(entry.in_service->leaf().sha256());
  });
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

void CertPublisher::Publish(const server::Snapshot& snapshot) {
  ChooseStandby(snapshot);
  std::vector<tls::CertStore::SiteEntry> sites = SitesOf(snapshot);
  std::vector<std::pair<uint32_t, tls::BundlePtr>> bundles;
  ForEachEntry(options_.sources, [&](const CertSource& source, CertEntry& entry) {
    if (!entry.in_service) return;
    const std::string sha = ShaOf(entry.in_service);
    // A responder may go on saying good for days after the list has said revoked.
    auto staple = options_.leaves.StateOf(sha).revocation == "revoked"
                      ? nullptr
                      : options_.leaves.StapleOf(sha);
    if (entry.in_service->staple() != staple)
      entry.in_service = entry.in_service->WithStaple(std::move(staple));
    BarRevoked(entry.in_service, sha);
    if (source.is_standby ? !entry.is_standing_in : entry.is_replaced) return;
    sites[source.site_index].bundles.push_back(entry.in_service);
    bundles.emplace_back(static_cast<uint32_t>(source.site_index), entry.in_service);
  });
  std::set<std::string> barred = Barred();
  if (was_published_ && bundles == published_ && barred == published_barred_) return;
  was_published_ = true;
  published_ = std::move(bundles);
  published_barred_ = barred;
  options_.publish(std::make_shared<const tls::CertStore>(std::move(sites)),
                   std::make_shared<const std::vector<std::string>>(barred.begin(), barred.end()));
}

}  // namespace genkan::control
