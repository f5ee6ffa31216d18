// Files that root opens for somebody who is not: a link that another user has laid leads only to
// that user's own files, and what that user may rename or replace on the way does not matter,
// because each step is taken from the directory that is held open. Blocks; any thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/net/fd.h"

namespace genkan::control {

// For reading. Regular files only.
Result<net::Fd> OpenAsRoot(const std::string& path);
// Full paths of the regular files (symlinks followed) directly in a directory, sorted.
Result<std::vector<std::string>> ListAsRoot(const std::string& directory);
// Nobody but root can change where this path leads: every directory on the way is root's and closed
// to other writers.
bool IsRootsAlone(const std::string& directory);

// A folder of root's own (0700) inside a directory that may be another user's, and files (0600) in
// it.
class RootFolder {
 public:
  explicit RootFolder(std::string path) : path_(std::move(path)) {}
  // "" where there is none; at most 1 MiB.
  Result<std::string> Load(const std::string& name);
  // Atomically; the folder is made.
  Status Save(const std::string& name, std::string_view bytes);

  static constexpr size_t kMaxBytes = 1024 * 1024;

 private:
  Result<net::Fd> Open(bool may_make);
  std::string path_;
};

}  // namespace genkan::control
