// Requests through a cluster to one origin: framing, reuse, retries, the queue.
#include "proxy/upstream/cluster.h"

#include "tests/unit/upstream/upstream_harness.h"

namespace genkan::upstream {
namespace {

using UpstreamCluster = ClusterTest;

TEST_F(UpstreamCluster, GetsAndReusesTheConnection) {
  ScriptedOrigin origin(ScriptedOrigin::Always("hello"));
  Open(origin);
  auto first = Ask(MakeHead("GET", "/a?b"));
  EXPECT_EQ(first->seen.status, 200);
  EXPECT_EQ(first->seen.body, "hello");
  EXPECT_FALSE(first->request->info().is_reused);
  EXPECT_GE(first->request->info().connect_time.count(), 0);
  EXPECT_GE(first->request->info().head_time.count(), 0);
  EXPECT_EQ(first->request->info().address, origin.address());
  EXPECT_EQ(cluster->idle_connections(), 1u);
  EXPECT_EQ(cluster->active_requests(), 0u);
  auto second = Ask();
  EXPECT_TRUE(second->request->info().is_reused);
  EXPECT_EQ(second->request->info().connect_time.count(), -1);
  EXPECT_EQ(origin.connections(), 1u);
  EXPECT_EQ(origin.requests().at(0).target, "/a?b");
  EXPECT_EQ(origin.requests().at(0).Header("host"), "a.test");
  EXPECT_EQ(shared->server(0).requests_total.load(), 2u);
  EXPECT_EQ(shared->server(0).requests.load(), 0u);
}

TEST_F(UpstreamCluster, SendsBodiesWithLengthAndChunkedWithTrailers) {
  ScriptedOrigin origin(ScriptedOrigin::Always("ok"));
  Open(origin);
  auto fixed = Ask(MakePost(5), "12345");
  EXPECT_EQ(fixed->seen.body, "ok");
  http::RequestHead head = MakeHead("POST");
  head.framing = http::BodyFraming::kChunked;
  auto chunked = Begin(head, false);
  Send(*chunked, "abc");
  Eventually(loop, [&] { return chunked->request->buffered() == 0; });
  Send(*chunked, "def");
  http::Headers trailers;
  trailers.Add("X-Sum", "1");
  chunked->request->SendTrailers(trailers);
  ASSERT_TRUE(Finish(*chunked));
  auto requests = origin.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].body, "12345");
  EXPECT_EQ(requests[1].body, "abcdef");
  EXPECT_EQ(requests[1].Header("trailer X-Sum"), "1");
  EXPECT_EQ(origin.connections(), 1u) << "reused after a POST";
}

TEST_F(UpstreamCluster, HeadAndBodyOfOneTurnAreOneWrite) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    // One read sees all of it.
    std::string bytes = connection.Read();
    connection.Answer(bytes.ends_with("0123456789") ? "one" : "more: " + bytes);
  });
  Open(origin);
  auto call = Ask(MakePost(10), "0123456789");
  EXPECT_EQ(call->seen.body, "one");
}

TEST_F(UpstreamCluster, DeliversChunkedBodyAndTrailers) {
  ScriptedOrigin origin(ScriptedOrigin::Respond([](const OriginRequest&) {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: "
           "1\r\n\r\n";
  }));
  Open(origin);
  auto call = Ask();
  EXPECT_EQ(call->seen.body, "abcde");
  EXPECT_EQ(call->seen.trailers.Get("x-t"), "1");
  EXPECT_EQ(Ask()->seen.body, "abcde");
  EXPECT_EQ(origin.connections(), 1u);
}

TEST_F(UpstreamCluster, BodyThatEndsWithTheConnectionIsWhole) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.0 200 OK\r\n\r\nhello ");
    connection.Sleep(Millis(20));
    connection.Send("world");
  });
  Open(origin);
  auto call = Ask();
  EXPECT_TRUE(call->seen.has_ended) << call->seen.Words();
  EXPECT_EQ(call->seen.body, "hello world");
  EXPECT_EQ(cluster->idle_connections(), 0u);
}

