#include "proxy/control/hand_over.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cstdlib>
#include <map>

#include "proxy/base/log.h"
#include "proxy/base/text.h"

namespace genkan::control {
namespace {

constexpr uint64_t kFormat = 1;
constexpr timeval kAnswerLimit{10, 0};

// What a descriptor is: "listener\n3\n127.0.0.1:443".
std::string Label(std::string_view kind, uint64_t number, std::string_view text) {
  return fmt::format("{}\n{}\n{}", kind, number, text);
}

}  // namespace

KeeperMessage Pack(const HandOver& hand_over, std::vector<int>& descriptors) {
  KeeperMessage message{KeeperOp::kHandOver, kFormat, {}};
  auto add = [&](std::string_view kind, uint64_t number, std::string_view text, const net::Fd& fd) {
    if (!fd.is_open()) return;
    message.texts.push_back(Label(kind, number, text));
    descriptors.push_back(fd.get());
  };
  for (const auto& socket : hand_over.listeners)
    add("listener", socket.listener, socket.address, socket.fd);
  for (const auto& socket : hand_over.admin) add("admin", 0, socket.address, socket.fd);
  add("state_lock", 0, hand_over.state_path, hand_over.state_lock);
  add("ticket_keys", static_cast<uint64_t>(hand_over.rotation_due.count()), "",
      hand_over.ticket_keys);
  add("barred", 0, "", hand_over.barred);
  return message;
}

Result<HandOver> ParseHandOver(KeeperMail mail) {
  const KeeperMessage& message = mail.message;
  if (message.op != KeeperOp::kHandOver || message.number != kFormat ||
      message.texts.size() != mail.descriptors.size())
    return Fail(ErrorCode::kUnsupported, "what the running genkan hands over is of another format");
  HandOver hand_over;
  for (size_t i = 0; i < message.texts.size(); ++i) {
    const std::vector<std::string_view> parts = Split(message.texts[i], '\n');
    auto number = parts.size() == 3 ? ParseDecimal(parts[1]) : std::nullopt;
    if (!number) return Fail(ErrorCode::kInvalid, "what the running genkan hands over is damaged");
    net::Fd& fd = mail.descriptors[i];
    const std::string text(parts[2]);
    if (parts[0] == "listener") {
      hand_over.listeners.push_back({text, static_cast<size_t>(*number), std::move(fd)});
    } else if (parts[0] == "admin") {
      hand_over.admin.push_back({text, 0, std::move(fd)});
    } else if (parts[0] == "state_lock") {
      hand_over.state_path = text;
      hand_over.state_lock = std::move(fd);
    } else if (parts[0] == "ticket_keys") {
      hand_over.rotation_due = Millis(static_cast<int64_t>(*number));
      hand_over.ticket_keys = std::move(fd);
    } else if (parts[0] == "barred") {
      hand_over.barred = std::move(fd);
    }
    // Of another kind: a newer version's, which closes with the mail.
  }
  return hand_over;
}

// ---- the new process

class Inheritance::AdminOpener final : public SocketOpener {
 public:
  AdminOpener(HandOver& hand_over, SocketOpener& others) : others_(others) {
    for (auto& socket : hand_over.admin)
      sockets_.emplace(std::move(socket.address), std::move(socket.fd));
    hand_over.admin.clear();
  }

  Result<std::vector<net::Fd>> Open(const std::string& address, size_t count,
                                    unsigned unix_mode) override {
    auto found = sockets_.find(address);
    if (found == sockets_.end()) return others_.Open(address, count, unix_mode);
    std::vector<net::Fd> sockets;
    sockets.push_back(std::move(found->second));
    sockets_.erase(found);
    return sockets;
  }

  Result<std::vector<net::Fd>> OpenMore(const std::string& address, uint16_t port,
                                        size_t count) override {
    return others_.OpenMore(address, port, count);
  }

 private:
  SocketOpener& others_;
  std::map<std::string, net::Fd> sockets_;
};

// Waits for the old process to let go: its word, or its end.
class Inheritance::Waiter final : private event::IoWatcher::Handler {
 public:
  Waiter(event::EventLoop& loop, KeeperChannel& channel, std::function<void()> on_told)
      : channel_(channel), on_told_(std::move(on_told)), watcher_(loop, channel.fd(), *this) {
    watcher_.WantRead(true);
  }

