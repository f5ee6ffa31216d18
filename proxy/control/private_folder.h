// A folder that nobody else reads or writes (0700, its files 0600), with folders of the same kind
// in it: where certificates' keys are kept. It may lie in a directory that is another user's (with
// a keeper it is root's, and state_dir is not). Blocks; one thread at a time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/control/state_dir.h"
#include "proxy/net/fd.h"

namespace genkan::control {

// "file" or "folder/file", neither of them hidden.
bool IsFileOfFolder(std::string_view name);

class PrivateFolder final : public FolderStore {
 public:
  explicit PrivateFolder(std::string path) : path_(std::move(path)) {}

  // At most kMaxBytes.
  Result<std::string> Load(const std::string& name) override;
  // Atomically: the whole file is on disk before it takes the name. Folders are made.
  Status Save(const std::string& name, std::string_view bytes) override;

  // Files directly in it, sorted; none where there is no such folder.
  std::vector<std::string> Files();
  // Takes the place of what has that name.
  Status Rename(const std::string& from, const std::string& to);

  static constexpr size_t kMaxBytes = 1024 * 1024;

 private:
  // Where a name leads, its folder held open.
  struct Place {
    net::Fd folder;
    std::string file;
  };
  Result<Place> Find(const std::string& name, bool may_make);
  Result<net::Fd> Open(int at, const std::string& path, bool may_make);

  std::string path_;
};

}  // namespace genkan::control