TEST_F(UpstreamCluster, CutBodyFailsAndNeverLooksWhole) {
  for (const char* answer :
       {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"}) {
    ScriptedOrigin origin([answer](OriginConnection& connection) {
      connection.ReadRequest();
      connection.Send(answer);
    });
    Open(origin);
    auto call = Ask();
    EXPECT_EQ(call->seen.status, 200);
    EXPECT_TRUE(call->seen.has_failed) << answer;
    EXPECT_FALSE(call->seen.has_ended) << answer;
    EXPECT_EQ(call->seen.error.side, Side::kUpstream);
    EXPECT_EQ(origin.connections(), 1u) << "no second try behind a head";
    cluster.reset();
  }
}

TEST_F(UpstreamCluster, ResetWithinACloseDelimitedBodyIsACut) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Send("HTTP/1.0 200 OK\r\n\r\nhello");
    connection.Sleep(Millis(30));
    connection.Reset();
  });
  Open(origin);
  auto call = Ask();
  EXPECT_TRUE(call->seen.has_failed) << call->seen.Words();
}

TEST_F(UpstreamCluster, BrokenHeadsFailAndCloseTheConnection) {
  for (const char* answer : {"HTTP/0.9 200 OK\r\n\r\n", "HTTP/1.1 099 No\r\n\r\n", "hello\r\n\r\n",
                             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12",
                             "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nX: 1",
                             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: upgrade\r\n\r\n"}) {
    ScriptedOrigin origin([answer](OriginConnection& connection) {
      connection.ReadRequest();
      connection.Send(answer);
    });
    Open(origin);
    auto call = Ask();
    EXPECT_TRUE(call->seen.has_failed) << answer;
    EXPECT_EQ(call->seen.status, 0) << answer;
    EXPECT_EQ(call->seen.error.code, ErrorCode::kInvalid) << answer << call->seen.error.detail;
    EXPECT_EQ(origin.connections(), 1u) << "an answer, though a bad one, is no reason to ask again";
    EXPECT_EQ(cluster->idle_connections(), 0u);
    cluster.reset();
  }
}

TEST_F(UpstreamCluster, NotReusedWhereOneSideSaysCloseOrMoreFollows) {
  for (const char* answer : {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
                             "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx",
                             "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n"
                             "Content-Length: 6\r\n\r\npoison"}) {
    ScriptedOrigin origin([answer](OriginConnection& connection) {
      while (connection.ReadRequest()) connection.Send(answer);
    });
    Open(origin);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask()->seen.body, "x") << answer;
    EXPECT_EQ(origin.connections(), 3u) << answer;
    EXPECT_EQ(cluster->idle_connections(), 0u) << answer;
    cluster.reset();
  }
}

TEST_F(UpstreamCluster, NotReusedWhereTheRequestBodyWasNotWhole) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (connection.ReadHead()) connection.Answer("early");
  });
  Open(origin);
  auto call = Begin(MakePost(1000), false);
  Send(*call, "only a part");
  ASSERT_TRUE(Finish(*call));
  EXPECT_EQ(call->seen.body, "early");
  EXPECT_EQ(cluster->idle_connections(), 0u);
  Send(*call, "more", true);
  EXPECT_EQ(call->request->buffered(), 0u);
}

TEST_F(UpstreamCluster, BytesWhileIdleCloseTheConnection) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Answer("one");
    connection.WaitForRelease();
    connection.Send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    connection.Read();
  });
  Open(origin);
  EXPECT_EQ(Ask()->seen.body, "one");
  EXPECT_EQ(cluster->idle_connections(), 1u);
  origin.Release();
  EXPECT_TRUE(Eventually(loop, [&] { return cluster->idle_connections() == 0; }));
  EXPECT_EQ(Ask()->seen.body, "one") << "the stray 408 answers nobody";
}

