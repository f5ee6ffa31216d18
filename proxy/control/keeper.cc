#include "proxy/control/keeper.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/control/keeper_log.h"
#include "proxy/control/last_good.h"
#include "proxy/control/root_files.h"
#include "proxy/control/socket_opener.h"
#include "proxy/net/acceptor.h"

namespace genkan::control {
namespace {

constexpr size_t kMaxInotifies = 16;
constexpr size_t kMaxMatches = 10'000;
constexpr uint64_t kMaxSockets = 1024;
constexpr uint64_t kMaxRefusalsToldAMinute = 20;
constexpr unsigned kAdminMode = 0660, kListenerMode = 0666;

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// For the file system this thread is the other user: what it makes is that user's, and where that
// user may not go it may not go either. Not the whole process, whose commands run as root.
class AsUser {
 public:
  AsUser(uid_t uid, gid_t gid) {
    setfsgid(gid);
    setfsuid(uid);
  }
  ~AsUser() {
    setfsuid(geteuid());
    setfsgid(getegid());
  }
};

}  // namespace

Keeper::Keeper(net::Fd calls, net::Fd events, KeeperSettings settings)
    : calls_(std::move(calls)),
      settings_(std::move(settings)),
      rules_(MakeRules(settings_.config)),
      last_good_(settings_.state_dir + "/last_good"),
      hooks_(std::move(events)) {}

Keeper::Rules Keeper::MakeRules(const config::Config& config) const {
  return std::make_shared<const KeeperRules>(config, [](const std::string& path) {
    std::error_code error;
    return std::filesystem::is_directory(path, error);
  });
}

void Keeper::Serve() {
  for (;;) {
    auto mail = calls_.Receive();
    if (!mail) {
      if (mail.error().code != ErrorCode::kClosed)
        LOG_ERROR("keeper_stops", "error=\"{}\"", mail.error().detail);
      return;
    }
    Answer answer = Handle(*mail);
    std::vector<int> descriptors;
    for (const net::Fd& fd : answer.descriptors) descriptors.push_back(fd.get());
    if (!calls_.Send(answer.message, descriptors)) return;
  }
}

Keeper::Answer Keeper::Handle(KeeperMail& mail) {
  const KeeperMessage& asked = mail.message;
  static const std::string kNone;
  auto text = [&](size_t i) -> const std::string& {
    return i < asked.texts.size() ? asked.texts[i] : kNone;
  };
  Result<Answer> answer = Answer{};
  switch (asked.op) {
    case KeeperOp::kReadFile:
      answer = ReadFile(text(0));
      break;
    case KeeperOp::kList:
      answer = List(WithoutSlash(text(0)));
      break;
    case KeeperOp::kGlob:
      answer = Glob(WithoutSlash(text(0)));
      break;
    case KeeperOp::kState:
      answer = State(WithoutSlash(text(0)));
      break;
    case KeeperOp::kInotify:
      answer = TakeInotify(mail);
      break;
    case KeeperOp::kArm:
      answer = Arm(asked.number, WithoutSlash(text(0)));
      break;
    case KeeperOp::kListen:
      answer = Listen(text(0), asked.number);
      break;
    case KeeperOp::kListenMore:
      answer = ListenMore(text(0), text(1), asked.number);
      break;
    case KeeperOp::kReload:
      answer = Reload();
      break;
    case KeeperOp::kCommit:
      if (next_rules_ != nullptr) {
        rules_ = std::move(next_rules_);
        settings_.config = *std::move(next_config_);
      }
      break;
    case KeeperOp::kLog:
      answer = SetLog(mail);
      break;
    case KeeperOp::kLoadGood:
      answer = LoadGood(text(0));
      break;
    case KeeperOp::kSaveGood:
      answer = SaveGood(text(0), text(1));
      break;
    case KeeperOp::kRunHook:
      answer = RunHook(asked);
      break;
    case KeeperOp::kHandOver:
      answer = StartSuccessor(mail);
      break;
    case KeeperOp::kEndHandOver:
      answer = EndSuccessor(asked.number);
      break;
    default:
      answer = Refuse("ask", "what it does not know");
      break;
  }
  if (answer) return *std::move(answer);
  return {MakeError(answer.error()), {}};
}

tl::unexpected<Error> Keeper::Refuse(std::string_view what, const std::string& about) {
  const MonotonicTime now = std::chrono::steady_clock::now();
  if (now - refusals_since_ >= std::chrono::minutes(1)) {
    if (refusals_ > kMaxRefusalsToldAMinute)
      LOG_WARN("keeper_refused", "{} more in the minute before",
               refusals_ - kMaxRefusalsToldAMinute);
    refusals_since_ = now;
    refusals_ = 0;
  }
  if (++refusals_ <= kMaxRefusalsToldAMinute) {
    LOG_WARN("keeper_refused",
             "wanted={} about=\"{}\" the configuration does not name it, so the proxy has no "
             "business with it",
             what, about);
  }
  return Fail(ErrorCode::kPermission,
              "{}: the keeper refuses it: the configuration does not name it", about);
}

// ---- files

Result<Keeper::Answer> Keeper::ReadFile(const std::string& path) {
  if (!IsNamed([&](const KeeperRules& rules) { return rules.MayRead(path); }))
    return Refuse("read", path);
  auto fd = OpenAsRoot(path);
  if (!fd) return PassOn(fd);
  Answer answer;
  answer.descriptors.push_back(*std::move(fd));
  return answer;
}

Result<Keeper::Answer> Keeper::List(const std::string& directory) {
  if (!IsNamed([&](const KeeperRules& rules) {
        return rules.MayList(directory) || rules.MayRead(directory);
      }))
    return Refuse("list", directory);
  auto paths = ListAsRoot(directory);
  if (!paths) return PassOn(paths);
  std::erase_if(*paths, [&](const std::string& path) {
    return !IsNamed([&](const KeeperRules& rules) { return rules.MayRead(path); });
  });
  Answer answer;
  answer.message.texts = *std::move(paths);
  return answer;
}

Result<Keeper::Answer> Keeper::Glob(const std::string& pattern) {
  if (!IsNamed([&](const KeeperRules& rules) { return rules.MayGlob(pattern); }))
    return Refuse("glob", pattern);
  Answer answer;
  glob_t found{};
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc && i < kMaxMatches; ++i)
      answer.message.texts.emplace_back(found.gl_pathv[i]);
  }
  globfree(&found);
  std::sort(answer.message.texts.begin(), answer.message.texts.end());
  return answer;
}

