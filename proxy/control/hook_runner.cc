#include "proxy/control/hook_runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/net/fd.h"

namespace genkan::control {
namespace {

constexpr int kTickMillis = 100;
constexpr size_t kMaxWaiting = 1'000;
constexpr size_t kMaxLogLines = 100;

// The beginning and the end of a long output: the cause tends to stand in the one or the other.
class OutputKeeper {
 public:
  void Add(std::string_view bytes) {
    size_t room = kMaxHookOutput / 2 - std::min(head_.size(), kMaxHookOutput / 2);
    head_ += bytes.substr(0, room);
    if (bytes.size() <= room) return;
    tail_ += bytes.substr(room);
    if (tail_.size() <= kMaxTail) return;
    tail_.erase(0, tail_.size() - kMaxTail);
    is_cut_ = true;
  }
  bool is_cut() const { return is_cut_; }
  std::string Take() { return is_cut_ ? head_ + std::string(kCut) + tail_ : head_ + tail_; }

 private:
  static constexpr std::string_view kCut = "\n[…]\n";
  static constexpr size_t kMaxTail = kMaxHookOutput / 2 - kCut.size();
  std::string head_, tail_;
  bool is_cut_ = false;
};

// The arguments of posix_spawn, which want to be pointers.
std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> EnvironmentWith(
    const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> all;
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    std::string_view text(*one);
    const std::string_view name = text.substr(0, text.find('='));
    // What systemd tells us is not told to whom we start.
    if (name == "NOTIFY_SOCKET" || name.starts_with("LISTEN_") || name.starts_with("WATCHDOG_"))
      continue;
    if (std::none_of(added.begin(), added.end(), [&](const auto& it) { return it.first == name; }))
      all.emplace_back(text);
  }
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

struct SpawnSettings {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;