TEST_F(UpstreamCluster, IdleEndsAfterTheConfiguredTimeOrTheOriginsLessASecond) {
  ClusterSpec spec;
  {
    ScriptedOrigin origin(ScriptedOrigin::Always("x"));
    spec = SpecFor({origin.address()});
    spec.idle_timeout = Millis(80);
    Open(spec);
    Ask();
    EXPECT_EQ(cluster->idle_connections(), 1u);
    EXPECT_TRUE(Eventually(loop, [&] { return cluster->idle_connections() == 0; }));
    EXPECT_TRUE(Eventually(loop, [&] { return origin.open_connections() == 0; }));
    cluster.reset();
  }
  ScriptedOrigin origin(ScriptedOrigin::Respond([](const OriginRequest&) {
    return "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n";
  }));
  Open(origin);
  Ask();
  EXPECT_EQ(cluster->idle_connections(), 0u) << "a second less than one second is nothing";
}

TEST_F(UpstreamCluster, TheNewestIdleConnectionGoesFirst) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (connection.ReadRequest()) {
      if (connection.number() <= 2) connection.WaitForRelease();
      connection.Answer(std::to_string(connection.number()));
    }
  });
  Open(origin);
  auto first = Get(), second = Get();
  EXPECT_TRUE(Eventually(loop, [&] { return origin.request_count() == 2; }));
  origin.Release();
  ASSERT_TRUE(Finish(*first) && Finish(*second));
  EXPECT_EQ(cluster->idle_connections(), 2u);
  std::string newest = Ask()->seen.body;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask()->seen.body, newest);
}

// ---- retries

TEST_F(UpstreamCluster, IdleCloseRaceIsRetriedOnANewConnection) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Answer("one");
    // Takes the second request of the first connection and closes without a word, as an origin
    // whose keep-alive timer fires just then.
    if (connection.number() == 1) {
      connection.ReadRequest();
      return;
    }
    while (connection.ReadRequest()) connection.Answer("again");
  });
  Open(origin);
  EXPECT_EQ(Ask()->seen.body, "one");
  auto second = Ask();
  EXPECT_EQ(second->seen.body, "one") << second->seen.Words();
  EXPECT_EQ(second->request->info().attempts, 2);
  EXPECT_FALSE(second->request->info().is_reused);
  EXPECT_EQ(origin.connections(), 2u);
}

TEST_F(UpstreamCluster, NonIdempotentRequestIsNeverSentTwice) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Answer("one");
    connection.ReadRequest();
  });
  Open(origin);
  Ask();
  auto post = Ask(MakeHead("POST"));
  EXPECT_TRUE(post->seen.has_failed);
  EXPECT_EQ(post->seen.error.code, ErrorCode::kClosed) << post->seen.error.detail;
  EXPECT_EQ(origin.request_count(), 2u);
}

