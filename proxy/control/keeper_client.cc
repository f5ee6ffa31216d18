#include "proxy/control/keeper_client.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/base/log.h"

namespace genkan::control {

class KeeperClient::Files final : public FileAccess {
 public:
  explicit Files(KeeperClient& keeper) : keeper_(keeper) {}

  Result<std::string> Read(const std::string& path, size_t max_bytes) override {
    auto answer = keeper_.Ask({KeeperOp::kReadFile, 0, {path}});
    if (!answer) return PassOn(answer);
    if (answer->descriptors.size() != 1)
      return Fail(ErrorCode::kInternal, "{}: the keeper gave no file", path);
    // What is long to do is done here, by as many threads as ask.
    return ReadOpenFile(answer->descriptors.front().get(), path, max_bytes);
  }

  Result<std::vector<std::string>> List(const std::string& directory) override {
    auto answer = keeper_.Ask({KeeperOp::kList, 0, {directory}});
    if (!answer) return PassOn(answer);
    return std::move(answer->message.texts);
  }

  std::vector<std::string> Glob(const std::string& pattern) override {
    auto answer = keeper_.Ask({KeeperOp::kGlob, 0, {pattern}});
    return answer ? std::move(answer->message.texts) : std::vector<std::string>();
  }

 private:
  KeeperClient& keeper_;
};

class KeeperClient::View final : public event::FileView {
 public:
  explicit View(KeeperClient& keeper) : keeper_(keeper) {}

  event::FileState State(const std::string& path) override {
    auto answer = keeper_.Ask({KeeperOp::kState, 0, {path}});
    auto state = answer ? ParseState(answer->message) : Result<event::FileState>(PassOn(answer));
    if (state) return *std::move(state);
    event::FileState unknown;
    unknown.error = EACCES;
    return unknown;
  }

  std::vector<event::ArmedStep> Arm(const std::string& path, int inotify) override {
    uint64_t id = 0;
    if (inotify >= 0) {
      auto known = ids_.find(inotify);
      if (known == ids_.end()) {
        auto given = keeper_.Ask({KeeperOp::kInotify, 0, {}}, {inotify});
        if (!given) return {};
        known = ids_.emplace(inotify, given->message.number).first;
      }
      id = known->second;
    }
    auto answer = keeper_.Ask({KeeperOp::kArm, id, {path}});
    if (!answer) return {};
    auto steps = ParseSteps(answer->message);
    return steps ? *std::move(steps) : std::vector<event::ArmedStep>();
  }

  void Forget(int inotify) override {
    auto known = ids_.find(inotify);
    if (known == ids_.end()) return;
    static_cast<void>(keeper_.Ask({KeeperOp::kInotify, known->second, {}}));
    ids_.erase(known);
  }

 private:
  KeeperClient& keeper_;
  std::map<int, uint64_t> ids_;  // descriptor -> the keeper's name for it
};

class KeeperClient::Sockets final : public SocketOpener {
 public:
  explicit Sockets(KeeperClient& keeper) : keeper_(keeper) {}

  Result<std::vector<net::Fd>> Open(const std::string& address, size_t count, unsigned) override {
    return Ask(address, {KeeperOp::kListen, count, {address}});
  }
  Result<std::vector<net::Fd>> OpenMore(const std::string& address, uint16_t port,
                                        size_t count) override {
    return Ask(address, {KeeperOp::kListenMore, count, {address, std::to_string(port)}});
  }

 private:
  Result<std::vector<net::Fd>> Ask(const std::string& address, KeeperMessage question) {
    auto answer = keeper_.Ask(std::move(question));
    if (!answer) return PassOn(answer);
    if (answer->descriptors.empty())
      return Fail(ErrorCode::kInternal, "{}: the keeper gave no socket", address);
    return std::move(answer->descriptors);
  }

  KeeperClient& keeper_;
};

class KeeperClient::Good final : public FolderStore {
 public:
  explicit Good(KeeperClient& keeper) : keeper_(keeper) {}

  Result<std::string> Load(const std::string& name) override {
    auto answer = keeper_.Ask({KeeperOp::kLoadGood, 0, {name}});
    if (!answer) return PassOn(answer);
    return answer->message.texts.empty() ? std::string() : std::move(answer->message.texts.front());
  }

  Status Save(const std::string& name, std::string_view bytes) override {
    auto answer = keeper_.Ask({KeeperOp::kSaveGood, 0, {name, std::string(bytes)}});
    return answer ? Status() : Status(PassOn(answer));
  }

 private:
  KeeperClient& keeper_;
};

class KeeperClient::Hooks final : public HookRunner, private event::IoWatcher::Handler {
 public:
  Hooks(KeeperClient& keeper, event::EventLoop& loop, net::Fd events)
      : keeper_(keeper),
        loop_(loop),
        events_(std::move(events)),
        watcher_(loop, events_.fd(), *this) {
    watcher_.WantRead(true);
  }
  ~Hooks() override { *alive_ = false; }

