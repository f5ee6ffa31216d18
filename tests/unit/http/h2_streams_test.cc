// The life of streams: closed ones, resets from either side, limits, early answers, GOAWAY.
#include "tests/unit/http/h2_test_codec.h"

namespace genkan::http {
namespace {

using test::Frame;
using test::GetFields;
using test::PostFields;

constexpr int64_t kProtocolError = 1, kInternal = 2, kSettingsTimeout = 4, kStreamClosed = 5,
                  kRefused = 7, kCancel = 8, kCalm = 11;

class H2Streams : public H2CodecTest {
 protected:
  void AnswerAtOnce() {
    sink.on_request = [this](StreamId id) {
      codec->SendResponse(id, SizedResponse(2), false);
      Buffer data("ok");
      codec->SendBody(id, data, true);
    };
  }
};

// RFC 9113 5.1: half-closed (remote).
TEST_F(H2Streams, DataBehindTheEndOfARequestIsStreamClosed) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  EXPECT_FALSE(Send(Frame(test::kData, 0, 1, "x")));
  EXPECT_EQ(GoAwayCode(), kStreamClosed);
  EXPECT_EQ(sink.requests.at(1).body, "");
}

TEST_F(H2Streams, HeadersBehindTheEndOfARequestAreStreamClosed) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  EXPECT_FALSE(Send(client->Head(1, GetFields(), true)));
  EXPECT_EQ(GoAwayCode(), kStreamClosed);
  EXPECT_EQ(sink.accepted, 1);
}

// RFC 9113 5.1: closed, after both sides ended.
TEST_F(H2Streams, FramesBehindACompleteExchangeAreStreamClosed) {
  AnswerAtOnce();
  for (bool is_data : {true, false}) {
    Start(CodecLimits());
    sink.requests.clear();
    Hello();
    ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
    ASSERT_TRUE(sink.requests.at(1).is_done);
    EXPECT_FALSE(Send(is_data ? Frame(test::kData, test::kEndStream, 1, "x")
                              : client->Head(1, GetFields(), true)));
    EXPECT_EQ(GoAwayCode(), kStreamClosed);
    EXPECT_TRUE(codec->is_done());
  }
}

// RFC 9113 5.1: closed, after the client's RST_STREAM.
TEST_F(H2Streams, FramesBehindTheClientsResetAreStreamClosed) {
  for (bool is_data : {true, false}) {
    Start(CodecLimits());
    sink.requests.clear();
    Hello();
    ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
    ASSERT_TRUE(Send(Frame(test::kRstStream, 0, 1, test::Uint32(8))));
    EXPECT_TRUE(sink.requests.at(1).is_reset);
    EXPECT_EQ(sink.requests.at(1).reset_code, ErrorCode::kClosed);
    EXPECT_FALSE(Send(is_data ? Frame(test::kData, test::kEndStream, 1, "x")
                              : client->Head(1, GetFields(), true)));
    EXPECT_EQ(GoAwayCode(), kStreamClosed);
  }
}

// RFC 9113 6.10: nothing to continue, whatever became of the stream.
TEST_F(H2Streams, AContinuationOnAClosedStreamIsAProtocolError) {
  AnswerAtOnce();
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  Send(Frame(test::kContinuation, test::kEndHeaders, 1, client->Encode({{"x", "1"}})));
  EXPECT_EQ(GoAwayCode(), kProtocolError);
  EXPECT_TRUE(codec->is_done());
}

// RFC 9113 5.1.1.
TEST_F(H2Streams, AStreamNumberThatGoesBackIsAProtocolError) {
  Hello();
  ASSERT_TRUE(Send(client->Head(5, GetFields(), true)));
  EXPECT_FALSE(Send(client->Head(3, GetFields(), true)));
  EXPECT_EQ(GoAwayCode(), kProtocolError);
  EXPECT_EQ(sink.accepted, 1);
}

TEST_F(H2Streams, AnEvenStreamNumberIsAProtocolError) {
  Hello();
  Send(client->Head(2, GetFields(), true));
  EXPECT_EQ(GoAwayCode(), kProtocolError);
  EXPECT_EQ(sink.accepted, 0);
}

