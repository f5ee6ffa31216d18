// Host and path -> route. Immutable after building; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace genkan::server {

class Router {
 public:
  // `names` in lower case: exact, "*.example.com", "*". The routes of one site, longest path first or in any order.
  void AddSite(uint32_t site, const std::vector<std::string>& names, bool is_default);
  void AddRoute(uint32_t site, std::string path, uint32_t route);

  // The site of a normalised host (http::NormalizeHost): exact, then the longest wildcard, then "*". Nothing: 421 on
  // TLS, 404 on plain.
  std::optional<uint32_t> FindSite(std::string_view host) const;
  std::optional<uint32_t> default_site() const { return default_site_; }
  // The route with the longest prefix of `path` that ends on a segment border.
  std::optional<uint32_t> FindRoute(uint32_t site, std::string_view path) const;

 private:
  struct RouteEntry {
    std::string path;
    uint32_t route;
  };
  std::unordered_map<std::string, uint32_t> exact_, wildcard_;
  std::optional<uint32_t> catch_all_, default_site_;
  std::vector<std::vector<RouteEntry>> routes_;  // by site, longest first
};

}  // namespace genkan::server
