#include "proxy/control/keeper_rules.h"

#include <fnmatch.h>

#include <algorithm>
#include <string_view>

#include "proxy/config/module_table.h"
#include "proxy/control/certificate_names.h"

namespace genkan::control {
namespace {

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// The directory and the name; a path without a slash lies in ".".
std::pair<std::string, std::string> SplitPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, std::max<size_t>(slash, 1)), path.substr(slash + 1)};
}

bool IsPlainName(std::string_view name) { return !name.empty() && name != "." && name != ".."; }

// A pattern's words stand for names, never for what leads elsewhere.
bool Matches(const std::string& pattern, const std::string& path) {
  return fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0;
}

}  // namespace

KeeperRules::KeeperRules(const config::Config& config, IsDirectory is_directory)
    : is_directory_(std::move(is_directory)) {
  auto name = [&](const std::string& path) {
    if (!path.empty()) (HasGlob(path) ? patterns_ : entries_).insert(WithoutSlash(path));
  };
  auto name_tls = [&](const config::Tls& tls) {
    if (tls.ticket_keys != "rotate") name(tls.ticket_keys);
    for (const std::string& path : tls.client_certificates.ca) name(path);
    for (const std::string& path : tls.client_certificates.crl) name(path);
  };
  name_tls(config.tls);
  if (config.certificates.trust_store != "system") name(config.certificates.trust_store);
  for (const std::string& path : config.certificates.pool) name(path);
  for (const config::Site& site : config.sites) {
    for (const config::CertificateSource& source : site.certificates) {
      name(source.path);
      name(source.certificate);
      name(source.key);
      name(source.password_file);
    }
    name(site.standby);
    if (site.tls) name_tls(*site.tls);
  }
  for (const config::ModuleInstance& instance : config.modules) {
    if (instance.options == nullptr) continue;
    for (std::string& path : config::NamedFiles(*instance.options))
      module_files_.insert(std::move(path));
  }
  for (const std::string& entry : entries_) entries_in_[SplitPath(entry).first].push_back(entry);
  auto listen = [&](const std::string& text) {
    if (auto address = net::Address::Parse(text)) addresses_.push_back(*address);
  };
  for (const config::Listener& listener : config.listeners) listen(listener.address);
  for (const std::string& text : config.admin.listen) listen(text);
}

bool KeeperRules::IsBesideEntry(const std::string& directory) const {
  const auto found = entries_in_.find(directory);
  return found != entries_in_.end() &&
         std::any_of(found->second.begin(), found->second.end(),
                     [&](const std::string& entry) { return !is_directory_(entry); });
}

bool KeeperRules::MayRead(const std::string& path) const {
  if (entries_.contains(path) || module_files_.contains(path)) return true;
  const auto [directory, file] = SplitPath(path);
  if (!IsPlainName(file)) return false;
  // A regular file of a named directory.
  if (entries_.contains(directory)) return true;
  const bool is_certificate = LooksLikeCertificateFile(file);
  if (is_certificate && IsBesideEntry(directory)) return true;
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& pattern) {
    return Matches(pattern, path) || Matches(pattern, directory) ||
           (is_certificate && Matches(SplitPath(pattern).first, directory));
  });
}

bool KeeperRules::MayList(const std::string& directory) const {
  return entries_.contains(directory) || IsBesideEntry(directory) ||
         std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& pattern) {
           return Matches(pattern, directory) || Matches(SplitPath(pattern).first, directory);
         });
}

bool KeeperRules::MayGlob(const std::string& pattern) const { return patterns_.contains(pattern); }

bool KeeperRules::MayWatch(const std::string& path) const {
  // Also the directory from which a pattern starts: new matches appear there.
  return MayList(path) || MayRead(path) || entries_in_.contains(path) ||
         std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& pattern) {
           return SplitPath(pattern.substr(0, pattern.find_first_of("*?["))).first == path;
         });
}

bool KeeperRules::MayListen(const net::Address& address) const {
  return std::find(addresses_.begin(), addresses_.end(), address) != addresses_.end();
}

}  // namespace genkan::control
