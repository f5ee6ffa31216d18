#include "proxy/control/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "proxy/base/text.h"
#include "proxy/net/fd.h"

namespace genkan::control {
namespace {

constexpr int kTheirs = STDERR_FILENO + 1;

std::vector<std::string> OwnArguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string all{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<std::string> argv;
  for (size_t at = 0; at < all.size();) {
    argv.emplace_back(all.c_str() + at);
    at += argv.back().size() + 1;
  }
  return argv;
}

std::string FindInPath(const std::string& name) {
  const char* variable = getenv("PATH");
  for (std::string_view folder : Split(variable != nullptr ? variable : "/usr/bin:/bin", ':')) {
    std::string path = fmt::format("{}/{}", folder.empty() ? "." : folder, name);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

// Ours, without what was told to this process alone.
std::vector<std::string> Environment() {
  std::vector<std::string> all;
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    const std::string_view text(*one);
    const std::string_view name = text.substr(0, text.find('='));
    if (name.starts_with("LISTEN_") || name == "WATCHDOG_PID" || name == kHandOverVariable)
      continue;
    all.emplace_back(text);
  }
  all.push_back(fmt::format("{}={}", kHandOverVariable, kTheirs));
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Program OwnProgram() {
  Program program;
  program.argv = OwnArguments();
  std::error_code error;
  std::string named = program.argv.empty() ? "" : program.argv.front();
  if (!named.empty() && named.find('/') == std::string::npos) named = FindInPath(named);
  if (named.empty()) named = std::filesystem::read_symlink("/proc/self/exe", error).string();
  program.path = std::filesystem::absolute(named, error).string();
  return program;
}

Result<pid_t> StartProgram(const Program& program, int descriptor) {
  // Above the place where it goes, so that nothing is in the way there.
  const net::Fd copy(fcntl(descriptor, F_DUPFD_CLOEXEC, kTheirs + 1));
  if (!copy.is_open()) return Fail(ErrorCode::kIo, "dup: {}", std::strerror(errno));
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, copy.get(), kTheirs);
  posix_spawn_file_actions_addclosefrom_np(&files, kTheirs + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> argv = program.argv, environment = Environment();
  if (argv.empty()) argv.push_back(program.path);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, program.path.c_str(), &files, &attributes,
                                Pointers(argv).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) return Fail(ErrorCode::kIo, "{}: {}", program.path, std::strerror(error));
  return pid;
}

}  // namespace genkan::control
