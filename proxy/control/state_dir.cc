#include "proxy/control/state_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "proxy/base/check.h"
#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/control/private_folder.h"

namespace genkan::control {
namespace {

constexpr uint64_t kVersion = 1;

bool IsPlainName(std::string_view name) {
  if (name.empty() || name.front() == '.') return false;
  for (char c : name) {
    if (!IsAlpha(c) && !IsDigit(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

Result<std::unique_ptr<StateDir>> StateDir::Open(const std::string& path, net::Fd given) {
  std::unique_ptr<StateDir> state(new StateDir(path));
  std::error_code error;
  bool existed = std::filesystem::is_directory(path, error);
  std::filesystem::create_directories(path, error);
  if (!existed && !error) chmod(path.c_str(), 0700);
  net::Fd lock = std::move(given);
  if (!lock.is_open())
    lock = net::Fd(open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open()) {
    LOG_WARN("state_dir_unwritable",
             "path={} error=\"{}\" staples and cached files are kept in memory only", path,
             std::strerror(errno));
    return state;
  }
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Fail(ErrorCode::kBusy,
                "state_dir {} is in use by another genkan; give this one a state_dir of its own",
                path);
  }
  std::string version(Trim(ReadWhole(path + "/VERSION")));
  while (!version.empty() && version.back() == '\n') version.pop_back();
  auto number = ParseDecimal(version);
  if (!version.empty() && (!number || *number > kVersion)) {
    return Fail(
        ErrorCode::kUnsupported,
        "state_dir {}: VERSION says {}, this genkan knows {}; it was written by a newer one", path,
        version, kVersion);
  }
  state->lock_ = std::move(lock);
  state->is_writable_ = true;
  if (version.empty()) {
    auto written = state->WriteFile("", "VERSION", fmt::format("{}\n", kVersion));
    if (!written) {
      LOG_WARN("state_dir_unwritable", "path={} error=\"{}\"", path, written.error().detail);
      state->is_writable_ = false;
    }
  }
  return state;
}

StateDir::StateDir(std::string path)
    : path_(std::move(path)), last_good_(std::make_unique<PrivateFolder>(path_ + "/last_good")) {
  Delegate("last_good", *last_good_);
}

StateDir::~StateDir() = default;

std::string StateDir::Load(std::string_view folder, std::string_view name) {
  GENKAN_CHECK(IsPlainName(folder));
  auto key = fmt::format("{}/{}", folder, name);
  {
    std::lock_guard lock(mutex_);
    auto it = memory_.find(key);
    if (it != memory_.end()) return it->second;
  }
  if (auto store = stores_.find(folder); store != stores_.end()) {
    auto bytes = store->second->Load(std::string(name));
    if (bytes) return *std::move(bytes);
    // Once: there may be thousands of certificates.
    std::lock_guard lock(mutex_);
    if (!std::exchange(has_warned_of_reading_, true))
      LOG_WARN("state_read_failed", "path={}/{} error=\"{}\"", path_, key, bytes.error().detail);
    return {};
  }
  GENKAN_CHECK(IsPlainName(name));
  return ReadWhole(path_ + "/" + key);
}

void StateDir::Save(std::string_view folder, std::string_view name, std::string_view bytes) {
  GENKAN_CHECK(IsPlainName(folder));
  const auto key = fmt::format("{}/{}", folder, name);
  if (!is_writable_) {
    std::lock_guard lock(mutex_);
    memory_[key] = std::string(bytes);
    return;
  }
  const auto store = stores_.find(folder);
  const bool has_store = store != stores_.end();
  auto written = has_store ? store->second->Save(std::string(name), bytes)
                           : WriteFile(std::string(folder), std::string(name), bytes);
  // What a store keeps is read from there: the last good of thousands of certificates, which hardly
  // anybody asks for.
  {
    std::lock_guard lock(mutex_);
    if (written && has_store) {
      memory_.erase(key);
    } else {
      memory_[key] = std::string(bytes);
    }
  }
  if (!written && !has_warned_) {
    has_warned_ = true;
    LOG_WARN("state_write_failed", "path={}/{}/{} error=\"{}\" it is kept in memory", path_, folder,
             name, written.error().detail);
  }
  if (written) has_warned_ = false;
}

std::string_view HashOfStateFile(std::string_view name) {
  constexpr size_t kHashChars = 64;
  const std::string_view hash = name.substr(0, kHashChars), rest = name.substr(hash.size());
  const bool is_hash = hash.size() == kHashChars &&
                       std::all_of(hash.begin(), hash.end(),
                                   [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); });
  const bool is_ours = rest.empty() || rest == ".meta" || rest == ".new" || rest == ".meta.new";
  return is_hash && is_ours ? hash : std::string_view();
}

size_t StateDir::Sweep(std::string_view folder,
                       const std::function<bool(std::string_view)>& is_kept, WallTime before) {
  GENKAN_CHECK(IsPlainName(folder));
  const std::string prefix = fmt::format("{}/", folder);
  std::unique_lock lock(mutex_);
  std::erase_if(memory_, [&](const auto& item) {
    if (!item.first.starts_with(prefix)) return false;
    const std::string_view hash =
        HashOfStateFile(std::string_view(item.first).substr(prefix.size()));
    return !hash.empty() && !is_kept(hash);
  });
  lock.unlock();
  if (!is_writable_ || stores_.contains(folder)) return 0;
  const net::Fd directory(open(fmt::format("{}/{}", path_, folder).c_str(),
                               O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  // A copy: closedir closes what it was given.
  DIR* list = directory.is_open() ? fdopendir(fcntl(directory.get(), F_DUPFD_CLOEXEC, 3)) : nullptr;
  if (list == nullptr) return 0;
  std::vector<std::string> unwanted;
  while (const dirent* one = readdir(list)) {
    const std::string_view hash = HashOfStateFile(one->d_name);
    if (!hash.empty() && !is_kept(hash)) unwanted.emplace_back(one->d_name);
  }
  closedir(list);
  size_t removed = 0;
  for (const std::string& name : unwanted) {
    struct stat info {};
    if (fstatat(directory.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(info.st_mode) || WallTime(Seconds(info.st_mtime)) > before)
      continue;
    if (unlinkat(directory.get(), name.c_str(), 0) == 0) ++removed;
  }
  return removed;
}

Status StateDir::WriteFile(const std::string& folder, const std::string& name,
                           std::string_view bytes) {
  GENKAN_CHECK(IsPlainName(name));
  std::string directory = folder.empty() ? path_ : path_ + "/" + folder;
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return Fail(ErrorCode::kIo, "{}: {}", directory, std::strerror(errno));
  std::string target = directory + "/" + name;
  std::string temporary = target + ".new";
  net::Fd fd(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.is_open()) return Fail(ErrorCode::kIo, "{}: {}", temporary, std::strerror(errno));
  while (!bytes.empty()) {
    ssize_t written = write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      int error = errno;
      unlink(temporary.c_str());
      return Fail(ErrorCode::kIo, "{}: {}", temporary, std::strerror(error));
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd.get()) != 0 || rename(temporary.c_str(), target.c_str()) != 0) {
    int error = errno;
    unlink(temporary.c_str());
    return Fail(ErrorCode::kIo, "{}: {}", target, std::strerror(error));
  }
  return {};
}

}  // namespace genkan::control
