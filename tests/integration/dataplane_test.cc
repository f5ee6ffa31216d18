// The data plane end to end: what a request of each protocol meets on its way.
#include <gtest/gtest.h>

#include "tests/integration/dataplane_harness.h"

namespace genkan::testing {
namespace {

const ClientOptions kTls = {.tls = true, .alpn = "http/1.1"};

TEST(Dataplane, ServesHttp1OverPlainTcp) {
  ScriptedOrigin origin(ScriptedOrigin::Always("hello"));
  Proxy proxy(MakeConfig(origin.url()));
  H1Client client(proxy.plain_port());
  Answer answer = client.Get("/a?b=c");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "hello");
  ASSERT_EQ(origin.request_count(), 1u);
  OriginRequest request = origin.requests()[0];
  EXPECT_EQ(request.target, "/a?b=c");
  EXPECT_EQ(request.Header("host"), "a.test");
  EXPECT_EQ(request.Header("x-forwarded-for"), "127.0.0.1");
  EXPECT_EQ(request.Header("x-forwarded-proto"), "http");
}

TEST(Dataplane, ServesHttp1OverTls) {
  ScriptedOrigin origin(ScriptedOrigin::Always("hello"));
  Proxy proxy(MakeConfig(origin.url()));
  H1Client client(proxy.tls_port(), kTls);
  ASSERT_EQ(client.raw().handshake_error(), "");
  for (int i = 0; i < 20; ++i) {
    Answer answer = client.Get("/");
    ASSERT_EQ(answer.status, 200) << i;
    ASSERT_EQ(answer.body, "hello");
  }
  EXPECT_EQ(origin.requests()[0].Header("x-forwarded-proto"), "https");
  EXPECT_EQ(origin.connections(), 1u);
}

TEST(Dataplane, ServesHttp2OverTls) {
  ScriptedOrigin origin(ScriptedOrigin::Always("hello"));
  Proxy proxy(MakeConfig(origin.url()));
  H2Client client(proxy.tls_port());
  ASSERT_EQ(client.raw().alpn(), "h2");
  for (int i = 0; i < 20; ++i) {
    Answer answer = client.Get("/x");
    ASSERT_EQ(answer.status, 200) << i;
    ASSERT_EQ(answer.body, "hello");
    ASSERT_TRUE(answer.is_complete);
  }
}

}  // namespace
}  // namespace genkan::testing
