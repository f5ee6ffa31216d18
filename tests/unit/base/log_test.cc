#include "proxy/base/log.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "proxy/base/clock.h"
#include "proxy/base/metrics.h"
#include "tests/support/temp_dir.h"

namespace genkan {
namespace {

std::string TextOf(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Log, WritesEventsFromItsLevelUp) {
  testing::TempDir folder;
  ASSERT_TRUE(StartLog({LogLevel::kInfo, folder / "log"}));
  SetLogThreadName("w3");
  LOG_DEBUG("quiet_event", "a={}", 1);
  LOG_INFO("cert_swapped", "site={} bad={}", "a.test", "\r\nI forged");
  ASSERT_TRUE(ReopenLog());
  LOG_ERROR("other_event", "x={}", 2);
  FlushLog();
  StopLog();
  SetLogThreadName("main");
  std::string text = TextOf(folder / "log");
  EXPECT_NE(text.find("I w3 cert_swapped site=a.test bad=\\x0d\\x0aI forged\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("E w3 other_event x=2\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("quiet_event"), std::string::npos) << text;
}

TEST(Log, ObserverSeesEveryLevelInsteadOfTheOutput) {
  std::vector<std::string> seen;
  SetLogObserver([&](LogLevel, std::string_view event, std::string_view text) {
    seen.push_back(fmt::format("{} {}", event, text));
  });
  LOG_DEBUG("closed", "c={}", "3.1");
  SetLogObserver({});
  EXPECT_EQ(seen, std::vector<std::string>{"closed c=3.1"});
}

TEST(Log, UnwritableFileIsAnError) {
  EXPECT_FALSE(StartLog({LogLevel::kInfo, "/dev/null/log"}));
  EXPECT_FALSE(ParseLogLevel("verbose"));
  EXPECT_EQ(*ParseLogLevel("warn"), LogLevel::kWarn);
}

TEST(Clock, FormatsAsTheStandardsSay) {
  WallTime time{Seconds(784'111'777)};
  EXPECT_EQ(FormatHttpDate(time), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(FormatIso8601(time), "1994-11-06T08:49:37Z");
}

TEST(Clock, ManualClockStandsUntilMoved) {
  ManualClock clock;
  auto wall = clock.Wall();
  auto now = clock.Now();
  EXPECT_EQ(clock.Wall(), wall);
  clock.Advance(Seconds(5));
  EXPECT_EQ(clock.Wall() - wall, Seconds(5));
  EXPECT_EQ(clock.Now() - now, Seconds(5));
}

TEST(Metrics, CellsCountUpAndDown) {
  Cell cell;
  cell.Add();
  cell.Add(10);
  cell.Subtract(3);
  EXPECT_EQ(cell.value(), 8u);
  cell.Set(2);
  EXPECT_EQ(cell.value(), 2u);
}

TEST(Metrics, DurationsFallIntoTheBucketOfTheirUpperBound) {
  DurationCells cells;
  cells.Observe(500);
  cells.Observe(501);
  cells.Observe(1'000'000'000);
  EXPECT_EQ(cells.bucket(0), 1u);
  EXPECT_EQ(cells.bucket(1), 1u);
  EXPECT_EQ(cells.bucket(DurationCells::kBoundsMicros.size()), 1u);
  EXPECT_EQ(cells.sum_micros(), 1'000'001'001u);
}

TEST(Result, KeepsCodeSideAndGathersContext) {
  auto inner = []() -> Result<int> {
    return FailAt(Side::kUpstream, ErrorCode::kTimeout, "no answer in {} s", 5);
  };
  auto outer = [&]() -> Status {
    auto result = inner();
    if (!result) return PassOn(result, "site {}", "a.test");
    return {};
  };
  auto status = outer();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().detail, "site a.test: no answer in 5 s");
  EXPECT_EQ(status.error().code, ErrorCode::kTimeout);
  EXPECT_EQ(status.error().side, Side::kUpstream);
  EXPECT_EQ(ToString(status.error().code), "timeout");
}

}  // namespace
}  // namespace genkan
