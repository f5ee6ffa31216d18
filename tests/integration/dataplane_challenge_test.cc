// What the challenge guard does with an upstream's answers, on real sockets: only an answer that
// has the form goes on, however it is framed, and what comes instead is ours.
#include <gtest/gtest.h>

#include "proxy/module/builtin.h"
#include "tests/integration/dataplane_harness.h"

namespace genkan::testing {
namespace {

const std::string kPrefix = "/.well-known/acme-challenge/";
const std::string kThumbprint(43, 'T');

const ModuleEntry* FindBuiltin(std::string_view name) {
  for (const ModuleEntry* entry : BuiltinModules()) {
    if (name == entry->name) return entry;
  }
  return nullptr;
}

std::string Framed(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// By token; each request on a connection of the origin's that ends behind it.
std::string RawAnswer(const std::string& token) {
  if (token == "right") return Framed("right." + kThumbprint + "\r\n");
  if (token == "chunked") {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n2e\r\ned." +
           kThumbprint + "\r\n0\r\n\r\n";
  }
  if (token == "closed") return "HTTP/1.0 200 OK\r\n\r\nclosed." + kThumbprint;
  if (token == "trailers") {
    return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n34\r\ntrailers." +
           kThumbprint + "\r\n0\r\nX: y\r\n\r\n";
  }
  if (token == "page") return Framed("<html>SECRET, a page for every path</html>");
  if (token == "other") return Framed("another." + kThumbprint);
  if (token == "empty") return Framed("");
  if (token == "large") return Framed("large." + kThumbprint + std::string(100'000, ' '));
  if (token == "endless") {
    return "HTTP/1.0 200 OK\r\n\r\nendless." + kThumbprint + std::string(1'000'000, '\n');
  }
  if (token == "cut") return "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\ncut." + kThumbprint;
  if (token == "stalled") return "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\nstalled.";
  if (token == "moved") {
    return "HTTP/1.1 301 Moved\r\nLocation: https://a.test/x\r\nContent-Length: 0\r\n\r\n";
  }
  return "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
}

class ChallengeUpstream : public ::testing::Test {
 protected:
  ChallengeUpstream()
      : origin_([](OriginConnection& connection) {
          auto request = connection.ReadRequest();
          if (!request) return;
          connection.Send(RawAnswer(request->target.substr(kPrefix.size())));
          if (request->target.ends_with("/stalled")) connection.WaitForRelease();
          connection.Close();
        }),
        config_(MakeConfig(origin_.url())) {
    for (config::Site& site : config_.sites) site.challenge_to_upstream = true;
  }

  ScriptedOrigin origin_;
  config::Config config_;
};

TEST_F(ChallengeUpstream, RightAnswersGoOnHoweverTheyAreFramed) {
  Proxy proxy(config_, {.find_module = FindBuiltin});
  for (const std::string token : {"right", "chunked", "closed", "trailers"}) {
    for (bool is_tls : {false, true}) {
      Answer answer = H1Client(is_tls ? proxy.tls_port() : proxy.plain_port(), {.tls = is_tls})
                          .Get(kPrefix + token);
      EXPECT_EQ(answer.status, 200) << token;
      EXPECT_EQ(answer.body, token + "." + kThumbprint);
      EXPECT_EQ(answer.Header("content-length"), std::to_string(token.size() + 44));
    }
    EXPECT_EQ(H2Client(proxy.tls_port()).Get(kPrefix + token).body, token + "." + kThumbprint);
  }
}

TEST_F(ChallengeUpstream, WrongAnswersDoNot) {
  Proxy proxy(config_, {.find_module = FindBuiltin});
  for (const std::string token : {"page", "other", "empty", "large", "endless", "cut"}) {
    H1Client client(proxy.plain_port());
    Answer answer = client.Get(kPrefix + token);
    EXPECT_EQ(answer.status, 404) << token;
    EXPECT_TRUE(answer.is_complete) << token;
    EXPECT_EQ(answer.body.find("SECRET"), std::string::npos);
    EXPECT_EQ(answer.body.find(kThumbprint), std::string::npos) << token;
    EXPECT_EQ(client.Get(kPrefix + "right").status, 200)
        << "the connection goes on after " << token;
  }
}

TEST_F(ChallengeUpstream, RefusalsAndRedirectsAreTheUpstreamsOwn) {
  Proxy proxy(config_, {.find_module = FindBuiltin});
  Answer moved = H1Client(proxy.plain_port()).Get(kPrefix + "moved");
  EXPECT_EQ(moved.status, 301);
  EXPECT_EQ(moved.Header("location"), "https://a.test/x");
  EXPECT_EQ(H1Client(proxy.plain_port()).Get(kPrefix + "none").status, 403);
}

TEST_F(ChallengeUpstream, AThumbprintIsBetterThanAllThat) {
  config_.acme_challenge.thumbprint = kThumbprint;
  Proxy proxy(config_, {.find_module = FindBuiltin});
  for (const std::string token : {"page", "large", "endless", "cut", "moved", "none"}) {
    Answer answer = H1Client(proxy.plain_port()).Get(kPrefix + token);
    EXPECT_EQ(answer.status, 200) << token;
    EXPECT_EQ(answer.body, token + "." + kThumbprint);
  }
}

TEST_F(ChallengeUpstream, ABodyThatStopsIsNotWaitedForForever) {
  config_.limits.body_timeout = Millis(200);
  Proxy proxy(config_, {.find_module = FindBuiltin});
  H1Client client(proxy.plain_port());
  EXPECT_EQ(client.Get(kPrefix + "stalled").status, 404);
  EXPECT_EQ(client.Get(kPrefix + "right").status, 200);
}

TEST_F(ChallengeUpstream, AClientThatGoesAwayMeanwhileLeavesNothing) {
  Proxy proxy(config_, {.find_module = FindBuiltin});
  for (int i = 0; i < 10; ++i) {
    RawClient client(proxy.plain_port());
    client.Send("GET " + kPrefix + "endless HTTP/1.1\r\nHost: a.test\r\n\r\n");
    if (i % 2 == 0) client.Reset();
  }
  EXPECT_TRUE(WaitFor([&] { return proxy.Sum(&server::WorkerMetrics::requests_open) == 0; }));
  EXPECT_EQ(H1Client(proxy.plain_port()).Get(kPrefix + "right").status, 200);
}

}  // namespace
}  // namespace genkan::testing
