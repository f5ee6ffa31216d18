// Which certificates a change concerns, so that one of thousands that changes is looked at alone:
// entries by the leaf that they serve or are to serve, sources by their site, and what was touched
// since the last look. Control thread; owned by the CertManager.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "proxy/control/cert_entry.h"

namespace genkan::control {

class CertIndex {
 public:
  struct Changes {
    bool is_all = false;  // then the two lists have everything
    std::vector<CertEntry*> entries;
    std::vector<size_t> sites;
    // Leaves (SHA-256 in hex) that no entry serves or waits for any more.
    std::vector<std::string> gone;
  };

  explicit CertIndex(const CertSources& sources) : sources_(sources) {}

  // Sources have come, gone or moved to another site. Touches all.
  void Renew();
  void TouchAll() { is_all_ = true; }
  // Another certificate, or another that waits.
  void Touch(CertEntry& entry);
  // Something else is known of a leaf.
  void TouchLeaf(std::string_view sha256_hex);
  // A leaf is watched now: it is `gone` at the next look where no entry has it.
  void Note(const std::string& sha256_hex) { noted_.push_back(sha256_hex); }
  // Before the entry goes.
  void Forget(CertEntry& entry);

  // What was touched since the last call.
  Changes Take();

  const std::vector<CertSource*>& OfSite(size_t site_index) const;
  bool IsInService(const std::string& sha256_hex) const;
  size_t entries() const { return entries_.size(); }
  // How many entries have been looked at, each time counted.
  uint64_t looks() const { return looks_; }

 private:
  void Sync(CertEntry& entry);
  void Leave(CertEntry& entry, const std::string& sha256_hex);

  const CertSources& sources_;
  std::vector<std::vector<CertSource*>> by_site_;
  std::unordered_map<std::string, std::vector<CertEntry*>> by_leaf_;
  std::unordered_set<CertEntry*> entries_;
  bool is_all_ = true;
  std::unordered_set<CertEntry*> touched_;
  std::set<size_t> touched_sites_;  // of entries that went
  std::vector<std::string> noted_;
  uint64_t looks_ = 0;
};

}  // namespace genkan::control