TEST_F(H2Streams, DataOnAnIdleStreamIsAProtocolError) {
  Hello();
  Send(Frame(test::kData, 0, 1, "x"));
  EXPECT_EQ(GoAwayCode(), kProtocolError);
}

// What was under way when we reset the stream is nobody's fault.
TEST_F(H2Streams, FramesOnAStreamThatWeResetAreIgnored) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  codec->Reset(1, Error{ErrorCode::kInternal, "x"});
  Collect();
  EXPECT_EQ(ResetCode(1), kInternal);
  EXPECT_TRUE(sink.requests.at(1).is_done);
  ASSERT_TRUE(Send(Frame(test::kData, 0, 1, "under way")));
  ASSERT_TRUE(Send(Frame(test::kWindowUpdate, 0, 1, test::Uint32(10))));
  ASSERT_TRUE(Send(client->Head(1, {{"x-trailer", "1"}}, true)));
  EXPECT_EQ(GoAwayCode(), -1);
  EXPECT_EQ(sink.requests.at(1).body, "");
  ASSERT_TRUE(Send(client->Head(3, GetFields("/next"), true)));
  EXPECT_EQ(sink.requests.at(3).head.target, "/next") << "HPACK is in step";
  // Once the client ended it, it is over for good.
  EXPECT_FALSE(Send(Frame(test::kData, 0, 1, "x")));
  EXPECT_EQ(GoAwayCode(), kStreamClosed);
}

TEST_F(H2Streams, WindowUpdateAndResetOnAClosedStreamAreIgnored) {
  AnswerAtOnce();
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  ASSERT_TRUE(Send(Frame(test::kWindowUpdate, 0, 1, test::Uint32(10))));
  ASSERT_TRUE(Send(Frame(test::kRstStream, 0, 1, test::Uint32(8))));
  ASSERT_TRUE(Send(Frame(test::kPriority, 0, 1, test::Uint32(0) + "\x10")));
  EXPECT_EQ(GoAwayCode(), -1);
}

TEST_F(H2Streams, AnErrorOfOursBecomesTheFittingCode) {
  const std::vector<std::pair<Error, int64_t>> table = {
      {{ErrorCode::kBusy, ""}, kRefused},
      {{ErrorCode::kTimeout, ""}, kCancel},
      {{ErrorCode::kClosed, ""}, kCancel},
      {{ErrorCode::kClosed, "", Side::kUpstream}, kInternal},
      {{ErrorCode::kInvalid, "", Side::kUpstream}, kInternal},
      {{ErrorCode::kInvalid, "", Side::kDownstream}, kProtocolError},
      {{ErrorCode::kInternal, ""}, kInternal}};
  Hello();
  StreamId id = 1;
  for (const auto& [error, code] : table) {
    ASSERT_TRUE(Send(client->Head(id, GetFields(), true)));
    codec->Reset(id, error);
    Collect();
    EXPECT_EQ(ResetCode(id), code);
    id += 2;
  }
}

// Message rule 20: never as if it were complete.
TEST_F(H2Streams, ABodyThatIsCutLooksCut) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  codec->SendResponse(1, SizedResponse(10), false);
  Body(1, "12345", false);
  Collect();
  codec->Reset(1, Error{ErrorCode::kClosed, "cut", Side::kUpstream});
  Collect();
  EXPECT_FALSE(Last(test::kData, 1)->ends_stream());
  EXPECT_EQ(ResetCode(1), kInternal);
}

TEST_F(H2Streams, ABodyThatDiffersFromItsAnnouncedLengthIsReset) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  codec->SendResponse(1, SizedResponse(10), false);
  Body(1, "12345", true);
  Collect();
  EXPECT_EQ(ResetCode(1), kInternal);
  ASSERT_TRUE(Send(client->Head(3, GetFields(), true)));
  codec->SendResponse(3, SizedResponse(2), false);
  Body(3, "12345", true);
  Collect();
  EXPECT_EQ(ResetCode(3), kInternal);
  EXPECT_EQ(BodyOf(3), "");
}

