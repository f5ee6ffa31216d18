#include "proxy/control/fetcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "tests/support/eventually.h"
#include "tests/support/scripted_origin.h"
#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

using ::testing::HasSubstr;
using testing::OriginConnection;
using testing::ScriptedOrigin;
using testing::TempDir;

FetchRequest Get(const ScriptedOrigin& origin, const std::string& path = "/") {
  FetchRequest request;
  request.url = "http://127.0.0.1:" + std::to_string(origin.port()) + path;
  return request;
}

TEST(Fetcher, ABodyIsStreamedIntoAFile) {
  const std::string body(3 << 20, 'x');
  ScriptedOrigin origin([&](OriginConnection& connection) {
    if (connection.ReadRequest()) connection.Answer(body, "200 OK", "ETag: \"1\"\r\n");
  });
  TempDir dir;
  net::Fd file(open((dir / "body").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  FetchRequest request = Get(origin);
  request.max_bytes = 4 << 20;
  auto response = FetchBlocking(request, {}, {}, file.get());
  ASSERT_TRUE(response) << response.error().detail;
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(testing::ReadFile(dir / "body"), body);
}

TEST(Fetcher, TheCapHoldsForFilesToo) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    if (!connection.ReadRequest()) return;
    connection.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while (connection.Send(std::string(64 * 1024, 'x'))) {
    }
  });
  TempDir dir;
  net::Fd file(open((dir / "body").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  FetchRequest request = Get(origin);
  request.max_bytes = 1 << 20;
  auto response = FetchBlocking(request, {}, {}, file.get());
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTooLarge);
  EXPECT_LE(std::filesystem::file_size(dir / "body"), 1u << 20);
}

TEST(Fetcher, ADiskThatIsFullIsSaidSo) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    if (connection.ReadRequest()) connection.Answer("body");
  });
  net::Fd full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  auto response = FetchBlocking(Get(origin), {}, {}, full.get());
  ASSERT_FALSE(response);
  EXPECT_THAT(response.error().detail, HasSubstr("No space left"));
}

TEST(Fetcher, GoesThroughTheProxyThatTheEnvironmentNames) {
  std::string target;
  ScriptedOrigin proxy([&](OriginConnection& connection) {
    auto request = connection.ReadRequest();
    if (!request) return;
    target = request->target;
    connection.Answer("by proxy");
  });
  setenv("http_proxy", ("http://127.0.0.1:" + std::to_string(proxy.port())).c_str(), 1);
  FetchRequest request;
  request.url = "http://ocsp.invalid/";
  auto response = FetchBlocking(request);
  unsetenv("http_proxy");
  ASSERT_TRUE(response) << response.error().detail;
  EXPECT_EQ(response->body, "by proxy");
  EXPECT_EQ(target, "http://ocsp.invalid/");
}

TEST(Fetcher, WhatDripsIsGivenUpInTime) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    if (!connection.ReadRequest()) return;
    connection.Send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    while (connection.Send("x") && connection.Sleep(Millis(50))) {
    }
  });
  FetchRequest request = Get(origin);
  request.timeout = Millis(500);
  auto response = FetchBlocking(request);
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().code, ErrorCode::kTimeout);
}

TEST(Fetcher, FourAtATime) {
  std::atomic<int> open{0}, most{0};
  std::atomic<ScriptedOrigin*> self{nullptr};
  ScriptedOrigin origin([&](OriginConnection& connection) {
    if (!connection.ReadRequest()) return;
    const int now = ++open;
    // The first ones wait for each other.
    if (now == Fetcher::kMaxUnderWay) self.load()->Release();
    connection.WaitForRelease();
    int before = most.load();
    while (before < now && !most.compare_exchange_weak(before, now)) {
    }
    connection.Sleep(Millis(20));
    --open;
    connection.Answer("x", "200 OK", "Connection: close\r\n");
  });
  self = &origin;
  event::EventLoop loop;
  event::BlockingPool pool(8);
  Fetcher fetcher(loop, pool);
  int done = 0;
  for (int i = 0; i < 40; ++i) {
    fetcher.Fetch(Get(origin), [&](Result<FetchResponse> response) {
      EXPECT_TRUE(response) << response.error().detail;
      ++done;
    });
  }
  ASSERT_TRUE(testing::Eventually(
      loop, [&] { return done == 40; }, Millis(60'000)));
  EXPECT_EQ(most.load(), Fetcher::kMaxUnderWay);
}

}  // namespace
}  // namespace genkan::control
