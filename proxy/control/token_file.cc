#include "proxy/control/token_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

namespace genkan::control {
namespace {

constexpr std::array kSignals{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE};

// What a signal handler may use: plain bytes that are there before the handler is. Empty: nothing
// to remove.
struct Leftovers {
  char file[PATH_MAX] = "";
  char folders[2][PATH_MAX] = {"", ""};  // those that we made, the inner one first
};
Leftovers leftovers;
std::array<struct sigaction, kSignals.size()> before;

// Only calls that are safe in a signal handler.
void RemoveLeftovers() noexcept {
  if (leftovers.file[0] != '\0') unlink(leftovers.file);
  for (auto& folder : leftovers.folders) {
    // Somebody else's token may be in it by now: then it stays.
    if (folder[0] != '\0') rmdir(folder);
  }
}

void OnSignal(int number) noexcept {
  RemoveLeftovers();
  _exit(128 + number);
}

void CatchSignals() {
  struct sigaction action {};
  action.sa_handler = &OnSignal;
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before[i]);
}

void ReleaseSignals() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before[i], nullptr);
}

// The file itself, without following a symlink on the way.
Status Write(const std::string& folder, const std::string& token, const std::string& answer) {
  int fd = open((folder + "/" + token).c_str(),
                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) {
    int error = errno;
    if (error == EEXIST) leftovers.file[0] = '\0';  // somebody else's
    return Fail(ErrorCode::kIo, "{}/{}: {}", folder, token, std::strerror(error));
  }
  fchmod(fd, 0644);  // whatever the umask: the proxy may be another user
  ssize_t put = write(fd, answer.data(), answer.size());
  int error = errno;
  close(fd);
  if (put == static_cast<ssize_t>(answer.size())) return {};
  return Fail(ErrorCode::kIo, "{}/{}: {}", folder, token,
              put < 0 ? std::strerror(error) : "written in part");
}

// True: made by us.
Result<bool> MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0) {
    chmod(path.c_str(), 0755);
    return true;
  }
  struct stat status {};
  if (errno == EEXIST && lstat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return false;
    return Fail(ErrorCode::kIo, "{} is no folder (genkan follows no symlink below a webroot)",
                path);
  }
  return Fail(ErrorCode::kIo, "{}: {}", path, std::strerror(errno));
}

void Note(char (&where)[PATH_MAX], const std::string& path) {
  std::snprintf(where, sizeof where, "%s", path.c_str());
}

}  // namespace

Result<std::unique_ptr<TokenFile>> TokenFile::Put(const std::string& webroot,
                                                  const std::string& token,
                                                  const std::string& answer) {
  const std::string outer = webroot + "/.well-known", inner = outer + "/acme-challenge";
  if (inner.size() + 1 + token.size() >= PATH_MAX)
    return Fail(ErrorCode::kInvalid, "{}: too long a path", webroot);
  leftovers = Leftovers();
  // From here on whatever is made is taken away by the destructor, also where Put fails half-way.
  std::unique_ptr<TokenFile> file(new TokenFile(inner));
  CatchSignals();
  auto made = MakeFolder(outer);
  if (!made) return PassOn(made);
  if (*made) Note(leftovers.folders[1], outer);
  made = MakeFolder(inner);
  if (!made) return PassOn(made);
  if (*made) Note(leftovers.folders[0], inner);
  // Named before it is there: a signal in between finds nothing to remove, or the file.
  Note(leftovers.file, inner + "/" + token);
  if (auto written = Write(inner, token, answer); !written) return PassOn(written);
  return file;
}

TokenFile::~TokenFile() {
  RemoveLeftovers();
  leftovers = Leftovers();
  ReleaseSignals();
}

}  // namespace genkan::control
