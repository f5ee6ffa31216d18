// The frame rules of RFC 9113 and 7541, one broken frame each, the way conformance testers ask for
// them.
#include <algorithm>

#include "tests/unit/http/h2_test_codec.h"

namespace genkan::http {
namespace {

using test::Frame;
using test::GetFields;
using test::H2RawClient;
using test::PostFields;
using test::Setting;
using test::Uint32;

constexpr int64_t kProtocol = 1, kFlow = 3, kClosed = 5, kSize = 6, kCompression = 9;

struct Case {
  const char* name;
  // What the client says after the preface, SETTINGS and their acknowledgement.
  std::string (*say)(H2RawClient& client);
  std::vector<int64_t> codes;  // of the GOAWAY, or of the RST_STREAM where is_stream
  bool is_stream = false;      // a stream error is enough
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.name; }

std::string OpenPost(H2RawClient& client) { return client.Head(1, PostFields(), false); }
std::string OpenGet(H2RawClient& client) { return client.Head(1, GetFields(), true); }
std::string Head(H2RawClient& client, uint8_t flags, uint32_t stream = 1) {
  return Frame(test::kHeaders, flags, stream, client.Encode(GetFields()));
}
std::string RawHead(std::string_view block) {
  return Frame(test::kHeaders, test::kEndHeaders | test::kEndStream, 1, block);
}
// A head whose block has `tail` behind it.
std::string HeadWith(H2RawClient& client, std::string_view tail) {
  return RawHead(client.Encode(GetFields()) + std::string(tail));
}
std::string Bytes(std::string_view text) { return std::string(text); }

#define SAY(expression)               \
  [](H2RawClient& c) -> std::string { \
    static_cast<void>(c);             \
    return expression;                \
  }

std::vector<Case> Cases() {
  using namespace std::string_literals;
  return {
      {"data_too_large", SAY(OpenPost(c) + Frame(0, 0, 1, std::string(16385, 'x'))), {kSize}, true},
      {"headers_too_large", SAY(Frame(1, 5, 1, std::string(16385, '\x82'))), {kSize}},
      {"bad_header_block", SAY(RawHead("\x40\x0a")), {kCompression}},
      {"priority_inside_a_head",
       SAY(Frame(1, 1, 1, c.Encode(GetFields())) + Frame(2, 0, 1, Uint32(0) + "x")),
       {kProtocol}},
      {"head_inside_a_head",
       [](H2RawClient& c) {
         std::string first = Head(c, test::kEndStream);
         return first + Head(c, test::kEndHeaders | test::kEndStream, 3);
       },
       {kProtocol}},
      {"unknown_frame_inside_a_head",
       SAY(Frame(1, 1, 1, c.Encode(GetFields())) + Frame(0x16, 0, 0, "12345678")),
       {kProtocol}},
      {"data_on_idle", SAY(Frame(0, 1, 1, "test")), {kProtocol, kClosed}},
      {"rst_on_idle", SAY(Frame(3, 0, 1, Uint32(8))), {kProtocol}},
      {"window_update_on_idle", SAY(Frame(8, 0, 1, Uint32(100))), {kProtocol}},
      {"continuation_on_idle", SAY(Frame(9, 4, 1, c.Encode(GetFields()))), {kProtocol}},
      {"continuation_half_closed", SAY(OpenGet(c) + Frame(9, 4, 1, "\x82")), {kProtocol, kClosed}},
      {"headers_depend_on_themselves",
       SAY(Frame(1, 0x25, 1, Uint32(1) + "\xff" + c.Encode(GetFields()))),
       {kProtocol},
       true},
      {"priority_depends_on_itself", SAY(Frame(2, 0, 1, Uint32(1) + "\xff")), {kProtocol}, true},
      {"priority_depends_on_itself_exclusively",
       SAY(Frame(2, 0, 1, Uint32(0x80000001) + "\xff")),
       {kProtocol},
       true},
      {"data_on_zero", SAY(Frame(0, 0, 0, "test")), {kProtocol}},
      {"data_pad_too_long", SAY(OpenPost(c) + Frame(0, 9, 1, "\x06test")), {kProtocol}},
      {"headers_on_zero", SAY(Frame(1, 5, 0, c.Encode(GetFields()))), {kProtocol}},
      {"headers_pad_too_long", SAY(Frame(1, 0xd, 1, "\xff" + c.Encode(GetFields()))), {kProtocol}},
      {"priority_on_zero", SAY(Frame(2, 0, 0, Uint32(1) + "x")), {kProtocol}},
      {"priority_of_four_bytes", SAY(OpenPost(c) + Frame(2, 0, 1, Uint32(0))), {kSize}, true},
      {"rst_on_zero", SAY(Frame(3, 0, 0, Uint32(8))), {kProtocol}},
      {"rst_of_three_bytes", SAY(OpenPost(c) + Frame(3, 0, 1, "abc")), {kSize}},
      {"settings_ack_with_payload", SAY(Frame(4, 1, 0, "\0"s)), {kSize}},
      {"settings_on_a_stream", SAY(Frame(4, 0, 1, Setting(3, 100))), {kProtocol}},
      {"settings_of_three_bytes", SAY(Frame(4, 0, 0, "abc")), {kSize}},
      {"enable_push_2", SAY(Frame(4, 0, 0, Setting(2, 2))), {kProtocol}},
      {"initial_window_too_large", SAY(Frame(4, 0, 0, Setting(4, 0x80000000))), {kFlow}},
      {"max_frame_size_too_small", SAY(Frame(4, 0, 0, Setting(5, 16383))), {kProtocol}},
      {"max_frame_size_too_large", SAY(Frame(4, 0, 0, Setting(5, 1 << 24))), {kProtocol}},
      {"connect_protocol_2", SAY(Frame(4, 0, 0, Setting(8, 2))), {kProtocol}},
      {"ping_on_a_stream", SAY(Frame(6, 0, 1, "12345678")), {kProtocol}},
      {"ping_of_six_bytes", SAY(Frame(6, 0, 0, "123456")), {kSize}},
      {"goaway_on_a_stream", SAY(Frame(7, 0, 1, Uint32(0) + Uint32(0))), {kProtocol}},
      {"window_update_of_zero", SAY(Frame(8, 0, 0, Uint32(0))), {kProtocol}},
      {"window_update_of_zero_on_a_stream",
       SAY(OpenPost(c) + Frame(8, 0, 1, Uint32(0))),
       {kProtocol},
       true},
      {"window_update_of_three_bytes", SAY(Frame(8, 0, 0, "abc")), {kSize}},
      {"window_overflow",
       SAY(Frame(8, 0, 0, Uint32(0x7fffffff)) + Frame(8, 0, 0, Uint32(0x7fffffff))),
       {kFlow}},
      {"stream_window_overflow",
       SAY(OpenPost(c) + Frame(8, 0, 1, Uint32(0x7fffffff)) + Frame(8, 0, 1, Uint32(0x7fffffff))),
       {kFlow},
       true},
      {"continuation_then_data",
       SAY(Frame(1, 1, 1, c.Encode(GetFields())) + Frame(9, 0, 1) + Frame(0, 1, 1, "x")),
       {kProtocol}},
      {"continuation_on_zero",
       SAY(Frame(1, 1, 1, c.Encode(GetFields())) + Frame(9, 4, 0)),
       {kProtocol}},
      {"continuation_behind_a_complete_head", SAY(OpenPost(c) + Frame(9, 4, 1)), {kProtocol}},
      {"continuation_behind_continuation",
       SAY(Frame(1, 0, 1, c.Encode(PostFields())) + Frame(9, 4, 1) + Frame(9, 4, 1)),
       {kProtocol}},
      {"continuation_behind_data",
       SAY(OpenPost(c) + Frame(0, 0, 1, "x") + Frame(9, 4, 1)),
       {kProtocol}},
      {"push_promise", SAY(OpenPost(c) + Frame(5, 4, 1, Uint32(2) + "\x82\x84\x87")), {kProtocol}},
      {"hpack_index_unknown", SAY(HeadWith(c, "\xfe")), {kCompression}},
      {"hpack_index_zero", SAY(HeadWith(c, "\x80")), {kCompression}},
      {"hpack_size_update_behind", SAY(HeadWith(c, "\x20")), {kCompression}},
      {"hpack_size_update_too_large", SAY(RawHead("\x3f\xe2\x1f")), {kCompression}},
      {"hpack_padding_too_long",
       SAY(HeadWith(c, Bytes("\0\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"s))),
       {kCompression}},
      {"hpack_padding_of_zeros",
       SAY(HeadWith(c, Bytes("\0\x85\xf2\xb2\x4a\x87\xff\x83\x49\x50\x90"s))),
       {kCompression}},
      {"hpack_eos",
       SAY(HeadWith(c, Bytes("\0\x85\xf2\xb2\x4a\x87\xff\x87\xff\xff\xff\xff\x49\x50\x9f"s))),
       {kCompression}},
  };
}

class H2Spec : public H2CodecTest, public ::testing::WithParamInterface<Case> {};

TEST_P(H2Spec, IsAnsweredWithItsError) {
  Hello();
  Send(GetParam().say(*client));
  auto has = [&](int64_t code) {
    const auto& codes = GetParam().codes;
    return std::find(codes.begin(), codes.end(), code) != codes.end();
  };
  EXPECT_TRUE(has(GoAwayCode()) || (GetParam().is_stream && has(ResetCode(1))))
      << "GOAWAY " << GoAwayCode() << " RST_STREAM " << ResetCode(1);
  if (GoAwayCode() > 0) {
    EXPECT_TRUE(codec->is_done());
    EXPECT_FALSE(codec->has_output());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, H2Spec, ::testing::ValuesIn(Cases()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_F(H2CodecTest, IgnoresWhatTheStandardLetsPass) {
  const std::string table[] = {
      Frame(0x16, 0, 0, "12345678"),                    // an unknown frame
      Frame(6, 0x16, 0, "12345678"),                    // undefined flags
      Frame(6, 0, 0x80000000, "12345678"),              // the reserved bit
      Frame(4, 0, 0, Setting(0xff, 1)),                 // an unknown setting
      Frame(4, 0, 0, Setting(4, 100) + Setting(4, 1)),  // the last one counts
      Frame(6, 1, 0, "12345678"),                       // an answer to no question
      Frame(2, 0, 7, Uint32(0) + "\x10"),               // PRIORITY of an idle stream
      Frame(2, 0, 3, Uint32(9) + "\x10"),
      Frame(1, 0x25, 11, Uint32(3) + "\xff" + H2RawClient().Encode(GetFields())),
  };
  for (const auto& bytes : table) {
    Start(CodecLimits());
    Hello();
    ASSERT_TRUE(Send(bytes));
    EXPECT_EQ(GoAwayCode(), -1) << testing::PrintToString(bytes);
    EXPECT_EQ(ResetCode(11), -1);
    frames.clear();
    ASSERT_TRUE(Send(Frame(6, 0, 0, "12345678")));
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].flags, test::kAck);
  }
}

TEST_F(H2CodecTest, FollowsAWindowThatBecomesNegative) {
  Hello();
  ASSERT_TRUE(Send(Frame(4, 0, 0, Setting(4, 3)) + client->Head(1, GetFields(), true)));
  codec->SendResponse(1, Response(200), false);
  Body(1, "hello", true);
  Collect();
  EXPECT_EQ(BodyOf(1), "hel");
  ASSERT_TRUE(Send(Frame(4, 0, 0, Setting(4, 2))));
  ASSERT_TRUE(Send(Frame(8, 0, 1, Uint32(1))));
  EXPECT_EQ(BodyOf(1), "hel");
  ASSERT_TRUE(Send(Frame(8, 0, 1, Uint32(1))));
  EXPECT_EQ(BodyOf(1), "hell");
}

}  // namespace
}  // namespace genkan::http