TEST_F(H2Streams, AnEarlyAnswerStopsTheUpload) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  codec->SendResponse(1, SizedResponse(2), false);
  Body(1, "no", true);
  Collect();
  EXPECT_TRUE(Last(test::kData, 1)->ends_stream());
  EXPECT_TRUE(sink.requests.at(1).is_done);
  EXPECT_EQ(ResetCode(1), -1) << "it would take the answer away from curl";
  ASSERT_TRUE(Send(Frame(test::kData, 0, 1, "more")));
  Collect();
  EXPECT_EQ(ResetCode(1), 0);
  EXPECT_FALSE(sink.requests.at(1).is_reset);
  ASSERT_TRUE(Send(Frame(test::kData, test::kEndStream, 1, "under way")));
  EXPECT_EQ(GoAwayCode(), -1);
}

TEST_F(H2Streams, AnEarlyAnswerLeavesTheRequestAMomentToEnd) {
  Hello();
  for (uint32_t stream : {1u, 3u, 5u}) {
    ASSERT_TRUE(Send(client->Head(stream, PostFields(), false)));
    codec->SendResponse(stream, SizedResponse(2), false);
    Body(stream, "no", true);
    Collect();
    EXPECT_TRUE(sink.requests.at(stream).is_done);
  }
  ASSERT_TRUE(Send(Frame(test::kData, test::kEndStream, 1, "all")));
  Collect();
  EXPECT_EQ(ResetCode(1), -1);
  EXPECT_EQ(codec->open_streams(), 2u);
  clock.Advance(Millis(1'100));
  ASSERT_TRUE(Send(Frame(test::kPing, 0, 0, "12345678")));
  Collect();
  EXPECT_EQ(ResetCode(3), 0);
  EXPECT_EQ(ResetCode(5), 0);
  EXPECT_EQ(codec->open_streams(), 0u);
  EXPECT_EQ(GoAwayCode(), -1);
}

TEST_F(H2Streams, AGracefulEndDoesNotWaitForTheRestOfAnAnsweredRequest) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  codec->SendResponse(1, SizedResponse(2), false);
  Body(1, "no", true);
  Collect();
  codec->GoAway();
  Collect();
  EXPECT_EQ(ResetCode(1), 0);
}

TEST_F(H2Streams, SendsInterimAnswersAndTrailers) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields("/", {{"expect", "100-continue"}}), false)));
  codec->SendInterim(1, Response(100));
  Headers hints;
  hints.Add("link", "</a.css>; rel=preload");
  codec->SendInterim(1, Response(103, hints));
  Collect();
  ASSERT_TRUE(Send(Frame(test::kData, test::kEndStream, 1, "x")));
  codec->SendResponse(1, Response(200), false);
  Body(1, "body", false);
  Headers trailers;
  trailers.Add("Grpc-Status", "0");
  trailers.Add("Connection", "close");
  trailers.Add("Content-Length", "4");
  codec->SendTrailers(1, trailers);
  Collect();
  std::vector<std::string> heads;
  for (const auto& frame : frames) {
    if (frame.type == test::kHeaders) heads.push_back(frame.fields.at(0).second);
  }
  EXPECT_EQ(heads, (std::vector<std::string>{"100", "103", "200", "0"}));
  const auto* last = Last(test::kHeaders, 1);
  EXPECT_EQ(FieldOf(last, "grpc-status"), "0");
  EXPECT_EQ(last->fields.size(), 1u);
  EXPECT_TRUE(last->ends_stream());
  EXPECT_FALSE(Last(test::kData, 1)->ends_stream());
  EXPECT_TRUE(sink.requests.at(1).is_done);
}

TEST_F(H2Streams, TrailersWithoutABody) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  codec->SendResponse(1, Response(200), false);
  Headers trailers;
  trailers.Add("grpc-status", "5");
  codec->SendTrailers(1, trailers);
  Collect();
  EXPECT_EQ(FieldOf(Last(test::kHeaders, 1), "grpc-status"), "5");
  EXPECT_TRUE(sink.requests.at(1).is_done);
}

