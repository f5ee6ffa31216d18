#include "proxy/control/admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/status_page.h"

namespace genkan::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class FakeTarget final : public AdminTarget {
 public:
  RunStatus Status() override { return status; }
  ReloadResult Reload(bool force) override {
    ++reloads;
    was_forced = force;
    return result;
  }
  void Refresh() override { ++refreshes; }
  genkan::Status StartDrill(const std::string& site) override {
    drilled = site;
    if (site == "unknown.test") return Fail(ErrorCode::kNotFound, "no site has the name {}", site);
    return {};
  }
  DrillReport Drill() override { return {drilled, false, {{"hook", true, "done"}}}; }
  void StopSoon(bool now) override {
    ++stops;
    was_now = now;
  }
  server::ChallengeBoard& Challenges() override { return board; }

  std::string drilled;
  RunStatus status;
  ReloadResult result;
  server::ChallengeBoard board;
  int reloads = 0, refreshes = 0, stops = 0;
  bool was_forced = false, was_now = false;
};

class AdminTest : public ::testing::Test {
 protected:
  ServiceResponse Ask(const std::string& local, const std::string& method,
                      const std::string& target, const std::string& host = "localhost") {
    ServiceRequest request;
    request.head.method = method;
    request.head.target = target;
    request.head.authority = host;
    request.local = *net::Address::Parse(local);
    return admin_.Answer(request);
  }
  ServiceResponse AskSocket(const std::string& method, const std::string& target) {
    return Ask("unix:/run/genkan/admin.sock", method, target);
  }

  event::EventLoop loop_;
  FakeTarget target_;
  Admin admin_{loop_, target_};
};

TEST_F(AdminTest, StatusIsJsonWithItsSchema) {
  target_.status.version = "1.2.3";
  target_.status.listeners = {{"127.0.0.1:43211", true}};
  ServiceResponse response = AskSocket("GET", "/status.json");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_THAT(response.body, HasSubstr("\"schema\": 1"));
  EXPECT_THAT(response.body, HasSubstr("\"version\": \"1.2.3\""));
  EXPECT_THAT(response.body, HasSubstr("\"address\": \"127.0.0.1:43211\""));
}

TEST_F(AdminTest, BytesThatAreNoUtf8DoNotBreakTheJson) {
  target_.status.certificates.emplace_back();
  target_.status.certificates.back().name = "\xff\xfe";
  EXPECT_EQ(AskSocket("GET", "/status.json").status, 200);
}

TEST_F(AdminTest, ReloadsOverTheSocket) {
  EXPECT_EQ(AskSocket("POST", "/reload").status, 200);
  EXPECT_EQ(target_.reloads, 1);
  EXPECT_FALSE(target_.was_forced);
  EXPECT_EQ(AskSocket("POST", "/reload?force=1").status, 200);
  EXPECT_TRUE(target_.was_forced);
  EXPECT_EQ(AskSocket("POST", "/reload?force=0").status, 200);
  EXPECT_FALSE(target_.was_forced);
}

TEST_F(AdminTest, AMistakeInTheFileIs422WithEveryError) {
  target_.result = {true, {"a.toml:1:1: first", "a.toml:2:1: second"}};
  ServiceResponse response = AskSocket("POST", "/reload");
  EXPECT_EQ(response.status, 422);
  EXPECT_THAT(response.body, HasSubstr("a.toml:1:1: first"));
  EXPECT_THAT(response.body, HasSubstr("a.toml:2:1: second"));
}

TEST_F(AdminTest, AReloadThatCannotBeNowIs409) {
  target_.result = {false, {"it is stopping"}};
  EXPECT_EQ(AskSocket("POST", "/reload").status, 409);
}

TEST_F(AdminTest, StopsAndRefreshesOverTheSocket) {
  EXPECT_EQ(AskSocket("POST", "/stop").status, 200);
  EXPECT_FALSE(target_.was_now);
  EXPECT_EQ(AskSocket("POST", "/stop?now=1").status, 200);
  EXPECT_TRUE(target_.was_now);
  EXPECT_EQ(target_.stops, 2);
  EXPECT_EQ(AskSocket("POST", "/refresh").status, 200);
  EXPECT_EQ(target_.refreshes, 1);
}

TEST_F(AdminTest, OverTcpItIsReadOnly) {
  for (const char* target : {"/reload", "/stop", "/refresh", "/"})
    EXPECT_EQ(Ask("127.0.0.1:9443", "POST", target).status, 403) << target;
  EXPECT_EQ(target_.reloads + target_.stops + target_.refreshes, 0);
  for (const char* target : {"/", "/status.json", "/metrics", "/events"})
    EXPECT_EQ(Ask("127.0.0.1:9443", "GET", target).status, 200) << target;
}

