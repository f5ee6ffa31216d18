// Keeper and client over a real socketpair, the keeper on a thread of its own instead of in a
// process.
#include "proxy/control/keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "proxy/base/log.h"
#include "proxy/config/validate.h"
#include "proxy/control/keeper_client.h"
#include "proxy/net/acceptor.h"
#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TempDir;
using testing::WriteFile;

class KeeperTest : public ::testing::Test {
 protected:
  KeeperTest() {
    WriteFile(dir_ / "live/a.test/cert.pem", "certificate");
    WriteFile(dir_ / "live/a.test/privkey.pem", "key");
    WriteFile(dir_ / "secret.txt", "secret");
    std::filesystem::create_directory(dir_ / "state");
    text_ = Text("127.0.0.1:0");
    Start();
  }
  ~KeeperTest() override {
    client_.reset();
    if (thread_.joinable()) thread_.join();
  }

  std::string Text(const std::string& address) {
    return fmt::format(R"(
[revocation]
on_revoked = ["/bin/sh", "-c", "echo $GENKAN_WORD; exit 3"]
[[listener]]
address = "{}"
[[site]]
names = ["a.test"]
certificates = ["{}"]
upstream = "http://127.0.0.1:1"
)",
                       address, dir_ / "live/a.test");
  }

  void Start() {
    auto calls = KeeperChannel::MakePair();
    auto events = KeeperChannel::MakePair();
    ASSERT_TRUE(calls && events);
    auto load = [this] {
      std::lock_guard lock(mutex_);
      return config::LoadConfigText(text_, "genkan.toml");
    };
    KeeperSettings settings{load()->config, load, dir_ / "state", getuid(), getgid()};
    thread_ = std::thread([calls = std::move(calls->second), events = std::move(events->second),
                           settings = std::move(settings)]() mutable {
      Keeper(std::move(calls), std::move(events), std::move(settings)).Serve();
    });
    client_ = std::make_unique<KeeperClient>(std::move(calls->first), std::move(events->first));
  }

  TempDir dir_;
  std::mutex mutex_;
  std::string text_;  // guarded by mutex_
  std::thread thread_;
  std::unique_ptr<KeeperClient> client_;
};

TEST_F(KeeperTest, GivesWhatIsNamed) {
  EXPECT_EQ(client_->files().Read(dir_ / "live/a.test/privkey.pem", 100).value(), "key");
  EXPECT_THAT(client_->files().List(dir_ / "live/a.test").value(),
              ElementsAre(dir_ / "live/a.test/cert.pem", dir_ / "live/a.test/privkey.pem"));
  EXPECT_EQ(client_->files().Read(dir_ / "live/a.test/privkey.pem", 2).error().code,
            ErrorCode::kTooLarge);
  EXPECT_EQ(client_->files().Read(dir_ / "live/a.test/none.pem", 2).error().code,
            ErrorCode::kNotFound);
}

TEST_F(KeeperTest, RefusesWhatIsNot) {
  auto secret = client_->files().Read(dir_ / "secret.txt", 100);
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().code, ErrorCode::kPermission);
  EXPECT_THAT(secret.error().detail, HasSubstr("the keeper refuses it"));
  EXPECT_FALSE(client_->files().List(dir_ / "state"));
  EXPECT_THAT(client_->files().Glob("/etc/*"), IsEmpty());
  EXPECT_EQ(client_->view().State("/etc").error, EACCES);
  EXPECT_FALSE(client_->sockets().Open("127.0.0.2:0", 1, 0666));
}