TEST_F(H2Streams, AnswersToHeadAnnounceALengthWithoutABody) {
  Hello();
  auto fields = GetFields();
  fields[0].second = "HEAD";
  ASSERT_TRUE(Send(client->Head(1, fields, true)));
  ResponseHead head = Response(200);
  head.content_length = 1234;
  codec->SendResponse(1, head, true);
  Collect();
  EXPECT_EQ(FieldOf(Last(test::kHeaders, 1), "content-length"), "1234");
  EXPECT_TRUE(Last(test::kHeaders, 1)->ends_stream());
  ASSERT_TRUE(Send(client->Head(3, GetFields(), true)));
  ResponseHead empty = Response(204);
  empty.content_length = 0;
  codec->SendResponse(3, empty, true);
  Collect();
  EXPECT_EQ(FieldOf(Last(test::kHeaders, 3), "content-length"), "(none)");
}

TEST_F(H2Streams, SendsALargeHeadInPieces) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  ResponseHead head = Response(200);
  for (int i = 0; i < 1000; ++i) {
    head.headers.Add("x-" + std::to_string(i), std::string(50, '~'));
  }
  codec->SendResponse(1, head, true);
  Collect();
  size_t fields = 0;
  for (const auto& frame : frames) fields += frame.fields.size();
  EXPECT_EQ(fields, 1001u);
  EXPECT_NE(Last(test::kContinuation, 1), nullptr);
  EXPECT_TRUE(sink.requests.at(1).is_done);
}