TEST_F(AdminTest, OverTcpAForeignHostIsRefused) {
  for (const char* host : {"evil.test", "localhost.evil.test", "", "10.0.0.1", "evil.test:9443"})
    EXPECT_EQ(Ask("127.0.0.1:9443", "GET", "/status.json", host).status, 421) << host;
  for (const char* host : {"localhost", "LOCALHOST:9443", "127.0.0.1:9443", "[::1]:9443", "[::1]"})
    EXPECT_EQ(Ask("127.0.0.1:9443", "GET", "/status.json", host).status, 200) << host;
}

TEST_F(AdminTest, ItsOwnAddressIsAHost) {
  net::Address v4 = *net::Address::Parse("192.0.2.7:9443");
  EXPECT_TRUE(IsAdminHost("192.0.2.7:9443", v4));
  EXPECT_TRUE(IsAdminHost("192.0.2.7", v4));
  EXPECT_FALSE(IsAdminHost("192.0.2.8:9443", v4));
  net::Address v6 = *net::Address::Parse("[2001:db8::7]:9443");
  EXPECT_TRUE(IsAdminHost("[2001:db8::7]:9443", v6));
  EXPECT_TRUE(IsAdminHost("[2001:db8::7]", v6));
}

TEST_F(AdminTest, OtherMethodsAndPathsAreRefused) {
  EXPECT_EQ(AskSocket("DELETE", "/status.json").status, 405);
  EXPECT_EQ(AskSocket("GET", "/privkey.pem").status, 404);
  EXPECT_EQ(AskSocket("GET", "/reload").status, 404);
  EXPECT_EQ(AskSocket("POST", "/status.json").status, 404);
  EXPECT_EQ(target_.reloads, 0);
}

TEST_F(AdminTest, ThePageNeedsNothingFromElsewhereAndEscapes) {
  target_.status.certificates.emplace_back();
  CertificateStatus& certificate = target_.status.certificates.back();
  certificate.is_in_service = true;
  certificate.site = "<script>alert(1)</script>";
  certificate.chain = {"CN=\"a\" & 'b'"};
  ServiceResponse response = AskSocket("GET", "/");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
  EXPECT_THAT(response.body, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(response.body, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(response.body, HasSubstr("CN=&quot;a&quot; &amp; &#39;b&#39;"));
  EXPECT_THAT(response.body, Not(HasSubstr("http://")));
  EXPECT_THAT(response.body, Not(HasSubstr("https://")));
}

TEST_F(AdminTest, AnEventIsOneLineOfData) {
  ServiceResponse response = AskSocket("GET", "/events");
  EXPECT_EQ(response.content_type, "text/event-stream");
  ASSERT_TRUE(response.next_event);
  std::string event = response.next_event();
  EXPECT_TRUE(event.starts_with("data: {"));
  EXPECT_EQ(event.find('\n'), event.size() - 2) << event;
}

TEST_F(AdminTest, APreflightsTokenIsWatchedAndAnswered) {
  const std::string query = "token=tOk&answer=tOk.print&seconds=60";
  EXPECT_EQ(Ask("127.0.0.1:9443", "POST", "/preflight?" + query).status, 403) << "over the socket alone";
  EXPECT_EQ(AskSocket("POST", "/preflight?" + query).status, 200);
  MonotonicTime now = SystemClock().Now();
  EXPECT_EQ(target_.board.Answer("tOk", now), "tOk.print");
  server::ChallengeHit hit;
  hit.status = 403;
  hit.host = "a.test";
  hit.module = "shut";
  target_.board.Note("tOk", hit, now);
  EXPECT_EQ(Ask("127.0.0.1:9443", "GET", "/challenges.json").status, 403);
  ServiceResponse told = AskSocket("GET", "/challenges.json?token=tOk");
  EXPECT_EQ(told.status, 200);
  EXPECT_THAT(told.body, HasSubstr("\"module\": \"shut\""));
  EXPECT_THAT(AskSocket("GET", "/challenges.json?token=other").body,
              HasSubstr("\"tokens\": []"));
  EXPECT_EQ(AskSocket("POST", "/preflight?token=tOk&end=1").status, 200);
  EXPECT_EQ(target_.board.Answer("tOk", now), "");
}

TEST_F(AdminTest, NonsenseIsNoPreflight) {
  for (const char* query : {"", "token=", "token=a/b", "token=a&answer=b.c", "token=a&answer=a", "token=a&answer=a.",
                            "token=a&answer=a.b/c"})
    EXPECT_EQ(AskSocket("POST", std::string("/preflight?") + query).status, 400) << query;
  for (int i = 0; i < 40; ++i)
    AskSocket("POST", "/preflight?token=t" + std::to_string(i));
  EXPECT_EQ(AskSocket("POST", "/preflight?token=more").status, 429);
}

}  // namespace
}  // namespace genkan::control
