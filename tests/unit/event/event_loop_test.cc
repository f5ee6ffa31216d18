#include "proxy/event/event_loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "proxy/event/blocking_pool.h"
#include "proxy/event/io_watcher.h"
#include "proxy/event/signal_watcher.h"
#include "proxy/event/timer.h"
#include "tests/support/eventually.h"

namespace genkan::event {
namespace {

using testing::Eventually;

TEST(EventLoop, PostedWorkRunsOnTheLoopsThread) {
  EventLoop loop;
  std::vector<int> seen;
  std::atomic<bool> is_loop_thread{false};
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop.Post([&seen, i] { seen.push_back(i); });
    loop.Post([&] { is_loop_thread = loop.IsInLoopThread(); });
    loop.Stop();
  });
  loop.Run();
  other.join();
  ASSERT_EQ(seen.size(), 1000u);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
  EXPECT_TRUE(is_loop_thread);
}

TEST(EventLoop, APacedLoopDoesAllItsWork) {
  EventLoop loop;
  loop.SetPace(std::chrono::microseconds(100));
  int turns = 0;
  std::function<void()> again = [&] { ++turns < 2'000 ? loop.Post(again) : loop.Stop(); };
  loop.Post(again);
  loop.Run();
  EXPECT_EQ(turns, 2'000);
}

TEST(EventLoop, DeferredWorkRunsInTheSameTurnAlsoWhenItDefersMore) {
  EventLoop loop;
  std::vector<std::string> order;
  loop.Post([&] {
    loop.Defer([&] {
      order.push_back("deferred");
      loop.Defer([&] { order.push_back("deferred again"); });
    });
    order.push_back("posted");
  });
  loop.RunOnce(true);
  EXPECT_EQ(order, (std::vector<std::string>{"posted", "deferred", "deferred again"}));
}

struct Mortal {
  explicit Mortal(std::vector<std::string>& the_log) : log(the_log) {}
  ~Mortal() { log.push_back("destroyed"); }
  void Shutdown() { log.push_back("shut down"); }
  std::vector<std::string>& log;
};

TEST(EventLoop, RetiredObjectsLiveUntilTheBatchIsOver) {
  EventLoop loop;
  std::vector<std::string> log;
  loop.Post([&] {
    loop.Retire(std::make_unique<Mortal>(log));
    log.push_back("still here");
  });
  loop.RunOnce(true);
  EXPECT_EQ(log, (std::vector<std::string>{"shut down", "still here", "destroyed"}));
}

TEST(EventLoop, NowMovesOnceATurn) {
  EventLoop loop;
  loop.RunOnce();
  auto first = loop.now();
  EXPECT_EQ(loop.now(), first);
  loop.RunOnce();
  EXPECT_GE(loop.now(), first);
}

TEST(EventLoop, WorkPostedAfterTheEndIsDropped) {
  auto token = std::make_shared<int>(1);
  {
    EventLoop loop;
    loop.Post([token] { ADD_FAILURE() << "ran"; });
  }
  EXPECT_EQ(token.use_count(), 1);
}

TEST(Timer, FiresOnceAndNotEarly) {
  EventLoop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  auto start = std::chrono::steady_clock::now();
  timer.Start(Millis(30));
  EXPECT_TRUE(timer.is_running());
  EXPECT_TRUE(Eventually(loop, [&] { return fired > 0; }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, Millis(29));
  EXPECT_FALSE(timer.is_running());
  loop.RunOnce();
  EXPECT_EQ(fired, 1);
}

TEST(Timer, LaterDeadlineReplacesTheEarlierAndCancelEndsIt) {
  EventLoop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.Start(Millis(10));
  timer.Start(Millis(60));
  auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(Eventually(loop, [&] { return fired > 0; }));
  EXPECT_GE(std::chrono::steady_clock::now() - start, Millis(50));
  timer.Start(Millis(10));
  timer.Cancel();
  EXPECT_FALSE(Eventually(loop, [&] { return fired > 1; }, Millis(50)));
}

TEST(Timer, EarlierDeadlineReplacesTheLater) {
  EventLoop loop;
  int fired = 0;
  Timer timer(loop, [&] { ++fired; });
  timer.Start(Millis(3'600'000));
  timer.Start(Millis(5));
  EXPECT_TRUE(Eventually(loop, [&] { return fired == 1; }));
}

TEST(Timer, MayStartItselfAgainAndBeDestroyedWhileArmed) {
  EventLoop loop;
  int fired = 0;
  {
    Timer timer(loop, [&] {});
    Timer again(loop, [&] {
      if (++fired < 5) timer.Start(Millis(1));
    });
    again.Start(Millis(1));
    timer.Start(Millis(1));
    EXPECT_TRUE(Eventually(loop, [&] { return fired == 1; }));
    again.Start(Millis(1));
  }
  EXPECT_FALSE(Eventually(loop, [&] { return fired > 1; }, Millis(30)));
}

struct Handler final : IoWatcher::Handler {
  void OnReadable() noexcept override { ++readable; }
  void OnWritable() noexcept override { ++writable; }
  int readable = 0, writable = 0;
};

TEST(IoWatcher, TellsWhatIsWantedAndNothingElse) {
  EventLoop loop;
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  Handler handler;
  {
    IoWatcher watcher(loop, fds[0], handler);
    loop.RunOnce();
    EXPECT_EQ(handler.writable, 0);
    watcher.WantWrite(true);
    loop.RunOnce();
    EXPECT_EQ(handler.writable, 1);
    watcher.WantWrite(false);
    ASSERT_EQ(write(fds[1], "x", 1), 1);
    loop.RunOnce();
    EXPECT_EQ(handler.readable, 0);
    watcher.WantRead(true);
    loop.RunOnce();
    loop.RunOnce();
    EXPECT_EQ(handler.readable, 2) << "level-triggered";
    EXPECT_EQ(handler.writable, 1);
  }
  loop.RunOnce();
  EXPECT_EQ(handler.readable, 2) << "destroyed is never called again";
  close(fds[0]);
  close(fds[1]);
}

TEST(IoWatcher, ADescriptorOfTheSameNumberIsAnotherOne) {
  EventLoop loop;
  Handler first, second;
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  auto watcher = std::make_unique<IoWatcher>(loop, fds[0], first);
  watcher->WantRead(true);
  loop.RunOnce();
  // Closed and opened again within one turn, as a busy server does.
  watcher.reset();
  int number = fds[0];
  close(fds[0]);
  close(fds[1]);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  ASSERT_EQ(fds[0], number);
  IoWatcher again(loop, fds[0], second);
  again.WantRead(true);
  ASSERT_EQ(write(fds[1], "x", 1), 1);
  EXPECT_TRUE(Eventually(loop, [&] { return second.readable > 0; }));
  EXPECT_EQ(first.readable, 0);
  close(fds[0]);
  close(fds[1]);
}

TEST(SignalWatcher, CallsBackOnTheLoop) {
  EventLoop loop;
  int seen = 0;
  SignalWatcher watcher(loop, SIGUSR1, [&] { ++seen; });
  raise(SIGUSR1);
  EXPECT_TRUE(Eventually(loop, [&] { return seen == 1; }));
}

TEST(BlockingPool, RunsWorkElsewhereAndAnswersByPost) {
  EventLoop loop;
  BlockingPool pool(2);
  std::atomic<int> elsewhere{0};
  int answered = 0;
  auto here = std::this_thread::get_id();
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(pool.Submit([&] {
      if (std::this_thread::get_id() != here) ++elsewhere;
      loop.Post([&] { ++answered; });
    }));
  }
  EXPECT_TRUE(Eventually(loop, [&] { return answered == 100; }));
  EXPECT_EQ(elsewhere, 100);
}

TEST(BlockingPool, RefusesMoreThanItsQueueHoldsAndDropsTheRestAtItsEnd) {
  std::atomic<bool> may_go{false};
  std::atomic<int> ran{0};
  int accepted = 0;
  {
    BlockingPool pool(1);
    std::atomic<bool> is_running{false};
    pool.Submit([&] {
      is_running = true;
      is_running.notify_all();
      may_go.wait(false);
    });
    is_running.wait(false);
    while (accepted < 100'000 && pool.Submit([&] { ++ran; })) ++accepted;
    may_go = true;
    may_go.notify_all();
  }
  EXPECT_EQ(accepted, 4096);
  EXPECT_LE(ran, 4096);
}

}  // namespace
}  // namespace genkan::event