TEST_F(UpstreamCluster, NonIdempotentRequestFindsAConnectionClosedBeforeItIsSent) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.Answer("one");
    if (connection.number() == 1) connection.WaitForRelease();
  });
  Open(origin);
  Ask();
  ASSERT_EQ(cluster->idle_connections(), 1u);
  origin.Release();
  // The loop does not run meanwhile: only the kernel knows of the FIN.
  auto deadline = std::chrono::steady_clock::now() + Millis(60'000);
  while (origin.open_connections() > 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  auto post = Ask(MakeHead("POST"));
  EXPECT_EQ(post->seen.status, 200) << post->seen.Words();
  EXPECT_EQ(post->request->info().attempts, 1);
}

TEST_F(UpstreamCluster, NonIdempotentRequestTakesOnlyAFreshIdleConnection) {
  ScriptedOrigin origin(ScriptedOrigin::Always("x"));
  Open(origin);
  Ask();
  EXPECT_TRUE(Ask(MakeHead("POST"))->request->info().is_reused) << "idle for milliseconds";
  RunFor(Millis(1100));
  ASSERT_EQ(cluster->idle_connections(), 1u);
  EXPECT_FALSE(Ask(MakeHead("POST"))->request->info().is_reused) << "idle for more than a second";
  EXPECT_EQ(origin.connections(), 2u);
  EXPECT_TRUE(Ask()->request->info().is_reused);
}

TEST_F(UpstreamCluster, RefusedConnectionGoesToTheNextServer) {
  ScriptedOrigin origin(ScriptedOrigin::Always("alive"));
  Open(SpecFor({DeadAddress(), origin.address()}));
  for (int i = 0; i < 4; ++i) {
    auto call = Ask(MakePost(4), "body");
    EXPECT_EQ(call->seen.body, "alive") << call->seen.Words();
  }
  for (const auto& request : origin.requests()) EXPECT_EQ(request.body, "body");
}

TEST_F(UpstreamCluster, AtMostTwoFurtherServersAreTried) {
  Open(SpecFor({DeadAddress(), DeadAddress(), DeadAddress(), DeadAddress(), DeadAddress()}));
  auto call = Ask();
  EXPECT_TRUE(call->seen.has_failed);
  EXPECT_EQ(call->request->info().attempts, 3);
}

TEST_F(UpstreamCluster, RefusedConnectionFailsInWords) {
  std::string address = DeadAddress();
  Open(SpecFor({address}));
  auto call = Ask();
  EXPECT_EQ(call->seen.error.code, ErrorCode::kClosed);
  EXPECT_EQ(call->seen.error.detail, address + ": connect: Connection refused");
}

TEST_F(UpstreamCluster, IdempotentRequestCutBeforeTheAnswerGoesElsewhere) {
  ScriptedOrigin bad([](OriginConnection& connection) { connection.ReadRequest(); });
  ScriptedOrigin good(ScriptedOrigin::Always("good"));
  Open(SpecFor({bad.address(), good.address()}));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(Ask()->seen.body, "good");
  EXPECT_GE(bad.request_count(), 1u);
  Open(SpecFor({bad.address()}));
  EXPECT_TRUE(Ask()->seen.has_failed) << "nowhere else to go";
}

TEST_F(UpstreamCluster, BodyThatHasBegunIsNotSentAgain) {
  ScriptedOrigin bad([](OriginConnection& connection) { connection.ReadRequest(); });
  ScriptedOrigin good(ScriptedOrigin::Always("good"));
  Open(SpecFor({bad.address(), good.address()}));
  http::RequestHead head = MakePost(4);
  head.method = "PUT";
  int failures = 0;
  for (int i = 0; i < 4; ++i) failures += Ask(head, "body")->seen.has_failed ? 1 : 0;
  EXPECT_EQ(failures, 2);
  EXPECT_EQ(bad.request_count(), 2u);
}

// ---- limits

TEST_F(UpstreamCluster, QueuesAtTheLimitAndGoesOnInOrder) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (auto request = connection.ReadRequest()) {
      if (!connection.WaitForRelease()) return;
      connection.Answer(request->target);
    }
  });
  ClusterSpec spec = SpecFor({origin.address()});
  spec.max_connections = 2;
  Open(spec);
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 10; ++i) calls.push_back(Get("/" + std::to_string(i)));
  EXPECT_TRUE(Eventually(loop, [&] { return origin.request_count() == 2; }));
  RunFor(Millis(50));
  EXPECT_EQ(origin.connections(), 2u);
  EXPECT_EQ(shared->waiting(), 8u);
  calls.erase(calls.begin() + 5);  // one goes while it waits
  EXPECT_EQ(shared->waiting(), 7u);
  origin.Release();
  for (auto& call : calls) ASSERT_TRUE(Finish(*call));
  EXPECT_EQ(origin.connections(), 2u);
  EXPECT_EQ(origin.request_count(), 9u);
  EXPECT_EQ(shared->waiting(), 0u);
}