TEST_F(H2Streams, AHeadThatCannotBeSentResetsItsStream) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  ResponseHead head = Response(200);
  for (int i = 0; i < 20; ++i) head.headers.Add("x", std::string(60'000, '~'));
  codec->SendResponse(1, head, true);
  Collect();
  EXPECT_EQ(ResetCode(1), kInternal);
  EXPECT_EQ(codec->open_streams(), 0u);
  ASSERT_TRUE(Send(client->Head(3, GetFields(), true)));
  codec->SendResponse(3, Response(204), true);
  Collect();
  EXPECT_EQ(FieldOf(Last(test::kHeaders, 3), ":status"), "204");
}

TEST_F(H2Streams, CallsForAStreamThatIsGoneDoNothing) {
  Hello();
  for (StreamId id : {1u, 2u, 77u}) {
    codec->SendInterim(id, Response(100));
    codec->SendResponse(id, Response(200), false);
    Body(id, "x", true);
    codec->SendTrailers(id, Headers());
    codec->Consumed(id, 10);
    codec->Reset(id, Error{});
    codec->Release(id);
    EXPECT_EQ(codec->buffered(id), 0u);
  }
  EXPECT_FALSE(codec->has_output());
}

TEST_F(H2Streams, TheSinkMayCallBackFromEverywhere) {
  sink.on_request = [&](StreamId id) {
    Buffer nowhere;
    codec->Produce(nowhere, 1000);
    EXPECT_TRUE(nowhere.empty()) << "not from within Receive";
    codec->SendInterim(id, Response(103));
    codec->SendResponse(id, Response(200), false);
    if (id % 4 == 1) codec->Reset(id, Error{});
  };
  sink.on_body = [&](StreamId id, size_t bytes, bool end) {
    codec->Consumed(id, bytes);
    Buffer echo(std::string(bytes, 'e'));
    codec->SendBody(id, echo, end);
  };
  sink.on_gone = [&](StreamId id) {
    codec->Reset(id, Error{});
    codec->Consumed(id, 5);
    Buffer in("garbage");
    EXPECT_TRUE(codec->Receive(in));
  };
  Hello();
  for (StreamId id = 1; id < 40; id += 2) {
    Send(client->Head(id, PostFields(), false) + Frame(test::kData, 0, id, "one") +
         Frame(test::kData, test::kEndStream, id, "two"));
    if (id % 4 == 1) {
      EXPECT_GT(ResetCode(id), 0) << id;
    } else {
      EXPECT_EQ(BodyOf(id), "eeeeee");
    }
    EXPECT_TRUE(sink.requests.at(id).is_done);
  }
  EXPECT_EQ(codec->open_streams(), 0u);
}

TEST_F(H2Streams, RefusesMoreThanTheAnnouncedStreams) {
  CodecLimits limits;
  limits.concurrent_streams = 4;
  Start(limits);
  // SETTINGS are not acknowledged yet: the client cannot know (RFC 9113 5.1.2).
  ASSERT_TRUE(Send(std::string(test::kH2Preface) + Frame(test::kSettings, 0, 0)));
  for (StreamId id = 1; id <= 11; id += 2) Send(client->Head(id, GetFields(), true));
  EXPECT_EQ(sink.accepted, 4);
  EXPECT_EQ(ResetCode(9), kRefused);
  EXPECT_EQ(ResetCode(11), kRefused);
  EXPECT_EQ(GoAwayCode(), -1);
}

// Rule 28: a reset does not buy another request while an origin still works on the first.
TEST_F(H2Streams, ResetRequestsCountUntilTheirOwnerReleasesThem) {
  CodecLimits limits;
  limits.concurrent_streams = 4;
  Start(limits);
  sink.on_gone = [&](StreamId id) { codec->Hold(id); };
  Hello();
  StreamId id = 1;
  for (; id <= 39; id += 2) {
    ASSERT_TRUE(Send(client->Head(id, GetFields(), true) +
                     Frame(test::kRstStream, 0, id, test::Uint32(8))));
  }
  EXPECT_EQ(sink.accepted, 4);
  EXPECT_EQ(codec->open_streams(), 4u);
  codec->Release(3);
  ASSERT_TRUE(Send(client->Head(id, GetFields(), true)));
  EXPECT_EQ(sink.accepted, 5);
}

TEST_F(H2Streams, EndsAfterTooManyResets) {
  AnswerAtOnce();
  Hello();
  StreamId id = 1;
  bool goes_on = true;
  for (; goes_on && id < 4000; id += 2) {
    goes_on =
        Send(client->Head(id, GetFields(), true) + Frame(test::kRstStream, 0, id, test::Uint32(8)));
  }
  EXPECT_EQ(id / 2, 1001u);
  EXPECT_EQ(GoAwayCode(), kCalm);
}

// "MadeYouReset": the client makes us reset its streams.
TEST_F(H2Streams, EndsAfterTooManyFaults) {
  Hello();
  StreamId id = 1;
  bool goes_on = true;
  for (; goes_on && id < 4000; id += 2) {
    goes_on = Send(client->Head(id, PostFields("/", {{"content-length", "1"}}), true));
  }
  EXPECT_NEAR(id / 2, 1000, 2);
  EXPECT_EQ(GoAwayCode(), kCalm);
  EXPECT_EQ(sink.accepted, 0);
}

TEST_F(H2Streams, EndsAfterTooManyFaultsOnStreamsInProgress) {
  const std::string full = Frame(test::kWindowUpdate, 0, 0, test::Uint32(0x7fffffff)).substr(9);
  for (bool is_window : {true, false}) {
    Start(CodecLimits());
    sink.requests.clear();
    Hello();
    StreamId id = 1;
    bool goes_on = true;
    for (; goes_on && id < 4000; id += 2) {
      std::string fault = is_window ? Frame(test::kWindowUpdate, 0, id, full) +
                                          Frame(test::kWindowUpdate, 0, id, full)
                                    : Frame(test::kData, 0, id, "12");
      goes_on = Send(client->Head(id, PostFields("/", {{"content-length", "1"}}), false) + fault);
      if (!goes_on) break;
      ASSERT_TRUE(sink.requests.at(id).is_reset) << id;
      EXPECT_EQ(sink.requests.at(id).reset_code, ErrorCode::kInvalid);
    }
    EXPECT_NEAR(id / 2, 1000, 3);
    Collect();
    EXPECT_EQ(GoAwayCode(), kCalm);
  }
}

TEST_F(H2Streams, EndsAfterAFloodOfPings) {
  Hello();
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Send(Frame(test::kPing, 0, 0, "12345678")));
  EXPECT_EQ(Last(test::kPing, 0)->flags, test::kAck);
  clock.Advance(Seconds(61));
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(Send(Frame(test::kPing, 0, 0, "12345678")));
  EXPECT_FALSE(Send(Frame(test::kPing, 0, 0, "12345678")));
  EXPECT_EQ(GoAwayCode(), kCalm);
}

