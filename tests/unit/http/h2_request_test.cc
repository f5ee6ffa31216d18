#include "proxy/http/h2_request.h"

#include <gtest/gtest.h>

#include "tests/unit/http/h2_bad_heads.h"

namespace genkan::http {
namespace {

struct Read {
  std::optional<Refusal> refusal;
  RequestHead head;
};

Read ReadHead(const H2Fields& fields, bool end = true) {
  const CodecLimits limits;
  H2RequestReader reader(limits);
  for (const auto& [name, value] : fields) reader.Add(name, value);
  Read read;
  read.refusal = reader.Finish(end, read.head);
  return read;
}

// Without libnghttp2's own checks in front.
TEST(H2RequestReader, RefusesEveryBadHeadByItself) {
  for (const auto& bad : BadHeads()) {
    auto read = ReadHead(bad.fields, bad.end);
    ASSERT_TRUE(read.refusal.has_value()) << bad.name;
    EXPECT_EQ(read.refusal->status, 400) << bad.name;
    EXPECT_FALSE(read.refusal->rule.empty());
  }
}

TEST(H2RequestReader, TakesAnEmptyAuthority) {
  auto read = ReadHead(With(kAuthority, ":authority", ""));
  EXPECT_FALSE(read.refusal.has_value());
  EXPECT_EQ(read.head.authority, "");
  H2Fields with_host = With(kAuthority, ":authority", "");
  with_host.emplace_back("host", "a.test");
  EXPECT_EQ(ReadHead(with_host).head.authority, "a.test");
}

TEST(H2RequestReader, TellsFramingFromLengthAndEnd) {
  auto none = ReadHead(GetFields());
  EXPECT_EQ(none.head.framing, BodyFraming::kNone);
  auto unknown = ReadHead(PostFields(), false);
  EXPECT_EQ(unknown.head.framing, BodyFraming::kChunked);
  auto known = ReadHead(PostFields("/", {{"content-length", "7"}}), false);
  EXPECT_EQ(known.head.framing, BodyFraming::kContentLength);
  EXPECT_EQ(known.head.content_length, 7u);
  EXPECT_FALSE(known.head.headers.Has("content-length"));
}

TEST(H2RequestReader, PutsLimitsBeforeRules) {
  H2Fields fields = GetFields("/", {{"X", "upper"}});
  for (int i = 0; i < 100; ++i) fields.emplace_back("x", "1");
  EXPECT_EQ(ReadHead(fields).refusal->status, 431);
  EXPECT_EQ(ReadHead(GetFields("/", {{"x", std::string(16 * 1024, 'x')}})).refusal->status, 431);
  EXPECT_EQ(ReadHead(GetFields("/" + std::string(8 * 1024, 'x'))).refusal->status, 414);
  EXPECT_FALSE(ReadHead(GetFields("/" + std::string(8 * 1024 - 1, 'x'))).refusal.has_value());
}

TEST(H2RequestReader, KeepsWhatCouldBeReadOfARefusedHead) {
  auto read = ReadHead(GetFields("/a", {{"user-agent", "ua"}, {"connection", "close"}}));
  ASSERT_TRUE(read.refusal.has_value());
  EXPECT_EQ(read.head.target, "/a");
  EXPECT_EQ(read.head.headers.Get("user-agent"), "ua");
}

}  // namespace
}  // namespace genkan::http
