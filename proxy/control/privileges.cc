#include "proxy/control/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "proxy/base/log.h"
#include "proxy/net/fd.h"

namespace genkan::control {
Result<Privileges> Privileges::Choose(const std::string& user, const std::string& default_user) {
  Privileges chosen;
  if (geteuid() != 0) {
    passwd* self = getpwuid(geteuid());
    chosen.user_ = self != nullptr ? self->pw_name : std::to_string(geteuid());
    if (!user.empty() && user != chosen.user_) {
      chosen.warning_ = fmt::format(
          "user = \"{}\" has no effect: genkan was started as {}, not as root", user, chosen.user_);
    }
    return chosen;
  }
  chosen.user_ = !user.empty() ? user : !default_user.empty() ? default_user : "genkan";
  // The check of the configuration warns of it.
  if (chosen.user_ == "root") return chosen;
  passwd* entry = getpwnam(chosen.user_.c_str());
  if (entry == nullptr) {
    return Fail(
        ErrorCode::kInvalid,
        "started as root, but there is no user {0} to run as; make one:\n"
        "  useradd --system --user-group --home-dir /var/lib/genkan --shell /usr/sbin/nologin {0}\n"
        "or name another with user = \"…\" (user = \"root\" stays root)",
        chosen.user_);
  }
  if (entry->pw_uid == 0) {
    chosen.warning_ = fmt::format("the proxy stays root: the user {} has uid 0", chosen.user_);
    return chosen;
  }
  chosen.will_drop_ = true;
  chosen.uid_ = entry->pw_uid;
  chosen.gid_ = entry->pw_gid;
  return chosen;
}

void Privileges::PrepareDirectory(const std::string& path, unsigned mode) const {
  std::error_code error;
  bool existed = std::filesystem::exists(path, error);
  if (!existed) {
    std::filesystem::create_directories(path, error);
    if (error) {
      LOG_WARN("directory_not_made", "path={} error=\"{}\"", path, error.message());
      return;
    }
    chmod(path.c_str(), mode);
  }
  if (!will_drop_) return;
  net::Fd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!directory.is_open() || fstat(directory.get(), &info) != 0 || info.st_uid != 0) return;
  if (existed && !std::filesystem::is_empty(path, error)) return;
  if (fchown(directory.get(), uid_, gid_) != 0)
    LOG_WARN("chown_failed", "path={} error=\"{}\"", path, std::strerror(errno));
}

void Privileges::GiveAway(const std::string& path) const {
  if (!will_drop_) return;
  if (lchown(path.c_str(), uid_, gid_) != 0)
    LOG_WARN("chown_failed", "path={} error=\"{}\"", path, std::strerror(errno));
}

Status Privileges::ForbidNewPrivileges() const {
  if (will_drop_ && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return Fail(ErrorCode::kPermission, "no_new_privs: {}", std::strerror(errno));
  return {};
}

Status Privileges::DropForGood() {
  if (!will_drop_) return {};
  if (initgroups(user_.c_str(), gid_) != 0 || setresgid(gid_, gid_, gid_) != 0 ||
      setresuid(uid_, uid_, uid_) != 0)
    return Fail(ErrorCode::kPermission, "cannot become {}: {}", user_, std::strerror(errno));
  if (setuid(0) == 0 || seteuid(0) == 0)
    return Fail(ErrorCode::kPermission, "root could come back after becoming {}", user_);
  // Private keys are in this memory: no debugger of that user, no core file.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  return {};
}

}  // namespace genkan::control