TEST_F(H2Streams, EndsAfterManyEmptyDataFrames) {
  for (bool padded : {false, true}) {
    Start(CodecLimits());
    sink.requests.clear();
    Hello();
    ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
    std::string empty = padded ? Frame(test::kData, test::kPadded, 1, std::string("\x02\0\0", 3))
                               : Frame(test::kData, 0, 1);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(Send(empty));
    Send(empty);
    EXPECT_EQ(GoAwayCode(), kCalm);
  }
}

TEST_F(H2Streams, RefusesMoreThan32Settings) {
  std::string entries;
  for (int i = 0; i < 32; ++i) entries += test::Setting(0x99, 1);
  Hello();
  ASSERT_TRUE(Send(Frame(test::kSettings, 0, 0, entries)));
  EXPECT_EQ(GoAwayCode(), -1);
  Send(Frame(test::kSettings, 0, 0, entries + test::Setting(0x99, 1)));
  EXPECT_GE(GoAwayCode(), 1);
}

TEST_F(H2Streams, UnreadAnswersAreBounded) {
  Hello();
  // The client reads nothing; DATA keeps the flood counters quiet.
  ASSERT_TRUE(Receive(client->Head(1, PostFields(), false)));
  bool goes_on = true;
  int pings = 0;
  for (; goes_on && pings < 5000; ++pings) {
    goes_on =
        Receive(Frame(test::kPing, 0, 0, "12345678") + Frame(test::kData, 0, 1, "x")).has_value();
    codec->Consumed(1, 1);
  }
  EXPECT_NEAR(pings, 1000, 3);
}

TEST_F(H2Streams, WaitsTenSecondsForTheAcknowledgementOfItsSettings) {
  ASSERT_TRUE(Send(std::string(test::kH2Preface) + Frame(test::kSettings, 0, 0)));
  clock.Advance(Seconds(10));
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  clock.Advance(Seconds(1));
  EXPECT_FALSE(Send(client->Head(3, GetFields(), true)));
  EXPECT_EQ(GoAwayCode(), kSettingsTimeout);
}

TEST_F(H2Streams, GoAwayLetsInWhatIsUnderWayAndThenNothing) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, GetFields(), true)));
  codec->GoAway();
  Collect();
  const auto* notice = Last(test::kGoAwayFrame, 0);
  ASSERT_NE(notice, nullptr);
  EXPECT_EQ(notice->payload.substr(0, 4), test::Uint32(0x7fffffff));
  EXPECT_EQ(notice->error(), 0u);
  const auto* ping = Last(test::kPing, 0);
  ASSERT_NE(ping, nullptr);
  std::string answer = Frame(test::kPing, test::kAck, 0, ping->payload);

  ASSERT_TRUE(Send(client->Head(3, GetFields(), true)));
  EXPECT_EQ(sink.accepted, 2) << "was under way";
  ASSERT_TRUE(Send(answer));
  EXPECT_EQ(Last(test::kGoAwayFrame, 0)->payload.substr(0, 4), test::Uint32(3));
  ASSERT_TRUE(Send(client->Head(5, GetFields(), true)));
  EXPECT_EQ(sink.accepted, 2);
  EXPECT_FALSE(codec->is_done());
  for (StreamId id : {1u, 3u}) {
    codec->SendResponse(id, Response(204), true);
    Collect();
  }
  EXPECT_TRUE(codec->is_done());
  EXPECT_FALSE(codec->has_output());
}

TEST_F(H2Streams, ASecondGoAwayDoesNotWait) {
  Hello();
  codec->GoAway();
  codec->GoAway();
  Collect();
  EXPECT_EQ(Last(test::kGoAwayFrame, 0)->payload.substr(0, 4), test::Uint32(0));
  EXPECT_TRUE(codec->is_done());
}