  void Run(HookRequest request, Done done) override {
    KeeperMessage question{KeeperOp::kRunHook, ++last_id_, {}};
    PackHook(request, question);
    auto answer = keeper_.Ask(std::move(question));
    if (answer) {
      running_.emplace(last_id_, std::pair(std::move(request), std::move(done)));
      return;
    }
    loop_.Defer([alive = alive_, request = std::move(request), done = std::move(done),
                 error = answer.error()]() mutable {
      if (!*alive) return;
      Result<HookOutcome> outcome = tl::unexpected<Error>(std::move(error));
      LogHook(request, outcome);
      done(std::move(outcome));
    });
  }

 private:
  void OnReadable() noexcept override {
    auto mail = events_.Receive();
    if (!mail) {
      watcher_.WantRead(false);
      EndAll(mail.error());
      return;
    }
    auto found = running_.find(mail->message.number);
    if (mail->message.op != KeeperOp::kHookEnded || found == running_.end()) return;
    auto [request, done] = std::move(found->second);
    running_.erase(found);
    Result<HookOutcome> outcome = ParseOutcome(mail->message);
    if (mail->message.texts.size() == 1)
      outcome = Fail(ErrorCode::kIo, "{}", mail->message.texts.front());
    LogHook(request, outcome);
    done(std::move(outcome));
  }
  void OnWritable() noexcept override {}

  void EndAll(const Error& error) {
    auto running = std::exchange(running_, {});
    for (auto& [id, one] : running) one.second(tl::unexpected<Error>(error));
  }

  KeeperClient& keeper_;
  event::EventLoop& loop_;
  KeeperChannel events_;
  event::IoWatcher watcher_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<uint64_t, std::pair<HookRequest, Done>> running_;
  uint64_t last_id_ = 0;
};

KeeperClient::KeeperClient(net::Fd calls, net::Fd events)
    : calls_(std::move(calls)),
      events_(std::move(events)),
      files_(std::make_unique<Files>(*this)),
      view_(std::make_unique<View>(*this)),
      sockets_(std::make_unique<Sockets>(*this)),
      last_good_(std::make_unique<Good>(*this)) {}

KeeperClient::~KeeperClient() = default;

std::unique_ptr<HookRunner> KeeperClient::MakeHookRunner(event::EventLoop& loop) {
  return std::make_unique<Hooks>(*this, loop, std::move(events_));
}

Result<KeeperMail> KeeperClient::Ask(KeeperMessage question, const std::vector<int>& descriptors) {
  std::lock_guard lock(mutex_);
  if (is_gone_) return Fail(ErrorCode::kClosed, "the keeper is gone; restart genkan");
  auto sent = calls_.Send(question, descriptors);
  // Too long to be sent: nothing went out.
  if (!sent && sent.error().code == ErrorCode::kTooLarge) return PassOn(sent);
  auto mail = sent ? calls_.Receive() : Result<KeeperMail>(PassOn(sent));
  if (!mail) {
    is_gone_ = true;
    calls_.Close();
    LOG_ERROR("keeper_gone",
              "error=\"{}\" what is served stays so, but renewed certificates that only root can "
              "read and new listeners will not be taken; restart genkan",
              mail.error().detail);
    return PassOn(mail);
  }
  if (mail->message.op == KeeperOp::kError) return tl::unexpected<Error>(ErrorOf(mail->message));
  return mail;
}

Status KeeperClient::Reload() {
  auto answer = Ask({KeeperOp::kReload, 0, {}});
  return answer ? Status() : Status(PassOn(answer));
}

void KeeperClient::Commit() { static_cast<void>(Ask({KeeperOp::kCommit, 0, {}})); }

Result<pid_t> KeeperClient::StartProgram(int descriptor) {
  auto answer = Ask({KeeperOp::kHandOver, 0, {}}, {descriptor});
  if (!answer) return PassOn(answer);
  return static_cast<pid_t>(answer->message.number);
}

void KeeperClient::EndProgram(pid_t pid) {
  static_cast<void>(Ask({KeeperOp::kEndHandOver, static_cast<uint64_t>(pid), {}}));
}

Status KeeperClient::SetLog(const std::string& level, const std::string& output) {
  auto number = ParseLogLevel(level);
  if (!number) return PassOn(number);
  net::Fd file;
  int fd = output == "stdout" ? STDOUT_FILENO : STDERR_FILENO;
  if (output != "stdout" && output != "stderr") {
    file =
        net::Fd(open(output.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644));
    if (!file.is_open()) return Fail(ErrorCode::kIo, "{}: {}", output, std::strerror(errno));
    fd = file.get();
  }
  auto answer = Ask({KeeperOp::kLog, static_cast<uint64_t>(*number), {}}, {fd});
  return answer ? Status() : Status(PassOn(answer));
}

}  // namespace genkan::control
