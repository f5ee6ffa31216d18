#include "proxy/control/root_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <deque>
#include <memory>

namespace genkan::control {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel's own limit

tl::unexpected<Error> FailWith(const std::string& path, int error) {
  const ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound
                         : error == EACCES || error == EPERM ? ErrorCode::kPermission
                                                             : ErrorCode::kIo;
  return Fail(code, "{}: {}", path, std::strerror(error));
}

// A path, followed step by step.
class Walk {
 public:
  explicit Walk(const std::string& path) : path_(path) {
    PushFront(path);
    at_ = net::Fd(open(path.starts_with('/') ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }

  // To the end: `info` is of what is there.
  Status Go() {
    if (!at_.is_open() || fstat(at_.get(), &info_) != 0) return FailWith(path_, errno);
    folder_ = info_;
    while (!left_.empty()) {
      if (auto step = Step(); !step) return step;
    }
    return Check();
  }

  const struct stat& info() const { return info_; }
  // What is there, for reading; the same that was looked at.
  Result<net::Fd> Open(int flags) const {
    const int from = S_ISDIR(info_.st_mode) ? at_.get() : folder_fd_.get();
    const char* name = S_ISDIR(info_.st_mode) ? "." : name_.c_str();
    net::Fd fd(
        openat(from, name, flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    struct stat now {};
    if (!fd.is_open() || fstat(fd.get(), &now) != 0) return FailWith(path_, errno);
    if (now.st_dev != info_.st_dev || now.st_ino != info_.st_ino)
      return Fail(ErrorCode::kIo, "{}: replaced while it was opened", path_);
    return fd;
  }
  bool is_roots_alone() const { return is_roots_alone_; }

 private:
  void PushFront(std::string_view path) {
    std::vector<std::string> parts;
    while (!path.empty()) {
      const size_t slash = path.find('/');
      if (slash > 0) parts.emplace_back(path.substr(0, slash));
      path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    }
    left_.insert(left_.begin(), parts.begin(), parts.end());
  }

  Status Step() {
    name_ = std::move(left_.front());
    left_.pop_front();
    // Whoever may write here may replace what comes next; not root's own where it is sticky (/tmp).
    const bool is_open = (info_.st_mode & 022) != 0 && (info_.st_mode & S_ISVTX) == 0;
    is_roots_alone_ = is_roots_alone_ && info_.st_uid == 0 && !is_open;
    net::Fd next(openat(at_.get(), name_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info {};
    if (!next.is_open() || fstat(next.get(), &info) != 0) return FailWith(path_, errno);
    if (S_ISLNK(info.st_mode)) return Follow(next, info);
    if (S_ISDIR(info.st_mode)) {
      at_ = std::move(next);
      info_ = info;
      return {};
    }
    if (!left_.empty()) return FailWith(path_, ENOTDIR);
    folder_ = info_;
    folder_fd_ = std::move(at_);
    at_ = std::move(next);
    info_ = info;
    return {};
  }

  Status Follow(const net::Fd& link, const struct stat& info) {
    char target[PATH_MAX];
    const ssize_t length = readlinkat(link.get(), "", target, sizeof(target));
    if (length <= 0 || ++links_ > kMaxLinks) return FailWith(path_, ELOOP);
    if (info.st_uid != 0) {
      owners_.push_back(info.st_uid);
      is_roots_alone_ = false;
    }
    PushFront({target, static_cast<size_t>(length)});
    if (target[0] == '/') {
      at_ = net::Fd(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
      if (!at_.is_open() || fstat(at_.get(), &info_) != 0) return FailWith(path_, errno);
    }
    return {};
  }

  Status Check() const {
    for (const uid_t owner : owners_) {
      if (owner == info_.st_uid) continue;
      return Fail(
          ErrorCode::kPermission,
          "{}: a symbolic link of uid {} leads to what belongs to uid {}; root follows only "
          "its own links to other users' files",
          path_, owner, info_.st_uid);
    }
    // A hard link is a symbolic link that does not show.
    if (S_ISREG(info_.st_mode) && info_.st_nlink > 1 && folder_.st_uid != 0 &&
        folder_.st_uid != info_.st_uid) {
      return Fail(ErrorCode::kPermission,
                  "{}: it is of uid {}, has other names, and lies in a directory of uid {}", path_,
                  info_.st_uid, folder_.st_uid);
    }
    return {};
  }

  const std::string& path_;
  std::deque<std::string> left_;
  net::Fd at_, folder_fd_;
  std::string name_;
  struct stat info_ {
  }, folder_{};
  std::vector<uid_t> owners_;  // of links that are not root's
  int links_ = 0;
  bool is_roots_alone_ = true;
};

}  // namespace

Result<net::Fd> OpenAsRoot(const std::string& path) {
  Walk walk(path);
  if (auto went = walk.Go(); !went) return PassOn(went);
  if (!S_ISREG(walk.info().st_mode))
    return Fail(ErrorCode::kInvalid, "{}: not a regular file", path);
  return walk.Open(0);
}

Result<std::vector<std::string>> ListAsRoot(const std::string& directory) {
  Walk walk(directory);
  if (auto went = walk.Go(); !went) return PassOn(went);
  if (!S_ISDIR(walk.info().st_mode)) return FailWith(directory, ENOTDIR);
  auto fd = walk.Open(O_DIRECTORY);
  if (!fd) return PassOn(fd);
  std::unique_ptr<DIR, int (*)(DIR*)> folder(fdopendir(fd->get()), &closedir);
  if (folder == nullptr) return FailWith(directory, errno);
  static_cast<void>(fd->Release());
  std::vector<std::string> paths;
  while (const dirent* entry = readdir(folder.get())) {
    struct stat info {};
    // What cannot be looked at stays in the list: reading it then says why.
    if (fstatat(dirfd(folder.get()), entry->d_name, &info, 0) == 0 && !S_ISREG(info.st_mode))
      continue;
    paths.push_back((directory == "/" ? "" : directory) + "/" + entry->d_name);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

bool IsRootsAlone(const std::string& directory) {
  Walk walk(directory);
  return walk.Go() && S_ISDIR(walk.info().st_mode) && walk.is_roots_alone() &&
         walk.info().st_uid == 0 && (walk.info().st_mode & 022) == 0;
}

}  // namespace genkan::control