TEST_F(H2Streams, TheClientsCloseResetsUnfinishedRequestsAlone) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  ASSERT_TRUE(Send(client->Head(3, GetFields(), true)));
  codec->ReceiveEnd();
  EXPECT_TRUE(sink.requests.at(1).is_reset);
  EXPECT_FALSE(sink.requests.at(3).is_reset);
  EXPECT_FALSE(codec->wants_bytes());
  EXPECT_FALSE(codec->is_done());
  codec->SendResponse(3, Response(204), true);
  Collect();
  EXPECT_TRUE(codec->is_done());
}

TEST_F(H2Streams, WhatIsNotHttp2IsRefused) {
  EXPECT_FALSE(Send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"));
  EXPECT_TRUE(codec->is_done());
  Start(CodecLimits());
  Send(std::string(test::kH2Preface) + Frame(test::kPing, 0, 0, "12345678"));
  EXPECT_EQ(GoAwayCode(), kProtocolError) << "SETTINGS come first";
}

TEST_F(H2Streams, AFrameOverItsSizeEndsTheConnection) {
  Hello();
  ASSERT_TRUE(Send(client->Head(1, PostFields(), false)));
  Send(Frame(test::kData, 0, 1, std::string(16385, 'x')));
  EXPECT_EQ(GoAwayCode(), 6);
  EXPECT_EQ(sink.requests.at(1).body, "");
}

// Every byte may be the last of a read.
TEST_F(H2Streams, ASplitAtAnyOffsetChangesNothing) {
  test::H2RawClient maker;
  std::string talk =
      test::H2RawClient::Hello() + maker.Head(1, GetFields("/one", {{"cookie", "a"}}), true);
  std::string block = maker.Encode(PostFields("/two", {{"content-length", "10"}}));
  talk += Frame(test::kHeaders, 0, 3, block.substr(0, 4)) + Frame(test::kContinuation, 0, 3) +
          Frame(test::kContinuation, test::kEndHeaders, 3, block.substr(4));
  talk += Frame(test::kData, test::kPadded, 3, std::string("\x02hello\0\0", 8));
  talk += Frame(0x42, 0xff, 9, "unknown") + Frame(test::kPing, 0, 0, "12345678");
  talk +=
      Frame(test::kData, test::kEndStream, 3, "world") + maker.Head(5, PostFields("/three"), false);
  talk += Frame(test::kData, 0, 5, "abc") + maker.Head(5, {{"x-sum", "9"}}, true);
  for (size_t at = 0; at <= talk.size(); ++at) {
    SCOPED_TRACE(at);
    sink.requests.clear();
    Start(CodecLimits());
    ASSERT_TRUE(Send(talk.substr(0, at)));
    ASSERT_TRUE(Send(talk.substr(at)));
    ASSERT_EQ(sink.requests.size(), 3u);
    EXPECT_EQ(sink.requests.at(1).head.target, "/one");
    EXPECT_EQ(sink.requests.at(3).body, "helloworld");
    EXPECT_TRUE(sink.requests.at(3).ended);
    EXPECT_EQ(sink.requests.at(5).body, "abc");
    EXPECT_EQ(sink.requests.at(5).trailers.Get("x-sum"), "9");
    EXPECT_EQ(GoAwayCode(), -1);
  }
  Start(CodecLimits());
  sink.requests.clear();
  for (char byte : talk) ASSERT_TRUE(Send(std::string(1, byte)));
  EXPECT_EQ(sink.requests.at(5).trailers.Get("x-sum"), "9");
}

TEST_F(H2Streams, AViolationIsFoundAtAnySplit) {
  AnswerAtOnce();
  test::H2RawClient maker;
  std::string talk = test::H2RawClient::Hello() + maker.Head(5, GetFields(), true);
  std::string bad = maker.Head(3, GetFields(), true);
  for (size_t at = 1; at < bad.size(); ++at) {
    Start(CodecLimits());
    sink.accepted = 0;
    sink.requests.clear();
    Send(talk + bad.substr(0, at));
    Send(bad.substr(at));
    EXPECT_EQ(GoAwayCode(), kProtocolError) << at;
    EXPECT_EQ(sink.accepted, 1);
  }
}

}  // namespace
}  // namespace genkan::http
