#include "proxy/control/hook_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <mutex>

#include "proxy/base/log.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

using testing::Eventually;
using ::testing::HasSubstr;
using testing::ReadFile;
using testing::TempDir;

HookRequest Shell(const std::string& script) {
  HookRequest request;
  request.name = "a.test";
  request.argv = {"/bin/sh", "-c", script};
  return request;
}

TEST(HookRunner, ArgumentsAreWholeAndNoShellReadsThem) {
  HookRequest request;
  request.argv = {"printf", "%s|", "a b", "$HOME; `id`", ""};
  auto outcome = RunHookBlocking(request);
  ASSERT_TRUE(outcome) << outcome.error().detail;
  EXPECT_TRUE(outcome->is_success());
  EXPECT_EQ(outcome->output, "a b|$HOME; `id`||");
}

TEST(HookRunner, EnvironmentIsAddedAndReplaced) {
  setenv("GENKAN_HOOK_TEST", "old", 1);
  setenv("NOTIFY_SOCKET", "/run/secret", 1);
  HookRequest request =
      Shell("echo \"$GENKAN_DRILL $GENKAN_HOOK_TEST ${PATH:+path} $NOTIFY_SOCKET.\"");
  request.environment = {{"GENKAN_DRILL", "1"}, {"GENKAN_HOOK_TEST", "new"}};
  auto outcome = RunHookBlocking(request);
  unsetenv("GENKAN_HOOK_TEST");
  unsetenv("NOTIFY_SOCKET");
  ASSERT_TRUE(outcome) << outcome.error().detail;
  EXPECT_EQ(outcome->output, "1 new path .\n");
}

TEST(HookRunner, SaysHowItEnded) {
  auto exit = RunHookBlocking(Shell("echo out; echo err >&2; exit 3"));
  ASSERT_TRUE(exit);
  EXPECT_FALSE(exit->is_success());
  EXPECT_EQ(exit->exit_code, 3);
  EXPECT_EQ(exit->output, "out\nerr\n");
  EXPECT_EQ(Describe(*exit), "exit 3");
  auto signal = RunHookBlocking(Shell("kill -KILL $$"));
  ASSERT_TRUE(signal);
  EXPECT_FALSE(signal->is_success());
  EXPECT_EQ(Describe(*signal), "signal 9");
}

TEST(HookRunner, AProgramThatIsNotThereIsAnError) {
  HookRequest request;
  request.argv = {"/nonexistent/certbot"};
  auto outcome = RunHookBlocking(request);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(outcome.error().detail, HasSubstr("/nonexistent/certbot"));
  EXPECT_FALSE(RunHookBlocking(HookRequest{}));
}

TEST(HookRunner, InheritsNoDescriptorAndNoIgnoredSignal) {
  const int leaked = dup(STDERR_FILENO);  // without O_CLOEXEC
  signal(SIGPIPE, SIG_IGN);
  auto outcome =
      RunHookBlocking(Shell("readlink /proc/self/fd/0; for n in 3 4 5 6 7 8 9; do "
                            "[ -e /proc/$$/fd/$n ] && readlink /proc/$$/fd/$n; done; "
                            "exec sed -n 's/^Sig\\(Blk\\|Ign\\):.*\\(....\\)$/\\1 \\2/p' "
                            "/proc/self/status"));
  close(leaked);
  ASSERT_TRUE(outcome) << outcome.error().detail;
  EXPECT_EQ(outcome->output,
            "/dev/null\nBlk 0000\nIgn 0000\n");  // the first 16, SIGPIPE among them
}