TEST_F(KeeperTest, AReloadAllowsWhatItReadAndKeepsTheOldUntilItIsInForce) {
  {
    std::lock_guard lock(mutex_);
    text_ = "nonsense = true\n";
  }
  auto bad = client_->Reload();
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().detail, HasSubstr("genkan.toml:1:1"));
  {
    std::lock_guard lock(mutex_);
    text_ = Text("127.0.0.2:0");
  }
  EXPECT_FALSE(client_->sockets().Open("127.0.0.2:0", 1, 0666));
  ASSERT_TRUE(client_->Reload());
  EXPECT_TRUE(client_->sockets().Open("127.0.0.2:0", 1, 0666));
  EXPECT_TRUE(client_->sockets().Open("127.0.0.1:0", 1, 0666));
  client_->Commit();
  EXPECT_FALSE(client_->sockets().Open("127.0.0.1:0", 1, 0666));
}

TEST_F(KeeperTest, OpensManySocketsOfOnePort) {
  constexpr size_t kMany = 450;  // more than one message of the kernel takes
  auto sockets = client_->sockets().Open("127.0.0.1:0", kMany, 0666);
  ASSERT_TRUE(sockets) << sockets.error().detail;
  ASSERT_EQ(sockets->size(), kMany);
  auto first = net::Acceptor::LocalAddress(sockets->front().get());
  auto last = net::Acceptor::LocalAddress(sockets->back().get());
  ASSERT_TRUE(first && last);
  EXPECT_EQ(*first, *last);
  EXPECT_NE(first->port(), 0);
}

TEST_F(KeeperTest, OpensMoreSocketsBesideItsOwnAlone) {
  auto first = client_->sockets().Open("127.0.0.1:0", 1, 0666);
  ASSERT_TRUE(first);
  const uint16_t port = net::Acceptor::LocalAddress(first->front().get())->port();
  auto more = client_->sockets().OpenMore("127.0.0.1:0", port, 2);
  ASSERT_TRUE(more) << more.error().detail;
  ASSERT_EQ(more->size(), 2u);
  EXPECT_EQ(net::Acceptor::LocalAddress(more->back().get())->port(), port);
  EXPECT_FALSE(client_->sockets().OpenMore("127.0.0.1:0", port ^ 1, 1)) << "a port it has not";
  EXPECT_FALSE(client_->sockets().OpenMore("127.0.0.2:0", port, 1)) << "an address it has not";
  {
    std::lock_guard lock(mutex_);
    text_ = Text("127.0.0.2:0");
  }
  ASSERT_TRUE(client_->Reload());
  client_->Commit();
  EXPECT_FALSE(client_->sockets().OpenMore("127.0.0.1:0", port, 1)) << "no longer configured";
}

TEST_F(KeeperTest, AddsWatchesToOurDescriptor) {
  net::Fd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  auto steps = client_->view().Arm(dir_ / "live/a.test", inotify.get());
  ASSERT_FALSE(steps.empty());
  for (const auto& step : steps) EXPECT_GE(step.watch, 0) << step.directory;
  EXPECT_EQ(steps, event::DirectFileView().Arm(dir_ / "live/a.test", inotify.get()));
  WriteFile(dir_ / "live/a.test/privkey.pem", "new");
  char events[4096];
  EXPECT_GT(read(inotify.get(), events, sizeof(events)), 0);
  EXPECT_EQ(client_->view().State(dir_ / "live/a.test").files.size(), 2u);
}

TEST_F(KeeperTest, WatchesOfAClosedDescriptorDoNotBecomeAnothersOfItsNumber) {
  constexpr int kMoreThanTheKeeperTakes = 40;
  for (int i = 0; i < kMoreThanTheKeeperTakes; ++i) {
    net::Fd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    ASSERT_FALSE(client_->view().Arm(dir_ / "live/a.test", inotify.get()).empty()) << i;
    WriteFile(dir_ / "live/a.test/privkey.pem", "new");
    char events[4096];
    EXPECT_GT(read(inotify.get(), events, sizeof(events)), 0) << i;
    client_->view().Forget(inotify.get());
  }
}

