#include "proxy/server/router.h"

#include <algorithm>

namespace genkan::server {
namespace {

// "/api/" and "/api" take the same paths: what lies below the segment, and the segment itself.
std::string WithoutEndingSlash(std::string path) {
  while (!path.empty() && path.back() == '/') path.pop_back();
  return path;
}

bool IsBelow(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

}  // namespace

void Router::AddSite(uint32_t site, const std::vector<std::string>& names, bool is_default) {
  for (const std::string& name : names) {
    if (name == "*") {
      catch_all_ = site;
    } else if (name.starts_with("*.")) {
      wildcard_.emplace(name.substr(2), site);
    } else {
      exact_.emplace(name, site);
    }
  }
  if (is_default || !default_site_) default_site_ = is_default ? site : default_site_.value_or(site);
  if (routes_.size() <= site) routes_.resize(site + 1);
}

void Router::AddRoute(uint32_t site, std::string path, uint32_t route) {
  if (routes_.size() <= site) routes_.resize(site + 1);
  std::vector<RouteEntry>& entries = routes_[site];
  RouteEntry entry{WithoutEndingSlash(std::move(path)), route};
  // The first of two equal paths wins, as the file has them.
  auto at = std::upper_bound(
      entries.begin(), entries.end(), entry,
      [](const RouteEntry& a, const RouteEntry& b) { return a.path.size() > b.path.size(); });
  entries.insert(at, std::move(entry));
}

std::optional<uint32_t> Router::FindSite(std::string_view host) const {
  // Hosts are as short as a name may be; the copy stays within the string itself mostly.
  if (auto found = exact_.find(std::string(host)); found != exact_.end()) return found->second;
  if (!wildcard_.empty()) {
    // The longest wildcard: "*.b.example.com" before "*.example.com".
    for (size_t dot = host.find('.'); dot != std::string_view::npos; dot = host.find('.', dot + 1)) {
      if (dot == 0) continue;
      auto found = wildcard_.find(std::string(host.substr(dot + 1)));
      if (found != wildcard_.end()) return found->second;
    }
  }
  return catch_all_;
}

std::optional<uint32_t> Router::FindRoute(uint32_t site, std::string_view path) const {
  if (site >= routes_.size()) return std::nullopt;
  for (const RouteEntry& entry : routes_[site]) {
    if (IsBelow(path, entry.path)) return entry.route;
  }
  // "*" of OPTIONS is below no path; the site as a whole answers it.
  if (!path.starts_with('/') && !routes_[site].empty()) return routes_[site].back().route;
  return std::nullopt;
}

}  // namespace genkan::server