TEST(HookRunner, WhatDoesNotEndInTimeIsEndedWithAllItStarted) {
  TempDir dir;
  HookRequest request = Shell("sleep 1000 & echo $! > '" + (dir / "pid") + "'; wait");
  request.timeout = Millis(3000);  // for the shell to have started it
  auto outcome = RunHookBlocking(request);
  ASSERT_TRUE(outcome) << outcome.error().detail;
  EXPECT_TRUE(outcome->is_timed_out);
  EXPECT_FALSE(outcome->is_success());
  EXPECT_GE(outcome->took, Millis(3000));
  const int pid = std::stoi(ReadFile(dir / "pid"));
  event::EventLoop loop;
  // Ended, or a zombie of whoever has taken it over.
  EXPECT_TRUE(Eventually(loop, [&] {
    if (kill(pid, 0) != 0) return true;
    const std::string stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
    return stat.find(") Z") != std::string::npos;
  }));
}

TEST(HookRunner, WhatItLeavesInTheBackgroundIsNotWaitedFor) {
  auto outcome = RunHookBlocking(Shell("sleep 1000 & echo $!"));
  ASSERT_TRUE(outcome) << outcome.error().detail;
  EXPECT_TRUE(outcome->is_success());
  EXPECT_LT(outcome->took, Millis(100'000));
  kill(std::stoi(outcome->output), SIGKILL);
}

TEST(HookRunner, OfALongOutputTheBeginningAndTheEndAreKept) {
  auto outcome = RunHookBlocking(Shell("echo first; seq 1 100000; echo last"));
  ASSERT_TRUE(outcome) << outcome.error().detail;
  EXPECT_TRUE(outcome->is_cut);
  EXPECT_LE(outcome->output.size(), kMaxHookOutput);
  EXPECT_TRUE(outcome->output.starts_with("first\n1\n2\n"));
  EXPECT_TRUE(outcome->output.ends_with("99999\n100000\nlast\n"));
}

TEST(HookRunner, CommandsRunInOrderOffTheLoop) {
  event::EventLoop loop;
  auto runner = MakeDirectHookRunner(loop);
  std::vector<std::string> outputs;
  for (int i = 0; i < 3; ++i) {
    runner->Run(Shell("echo " + std::to_string(i)), [&](Result<HookOutcome> outcome) {
      EXPECT_TRUE(loop.IsInLoopThread());
      outputs.push_back(outcome ? outcome->output : outcome.error().detail);
    });
  }
  EXPECT_TRUE(outputs.empty());
  ASSERT_TRUE(Eventually(
      loop, [&] { return outputs.size() == 3; }, Millis(60'000)));
  EXPECT_THAT(outputs, ::testing::ElementsAre("0\n", "1\n", "2\n"));
}

TEST(HookRunner, ItsEndEndsTheCommandUnderWay) {
  TempDir dir;
  event::EventLoop loop;
  auto runner = MakeDirectHookRunner(loop);
  bool is_called = false;
  runner->Run(Shell("echo x > '" + (dir / "started") + "'; exec sleep 1000"),
              [&](Result<HookOutcome>) { is_called = true; });
  runner->Run(Shell("echo never"), [&](Result<HookOutcome>) { is_called = true; });
  ASSERT_TRUE(Eventually(
      loop, [&] { return std::filesystem::exists(dir / "started"); }, Millis(60'000)));
  runner.reset();
  loop.RunOnce();
  EXPECT_FALSE(is_called);
}

TEST(HookRunner, TheLogHasTheOutcomeAndEachLine) {
  std::mutex mutex;
  std::vector<std::string> lines;
  SetLogObserver([&](LogLevel level, std::string_view event, std::string_view text) {
    std::lock_guard lock(mutex);
    lines.push_back((level == LogLevel::kError ? "E " : "I ") + std::string(event) + " " +
                    std::string(text));
  });
  HookOutcome outcome;
  outcome.exit_code = 1;
  outcome.output = "one\n\ntwo";
  LogHook(Shell("x"), outcome);
  SetLogObserver({});
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], HasSubstr("E hook_failed name=a.test program=/bin/sh error=\"exit 1\""));
  EXPECT_EQ(lines[1], "I hook_output name=a.test line=\"one\"");
  EXPECT_EQ(lines[2], "I hook_output name=a.test line=\"two\"");
}

}  // namespace
}  // namespace genkan::control
