#include "proxy/upstream/endpoint.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/upstream/upstream_harness.h"

namespace genkan::upstream {
namespace {

struct EndpointTest : ::testing::Test {
  std::unique_ptr<Endpoint> Make(const std::string& text, ResolveFunction resolve) {
    auto made = Endpoint::Make(loop, pool, text, std::move(resolve));
    EXPECT_TRUE(made) << made.error().detail;
    return made ? std::move(*made) : nullptr;
  }
  std::unique_ptr<Endpoint> Make(const std::string& text) { return Make(text, ResolveWithSystem); }
  struct Seen final : Endpoint::Waiter {
    void OnResolved() override { ++count; }
    int count = 0;
  };
  event::EventLoop loop;
  std::atomic<int> asked{0};  // before the pool: its thread looks at these to the end
  std::atomic<bool> works{false};
  event::BlockingPool pool{1};
};

TEST_F(EndpointTest, LiteralsAreKnownAtOnce) {
  for (std::string text : {"127.0.0.1:80", "[::1]:80", "unix:/run/app.sock"}) {
    auto endpoint = Make(text);
    auto addresses = endpoint->Get();
    ASSERT_TRUE(addresses && addresses->size() == 1);
    EXPECT_EQ(addresses->front().ToString(), text);
  }
  EXPECT_EQ(Make("[::1]:80")->host(), "::1");
  EXPECT_EQ(Make("unix:/s")->host(), "");
}

TEST_F(EndpointTest, RefusesWhatIsNoServer) {
  for (const char* text : {"", "app", "app:", "app:0", "app:70000", ":80", "unix:", "unix:app:80",
                           "::1:80", "[::1:80", "http://a:80", "a b:80"})
    EXPECT_FALSE(Endpoint::Make(loop, pool, text)) << text;
}

TEST_F(EndpointTest, NameIsAskedForAndTheGoodAddressGoesFirst) {
  auto endpoint = Make("app.test:80", [](const std::string& host, uint16_t port) {
    EXPECT_EQ(host, "app.test");
    return Result<Addresses>(Addresses{*net::Address::ParseHost("::1", port),
                                       *net::Address::ParseHost("127.0.0.1", port)});
  });
  EXPECT_EQ(endpoint->Get(), nullptr);
  ASSERT_TRUE(endpoint->is_waiting());
  Seen stays, goes;
  endpoint->Wait(stays);
  endpoint->Wait(goes);
  endpoint->StopWaiting(goes);
  ASSERT_TRUE(testing::Eventually(loop, [&] { return stays.count == 1; }));
  EXPECT_EQ(goes.count, 0);
  EXPECT_EQ(endpoint->Get()->front().ToString(), "[::1]:80");
  endpoint->ReportGood(endpoint->Get()->back());
  EXPECT_EQ(endpoint->Get()->front().ToString(), "127.0.0.1:80");
  EXPECT_EQ(endpoint->Get()->size(), 2u);
}

TEST_F(EndpointTest, FailureIsRememberedForAMomentThenAskedAgain) {
  auto endpoint = Make("app.test:80", [&](const std::string&, uint16_t port) -> Result<Addresses> {
    ++asked;
    if (!works) return Fail(ErrorCode::kIo, "DNS: no such name");
    return Addresses{*net::Address::ParseHost("127.0.0.1", port)};
  });
  Seen seen;
  endpoint->Get();
  endpoint->Wait(seen);
  ASSERT_TRUE(testing::Eventually(loop, [&] { return seen.count == 1; }));
  EXPECT_EQ(endpoint->Get(), nullptr);
  EXPECT_FALSE(endpoint->is_waiting()) << "the answer is fresh";
  EXPECT_EQ(endpoint->error().detail, "DNS: no such name");
  works = true;
  ASSERT_TRUE(testing::Eventually(loop, [&] { return endpoint->Get() != nullptr; }));
  EXPECT_EQ(asked, 2);
  works = false;
  // A failed connection makes it ask again; the old address stays when that fails.
  ASSERT_TRUE(testing::Eventually(loop, [&] {
    endpoint->ReportFailure();
    return asked >= 3 && !endpoint->is_waiting();
  }));
  EXPECT_NE(endpoint->Get(), nullptr);
}

TEST_F(EndpointTest, MayGoWhileItsNameIsBeingAsked) {
  auto endpoint = Make("app.test:80", [&](const std::string&, uint16_t) -> Result<Addresses> {
    ++asked;
    while (!works) std::this_thread::yield();
    return Fail(ErrorCode::kIo, "late");
  });
  Seen seen;
  endpoint->Get();
  endpoint->Wait(seen);
  while (asked == 0) std::this_thread::yield();
  endpoint.reset();
  works = true;
  for (int i = 0; i < 10; ++i) loop.RunOnce();
  EXPECT_EQ(seen.count, 0);
}

// ---- through a cluster

using UpstreamName = ClusterTest;

TEST_F(UpstreamName, LocalhostIsReachedByWhicheverAddressListens) {
  ScriptedOrigin origin(ScriptedOrigin::Always("named"));
  Open(SpecFor({"localhost:" + std::to_string(origin.port())}));
  auto call = Ask();
  EXPECT_EQ(call->seen.body, "named") << call->seen.Words();
  EXPECT_EQ(call->request->info().attempts, 1) << "addresses of one server are one try";
}

TEST_F(UpstreamName, UnknownNameFailsInWords) {
  // RFC 6761 6.4: .invalid never resolves. Without a resolver the failure says so; either way the
  // name is told.
  Open(SpecFor({"app.invalid:80"}));
  auto call = Ask();
  ASSERT_TRUE(call->seen.has_failed);
  EXPECT_NE(call->seen.error.detail.find("DNS: app.invalid"), std::string::npos)
      << call->seen.error.detail;
  auto second = Ask();
  EXPECT_TRUE(second->seen.has_failed) << "from memory";
}

TEST_F(UpstreamName, UnixSocketIsReached) {
  const testing::TempDir folder;
  testing::ScriptedOriginOptions options;
  options.address = "unix:" + folder / "origin.sock";
  ScriptedOrigin origin(ScriptedOrigin::Always("local"), options);
  Open(SpecFor({options.address}));
  EXPECT_EQ(Ask()->seen.body, "local");
}

}  // namespace
}  // namespace genkan::upstream
