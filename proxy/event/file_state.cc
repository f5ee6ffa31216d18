#include "proxy/event/file_state.h"

#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <memory>
#include <string_view>

namespace genkan::event {
namespace {

constexpr size_t kMaxFiles = 4096;
constexpr int kMaxLinks = 40;  // as the kernel's own limit

int64_t Nanos(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

FileSignature SignatureOf(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, Nanos(status.st_mtim), Nanos(status.st_ctim)};
}

void PushFront(std::deque<std::string>& names, std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  }
  names.insert(names.begin(), parts.begin(), parts.end());
}

std::string Join(const std::string& directory, const std::string& name) {
  return directory == "/" ? directory + name : directory + "/" + name;
}

std::string Parent(const std::string& directory) {
  size_t slash = directory.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : directory.substr(0, slash);
}

}  // namespace

FileState ReadFileState(const std::string& path) {
  FileState state;
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    state.error = errno;
    return state;
  }
  if (!S_ISDIR(status.st_mode)) {
    state.file = SignatureOf(status);
    return state;
  }
  state.is_directory = true;
  std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), &closedir);
  if (folder == nullptr) {
    state.error = errno;
    return state;
  }
  while (const dirent* entry = readdir(folder.get())) {
    if (state.files.size() >= kMaxFiles) break;
    if (fstatat(dirfd(folder.get()), entry->d_name, &status, 0) != 0) continue;
    if (S_ISREG(status.st_mode)) state.files.emplace_back(entry->d_name, SignatureOf(status));
  }
  std::sort(state.files.begin(), state.files.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return state;
}

std::vector<PathStep> WalkPath(const std::string& path) {
  std::vector<PathStep> steps;
  std::deque<std::string> left;
  PushFront(left, path);
  std::string directory = "/";
  if (!path.starts_with('/')) {
    char here[PATH_MAX];
    if (getcwd(here, sizeof(here)) != nullptr) directory = here;
  }
  int links = 0;
  while (!left.empty()) {
    std::string name = std::move(left.front());
    left.pop_front();
    if (name == "..") {
      directory = Parent(directory);
      continue;
    }
    steps.push_back({directory, name});
    std::string next = Join(directory, name);
    struct stat status;
    if (lstat(next.c_str(), &status) != 0) break;
    if (S_ISLNK(status.st_mode)) {
      char target[PATH_MAX];
      ssize_t length = readlink(next.c_str(), target, sizeof(target));
      if (length <= 0 || ++links > kMaxLinks) break;
      std::string_view text(target, static_cast<size_t>(length));
      if (text.front() == '/') directory = "/";
      PushFront(left, text);
      continue;
    }
    if (!S_ISDIR(status.st_mode)) break;
    directory = std::move(next);
  }
  return steps;
}

std::string RealDirectory(const std::string& path) {
  std::unique_ptr<char, decltype(&free)> real(realpath(path.c_str(), nullptr), &free);
  return real == nullptr ? std::string() : std::string(real.get());
}

}  // namespace genkan::event