TEST_F(KeeperTest, KeepsTheLastGoodCertificates) {
  EXPECT_EQ(client_->last_good().Load("a").value(), "");
  ASSERT_TRUE(client_->last_good().Save("a", "one"));
  ASSERT_TRUE(client_->last_good().Save("a", "two"));
  EXPECT_EQ(client_->last_good().Load("a").value(), "two");
  struct stat info {};
  ASSERT_EQ(stat((dir_ / "state/last_good/a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_FALSE(client_->last_good().Save("../a", "x"));
  EXPECT_FALSE(client_->last_good().Save("a", std::string(PrivateFolder::kMaxBytes + 1, 'x')));
  ASSERT_TRUE(client_->last_good().Save("site/a", "three"));
  EXPECT_EQ(client_->last_good().Load("site/a").value(), "three");
  EXPECT_FALSE(client_->last_good().Save("site/../../b", "x"));
}

TEST_F(KeeperTest, TheFlatLayoutOfAnEarlierVersionIsPutInOrderBeforeItIsAskedFor) {
  WriteFile(dir_ / "state/last_good/s_a.test-0123456789abcdef.pem", "kept");
  EXPECT_EQ(client_->last_good().Load("a.test/0123456789abcdef.pem").value(), "kept");
}

TEST_F(KeeperTest, ALinkInTheLastGoodFolderLeadsNowhere) {
  ASSERT_TRUE(client_->last_good().Save("a", "one"));
  std::filesystem::create_symlink(dir_ / "secret.txt", dir_ / "state/last_good/b");
  EXPECT_FALSE(client_->last_good().Load("b"));
  ASSERT_TRUE(client_->last_good().Save("b", "mine"));
  EXPECT_EQ(testing::ReadFile(dir_ / "secret.txt"), "secret");
}

TEST_F(KeeperTest, RunsTheConfiguredCommandAndTellsItsEnd) {
  event::EventLoop loop;
  auto hooks = client_->MakeHookRunner(loop);
  std::optional<Result<HookOutcome>> good, bad;
  hooks->Run({"a.test", {"/bin/sh", "-c", "echo $GENKAN_WORD; exit 3"}, {{"GENKAN_WORD", "hello"}}},
             [&](Result<HookOutcome> outcome) { good = std::move(outcome); });
  hooks->Run({"a.test", {"/bin/sh", "-c", "id"}, {}},
             [&](Result<HookOutcome> outcome) { bad = std::move(outcome); });
  for (int i = 0; i < 1000 && !(good && bad); ++i) loop.RunOnce(true);
  ASSERT_TRUE(good && bad);
  ASSERT_TRUE(*good) << good->error().detail;
  EXPECT_EQ((*good)->exit_code, 3);
  EXPECT_EQ((*good)->output, "hello\n");
  EXPECT_FALSE(*bad);
}

TEST_F(KeeperTest, ManyThreadsGetTheirOwnAnswers) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const bool is_key = i % 2 == 0;
      const std::string path = dir_ / (is_key ? "live/a.test/privkey.pem" : "live/a.test/cert.pem");
      for (int n = 0; n < 200; ++n) {
        auto bytes = client_->files().Read(path, 100);
        if (!bytes || *bytes != (is_key ? "key" : "certificate")) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(KeeperTest, WithoutAKeeperEverythingIsAnErrorOnce) {
  auto calls = KeeperChannel::MakePair();
  auto events = KeeperChannel::MakePair();
  KeeperClient lonely(std::move(calls->first), std::move(events->first));
  calls->second.Reset();
  int lines = 0;
  SetLogObserver([&](LogLevel, std::string_view event, std::string_view) {
    if (event == "keeper_gone") ++lines;
  });
  EXPECT_FALSE(lonely.files().Read("/etc/x", 1));
  EXPECT_FALSE(lonely.Reload());
  EXPECT_FALSE(lonely.last_good().Load("a"));
  SetLogObserver({});
  EXPECT_EQ(lines, 1);
}

}  // namespace
}  // namespace genkan::control
