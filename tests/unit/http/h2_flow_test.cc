// Flow control, the one rule: windows open for what left for the other side, and output is pulled.
#include <nghttp2/nghttp2.h>

#include "tests/unit/http/h2_test_codec.h"

namespace genkan::http {
namespace {

using test::Frame;
using test::GetFields;
using test::PostFields;

class H2Flow : public H2CodecTest {
 protected:
  // Sends DATA until a window of `stream_left` and `connection_left` bytes is full.
  size_t Fill(StreamId id, size_t bytes) {
    size_t sent = 0;
    while (sent < bytes) {
      size_t step = std::min<size_t>(16384, bytes - sent);
      EXPECT_TRUE(Send(Frame(test::kData, 0, id, std::string(step, 'x'))));
      sent += step;
    }
    return sent;
  }
  uint64_t WindowOpened(uint32_t stream) const {
    uint64_t sum = 0;
    for (const auto& frame : frames) {
      if (frame.type != test::kWindowUpdate || frame.stream != stream) continue;
      test::H2Frame value = frame;
      value.type = test::kRstStream;  // the same four bytes
      sum += value.error();
    }
    return sum;
  }
  std::string SmallWindows() {
    return std::string(test::kH2Preface) + Frame(test::kSettings, 0, 0, test::Setting(4, 1000)) +
           Frame(test::kSettings, test::kAck, 0);
  }
};

TEST_F(H2Flow, NoWindowOpensBeforeTheBytesHaveLeft) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  Fill(1, 65536);
  EXPECT_EQ(WindowOpened(0), 0u);
  EXPECT_EQ(WindowOpened(1), 0u);
  EXPECT_EQ(sink.requests.at(1).body.size(), 65536u);
  // One byte more than the window is the client's fault.
  Send(Frame(test::kData, 0, 1, "x"));
  EXPECT_TRUE(ResetCode(1) == 3 || GoAwayCode() == 3);
}

TEST_F(H2Flow, ConsumedBytesOpenBothWindows) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  for (int round = 0; round < 40; ++round) {
    Fill(1, 65536);
    codec->Consumed(1, 65536);
    Collect();
    EXPECT_EQ(WindowOpened(1), 65536u * static_cast<uint64_t>(round + 1));
  }
  // 2.5 MiB went through a connection window of 1 MiB.
  EXPECT_GE(WindowOpened(0), 2 * 1024 * 1024u);
  EXPECT_EQ(GoAwayCode(), -1);
}

TEST_F(H2Flow, MoreConsumedThanReceivedIsNotBelieved) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  Fill(1, 40000);
  codec->Consumed(1, 1u << 30);
  Collect();
  EXPECT_EQ(WindowOpened(1), 40000u);
}

TEST_F(H2Flow, WhatTheSinkDoesNotTakeIsLostAndConsumed) {
  sink.takes_bodies = false;
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  Fill(1, 40000);
  EXPECT_GE(WindowOpened(1), 32768u);
}

// Streams that are gone must not eat the connection's window.
TEST_F(H2Flow, TheConnectionSurvivesStreamsThatTookTheirBytesWithThem) {
  sink.on_refused = [&](StreamId id, int status) {
    codec->SendResponse(id, Response(status), true);
  };
  Hello();
  StreamId id = 1;
  for (int round = 0; round < 100; ++round, id += 2) {
    switch (round % 4) {
      case 0:  // the client resets
        ASSERT_TRUE(Send(client->Head(id, PostFields(), false)));
        Fill(id, 60000);
        ASSERT_TRUE(Send(Frame(test::kRstStream, 0, id, test::Uint32(8))));
        break;
      case 1:  // we reset, more is under way
        ASSERT_TRUE(Send(client->Head(id, PostFields(), false)));
        Fill(id, 30000);
        codec->Reset(id, Error{});
        Fill(id, 30000);
        break;
      case 2:  // refused with a body
        ASSERT_TRUE(Receive(client->Head(id, PostFields("/", {{"host", "b.test"}}), false)));
        ASSERT_TRUE(Receive(Frame(test::kData, 0, id, std::string(16000, 'x'))));
        Collect();
        Fill(id, 30000);
        break;
      default:  // answered early
        ASSERT_TRUE(Send(client->Head(id, PostFields(), false)));
        Fill(id, 30000);
        codec->SendResponse(id, Response(204), true);
        Collect();
        Fill(id, 30000);
    }
    codec->Consumed(id, 60000);
  }
  Collect();
  EXPECT_EQ(GoAwayCode(), -1);
  EXPECT_EQ(codec->open_streams(), 0u);
  EXPECT_GE(WindowOpened(0) + 512 * 1024, 100 * 40000u);
}

