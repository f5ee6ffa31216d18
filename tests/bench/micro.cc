// What each request, or each certificate, costs in parts of ours that have no socket: parsing,
// fields, forwarding, routing, buffers, chains.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <string>

#include "proxy/base/buffer.h"
#include "proxy/http/forwarding.h"
#include "proxy/http/h1_codec.h"
#include "proxy/server/router.h"
#include "proxy/tls/chain_builder.h"
#include "proxy/tls/demo_ca.h"

namespace genkan {
namespace {

constexpr std::string_view kRequest =
    "GET /images/logo.png?size=2 HTTP/1.1\r\nHost: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: image/avif,image/webp,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

// Answers every request with a KiB.
class Answering final : public http::RequestSink {
 public:
  void OnRequest(http::StreamId stream, http::RequestHead&& head, bool) override {
    head_ = std::move(head);
    if (codec == nullptr) return;
    http::ResponseHead response;
    response.framing = http::BodyFraming::kContentLength;
    response.content_length = 1024;
    response.headers.Add("content-type", "image/png");
    response.headers.Add("cache-control", "max-age=3600");
    codec->SendResponse(stream, response, false);
    Buffer body{std::string_view(body_)};
    codec->SendBody(stream, body, true);
  }
  void OnBody(http::StreamId, Buffer&, bool) override {}
  void OnTrailers(http::StreamId, http::Headers&&) override {}
  void OnRefused(http::StreamId, const http::Refusal&, const http::RequestHead&) override {
    std::abort();
  }
  void OnReset(http::StreamId, const Error&) override {}
  void OnStreamDone(http::StreamId) override {}

  const http::RequestHead& head() const { return head_; }
  http::ServerCodec* codec = nullptr;

 private:
  http::RequestHead head_;
  std::string body_ = std::string(1024, 'b');
};

void H1RequestAndAnswer(benchmark::State& state) {
  Answering sink;
  auto codec = http::MakeH1ServerCodec(sink, {});
  sink.codec = codec.get();
  Buffer in, out;
  for (auto _ : state) {
    in.Append(kRequest);
    if (!codec->Receive(in)) std::abort();
    codec->Produce(out, 64 * 1024);
    out.Clear();
  }
}
BENCHMARK(H1RequestAndAnswer);

http::RequestHead ParsedHead() {
  Answering sink;
  auto codec = http::MakeH1ServerCodec(sink, {});
  Buffer in(kRequest);
  if (!codec->Receive(in)) std::abort();
  return sink.head();
}

void ForwardedHead(benchmark::State& state) {
  const http::RequestHead head = ParsedHead();
  http::PeerView peer{.address = "192.0.2.1", .local_port = "443", .is_tls = true};
  for (auto _ : state) {
    http::RequestHead copy = head;
    benchmark::DoNotOptimize(http::PrepareForUpstream(copy, peer, {}));
  }
}
BENCHMARK(ForwardedHead);

void HeadersGetAndSet(benchmark::State& state) {
  http::Headers headers = ParsedHead().headers;
  for (auto _ : state) {
    benchmark::DoNotOptimize(headers.Get("cookie"));
    benchmark::DoNotOptimize(headers.Get("x-not-there"));
    headers.Set("x-request-id", "0123456789abcdef");
    headers.Remove("x-request-id");
  }
}
BENCHMARK(HeadersGetAndSet);

void RouterFinds(benchmark::State& state) {
  server::Router router;
  auto sites = static_cast<uint32_t>(state.range(0));
  for (uint32_t i = 0; i < sites; ++i) {
    router.AddSite(
        i, {"www" + std::to_string(i) + ".example.com", "*.w" + std::to_string(i) + ".example.com"},
        i == 0);
    router.AddRoute(i, "/", i * 2);
    router.AddRoute(i, "/api/", i * 2 + 1);
  }
  uint32_t next = 0;
  for (auto _ : state) {
    std::string host = "a.w" + std::to_string(next++ % sites) + ".example.com";
    auto site = router.FindSite(host);
    if (!site) std::abort();
    benchmark::DoNotOptimize(router.FindRoute(*site, "/api/v2/things"));
  }
}
BENCHMARK(RouterFinds)->Arg(10)->Arg(5000);

void BufferRelays(benchmark::State& state) {
  auto size = static_cast<size_t>(state.range(0));
  Buffer in, out;
  for (auto _ : state) {
    std::span<char> room = in.Reserve(size);
    room.front() = 'x';
    in.Commit(size);
    in.MoveTo(out, size);
    out.Drain(size);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * size));
}
BENCHMARK(BufferRelays)->Arg(1024)->Arg(16 * 1024 - 64)->Arg(256 * 1024 - 64);

void ChainOfAShuffledPool(benchmark::State& state) {
  const WallTime now = std::chrono::system_clock::now();
  auto ca = tls::DemoCa::Make(now);
  auto other = tls::DemoCa::Make(now);
  if (!ca || !other) std::abort();
  auto leaf = (*ca)->Issue({"www.example.com"}, "", now);
  if (!leaf) std::abort();
  tls::ChainInput input;
  input.leaf = leaf->certificate;
  input.pool = {(*other)->root(), (*ca)->root(), (*other)->intermediate(), (*ca)->intermediate(),
                leaf->certificate};
  input.now = now;
  for (auto _ : state) {
    if (tls::ChainBuilder::Build(input).certificates.size() != 2) std::abort();
  }
}
BENCHMARK(ChainOfAShuffledPool);

}  // namespace
}  // namespace genkan

BENCHMARK_MAIN();
