#include "proxy/control/cert_publisher.h"

namespace genkan::control {
namespace {

constexpr auto kTicketLife = std::chrono::hours(12);
constexpr size_t kMaxBarred = 1024;

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
  while (barred_.size() > kMaxBarred) barred_.erase(barred_.begin());
  std::set<std::string> barred;
  for (const auto& [sha, until] : barred_) barred.insert(sha);
  return barred;
}

void CertPublisher::Publish(const server::Snapshot& snapshot) {
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