Result<Keeper::Answer> Keeper::State(const std::string& path) {
  if (!IsNamed([&](const KeeperRules& rules) { return rules.MayWatch(path); }))
    return Refuse("stat", path);
  event::FileState state = event::ReadFileState(path);
  std::erase_if(state.files, [&](const auto& file) {
    return !IsNamed(
        [&](const KeeperRules& rules) { return rules.MayRead(path + "/" + file.first); });
  });
  Answer answer;
  PackState(state, answer.message);
  return answer;
}

Result<Keeper::Answer> Keeper::TakeInotify(KeeperMail& mail) {
  if (mail.descriptors.empty()) {
    inotifies_.erase(mail.message.number);
    return Answer{};
  }
  if (mail.descriptors.size() != 1 || inotifies_.size() >= kMaxInotifies)
    return Fail(ErrorCode::kInvalid, "keeper: one descriptor for watches, {} at most",
                kMaxInotifies);
  const uint64_t id = inotifies_.empty() ? 1 : inotifies_.rbegin()->first + 1;
  inotifies_[id] = std::move(mail.descriptors.front());
  Answer answer;
  answer.message.number = id;
  return answer;
}

Result<Keeper::Answer> Keeper::Arm(uint64_t inotify, const std::string& path) {
  auto found = inotifies_.find(inotify);
  if (found == inotifies_.end()) return Fail(ErrorCode::kInvalid, "keeper: no such watches");
  if (!IsNamed([&](const KeeperRules& rules) { return rules.MayWatch(path); }))
    return Refuse("watch", path);
  Answer answer;
  PackSteps(event::DirectFileView().Arm(path, found->second.get()), answer.message);
  return answer;
}

PrivateFolder& Keeper::last_good() {
  if (!std::exchange(is_last_good_in_order_, true)) MoveFlatLastGood(last_good_);
  return last_good_;
}

Result<Keeper::Answer> Keeper::LoadGood(const std::string& name) {
  if (!IsFileOfFolder(name)) return Refuse("load", name);
  auto bytes = last_good().Load(name);
  if (!bytes) return PassOn(bytes);
  Answer answer;
  answer.message.texts.push_back(*std::move(bytes));
  return answer;
}

Result<Keeper::Answer> Keeper::SaveGood(const std::string& name, const std::string& bytes) {
  if (!IsFileOfFolder(name)) return Refuse("save", name);
  if (auto saved = last_good().Save(name, bytes); !saved) return PassOn(saved);
  return Answer{};
}

// ---- sockets

