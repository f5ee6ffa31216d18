// What the tests of pools share: a handler that remembers, and a cluster on a loop of its own.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/upstream/cluster.h"
#include "tests/support/eventually.h"
#include "tests/support/held_port.h"
#include "tests/support/scripted_origin.h"

namespace genkan::upstream {

using testing::Eventually;
using testing::OriginConnection;
using testing::OriginRequest;
using testing::ScriptedOrigin;

// Consumes what it gets at once, unless told to hold it.
class Recorder final : public UpstreamHandler {
 public:
  void OnUpstreamInterim(http::ResponseHead&& interim) override {
    EXPECT_FALSE(is_over());
    interims.push_back(interim.status);
    if (on_event) on_event();
  }
  void OnUpstreamResponse(http::ResponseHead&& response, bool end) override {
    EXPECT_FALSE(is_over());
    EXPECT_EQ(status, 0) << "one final response";
    status = response.status;
    head = std::move(response);
    has_ended = end;
    if (on_event) on_event();
  }
  void OnUpstreamBody(Buffer& data, bool end) override {
    EXPECT_FALSE(is_over());
    size_t bytes = data.size();
    body_bytes += bytes;
    if (keeps_body) body += data.ToText();
    data.Clear();
    has_ended = end;
    if (consumes && request != nullptr) request->Consumed(bytes);
    if (on_event) on_event();
  }
  void OnUpstreamTrailers(http::Headers&& fields) override {
    EXPECT_FALSE(is_over());
    trailers = std::move(fields);
    has_ended = true;
    if (on_event) on_event();
  }
  void OnUpstreamFailed(const Error& failed) override {
    EXPECT_FALSE(is_over());
    error = failed;
    has_failed = true;
    if (on_event) on_event();
  }
  void OnUpstreamWritable() override {
    ++writable;
    if (on_event) on_event();
  }

  bool is_over() const { return has_ended || has_failed; }
  std::string Words() const {
    return has_failed ? "failed: " + error.detail : "status " + std::to_string(status) + " " + body;
  }

  UpstreamRequest* request = nullptr;
  bool consumes = true, keeps_body = true;
  std::function<void()> on_event;
  std::vector<int> interims;
  int status = 0, writable = 0;
  http::ResponseHead head;
  http::Headers trailers;
  std::string body;
  size_t body_bytes = 0;
  bool has_ended = false, has_failed = false;
  Error error;
};

inline http::RequestHead MakeHead(std::string method = "GET", std::string target = "/") {
  http::RequestHead head;
  head.method = std::move(method);
  head.target = std::move(target);
  head.authority = "a.test";
  return head;
}

inline http::RequestHead MakePost(size_t length, std::string target = "/") {
  http::RequestHead head = MakeHead("POST", std::move(target));
  head.framing = http::BodyFraming::kContentLength;
  head.content_length = length;
  return head;
}

// A request with its handler; the handler goes last.
struct Call {
  Recorder seen;
  std::unique_ptr<UpstreamRequest> request;
  ~Call() { request.reset(); }
};

class ClusterTest : public ::testing::Test {
 protected:
  static ClusterSpec SpecFor(std::vector<std::string> addresses) {
    ClusterSpec spec;
    spec.name = "app";
    for (auto& address : addresses) spec.servers.push_back({address, 1, false});
    return spec;
  }
  void Open(const ClusterSpec& spec, const ClusterOptions& options = {}) {
    shared = std::make_shared<ClusterShared>(spec);
    auto made = Cluster::Make(loop, blocking, shared, options);
    ASSERT_TRUE(made) << made.error().detail;
    cluster = std::move(*made);
  }
  void Open(const ScriptedOrigin& origin) { Open(SpecFor({origin.address()})); }

  std::unique_ptr<Call> Begin(http::RequestHead head, bool end = true,
                              const StartOptions& options = {}) {
    auto call = std::make_unique<Call>();
    call->request = cluster->Start(std::move(head), end, options, call->seen);
    call->seen.request = call->request.get();
    EXPECT_FALSE(call->seen.is_over()) << "no call from within Start";
    return call;
  }
  std::unique_ptr<Call> Get(std::string target = "/") { return Begin(MakeHead("GET", target)); }
  bool Finish(Call& call, Millis longest = Millis(60'000)) {
    return Eventually(
        loop, [&] { return call.seen.is_over(); }, longest);
  }
  // A request from start to end.
  std::unique_ptr<Call> Ask(http::RequestHead head = MakeHead(), std::string body = "") {
    bool end = body.empty();
    auto call = Begin(std::move(head), end);
    if (!end) Send(*call, body, true);
    EXPECT_TRUE(Finish(*call)) << "no answer";
    return call;
  }
  static void Send(Call& call, std::string_view text, bool end = false) {
    Buffer data(text);
    call.request->SendBody(data, end);
    EXPECT_TRUE(data.empty());
  }
  void RunFor(Millis time) {
    bool is_over = false;
    event::Timer timer(loop, [&] { is_over = true; });
    timer.Start(time);
    Eventually(loop, [&] { return is_over; });
  }
  // An address that nobody listens on, and nobody but this test may.
  std::string DeadAddress() {
    dead_ports.push_back(std::make_unique<testing::HeldPort>());
    return dead_ports.back()->address().ToString();
  }

  event::EventLoop loop;
  event::BlockingPool blocking{2};
  std::shared_ptr<ClusterShared> shared;
  std::unique_ptr<Cluster> cluster;
  std::vector<std::unique_ptr<testing::HeldPort>> dead_ports;
};

}  // namespace genkan::upstream
