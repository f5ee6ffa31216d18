// What genkan remembers: state_dir with VERSION, lock, and folders of small files that may all be deleted but those of
// last_good, which has a folder for each site and is nobody else's. Best effort: where it cannot be written genkan warns
// and goes on in memory. Control thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "proxy/base/clock.h"
#include "proxy/base/result.h"
#include "proxy/net/fd.h"

namespace genkan::control {

// A folder of it that is kept in a way of its own. Names may be "folder/file".
class FolderStore {
 public:
  virtual ~FolderStore() = default;
  // "" where there is none.
  virtual Result<std::string> Load(const std::string& name) = 0;
  virtual Status Save(const std::string& name, std::string_view bytes) = 0;
};

class StateDir {
 public:
  // Makes the directory (0700), checks VERSION and takes the lock. Fails only where going on would be wrong: the
  // directory is of a newer genkan, or another process holds the lock. Unwritable: is_writable() is false.
  // `lock`: taken over from a process that handed over; closed where there is none.
  static Result<std::unique_ptr<StateDir>> Open(const std::string& path, net::Fd lock = {});

  ~StateDir();

  // The file's bytes, "" where there is none. What was saved is found even when the disk is full. Any thread.
  std::string Load(std::string_view folder, std::string_view name);
  // Replaces the file atomically (0600, fsync, rename).
  void Save(std::string_view folder, std::string_view name, std::string_view bytes);

  // Removes the files of a folder that are named by a SHA-256 in hex which `is_kept` says no to, unless they were written
  // after `before`. Whatever else lies there is not ours and stays. Returns how many went.
  size_t Sweep(std::string_view folder, const std::function<bool(std::string_view)>& is_kept, WallTime before);

  // From now on this folder is read and written by `store`, which outlives this.
  void Delegate(const std::string& folder, FolderStore& store) { stores_[folder] = &store; }

  // For a hand-over: whoever has it holds the lock. -1: there is none.
  int lock_fd() const { return lock_.get(); }
  bool is_writable() const { return is_writable_; }
  const std::string& path() const { return path_; }

 private:
  explicit StateDir(std::string path);
  Status WriteFile(const std::string& folder, const std::string& name, std::string_view bytes);

  std::string path_;
  bool is_writable_ = false;
  bool has_warned_ = false;
  net::Fd lock_;
  std::unique_ptr<FolderStore> last_good_;
  std::map<std::string, FolderStore*, std::less<>> stores_;
  std::mutex mutex_;
  bool has_warned_of_reading_ = false;         // guarded by mutex_
  std::map<std::string, std::string> memory_;  // "ocsp/ab12…" -> bytes; guarded by mutex_
};

// Of a file's name that is one of ours: a SHA-256 in hex, alone, with ".meta" (what is remembered of it) or with ".new"
// (half-written). "" of any other. Pure.
std::string_view HashOfStateFile(std::string_view name);

}  // namespace genkan::control
