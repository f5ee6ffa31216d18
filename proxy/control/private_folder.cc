#include "proxy/control/private_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

namespace genkan::control {
namespace {

tl::unexpected<Error> FailWith(const std::string& path, int error) {
  const ErrorCode code = error == ENOENT                     ? ErrorCode::kNotFound
                         : error == EACCES || error == EPERM ? ErrorCode::kPermission
                                                             : ErrorCode::kIo;
  return Fail(code, "{}: {}", path, std::strerror(error));
}

Status WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Fail(ErrorCode::kIo, "{}", std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd) != 0) return Fail(ErrorCode::kIo, "{}", std::strerror(errno));
  return {};
}

bool IsPlain(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace

bool IsFileOfFolder(std::string_view name) {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return IsPlain(name);
  return IsPlain(name.substr(0, slash)) && IsPlain(name.substr(slash + 1));
}

Result<net::Fd> PrivateFolder::Open(int at, const std::string& path, bool may_make) {
  if (may_make && mkdirat(at, path.c_str(), 0700) != 0 && errno != EEXIST)
    return FailWith(path, errno);
  net::Fd fd(openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!fd.is_open() || fstat(fd.get(), &info) != 0) return FailWith(path, errno);
  // One that a version without a keeper left behind, or that somebody put in ours' place: nobody
  // else writes to it from here on. What is in it is held against the files as ever.
  const bool is_ours = info.st_uid == geteuid() && (info.st_mode & 077) == 0;
  if (!is_ours && (fchown(fd.get(), geteuid(), getegid()) != 0 || fchmod(fd.get(), 0700) != 0))
    return FailWith(path, errno);
  return fd;
}

Result<PrivateFolder::Place> PrivateFolder::Find(const std::string& name, bool may_make) {
  if (!IsFileOfFolder(name)) return Fail(ErrorCode::kInvalid, "{}: not a name", name);
  auto folder = Open(AT_FDCWD, path_, may_make);
  if (!folder) return PassOn(folder);
  const size_t slash = name.find('/');
  if (slash == std::string::npos) return Place{*std::move(folder), name};
  auto inner = Open(folder->get(), name.substr(0, slash), may_make);
  if (!inner) return PassOn(inner, "{}", path_);
  return Place{*std::move(inner), name.substr(slash + 1)};
}

Result<std::string> PrivateFolder::Load(const std::string& name) {
  auto place = Find(name, false);
  if (!place && place.error().code == ErrorCode::kNotFound) return std::string();
  if (!place) return PassOn(place);
  net::Fd fd(openat(place->folder.get(), place->file.c_str(),
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd.is_open() && errno == ENOENT) return std::string();
  struct stat info {};
  if (!fd.is_open() || fstat(fd.get(), &info) != 0) return FailWith(path_ + "/" + name, errno);
  if (!S_ISREG(info.st_mode) || info.st_nlink != 1)
    return Fail(ErrorCode::kPermission, "{}/{}: not a file of ours", path_, name);
  // One byte more than it has, so that its end is seen.
  std::string bytes(std::min(static_cast<size_t>(info.st_size), kMaxBytes) + 1, '\0');
  size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t got = read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailWith(path_ + "/" + name, errno);
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > kMaxBytes) return Fail(ErrorCode::kTooLarge, "{}/{}: too large", path_, name);
  bytes.resize(size);
  return bytes;
}

Status PrivateFolder::Save(const std::string& name, std::string_view bytes) {
  if (bytes.size() > kMaxBytes) return Fail(ErrorCode::kTooLarge, "{}: too large", name);
  auto place = Find(name, true);
  if (!place) return PassOn(place);
  const int folder = place->folder.get();
  const std::string temporary = place->file + ".new";
  // Left over from a write that was cut.
  unlinkat(folder, temporary.c_str(), 0);
  net::Fd fd(openat(folder, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0600));
  if (!fd.is_open()) return FailWith(path_ + "/" + name + ".new", errno);
  auto written = WriteAll(fd.get(), bytes);
  if (written && renameat(folder, temporary.c_str(), folder, place->file.c_str()) != 0)
    written = Fail(ErrorCode::kIo, "{}", std::strerror(errno));
  if (!written) {
    unlinkat(folder, temporary.c_str(), 0);
    return PassOn(written, "{}/{}", path_, name);
  }
  return {};
}

std::vector<std::string> PrivateFolder::Files() {
  auto fd = Open(AT_FDCWD, path_, false);
  if (!fd) return {};
  std::unique_ptr<DIR, int (*)(DIR*)> folder(fdopendir(fd->get()), &closedir);
  if (folder == nullptr) return {};
  static_cast<void>(fd->Release());
  std::vector<std::string> names;
  while (const dirent* entry = readdir(folder.get())) {
    struct stat info {};
    if (!IsPlain(entry->d_name) ||
        fstatat(dirfd(folder.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    if (S_ISREG(info.st_mode)) names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Status PrivateFolder::Rename(const std::string& from, const std::string& to) {
  auto source = Find(from, false);
  if (!source) return PassOn(source);
  auto target = Find(to, true);
  if (!target) return PassOn(target);
  if (renameat(source->folder.get(), source->file.c_str(), target->folder.get(),
               target->file.c_str()) != 0)
    return FailWith(path_ + "/" + from, errno);
  return {};
}

}  // namespace genkan::control