TEST_F(UpstreamCluster, FullQueueAndQueueTimeoutAreBusy) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    connection.ReadRequest();
    connection.WaitForRelease();
  });
  ClusterSpec spec = SpecFor({origin.address()});
  spec.max_connections = 1;
  spec.queue = 1;
  spec.queue_timeout = Millis(1500);
  Open(spec);
  auto running = Get(), queued = Get(), refused = Get();
  EXPECT_TRUE(Finish(*refused)) << "at once";
  EXPECT_EQ(refused->seen.error.code, ErrorCode::kBusy) << refused->seen.Words();
  EXPECT_FALSE(queued->seen.is_over());
  ASSERT_TRUE(Finish(*queued));
  EXPECT_EQ(queued->seen.error.code, ErrorCode::kBusy) << queued->seen.Words();
  EXPECT_FALSE(running->seen.is_over());
  EXPECT_EQ(shared->waiting(), 0u);
}

TEST_F(UpstreamCluster, AnIdleConnectionMakesRoomForOneThatMustBeNew) {
  ScriptedOrigin origin(ScriptedOrigin::Always("x"));
  ClusterSpec spec = SpecFor({origin.address()});
  spec.max_connections = 1;
  Open(spec);
  Ask();
  RunFor(Millis(1050));
  auto post = Ask(MakeHead("POST"));
  EXPECT_EQ(post->seen.status, 200) << post->seen.Words();
  EXPECT_EQ(origin.connections(), 2u);
  EXPECT_EQ(shared->server(0).connections.load(), 1u);
}

TEST_F(UpstreamCluster, AnotherWorkersIdleConnectionGivesItsSlotUp) {
  ScriptedOrigin origin(ScriptedOrigin::Always("x"));
  ClusterSpec spec = SpecFor({origin.address()});
  spec.max_connections = 1;
  Open(spec);
  auto other = Cluster::Make(loop, blocking, shared);
  ASSERT_TRUE(other);
  Ask();
  ASSERT_EQ(cluster->idle_connections(), 1u);
  Call call;
  call.request = (*other)->Start(MakeHead(), true, {}, call.seen);
  call.seen.request = call.request.get();
  ASSERT_TRUE(Finish(call));
  EXPECT_EQ(call.seen.status, 200) << call.seen.Words();
  EXPECT_EQ(cluster->idle_connections(), 0u);
}

TEST_F(UpstreamCluster, WorkersTakeTurnsWhereConnectionsAreFewerThanThey) {
  ScriptedOrigin origin(ScriptedOrigin::Always("x"));
  ClusterSpec spec = SpecFor({origin.address()});
  spec.max_connections = 1;
  Open(spec);
  auto other = Cluster::Make(loop, blocking, shared);
  ASSERT_TRUE(other);
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 20; ++i) {
    calls.push_back(Get());
    auto& call = calls.emplace_back(std::make_unique<Call>());
    call->request = (*other)->Start(MakeHead(), true, {}, call->seen);
    call->seen.request = call->request.get();
  }
  for (auto& call : calls) {
    ASSERT_TRUE(Finish(*call));
    EXPECT_EQ(call->seen.status, 200) << call->seen.Words();
  }
  calls.clear();
}

TEST_F(UpstreamCluster, DrainClosesWhatIsIdleAndLetsTheRestEnd) {
  ScriptedOrigin origin([](OriginConnection& connection) {
    while (auto request = connection.ReadRequest()) {
      if (request->target == "/wait" && !connection.WaitForRelease()) return;
      connection.Answer("x");
    }
  });
  Open(origin);
  auto waiting = Get("/wait");
  Ask();
  EXPECT_EQ(cluster->idle_connections(), 1u);
  cluster->Drain();
  EXPECT_EQ(cluster->idle_connections(), 0u);
  EXPECT_EQ(cluster->active_requests(), 1u);
  origin.Release();
  ASSERT_TRUE(Finish(*waiting));
  EXPECT_EQ(waiting->seen.status, 200);
  EXPECT_EQ(cluster->idle_connections(), 0u);
  EXPECT_EQ(shared->server(0).connections.load(), 0u);
}

}  // namespace
}  // namespace genkan::upstream
