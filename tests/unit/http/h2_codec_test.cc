#include "proxy/http/h2_codec.h"

#include "tests/unit/http/h2_test_codec.h"

namespace genkan::http {
namespace {

using test::Frame;
using test::GetFields;
using test::PostFields;

TEST_F(H2CodecTest, SaysItsSettingsFirst) {
  Collect();
  ASSERT_GE(frames.size(), 2u);
  EXPECT_EQ(frames[0].type, test::kSettings);
  const std::string& settings = frames[0].payload;
  for (const std::string& entry :
       {test::Setting(0x1, 4096), test::Setting(0x3, 100), test::Setting(0x4, 65536),
        test::Setting(0x6, 32768), test::Setting(0x8, 1), test::Setting(0x9, 1)}) {
    EXPECT_NE(settings.find(entry), std::string::npos) << testing::PrintToString(entry);
  }
  EXPECT_EQ(frames[1].type, test::kWindowUpdate);
  EXPECT_EQ(frames[1].payload, test::Uint32(1024 * 1024 - 65535));
}

TEST_F(H2CodecTest, HandsOverAGetAndAnswersIt) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields("/a?b", {{"accept", "*/*"}}), true)));
  const auto& request = sink.requests.at(1);
  EXPECT_EQ(request.head.method, "GET");
  EXPECT_EQ(request.head.scheme, "https");
  EXPECT_EQ(request.head.authority, "a.test");
  EXPECT_EQ(request.head.target, "/a?b");
  EXPECT_EQ(request.head.version, Version::kHttp2);
  EXPECT_EQ(request.head.framing, BodyFraming::kNone);
  EXPECT_EQ(request.head.headers.size(), 1u);
  EXPECT_TRUE(request.ended);

  ResponseHead head = SizedResponse(5);
  head.headers.Add("Content-Type", "text/plain");
  head.headers.Add("Connection", "close");
  head.headers.Add("Keep-Alive", "timeout=5");
  codec->SendResponse(1, head, false);
  Body(1, "hello", true);
  EXPECT_EQ(codec->buffered(1), 5u);
  Collect();
  const auto* sent = Last(test::kHeaders, 1);
  EXPECT_EQ(FieldOf(sent, ":status"), "200");
  EXPECT_EQ(FieldOf(sent, "content-type"), "text/plain");
  EXPECT_EQ(FieldOf(sent, "content-length"), "5");
  EXPECT_EQ(FieldOf(sent, "connection"), "(none)");
  EXPECT_EQ(FieldOf(sent, "keep-alive"), "(none)");
  EXPECT_EQ(BodyOf(1), "hello");
  EXPECT_TRUE(Last(test::kData, 1)->ends_stream());
  EXPECT_TRUE(sink.requests.at(1).is_done);
  EXPECT_EQ(codec->open_streams(), 0u);
}

TEST_F(H2CodecTest, HandsOverAPostPieceByPiece) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields("/", {{"content-length", "10"}}), false)));
  const auto& request = sink.requests.at(1);
  EXPECT_EQ(request.head.framing, BodyFraming::kContentLength);
  EXPECT_EQ(request.head.content_length, 10u);
  EXPECT_FALSE(request.head.headers.Has("content-length"));
  ASSERT_TRUE(Send(Frame(test::kData, 0, 1, "hello")));
  EXPECT_EQ(request.body, "hello");
  EXPECT_FALSE(request.ended);
  ASSERT_TRUE(Send(Frame(test::kData, test::kEndStream, 1, "world")));
  EXPECT_EQ(request.body, "helloworld");
  EXPECT_TRUE(request.ended);
  EXPECT_EQ(ResetCode(1), -1);
}

}  // namespace
}  // namespace genkan::http