Result<Keeper::Answer> Keeper::Listen(const std::string& text, uint64_t count) {
  auto address = net::Address::Parse(text);
  if (!address || count == 0 || count > kMaxSockets ||
      !IsNamed([&](const KeeperRules& rules) { return rules.MayListen(*address); }))
    return Refuse("listen", text);
  Answer answer;
  if (!address->is_unix()) {
    auto sockets = OpenListenerSockets(*address, count, kListenerMode);
    if (!sockets) return PassOn(sockets);
    if (auto local = net::Acceptor::LocalAddress(sockets->front().get()))
      listening_.emplace(text, std::to_string(local->port()));
    answer.descriptors = *std::move(sockets);
    return answer;
  }
  const auto is_admin = [&](const config::Config& config) {
    const auto& listen = config.admin.listen;
    return std::find(listen.begin(), listen.end(), text) != listen.end();
  };
  const unsigned mode = is_admin(settings_.config) || (next_config_ && is_admin(*next_config_))
                            ? kAdminMode
                            : kListenerMode;
  const std::string path = text.substr(std::strlen("unix:"));
  const std::string folder = std::filesystem::path(path).parent_path();
  std::optional<AsUser> as_user;
  // Where that user could put something else in the socket's place between two steps, root does not
  // act.
  const bool is_roots = IsRootsAlone(folder.empty() ? "." : folder);
  if (!is_roots) as_user.emplace(settings_.uid, settings_.gid);
  auto sockets = OpenListenerSockets(*address, 1, mode);
  if (!sockets) return PassOn(sockets);
  if (is_roots && lchown(path.c_str(), settings_.uid, settings_.gid) != 0)
    LOG_WARN("chown_failed", "path={} error=\"{}\"", path, std::strerror(errno));
  answer.descriptors = *std::move(sockets);
  return answer;
}

Result<Keeper::Answer> Keeper::ListenMore(const std::string& text, const std::string& port,
                                          uint64_t count) {
  auto address = net::Address::Parse(text);
  auto number = ParseDecimal(port);
  if (!address || !number || count == 0 || count > kMaxSockets ||
      !listening_.contains({text, port}) ||
      !IsNamed([&](const KeeperRules& rules) { return rules.MayListen(*address); }))
    return Refuse("listen", text + " " + port);
  auto sockets = OpenMoreSockets(*address, static_cast<uint16_t>(*number), count);
  if (!sockets) return PassOn(sockets);
  Answer answer;
  answer.descriptors = *std::move(sockets);
  return answer;
}

// ---- the rest

Result<Keeper::Answer> Keeper::Reload() {
  auto checked = settings_.load();
  if (!checked) {
    std::string all;
    for (const std::string& line : checked.error()) all += (all.empty() ? "" : "\n") + line;
    return Fail(ErrorCode::kInvalid, "{}", all);
  }
  next_rules_ = MakeRules(checked->config);
  next_config_ = std::move(checked->config);
  return Answer{};
}

Result<Keeper::Answer> Keeper::SetLog(KeeperMail& mail) {
  if (mail.descriptors.size() != 1 || mail.message.number > static_cast<uint64_t>(LogLevel::kOff))
    return Fail(ErrorCode::kInvalid, "keeper: one descriptor for the log");
  SetKeeperLog(static_cast<LogLevel>(mail.message.number), std::move(mail.descriptors.front()));
  return Answer{};
}

// Which program is no word of the proxy's.
Result<Keeper::Answer> Keeper::StartSuccessor(const KeeperMail& mail) {
  if (mail.descriptors.size() != 1)
    return Fail(ErrorCode::kInvalid, "keeper: one descriptor for the new process");
  if (successor_ > 0 && waitpid(successor_, nullptr, WNOHANG) == 0)
    return Fail(ErrorCode::kBusy, "process {} is still there", successor_);
  successor_ = -1;
  auto pid = StartProgram(settings_.program, mail.descriptors.front().get());
  if (!pid) return PassOn(pid);
  successor_ = *pid;
  Answer answer;
  answer.message.number = static_cast<uint64_t>(*pid);
  return answer;
}

Result<Keeper::Answer> Keeper::EndSuccessor(uint64_t pid) {
  if (successor_ <= 0 || pid != static_cast<uint64_t>(successor_))
    return Refuse("end", std::to_string(pid));
  kill(successor_, SIGKILL);
  waitpid(successor_, nullptr, 0);
  successor_ = -1;
  return Answer{};
}

Result<Keeper::Answer> Keeper::RunHook(const KeeperMessage& message) {
  auto hook = ParseHook(message);
  if (!hook) return PassOn(hook);
  if (!IsConfiguredHook(*hook, settings_.config) &&
      !(next_config_ && IsConfiguredHook(*hook, *next_config_))) {
    std::string words;
    for (const std::string& word : hook->argv) words += (words.empty() ? "" : " ") + word;
    return Refuse("run", words);
  }
  if (auto runs = hooks_.Run(message.number, *std::move(hook)); !runs) return PassOn(runs);
  return Answer{};
}

}  // namespace genkan::control
