#include "proxy/server/access_log.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <thread>

#include "tests/support/temp_dir.h"

namespace genkan::server {
namespace {

AccessRecord MakeRecord() {
  AccessRecord record;
  record.time = WallTime(Seconds(1'795'316'645));
  record.client_address = "192.0.2.7";
  record.method = "GET";
  record.target = "/a?b=c";
  record.version = "HTTP/1.1";
  record.host = "a.test";
  record.referer = "https://a.test/";
  record.user_agent = "curl/7.88.1";
  record.status = 200;
  record.body_bytes = 1234;
  return record;
}

class AccessLogText : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};

TEST_F(AccessLogText, CombinedIsApaches) {
  EXPECT_EQ(FormatAccessRecord("combined", MakeRecord()),
            "192.0.2.7 - - [22/Nov/2026:03:04:05 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234 "
            "\"https://a.test/\" \"curl/7.88.1\"\n");
}

TEST_F(AccessLogText, CombinedHasDashesForWhatIsNotThere) {
  AccessRecord record = MakeRecord();
  record.body_bytes = 0;
  record.referer = record.user_agent = "";
  record.method = record.target = record.version = "";
  record.status = 400;
  EXPECT_EQ(FormatAccessRecord("combined", record),
            "192.0.2.7 - - [22/Nov/2026:03:04:05 +0000] \"-\" 400 - \"-\" \"-\"\n");
}

TEST_F(AccessLogText, AClientCannotForgeALine) {
  AccessRecord record = MakeRecord();
  record.user_agent = "x\"\n1.2.3.4 - - \\\x7f\xff";
  record.user = "a b";
  std::string line = FormatAccessRecord("combined", record);
  EXPECT_NE(line.find("\"x\\x22\\x0A1.2.3.4 - - \\x5C\\x7F\\xFF\""), std::string::npos) << line;
  EXPECT_NE(line.find(" a\\x20b ["), std::string::npos) << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST_F(AccessLogText, JsonIsOneObjectALine) {
  AccessRecord record = MakeRecord();
  record.user_agent = "a\"b\\c\nd\xff";
  record.is_resumed = true;
  std::string line = FormatAccessRecord("json", record);
  EXPECT_TRUE(line.starts_with("{\"time\":\"2026-11-22T03:04:05.000Z\",\"client\":\"192.0.2.7\"")) << line;
  EXPECT_NE(line.find("\"user_agent\":\"a\\\"b\\\\c\\u000ad\\u00ff\""), std::string::npos) << line;
  EXPECT_NE(line.find("\"status\":200"), std::string::npos);
  EXPECT_NE(line.find("\"resumed\":true"), std::string::npos);
  EXPECT_EQ(line.find("upstream_connect_us"), std::string::npos) << "not known: left out";
  EXPECT_TRUE(line.ends_with("}\n"));
}

TEST_F(AccessLogText, FormatStringsNameFields) {
  EXPECT_EQ(FormatAccessRecord("{client} {status} [{target}] {upstream}", MakeRecord()),
            "192.0.2.7 200 [/a?b=c] -\n");
  EXPECT_TRUE(CheckAccessFormat("{client} {status}").has_value());
  auto wrong = CheckAccessFormat("{cleint}");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().detail.find("did you mean {client}?"), std::string::npos) << wrong.error().detail;
  EXPECT_FALSE(CheckAccessFormat("{client").has_value());
  EXPECT_FALSE(CheckAccessFormat("combind").has_value());
}

TEST_F(AccessLogText, ManyThreadsWriteWholeLines) {
  testing::TempDir dir;
  {
    auto log = AccessLog::Open(dir / "access.log", "combined");
    ASSERT_TRUE(log.has_value());
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 500; ++n) (*log)->Write(MakeRecord());
      });
    }
    for (auto& thread : threads) thread.join();
  }
  std::string text = testing::ReadFile(dir / "access.log");
  std::string line = FormatAccessRecord("combined", MakeRecord());
  EXPECT_EQ(text.size(), 2000 * line.size());
  EXPECT_TRUE(text.ends_with(line));
}

TEST_F(AccessLogText, ReopenFollowsARotation) {
  testing::TempDir dir;
  auto log = AccessLog::Open(dir / "a.log", "combined");
  ASSERT_TRUE(log.has_value());
  (*log)->Write(MakeRecord());
  (*log)->Flush();
  std::filesystem::rename(dir / "a.log", dir / "a.log.1");
  ASSERT_TRUE((*log)->Reopen().has_value());
  (*log)->Write(MakeRecord());
  (*log)->Flush();
  EXPECT_EQ(testing::ReadFile(dir / "a.log"), testing::ReadFile(dir / "a.log.1"));
  ASSERT_TRUE((*log)->Configure("off", "combined").has_value());
  EXPECT_FALSE((*log)->is_on());
  EXPECT_FALSE((*log)->Configure(dir / "no/such/dir", "combined").has_value());
}

}  // namespace
}  // namespace genkan::server
