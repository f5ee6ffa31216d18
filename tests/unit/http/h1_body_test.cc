#include "proxy/http/h1_body.h"

#include <gtest/gtest.h>

#include "tests/unit/http/h1_recorder.h"

namespace genkan::http {
namespace {

using namespace std::string_literals;

struct Outcome {
  BodyReader::State state = BodyReader::State::kMore;
  std::string body;
  std::string trailers;
  std::string rest;
};

Outcome ReadChunked(std::string_view text, const CodecLimits& limits = {}, size_t step = 0) {
  BodyReader reader(limits);
  reader.Start(BodyFraming::kChunked, 0);
  Buffer in, body;
  Outcome outcome;
  if (step == 0) step = text.size() + 1;
  for (size_t at = 0; at < text.size() || at == 0; at += step) {
    in.Append(text.substr(at, step));
    outcome.state = reader.Read(in, body, SIZE_MAX);
  }
  outcome.body = body.ToText();
  outcome.trailers = Describe(reader.trailers());
  outcome.rest = in.ToText();
  return outcome;
}

TEST(H1Body, ReadsChunksExtensionsAndTrailers) {
  const std::string text =
      "5\r\nhello\r\n00006;a=\"b;c\"\r\n world\r\nA;x\r\n0123456789\r\n0;last\r\nX-Sum: 1\r\n"
      "Host: dropped\r\nContent-Length: 7\r\n\r\nGET /";
  for (size_t step : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{7}}) {
    Outcome outcome = ReadChunked(text, {}, step);
    EXPECT_EQ(outcome.state, BodyReader::State::kDone);
    EXPECT_EQ(outcome.body, "hello world0123456789");
    EXPECT_EQ(outcome.trailers, "[X-Sum=1]");
    EXPECT_EQ(outcome.rest, "GET /");
  }
}

TEST(H1Body, RefusesWhatIsNoChunk) {
  for (const std::string& text : {"\r\n"s,
                                  "g\r\n"s,
                                  " 5\r\nhello"s,
                                  "5 \r\nhello"s,
                                  "5\t;a\r\n"s,
                                  "+5\r\n"s,
                                  "-5\r\n"s,
                                  "0x5\r\n"s,
                                  "5_0\r\n"s,
                                  "5 5\r\n"s,
                                  ";a\r\n"s,
                                  "5\nhello"s,
                                  "5\rhello"s,
                                  "5;a\nhello"s,
                                  "5;a\rb\r\n"s,
                                  "5;\0\r\n"s,
                                  "5;\x01\r\n"s,
                                  "5\r\nhello\n"s,
                                  "5\r\nhellox\r\n"s,
                                  "5\r\nhello\rx"s,
                                  "00000000000000005\r\n"s,
                                  "fffffffffffffffff\r\n"s,
                                  "ffffffffffffffff\r\n"s,
                                  "8000000000000000\r\n"s,
                                  "0\r\n\n"s,
                                  "0\r\nA: b\n"s,
                                  "0\r\nA b: c\r\n"s,
                                  "0\r\n A: b\r\n"s,
                                  "0\r\nA\r\n"s,
                                  "0\r\nA : b\r\n"s,
                                  "0\r\n\rx\n"s,
                                  "0\r\nA: b\0\r\n"s}) {
    EXPECT_EQ(ReadChunked(text).state, BodyReader::State::kBroken) << text;
    EXPECT_EQ(ReadChunked(text, {}, 1).state, BodyReader::State::kBroken) << text;
  }
}

TEST(H1Body, LimitsExtensionsAndTrailers) {
  CodecLimits limits;
  std::string line = "1;" + std::string(limits.chunk_line - 3, 'x') + "\r\na\r\n";
  EXPECT_EQ(ReadChunked(line).state, BodyReader::State::kMore);
  EXPECT_EQ(ReadChunked("1;" + std::string(limits.chunk_line, 'x')).state,
            BodyReader::State::kBroken);
  std::string many;
  for (int i = 0; i < 5; ++i) many += line;
  EXPECT_EQ(ReadChunked(many).state, BodyReader::State::kBroken);
  EXPECT_EQ(ReadChunked("0\r\nA: " + std::string(limits.trailer_bytes, 'x')).state,
            BodyReader::State::kBroken);
  std::string trailers = "0\r\n";
  for (size_t i = 0; i < limits.trailer_count; ++i) trailers += "a: b\r\n";
  EXPECT_EQ(ReadChunked(trailers + "\r\n").state, BodyReader::State::kDone);
  EXPECT_EQ(ReadChunked(trailers + "a: b\r\n\r\n").state, BodyReader::State::kBroken);
}

TEST(H1Body, StopsAtTheLimitAndReadsFramingBeyondIt) {
  BodyReader reader({});
  reader.Start(BodyFraming::kChunked, 0);
  Buffer in("4\r\nabcd\r\n0\r\n\r\n"), body;
  EXPECT_EQ(reader.Read(in, body, 3), BodyReader::State::kMore);
  EXPECT_EQ(body.ToText(), "abc");
  EXPECT_EQ(reader.Read(in, body, 3), BodyReader::State::kMore);
  EXPECT_EQ(body.ToText(), "abc");
  EXPECT_EQ(reader.Read(in, body, 4), BodyReader::State::kDone);
  EXPECT_EQ(body.ToText(), "abcd");
}

TEST(H1Body, ContentLengthLeavesWhatFollows) {
  BodyReader reader({});
  reader.Start(BodyFraming::kContentLength, 5);
  Buffer in("hel"), body;
  EXPECT_EQ(reader.Read(in, body, 100), BodyReader::State::kMore);
  EXPECT_EQ(reader.remaining(), 2u);
  in.Append("loGET");
  EXPECT_EQ(reader.Read(in, body, 100), BodyReader::State::kDone);
  EXPECT_EQ(body.ToText(), "hello");
  EXPECT_EQ(in.ToText(), "GET");
}

std::string Write(BodyFraming framing, uint64_t length, std::initializer_list<const char*> pieces) {
  BodyWriter writer;
  writer.Start(framing, length);
  Buffer out;
  size_t left = pieces.size();
  for (const char* piece : pieces) {
    Buffer data(piece);
    writer.Write(data, --left == 0, out);
    EXPECT_TRUE(data.empty());
  }
  return out.ToText() + (writer.is_whole() ? "" : " (cut)");
}

TEST(H1Body, WritesFraming) {
  EXPECT_EQ(Write(BodyFraming::kChunked, 0, {"hello", "", "0123456789abcdef", ""}),
            "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
  EXPECT_EQ(Write(BodyFraming::kChunked, 0, {"last"}), "4\r\nlast\r\n0\r\n\r\n");
  EXPECT_EQ(Write(BodyFraming::kContentLength, 5, {"he", "llo"}), "hello");
  EXPECT_EQ(Write(BodyFraming::kContentLength, 5, {"he", "llo world"}), "hello");
  EXPECT_EQ(Write(BodyFraming::kContentLength, 5, {"he"}), "he (cut)");
  EXPECT_EQ(Write(BodyFraming::kUntilClose, 0, {"he", "llo"}), "hello (cut)");
  EXPECT_EQ(Write(BodyFraming::kNone, 0, {"hello"}), "");
}

TEST(H1Body, WritesTrailersOnlyWhereChunked) {
  Headers trailers;
  trailers.Add("grpc-status", "0");
  trailers.Add("Content-Length", "5");
  trailers.Add("x-bad", "a\r\nb");
  BodyWriter writer;
  Buffer out;
  writer.Start(BodyFraming::kChunked, 0);
  writer.WriteTrailers(trailers, out);
  EXPECT_EQ(out.ToText(), "0\r\ngrpc-status: 0\r\n\r\n");
  EXPECT_TRUE(writer.is_whole());
  Buffer plain;
  writer.Start(BodyFraming::kContentLength, 0);
  writer.WriteTrailers(trailers, plain);
  EXPECT_EQ(plain.ToText(), "");
  EXPECT_TRUE(writer.is_whole());
}

}  // namespace
}  // namespace genkan::http
