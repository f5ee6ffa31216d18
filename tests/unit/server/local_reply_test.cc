#include "proxy/server/local_reply.h"

#include <gtest/gtest.h>

namespace genkan::server {
namespace {

const WallTime kNow(Seconds(1'795'316'645));

TEST(LocalReply, HasALengthATypeAndADate) {
  LocalReply reply = MakeLocalReply(404, kNow);
  EXPECT_EQ(reply.head.status, 404);
  EXPECT_EQ(reply.head.content_length, reply.body.size());
  EXPECT_EQ(reply.head.framing, http::BodyFraming::kContentLength);
  EXPECT_EQ(reply.head.headers.Get("date"), "Sun, 22 Nov 2026 03:04:05 GMT");
  EXPECT_NE(reply.body.find("404 Not Found"), std::string::npos);
}

TEST(LocalReply, SaysWhatBelongsToAStatus) {
  EXPECT_TRUE(MakeLocalReply(503, kNow).head.headers.Has("retry-after"));
  EXPECT_TRUE(MakeLocalReply(405, kNow).head.headers.Has("allow"));
  EXPECT_EQ(MakeLocalReply(204, kNow).body, "");
  EXPECT_FALSE(MakeLocalReply(204, kNow).head.content_length.has_value());
}

TEST(LocalReply, RedirectsEscapeWhatTheyShow) {
  LocalReply reply = MakeRedirect(301, "https://a.test/?a=\"<b>&", kNow);
  EXPECT_EQ(reply.head.headers.Get("location"), "https://a.test/?a=\"<b>&");
  EXPECT_NE(reply.body.find("https://a.test/?a=&quot;&lt;b&gt;&amp;"), std::string::npos) << reply.body;
}

}  // namespace
}  // namespace genkan::server
