#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/http/h1_recorder.h"

namespace genkan::http {
namespace {

using namespace std::string_literals;

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

ResponseHead Head(int status, BodyFraming framing = BodyFraming::kNone, uint64_t length = 0) {
  ResponseHead head;
  head.status = status;
  head.framing = framing;
  if (framing == BodyFraming::kContentLength) head.content_length = length;
  return head;
}

TEST(H1ServerCodec, AnswersAreTheSameWhereverARequestIsCut) {
  const std::vector<std::string> inputs = {
      kGet,
      "POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + kGet,
      "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n06\r\n "
      "world\r\n"
      "0\r\nX-Sum: 1\r\n\r\n" +
          kGet,
      "\r\nGET http://a/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + kGet,
      "HEAD / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n" + kGet,
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhellox",
      "GET / HTTP/1.1\nHost: a\n\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01",
      std::string(9000, 'a'),
  };
  for (const std::string& input : inputs) {
    Server whole;
    whole.recorder.answers_at_once_ = true;
    std::string answers = whole.Exchange(input);
    for (size_t cut = 0; cut <= input.size(); ++cut) {
      Server server;
      server.recorder.answers_at_once_ = true;
      std::string cut_answers = server.Exchange(input.substr(0, cut));
      cut_answers += server.Exchange(input.substr(cut));
      ASSERT_EQ(cut_answers, answers) << input << " cut at " << cut;
      ASSERT_EQ(server.recorder.text(), whole.recorder.text()) << input << " cut at " << cut;
    }
    Server dripped;
    dripped.recorder.answers_at_once_ = true;
    std::string dripped_answers;
    for (char c : input) dripped_answers += dripped.Exchange(std::string(1, c));
    EXPECT_EQ(dripped_answers, answers) << input;
    EXPECT_EQ(dripped.recorder.text(), whole.recorder.text()) << input;
  }
}

TEST(H1ServerCodec, TellsOfRequestBodyAndTrailers) {
  Server server;
  ASSERT_TRUE(
      server.Feed("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
                  "0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n"));
  EXPECT_EQ(server.recorder.text(), "1: PUT a /x HTTP/1.1 chunked |<hello>|trailers [X-Sum=1]|");
}

TEST(H1ServerCodec, AnswersFiftyPipelinedRequestsInOrder) {
  std::string requests, expected;
  for (int i = 0; i < 50; ++i) {
    requests += fmt::format("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", i);
    expected += kOk;
  }
  Server server;
  server.recorder.answers_at_once_ = true;
  EXPECT_EQ(server.Exchange(requests), expected);
  EXPECT_TRUE(server.in.empty());
  EXPECT_NE(server.recorder.text().find("50: GET a /49"), std::string::npos);
  EXPECT_FALSE(server.codec->is_done());
  EXPECT_EQ(server.codec->open_streams(), 0u);
}

TEST(H1ServerCodec, LeavesAPipelinedRequestUntilTheAnswerIsOut) {
  Server server;
  ASSERT_TRUE(server.Feed(kGet));
  EXPECT_TRUE(server.codec->wants_bytes());
  ASSERT_TRUE(server.Feed(kGet));
  EXPECT_EQ(server.in.size(), kGet.size());
  EXPECT_FALSE(server.codec->wants_bytes());
  server.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_FALSE(server.codec->wants_bytes());
  EXPECT_EQ(server.Pull(), kOk);
  EXPECT_TRUE(server.codec->wants_bytes());
  ASSERT_TRUE(server.Feed(""));
  EXPECT_TRUE(server.in.empty());
  EXPECT_EQ(server.codec->open_streams(), 1u);
}

TEST(H1ServerCodec, RefusedRequestsCloseAfterTheAnswer) {
  struct Row {
    std::string request;
    int status;
  };
  const std::vector<Row> rows = {
      {"GET / HTTP/1.1\nHost: a\n\n", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400},
      {"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: 7\r\n\r\n", 417},
      {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405},
      {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"GET /" + std::string(70000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"GET / HTTP/1.1\r\nHost: a\r\nA: " + std::string(100000, 'a') + "\r\n\r\n", 431},
      {"GET /\r\n", 400},
      {"\x16\x03\x01\x02", 400},
      {" GET / HTTP/1.1\r\n", 400},
      {"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", 400},
      {"\rGET / HTTP/1.1\r\n", 400},
  };
  for (const Row& row : rows) {
    Server server;
    // What is refused by its first line alone is refused then.
    std::string request = row.request == "GET /\r\n" ? row.request + "\r\n" : row.request;
    EXPECT_TRUE(server.Feed(request + kGet)) << row.request.substr(0, 100);
    EXPECT_EQ(server.recorder.status_, row.status) << row.request.substr(0, 100) << "\n"
                                                   << server.recorder.rule_;
    EXPECT_TRUE(server.in.empty());
    EXPECT_FALSE(server.codec->wants_bytes());
    EXPECT_FALSE(server.codec->is_done());
    server.Respond(Head(row.status), "", true);
    std::string answer = server.Pull();
    EXPECT_NE(answer.find("\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"), std::string::npos)
        << answer;
    EXPECT_TRUE(server.codec->is_done());
    EXPECT_FALSE(server.codec->has_output());
    EXPECT_TRUE(server.Feed(kGet));
    EXPECT_EQ(server.recorder.stream_, 1u);
  }
}

TEST(H1ServerCodec, RefusalShowsTheLogWhatWasAsked) {
  Server server;
  ASSERT_TRUE(server.Feed("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"));
  EXPECT_EQ(server.recorder.refused_method_, "POST");
  EXPECT_EQ(server.recorder.refused_target_, "/x");
}

TEST(H1ServerCodec, TakesNinetyFieldsAndRefusesTooMany) {
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
  std::string fields;
  for (int i = 0; i < 90; ++i) fields += fmt::format("x-{}: {}\r\n", i, i);
  Server good;
  ASSERT_TRUE(good.Feed(head + fields + "\r\n"));
  EXPECT_EQ(good.recorder.status_, 0);
  Server bad;
  ASSERT_TRUE(bad.Feed(head + fields + fields));
  EXPECT_EQ(bad.recorder.status_, 431);
}

TEST(H1ServerCodec, BrokenBodyIsAnsweredWith400OrCut) {
  const std::string request =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
  Server before;
  ASSERT_TRUE(before.Feed(request));
  EXPECT_FALSE(before.Feed("x"));
  EXPECT_EQ(before.recorder.text(), "1: POST a / HTTP/1.1 chunked |<abc>|1: reset invalid|");
  EXPECT_EQ(before.Pull(),
            "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(before.codec->is_done());

  Server during;
  ASSERT_TRUE(during.Feed(request));
  during.Respond(Head(200, BodyFraming::kUntilClose), "partial", false);
  during.recorder.Clear();
  EXPECT_FALSE(during.Feed("x"));
  EXPECT_EQ(during.recorder.text(), "1: reset invalid|");
  std::string answer = during.Pull();
  EXPECT_NE(answer.find("7\r\npartial\r\n"), std::string::npos);
  EXPECT_EQ(answer.find("0\r\n\r\n"), std::string::npos);
  EXPECT_TRUE(during.codec->is_done());
}

TEST(H1ServerCodec, UnfinishedRequestIsResetWhenTheClientCloses) {
  Server server;
  ASSERT_TRUE(server.Feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab"));
  server.codec->ReceiveEnd();
  EXPECT_EQ(server.recorder.text(), "1: POST a / HTTP/1.1 length:5 |<ab>|1: reset closed|");
  EXPECT_TRUE(server.codec->is_done());
  EXPECT_EQ(server.Pull(), "");

  Server head;
  ASSERT_TRUE(head.Feed("GET / HTTP/1.1\r\nHo"));
  head.codec->ReceiveEnd();
  EXPECT_EQ(head.recorder.text(), "");
  EXPECT_TRUE(head.codec->is_done());
}

TEST(H1ServerCodec, HalfClosedClientStillGetsItsAnswers) {
  Server server;
  ASSERT_TRUE(server.Feed(kGet + kGet));
  server.codec->ReceiveEnd();
  EXPECT_FALSE(server.codec->is_done());
  server.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_EQ(server.Pull(), kOk);
  EXPECT_FALSE(server.codec->is_done());
  EXPECT_TRUE(server.codec->wants_bytes());
  ASSERT_TRUE(server.Feed(""));
  server.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_EQ(server.Pull(), kOk);
  EXPECT_TRUE(server.codec->is_done());
}

// What the server writes for this request and answer.
std::string Answer(std::string_view request, const ResponseHead& head,
                   std::initializer_list<const char*> pieces, bool* is_done = nullptr) {
  Server server;
  EXPECT_TRUE(server.Feed(request));
  server.codec->SendResponse(server.recorder.stream_, head, pieces.size() == 0);
  size_t left = pieces.size();
  for (const char* piece : pieces) server.Send(piece, --left == 0);
  std::string answer = server.Pull();
  EXPECT_EQ(server.codec->open_streams(), 0u);
  if (is_done != nullptr) *is_done = server.codec->is_done();
  return answer;
}

TEST(H1ServerCodec, FramesAnswersForTheClientsVersion) {
  const std::string get10 = "GET / HTTP/1.0\r\n\r\n";
  const std::string keep10 = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
  const std::string head_request = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  bool is_done = false;
  ResponseHead known = Head(200, BodyFraming::kContentLength, 5);
  ResponseHead chunked = Head(200, BodyFraming::kChunked);
  ResponseHead until_close = Head(200, BodyFraming::kUntilClose);

  EXPECT_EQ(Answer(kGet, known, {"he", "llo"}, &is_done), ok + "Content-Length: 5\r\n\r\nhello");
  EXPECT_FALSE(is_done);
  for (const ResponseHead& head : {chunked, until_close}) {
    EXPECT_EQ(Answer(kGet, head, {"he", "llo"}, &is_done),
              ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
    EXPECT_FALSE(is_done);
    EXPECT_EQ(Answer(keep10, head, {"he", "llo"}, &is_done), ok + "Connection: close\r\n\r\nhello");
    EXPECT_TRUE(is_done);
    EXPECT_EQ(Answer(kGet, head, {}, &is_done), ok + "Content-Length: 0\r\n\r\n");
    EXPECT_FALSE(is_done);
    EXPECT_EQ(Answer(head_request, head, {}, &is_done), ok + "\r\n");
    EXPECT_FALSE(is_done);
  }
  EXPECT_EQ(Answer(get10, known, {"hello"}, &is_done),
            ok + "Content-Length: 5\r\nConnection: close\r\n\r\nhello");
  EXPECT_TRUE(is_done);
  EXPECT_EQ(Answer(keep10, known, {"hello"}, &is_done),
            ok + "Content-Length: 5\r\nConnection: keep-alive\r\n\r\nhello");
  EXPECT_FALSE(is_done);
  EXPECT_EQ(Answer(head_request, known, {}), ok + "Content-Length: 5\r\n\r\n");
  EXPECT_EQ(Answer(head_request, known, {"hello"}, &is_done), ok + "Content-Length: 5\r\n\r\n");
  EXPECT_FALSE(is_done);
  EXPECT_EQ(Answer(kGet, Head(204), {}), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(Answer(kGet, Head(204, BodyFraming::kContentLength, 5), {"hello"}),
            "HTTP/1.1 204 No Content\r\n\r\n");
  ResponseHead unmodified = Head(304);
  unmodified.content_length = 7;
  EXPECT_EQ(Answer(kGet, unmodified, {}), "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
  EXPECT_EQ(Answer(kGet, Head(404), {}), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

TEST(H1ServerCodec, AnswerThatIsShorterThanAnnouncedClosesTheConnection) {
  bool is_done = false;
  EXPECT_EQ(Answer(kGet, Head(200, BodyFraming::kContentLength, 5), {"he", ""}, &is_done),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe");
  EXPECT_TRUE(is_done);
  EXPECT_EQ(Answer(kGet, Head(200, BodyFraming::kContentLength, 5), {}, &is_done),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  EXPECT_TRUE(is_done);
}

TEST(H1ServerCodec, HeadIsWrittenAnewWithoutWhatTheCodecOwns) {
  ResponseHead head = Head(200, BodyFraming::kContentLength, 0);
  head.reason = "Fine\r\nX-Split: 1";
  head.headers.Add("Server", "old");
  head.headers.Add("Connection", "keep-alive");
  head.headers.Add("Content-Length", "99");
  head.headers.Add("Transfer-Encoding", "chunked");
  head.headers.Add("Keep-Alive", "timeout=5");
  head.headers.Add("Location", "/a\r\nX-Split: 1");
  head.headers.Add("X-Bad\n", "1");
  head.headers.Add("X-Tab", "a\tb and more than eight bytes");
  EXPECT_EQ(Answer(kGet, head, {""}),
            "HTTP/1.1 200 OK\r\nServer: old\r\nX-Tab: a\tb and more than eight bytes\r\n"
            "Content-Length: 0\r\n\r\n");
  head.reason = "Fine";
  EXPECT_EQ(Answer(kGet, head, {""}).substr(0, 17), "HTTP/1.1 200 Fine");
}

TEST(H1ServerCodec, ConnectionCloseIsKept) {
  Server server;
  ASSERT_TRUE(server.Feed("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + kGet));
  server.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_EQ(server.Pull(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  EXPECT_TRUE(server.codec->is_done());
  ASSERT_TRUE(server.Feed(""));
  EXPECT_TRUE(server.in.empty());
  EXPECT_EQ(server.recorder.stream_, 1u);
}

TEST(H1ServerCodec, GoAwayClosesAfterTheAnswerInProgress) {
  Server server;
  ASSERT_TRUE(server.Feed(kGet));
  server.codec->GoAway();
  EXPECT_FALSE(server.codec->is_done());
  server.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_NE(server.Pull().find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(server.codec->is_done());
}

TEST(H1ServerCodec, NobodyMeetsACloseThatNoAnswerTold) {
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
  Server idle;
  idle.codec->GoAway();
  EXPECT_FALSE(idle.codec->is_done());
  ASSERT_TRUE(idle.Feed(kGet));
  idle.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_EQ(idle.Pull(), last);
  EXPECT_TRUE(idle.codec->is_done());
  Server late;
  ASSERT_TRUE(late.Feed(kGet));
  late.Respond(Head(200, BodyFraming::kContentLength, 2), "o", false);
  late.codec->GoAway();
  late.Send("k", true);
  EXPECT_EQ(late.Pull(), kOk);
  EXPECT_FALSE(late.codec->is_done()) << "its answer had promised a connection that stays";
  ASSERT_TRUE(late.Feed(kGet + kGet));
  late.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_EQ(late.Pull(), last);
  EXPECT_TRUE(late.codec->is_done());
  ASSERT_TRUE(late.Feed(""));
  EXPECT_EQ(late.recorder.stream_, 2u) << "what was sent ahead of the close is not begun";
}

TEST(H1ServerCodec, ContinuePassesBeforeTheAnswer) {
  const std::string request =
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
  Server server;
  ASSERT_TRUE(server.Feed(request));
  EXPECT_EQ(server.recorder.text(),
            "1: POST a / HTTP/1.1 length:5 [Expect=100-continue] expects-continue|");
  server.codec->SendInterim(1, Head(100));
  ResponseHead hints = Head(103);
  hints.headers.Add("Link", "</a>");
  server.codec->SendInterim(1, hints);
  EXPECT_EQ(server.Pull(),
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  ASSERT_TRUE(server.Feed("hello"));
  server.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_EQ(server.Pull(), kOk);
  EXPECT_FALSE(server.codec->is_done());

  // Without 100 nobody knows whether the body will come.
  Server early;
  ASSERT_TRUE(early.Feed(request));
  early.Respond(Head(413), "", true);
  EXPECT_NE(early.Pull().find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(early.codec->is_done());

  Server old;
  ASSERT_TRUE(old.Feed("GET / HTTP/1.0\r\n\r\n"));
  old.codec->SendInterim(1, Head(103));
  EXPECT_EQ(old.Pull(), "");
}

TEST(H1ServerCodec, EarlyAnswerDrainsAShortBodyAndClosesOnALongOne) {
  Server small;
  ASSERT_TRUE(small.Feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhel"));
  small.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_EQ(small.Pull(), kOk);
  small.recorder.Clear();
  EXPECT_TRUE(small.codec->wants_bytes());
  ASSERT_TRUE(small.Feed("lo worl" + kGet));
  EXPECT_EQ(small.recorder.text(), "2: GET a / HTTP/1.1 none  end|");

  Server large;
  ASSERT_TRUE(large.Feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhel"));
  large.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_NE(large.Pull().find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(large.codec->is_done());
  EXPECT_FALSE(large.codec->wants_bytes());

  Server chunked;
  ASSERT_TRUE(
      chunked.Feed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"));
  chunked.Respond(Head(200, BodyFraming::kContentLength, 2), "ok", true);
  EXPECT_NE(chunked.Pull().find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(chunked.codec->is_done());
}

TEST(H1ServerCodec, AnswerMayBeginBeforeTheRequestEnds) {
  Server server;
  ASSERT_TRUE(server.Feed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc"));
  server.Respond(Head(200, BodyFraming::kChunked), "one", false);
  EXPECT_NE(server.Pull().find("3\r\none\r\n"), std::string::npos);
  ASSERT_TRUE(server.Feed("def"));
  server.Send("two", true);
  EXPECT_EQ(server.Pull(), "3\r\ntwo\r\n0\r\n\r\n");
  EXPECT_EQ(server.recorder.text(), "1: POST a / HTTP/1.1 length:6 |<abcdef>|end|1: done|");
  EXPECT_FALSE(server.codec->is_done());
}

TEST(H1ServerCodec, StopsWantingBytesWhenTheWindowIsFull) {
  CodecLimits limits;
  Server server(limits);
  server.recorder.consumes_ = false;
  size_t window = limits.buffered_per_stream;
  ASSERT_TRUE(server.Feed(
      fmt::format("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 3 * window)));
  ASSERT_TRUE(server.Feed(std::string(2 * window, 'a')));
  EXPECT_EQ(server.recorder.received_, window);
  EXPECT_EQ(server.in.size(), window);
  EXPECT_FALSE(server.codec->wants_bytes());
  server.codec->Consumed(1, 1000);
  EXPECT_TRUE(server.codec->wants_bytes());
  ASSERT_TRUE(server.Feed(""));
  EXPECT_EQ(server.recorder.received_, window + 1000);
  EXPECT_FALSE(server.codec->wants_bytes());
  // The client's end waits behind the bytes that wait.
  server.codec->ReceiveEnd();
  EXPECT_EQ(server.recorder.text().find("reset"), std::string::npos);
  server.codec->Consumed(1, window);
  ASSERT_TRUE(server.Feed(""));
  EXPECT_EQ(server.recorder.received_, 2 * window);
  EXPECT_NE(server.recorder.text().find("1: reset closed"), std::string::npos);
}

TEST(H1ServerCodec, BufferedCountsWhatWaits) {
  Server server;
  ASSERT_TRUE(server.Feed(kGet));
  server.Respond(Head(200, BodyFraming::kChunked), std::string(100000, 'a'), false);
  EXPECT_GE(server.codec->buffered(1), 100000u);
  Buffer out;
  server.codec->Produce(out, 1 << 20);
  EXPECT_EQ(server.codec->buffered(1), 0u);
}

TEST(H1ServerCodec, ResetLooksCut) {
  Server begun;
  ASSERT_TRUE(begun.Feed(kGet));
  begun.Respond(Head(200, BodyFraming::kChunked), "part", false);
  begun.codec->Reset(1, Error{ErrorCode::kInvalid, "cut"});
  EXPECT_TRUE(begun.codec->has_output());
  std::string answer = begun.Pull();
  EXPECT_EQ(answer.substr(answer.size() - 9), "4\r\npart\r\n");
  EXPECT_TRUE(begun.codec->is_done());
  EXPECT_EQ(begun.recorder.text(), "1: GET a / HTTP/1.1 none  end|1: done|");

  Server before;
  ASSERT_TRUE(before.Feed(kGet));
  before.codec->Reset(1, Error{ErrorCode::kInvalid, "cut"});
  EXPECT_TRUE(before.codec->has_output());
  EXPECT_EQ(before.Pull(), "");
  EXPECT_TRUE(before.codec->is_done());
}

TEST(H1ServerCodec, OnlyAResetShowsAnHttp10ClientThatItsAnswerWasCut) {
  for (std::string_view version : {"1.0", "1.1"}) {
    for (bool has_begun : {false, true}) {
      Server server;
      ASSERT_TRUE(server.Feed(fmt::format("GET / HTTP/{}\r\nHost: a\r\n\r\n", version)));
      if (has_begun) server.Respond(Head(200, BodyFraming::kChunked), "part", false);
      server.codec->Reset(1, Error{ErrorCode::kInvalid, "cut"});
      server.Pull();
      EXPECT_TRUE(server.codec->is_done());
      EXPECT_EQ(server.codec->must_reset(), has_begun && version == "1.0") << version;
    }
  }
}

TEST(H1ServerCodec, TrailersGoBehindChunksOnly) {
  Headers trailers;
  trailers.Add("x-sum", "1");
  for (std::string_view version : {"1.1", "1.0"}) {
    Server server;
    ASSERT_TRUE(server.Feed(fmt::format("GET / HTTP/{}\r\nHost: a\r\n\r\n", version)));
    server.Respond(Head(200, BodyFraming::kChunked), "a", false);
    server.codec->SendTrailers(1, trailers);
    std::string answer = server.Pull();
    EXPECT_EQ(answer.find("0\r\nx-sum: 1\r\n\r\n") != std::string::npos, version == "1.1")
        << answer;
    EXPECT_EQ(server.codec->open_streams(), 0u);
  }
}

const std::string kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: x\r\n\r\n";

TEST(H1ServerCodec, TunnelBeginsWithThe101) {
  Server server;
  ASSERT_TRUE(server.Feed(kUpgrade + "early"));
  EXPECT_EQ(server.in.ToText(), "early");
  ResponseHead head = Head(101, BodyFraming::kUntilClose);
  head.headers.Add("Sec-WebSocket-Accept", "y");
  server.Respond(head, "", false);
  EXPECT_EQ(server.Pull(),
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Accept: y\r\n\r\n");
  server.recorder.Clear();
  EXPECT_TRUE(server.codec->wants_bytes());
  ASSERT_TRUE(server.Feed(" bytes"));
  server.Send("back", false);
  EXPECT_EQ(server.Pull(), "back");
  server.codec->ReceiveEnd();
  EXPECT_EQ(server.recorder.text(), "<early bytes>|end|");
  EXPECT_FALSE(server.codec->is_done());
  server.Send("last", true);
  EXPECT_EQ(server.Pull(), "last");
  EXPECT_TRUE(server.codec->is_done());
}

TEST(H1ServerCodec, AnotherAnswerThan101KeepsHttp) {
  Server server;
  ASSERT_TRUE(server.Feed(kUpgrade + kGet));
  server.Respond(Head(426), "", true);
  server.Pull();
  server.recorder.Clear();
  ASSERT_TRUE(server.Feed(""));
  EXPECT_EQ(server.recorder.text(), "2: GET a / HTTP/1.1 none  end|");
}

TEST(H1ServerCodec, UnaskedSwitchIsCut) {
  Server server;
  ASSERT_TRUE(server.Feed(kGet));
  server.Respond(Head(101, BodyFraming::kUntilClose), "", false);
  EXPECT_EQ(server.Pull(), "");
  EXPECT_TRUE(server.codec->is_done());
}

TEST(H1ServerCodec, StreamZeroAnswersARequestThatNeverCameWhole) {
  Server server;
  ASSERT_TRUE(server.Feed("GET / HT"));
  server.codec->SendResponse(0, Head(408), true);
  EXPECT_EQ(server.Pull(),
            "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(server.codec->is_done());
}

TEST(H1ServerCodec, ADrippedHeadIsNotSearchedAgainAndAgain) {
  // 30 KiB byte by byte: 450 MB of searching if each byte began anew.
  Server server;
  std::string request = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 2; ++i) request += "x: " + std::string(15000, 'a') + "\r\n";
  request += "\r\n";
  for (char c : request) {
    server.in.Append(std::string_view(&c, 1));
    ASSERT_TRUE(server.codec->Receive(server.in));
  }
  EXPECT_EQ(server.recorder.status_, 0);
  EXPECT_EQ(server.codec->open_streams(), 1u);
}

}  // namespace
}  // namespace genkan::http