 private:
  void OnReadable() noexcept override {
    static_cast<void>(channel_.Receive());
    watcher_.WantRead(false);
    on_told_();
  }
  void OnWritable() noexcept override {}

  KeeperChannel& channel_;
  std::function<void()> on_told_;
  event::IoWatcher watcher_;
};

Inheritance::Inheritance(KeeperChannel channel) : channel_(std::move(channel)) {}

Inheritance::~Inheritance() = default;

Result<std::unique_ptr<Inheritance>> Inheritance::Take() {
  const char* variable = getenv(kHandOverVariable);
  if (variable == nullptr) return std::unique_ptr<Inheritance>();
  auto number = ParseDecimal(variable);
  // Who is started by us must not take it for its own.
  unsetenv(kHandOverVariable);
  if (!number || *number > 1'000'000)
    return genkan::Fail(ErrorCode::kInvalid, "{} is not for people", kHandOverVariable);
  net::Fd socket(static_cast<int>(*number));
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kAnswerLimit, sizeof(kAnswerLimit));
  std::unique_ptr<Inheritance> inheritance(new Inheritance(KeeperChannel(std::move(socket))));
  auto mail = inheritance->channel_.Receive();
  if (!mail) return PassOn(mail, "hand-over");
  auto hand_over = ParseHandOver(*std::move(mail));
  if (!hand_over) return PassOn(hand_over);
  inheritance->hand_over_ = *std::move(hand_over);
  return inheritance;
}

SocketOpener& Inheritance::AdminSockets(SocketOpener& others) {
  admin_ = std::make_unique<AdminOpener>(hand_over_, others);
  return *admin_;
}

Status Inheritance::Serve(event::EventLoop& loop, std::function<void()> on_told) {
  auto said = channel_.Send({KeeperOp::kDone, 0, {}});
  if (!said) return PassOn(said, "the process that hands over does not wait any more");
  waiter_ = std::make_unique<Waiter>(loop, channel_, std::move(on_told));
  return {};
}

// ---- the old process

Successor::Successor(Options options, KeeperChannel channel)
    : options_(std::move(options)),
      channel_(std::move(channel)),
      watcher_(options_.loop, channel_.fd(), *this),
      timer_(options_.loop, [this] {
        options_.end(pid_);
        Fail(fmt::format("it was not ready within {} s", kLongest.count() / 1000));
      }) {}

Result<std::unique_ptr<Successor>> Successor::Start(Options options, const HandOver& hand_over) {
  auto ends = KeeperChannel::MakePair();
  if (!ends) return PassOn(ends);
  std::unique_ptr<Successor> successor(
      new Successor(std::move(options), KeeperChannel(std::move(ends->first))));
  auto pid = successor->options_.start(ends->second.get());
  if (!pid) return PassOn(pid);
  successor->pid_ = *pid;
  ends->second.Reset();
  std::vector<int> descriptors;
  const KeeperMessage message = Pack(hand_over, descriptors);
  if (auto sent = successor->channel_.Send(message, descriptors); !sent) {
    successor->options_.end(*pid);
    return PassOn(sent, "hand-over");
  }
  successor->watcher_.WantRead(true);
  successor->timer_.Start(kLongest);
  return successor;
}

void Successor::OnReadable() noexcept {
  auto mail = channel_.Receive();
  if (!mail || mail->message.op != KeeperOp::kDone) {
    Fail("it ended before it was ready; what it said about it stands above");
    return;
  }
  watcher_.WantRead(false);
  timer_.Cancel();
  options_.on_ready(pid_);
  // Where this does not arrive, our end will.
  static_cast<void>(channel_.Send({KeeperOp::kDone, 0, {}}));
}

void Successor::Fail(const std::string& reason) {
  watcher_.WantRead(false);
  timer_.Cancel();
  channel_.Close();
  options_.on_failed(reason);
}

}  // namespace genkan::control