TEST_F(H2Flow, PaddingOpensTheWindowByItself) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  std::string padded = "\xff";
  padded += "x" + std::string(255, '\0');
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(Send(Frame(test::kData, test::kPadded, 1, padded)));
    codec->Consumed(1, 1);
  }
  EXPECT_EQ(sink.requests.at(1).body.size(), 1000u);
  EXPECT_EQ(GoAwayCode(), -1);
}

TEST_F(H2Flow, ProduceStopsNearItsLimit) {
  Send(std::string(test::kH2Preface) + Frame(test::kSettings, 0, 0, test::Setting(4, 1 << 30)) +
       Frame(test::kWindowUpdate, 0, 0, test::Uint32(1 << 30)) +
       Frame(test::kSettings, test::kAck, 0));
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  codec->SendResponse(1, Response(200), false);
  Body(1, std::string(1'000'000, 'x'), false);
  Buffer out;
  codec->Produce(out, 50'000);
  EXPECT_GE(out.size(), 50'000u);
  EXPECT_LE(out.size(), 50'000u + 16384 + 9);
  EXPECT_TRUE(codec->has_output());
  EXPECT_GE(codec->buffered(1), 1'000'000 - 50'000u - 16384);
  size_t rounds = 0;
  while (codec->has_output() && ++rounds < 100) codec->Produce(out, 50'000);
  EXPECT_LE(rounds, 20u);
  EXPECT_EQ(codec->buffered(1), 0u);
}

TEST_F(H2Flow, AStalledStreamKeepsWhatItWasGivenAndNoMore) {
  ASSERT_TRUE(Send(SmallWindows()));
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  ASSERT_TRUE(Send(client->Head(3, GetFields(), true)));
  codec->SendResponse(1, Response(200), false);
  codec->SendResponse(3, Response(200), false);
  Body(1, std::string(64 * 1024, 'x'), false);
  Collect();
  EXPECT_EQ(BodyOf(1).size(), 1000u);
  EXPECT_EQ(codec->buffered(1), 64 * 1024 - 1000u);
  EXPECT_FALSE(codec->has_output()) << "nothing can move: the owner must not spin";
  Body(3, "other", true);
  Collect();
  EXPECT_EQ(BodyOf(3), "other") << "one stalled stream does not hold up another";
  ASSERT_TRUE(Send(Frame(test::kWindowUpdate, 0, 1, test::Uint32(500))));
  EXPECT_EQ(BodyOf(1).size(), 1500u);
  ASSERT_TRUE(Send(Frame(test::kRstStream, 0, 1, test::Uint32(8))));
  EXPECT_EQ(codec->buffered(1), 0u);
  EXPECT_EQ(codec->open_streams(), 0u);
}

TEST_F(H2Flow, AResetFreesTheBodyAtOnce) {
  ASSERT_TRUE(Send(SmallWindows()));
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  codec->SendResponse(1, Response(200), false);
  Body(1, std::string(64 * 1024, 'x'), false);
  codec->Reset(1, Error{});
  EXPECT_EQ(codec->buffered(1), 0u);
}

TEST_F(H2Flow, StreamsTakeTurns) {
  Send(std::string(test::kH2Preface) + Frame(test::kSettings, 0, 0, test::Setting(4, 1 << 30)) +
       Frame(test::kWindowUpdate, 0, 0, test::Uint32(1 << 30)) +
       Frame(test::kSettings, test::kAck, 0));
  for (StreamId id : {1u, 3u}) {
    ASSERT_TRUE(Send(client->Head(id, GetFields(), true)));
    codec->SendResponse(id, Response(200), false);
    Body(id, std::string(200'000, 'x'), true);
  }
  Buffer out;
  codec->Produce(out, 100'000);
  auto more = client->Read(out.ToText());
  frames.insert(frames.end(), more.begin(), more.end());
  EXPECT_GT(BodyOf(1).size(), 30'000u);
  EXPECT_GT(BodyOf(3).size(), 30'000u);
}

// A client that is no fake of ours: libnghttp2's own, over every pair of read sizes that matters.
struct RealClient {
  std::string status, body, trailer;
  uint32_t close_code = 99;
  std::string upload;
};

TEST_F(H2Flow, ARealClientUploadsAndDownloads) {
  sink.on_body = [&](StreamId id, size_t bytes, bool end) {
    codec->Consumed(id, bytes);
    Buffer echo(std::string(bytes, 'e'));
    codec->SendBody(id, echo, end);
  };
  sink.on_request = [&](StreamId id) { codec->SendResponse(id, Response(200), false); };
  RealClient real;
  real.upload = std::string(300'000, 'u');
  nghttp2_session_callbacks* callbacks = nullptr;
  ASSERT_EQ(nghttp2_session_callbacks_new(&callbacks), 0);
  nghttp2_session_callbacks_set_on_header_callback(
      callbacks, [](nghttp2_session*, const nghttp2_frame*, const uint8_t*, size_t,
                    const uint8_t* value, size_t size, uint8_t, void* user) {
        static_cast<RealClient*>(user)->status.assign(reinterpret_cast<const char*>(value), size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
      callbacks,
      [](nghttp2_session*, uint8_t, int32_t, const uint8_t* bytes, size_t size, void* user) {
        static_cast<RealClient*>(user)->body.append(reinterpret_cast<const char*>(bytes), size);
        return 0;
      });
  nghttp2_session_callbacks_set_on_stream_close_callback(
      callbacks, [](nghttp2_session*, int32_t, uint32_t code, void* user) {
        static_cast<RealClient*>(user)->close_code = code;
        return 0;
      });
  nghttp2_session* session = nullptr;
  ASSERT_EQ(nghttp2_session_client_new(&session, callbacks, &real), 0);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  auto field = [](std::string_view name, std::string_view value) {
    auto bytes = [](std::string_view text) {
      return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
    };
    return nghttp2_nv{bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
  };
  const nghttp2_nv head[] = {field(":method", "POST"), field(":scheme", "https"),
                             field(":path", "/echo"), field(":authority", "a.test")};
  nghttp2_data_provider body{};
  body.source.ptr = &real;
  body.read_callback = [](nghttp2_session*, int32_t, uint8_t* into, size_t size, uint32_t* flags,
                          nghttp2_data_source* source, void*) -> ssize_t {
    auto& left = static_cast<RealClient*>(source->ptr)->upload;
    size_t take = std::min(size, left.size());
    std::copy_n(left.begin(), take, into);
    left.erase(0, take);
    if (left.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(take);
  };
  ASSERT_GT(nghttp2_submit_request(session, nullptr, head, 4, &body, nullptr), 0);
  for (int i = 0; i < 10'000 && real.close_code == 99; ++i) {
    const uint8_t* bytes = nullptr;
    ssize_t size = nghttp2_session_mem_send(session, &bytes);
    ASSERT_GE(size, 0);
    ASSERT_TRUE(Receive({reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)}));
    Buffer out;
    codec->Produce(out, 10'000);
    std::string text = out.ToText();
    ASSERT_EQ(nghttp2_session_mem_recv(session, reinterpret_cast<const uint8_t*>(text.data()),
                                       text.size()),
              static_cast<ssize_t>(text.size()));
  }
  nghttp2_session_del(session);
  EXPECT_EQ(real.status, "200");
  EXPECT_EQ(real.close_code, 0u);
  EXPECT_EQ(real.body, std::string(300'000, 'e'));
  EXPECT_TRUE(sink.requests.at(1).is_done);
}

}  // namespace
}  // namespace genkan::http
