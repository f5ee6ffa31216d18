// What the keeper serves: only what the configuration names. Of an entry: itself, the regular files
// in it where it is a directory, the certificate files beside it where it is a file (its key may
// lie there), and the same for each match of a pattern. Of a module's files, those alone. Immutable
// but for what the file system says of an entry. Keeper's thread; owned by the Keeper.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/net/address.h"

namespace genkan::control {

class KeeperRules {
 public:
  // Whether a path is a directory right now, seen as root.
  using IsDirectory = std::function<bool(const std::string& path)>;

  KeeperRules(const config::Config& config, IsDirectory is_directory);

  bool MayRead(const std::string& path) const;
  // What is listed is held against MayRead besides.
  bool MayList(const std::string& directory) const;
  bool MayGlob(const std::string& pattern) const;
  bool MayWatch(const std::string& path) const;
  bool MayListen(const net::Address& address) const;

 private:
  bool IsBesideEntry(const std::string& directory) const;

  IsDirectory is_directory_;
  std::set<std::string> entries_;                               // without a slash at the end
  std::map<std::string, std::vector<std::string>> entries_in_;  // by the directory they lie in
  std::set<std::string> patterns_;
  std::set<std::string> module_files_;
  std::vector<net::Address> addresses_;
};

}  // namespace genkan::control