  explicit SpawnSettings(int output) {
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
};

struct Child {
  pid_t pid = -1;
  net::Fd output;  // non-blocking
};

Result<Child> Spawn(const HookRequest& request) {
  if (request.argv.empty() || request.argv[0].empty())
    return Fail(ErrorCode::kInvalid, "no program is named");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Fail(ErrorCode::kIo, "pipe: {}", std::strerror(errno));
  Child child;
  child.output = net::Fd(ends[0]);
  const net::Fd theirs(ends[1]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  SpawnSettings settings(ends[1]);
  std::vector<std::string> argv = request.argv;
  std::vector<std::string> environment = EnvironmentWith(request.environment);
  const int error = posix_spawnp(&child.pid, argv[0].c_str(), &settings.files, &settings.attributes,
                                 Pointers(argv).data(), Pointers(environment).data());
  if (error == ENOENT) return Fail(ErrorCode::kNotFound, "{}: no such program", argv[0]);
  if (error != 0) return Fail(ErrorCode::kIo, "{}: {}", argv[0], std::strerror(error));
  return child;
}

// False: nobody has the other end open any more.
bool ReadOutput(int fd, OutputKeeper& output) {
  char bytes[4096];
  // A command that writes without end must not keep us here: the clock is looked at in between.
  for (int i = 0; i < 64; ++i) {
    const ssize_t size = read(fd, bytes, sizeof(bytes));
    if (size > 0) {
      output.Add({bytes, static_cast<size_t>(size)});
    } else {
      return size < 0 && (errno == EAGAIN || errno == EINTR);
    }
  }
  return true;
}

// Asks the command's group to end, then makes it.
class Ender {
 public:
  explicit Ender(pid_t group) : group_(group) {}
  void Ask(MonotonicTime now) {
    if (asked_) return;
    asked_ = now;
    kill(-group_, SIGTERM);
  }
  void Insist(MonotonicTime now) const {
    if (asked_ && now - *asked_ >= kHookGrace) kill(-group_, SIGKILL);
  }

 private:
  pid_t group_;
  std::optional<MonotonicTime> asked_;
};

class DirectHookRunner final : public HookRunner {
 public:
  explicit DirectHookRunner(event::EventLoop& loop) : loop_(loop) {}

  ~DirectHookRunner() override {
    *alive_ = false;
    {
      std::lock_guard lock(mutex_);
      is_stopping_ = true;
      waiting_.clear();
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void Run(HookRequest request, Done done) override {
    bool is_taken = false;
    {
      std::lock_guard lock(mutex_);
      if (waiting_.size() < kMaxWaiting) {
        waiting_.emplace_back(std::move(request), done);
        is_taken = true;
      }
    }
    if (!is_taken) {
      auto alive = alive_;
      loop_.Defer([alive, done = std::move(done)] {
        if (*alive) done(Fail(ErrorCode::kBusy, "{} commands are waiting already", kMaxWaiting));
      });
      return;
    }
    if (!thread_.joinable()) StartThread();
    wake_.notify_all();
  }

 private:
  void StartThread() {
    // Signals belong to the control loop: block them while the thread inherits the mask.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { RunThread(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  bool IsStopping() {
    std::lock_guard lock(mutex_);
    return is_stopping_;
  }

  void RunThread() {
    SetLogThreadName("hook");
    for (;;) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return is_stopping_ || !waiting_.empty(); });
      if (is_stopping_) return;
      auto [request, done] = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      auto outcome = RunHookBlocking(request, [this] { return IsStopping(); });
      if (IsStopping()) return;
      LogHook(request, outcome);
      loop_.Post([alive = alive_, done = std::move(done), outcome = std::move(outcome)]() mutable {
        if (*alive) done(std::move(outcome));
      });
    }
  }

  event::EventLoop& loop_;
  // Read and written on the control thread alone; the thread only passes it on.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::pair<HookRequest, Done>> waiting_;  // guarded by mutex_
  bool is_stopping_ = false;                          // guarded by mutex_
  std::thread thread_;                                // from the first command on
};

}  // namespace

Result<HookOutcome> RunHookBlocking(const HookRequest& request,
                                    const std::function<bool()>& is_cancelled) {
  auto child = Spawn(request);
  if (!child) return PassOn(child);
  const auto now = [] { return SystemClock().Now(); };
  const MonotonicTime start = now();
  Ender ender(child->pid);
  HookOutcome outcome;
  OutputKeeper output;
  bool is_open = true;
  int status = 0;
  for (;;) {
    pollfd wanted{is_open ? child->output.get() : -1, POLLIN, 0};
    poll(&wanted, 1, kTickMillis);
    // Before the look at the output: what it wrote at its end is there by then.
    const bool has_ended = waitpid(child->pid, &status, WNOHANG) == child->pid;
    if (is_open) is_open = ReadOutput(child->output.get(), output);
    if (has_ended) break;
    if (now() - start >= request.timeout) {
      outcome.is_timed_out = true;
      ender.Ask(now());
    } else if (is_cancelled && is_cancelled()) {
      ender.Ask(now());
    }
    ender.Insist(now());
  }
  // What it left behind in its group goes with it where it did not end by itself.
  if (outcome.is_timed_out) kill(-child->pid, SIGKILL);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  outcome.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  outcome.is_cut = output.is_cut();
  outcome.output = output.Take();
  outcome.took = std::chrono::duration_cast<Millis>(now() - start);
  return outcome;
}

std::unique_ptr<HookRunner> MakeDirectHookRunner(event::EventLoop& loop) {
  return std::make_unique<DirectHookRunner>(loop);
}

std::string Describe(const HookOutcome& outcome) {
  if (outcome.is_timed_out) return fmt::format("ended after {} s", outcome.took.count() / 1000);
  if (outcome.signal != 0) return fmt::format("signal {}", outcome.signal);
  return fmt::format("exit {}", outcome.exit_code);
}

void LogHook(const HookRequest& request, const Result<HookOutcome>& outcome) {
  const std::string& program = request.argv.empty() ? request.name : request.argv[0];
  if (!outcome) {
    LOG_ERROR("hook_failed", "name={} program={} error=\"{}\"", request.name, program,
              outcome.error().detail);
    return;
  }
  if (outcome->is_success()) {
    LOG_INFO("hook_done", "name={} program={} took_ms={}", request.name, program,
             outcome->took.count());
  } else {
    LOG_ERROR("hook_failed", "name={} program={} error=\"{}\" took_ms={}", request.name, program,
              Describe(*outcome), outcome->took.count());
  }
  size_t lines = 0;
  for (std::string_view line : Split(outcome->output, '\n')) {
    if (line.empty()) continue;
    if (++lines > kMaxLogLines) break;
    LOG_INFO("hook_output", "name={} line=\"{}\"", request.name, line);
  }
}

}  // namespace genkan::control
