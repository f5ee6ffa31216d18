// One request and its response: the guard, the modules, the way to the upstream and back. It owns no bytes longer than
// it must: what the client sent counts as consumed when the upstream's side let it go, and the other way round, so each
// direction holds at most one window (64 KiB).
// Worker's thread; owned by its connection, and used again for another request when it has finished.
//
// It is never destroyed from within a callback: it says is_finished(), and the connection calls Finish() at the end of
// the turn.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "proxy/server/filter_chain.h"
#include "proxy/server/local_reply.h"
#include "proxy/server/path_normalizer.h"
#include "proxy/server/worker_core.h"
#include "proxy/upstream/upstream_request.h"

namespace genkan::server {

class DownstreamConnection;

class ServerExchange final : public genkan::Exchange, private upstream::UpstreamHandler {
 public:
  explicit ServerExchange(WorkerCore& core);
  ~ServerExchange();
  ServerExchange(const ServerExchange&) = delete;
  ServerExchange& operator=(const ServerExchange&) = delete;

  // --- the connection's side
  void Begin(DownstreamConnection& connection, http::StreamId stream, http::RequestHead&& head, bool end);
  // A request that broke a rule: it gets its status, nobody else sees it.
  void BeginRefused(DownstreamConnection& connection, http::StreamId stream,
                    const http::Refusal& refusal, const http::RequestHead& head);
  void OnBody(Buffer& data, bool end);
  void OnTrailers(http::Headers&& trailers);
  // The client's side is gone: reset, or the connection is.
  void OnGone(const Error& error);
  // All of the response is with the kernel, or the stream was reset by us.
  void OnStreamDone();
  // Bytes have moved: gives them back to whom they came from.
  void Account();
  // What the client owes us by when, or takes too long to take: acts on what is over; the next deadline.
  MonotonicTime CheckDeadlines(MonotonicTime now);
  bool is_finished() const { return is_stream_done_; }
  // OnComplete, the log, the metrics; gives up the upstream request. The object is as new then.
  void Finish();

  http::StreamId stream() const { return stream_; }
  bool is_tunnel() const { return is_tunnel_; }
  // A tunnel or an event stream: it ends when somebody ends it.
  bool is_endless() const;
  bool has_response() const { return has_response_; }
  bool has_upstream() const { return upstream_ != nullptr; }
  // How much of the request's body would leave for the origin at once now; 0: one window, as ever.
  size_t UploadTakesAtOnce() const;
  const WorkerSnapshotPtr& snapshot() const { return snapshot_; }
  // Cuts it so that the client sees it.
  void Cut(const Error& error);
  // The answer of Offload.
  void RunOffloaded(const std::function<void()>& done);

  // --- genkan::Exchange
  const ConnectionView& connection() const override;
  std::string_view client_address() const override;
  bool is_from_trusted_proxy() const override { return is_from_trusted_proxy_; }
  MonotonicTime now() const override { return core_.loop().now(); }
  http::RequestHead& request() override { return *visible_request_; }
  http::ResponseHead& response() override { return response_; }
  std::string id() const override;
  Result<std::string> normalized_path() override;
  std::string_view site() const override;
  bool site_has_challenge_upstream() const override;
  std::string_view site_thumbprint() const override;
  void Reply(http::ResponseHead head, std::string body, std::string_view answered_by) override;
  void ReplyStatus(int status, std::string_view answered_by) override;
  void ReplyStatusWith(int status, const http::Headers& more, std::string_view answered_by) override;
  std::string OwnChallenge(std::string_view token) override;
  void CollectResponse(size_t most, std::function<void(Result<std::string>)> done) override;
  void NoteReason(std::string_view reason) override { NoteFailure(reason); }
  void ForwardNow() override;
  void Resume() override;
  bool Offload(std::function<void()> work, std::function<void()> done) override;
  bool Compute(std::function<void()> work, std::function<void()> done) override;
  void NoteUser(std::string_view user) override { user_ = user; }
  std::string_view user() const override { return user_; }
  void NoteRequestId(std::string_view request_id) override { request_id_ = request_id; }
  std::string_view request_id() const override { return request_id_; }

 private:
  // --- upstream::UpstreamHandler
  void OnUpstreamInterim(http::ResponseHead&& head) override;
  void OnUpstreamResponse(http::ResponseHead&& head, bool end) override;
  void OnUpstreamBody(Buffer& data, bool end) override;
  void OnUpstreamTrailers(http::Headers&& trailers) override;
  void OnUpstreamFailed(const Error& error) override;
  void OnUpstreamWritable() override;
  size_t TakesAtOnce() override;

  // The way of a request, in this order.
  enum class Step : uint8_t {
    kGuard,            // the challenge path, before anything else
    kListenerModules,
    kRouting,          // site and route; redirect, 421, 404, 413
    kRouteModules,
    kUpstreamModules,  // the head is as it will leave
    kUpstream,         // on its way, or answered
  };
  enum Paused : uint8_t {
    kPausedRequest = 1,  // in one of the steps
    kPausedRequestBody = 2,
    kPausedResponseHead = 4,
    kPausedResponseBody = 8,
  };

  void Clear();
  void FindClient();
  bool Submit(event::BlockingPool& pool, std::function<void()> work, std::function<void()> done);
  void FindSite();
  void AddFilters(const std::vector<uint32_t>& modules);
  void AddFilter(uint32_t module);
  void Advance();
  // True: the step's modules are through.
  bool RunRequestModules();
  // The site asks for a client's certificate, and this connection has shown none.
  bool LacksCertificate(const tls::TlsPolicy& policy) const;
  // False: answered here.
  bool RouteRequest();
  bool RefusesPath(bool has_path_filter);
  bool MayLeadElsewhere() const;
  bool RefusesBody();
  bool IsRedirected() const;
  bool PrepareUpstreamHead();
  void StartUpstream();
  http::PeerView MakePeerView() const;
  void ForwardPastModules();
  void PumpRequestBody();
  void RunRequestBody();
  void SendRequestBody(Buffer& data);
  void DropRequestBody();

  // `verdict` was kStop, or a hook asked for one: what must happen instead of going on.
  void ObeyStop();
  void SendStatus(int status);
  void SendReply(LocalReply&& reply);
  void RunResponseHead();
  void SendHead();
  void PumpResponseBody();
  void RunResponseBody();
  void SendResponseBody(Buffer& data);
  void NoteWindow(bool is_full);
  void DropUpstream();
  // Tells who collects the response, when it is here or will not be.
  void Collect();
  void NoteChallenge();
  void Dirty();
  void NoteFailure(std::string_view what);
  void WriteLog();
  void CountMetrics();
  bool can_answer() const { return !has_response_ && !is_gone_ && !is_stream_done_; }
  const Snapshot& config() const { return *snapshot_->snapshot; }

  WorkerCore& core_;
  DownstreamConnection* connection_ = nullptr;
  http::StreamId stream_ = 0;
  WorkerSnapshotPtr snapshot_;
  ExchangeHandle handle_;

  http::RequestHead request_;           // as it came; the target may be normalised
  http::RequestHead upstream_request_;  // as it leaves, until it has left
  http::RequestHead* visible_request_ = &request_;
  std::string original_target_;  // only where the target was changed
  http::ResponseHead response_;
  FilterChain chain_;
  Step step_ = Step::kGuard;
  uint8_t paused_ = 0;

  std::optional<uint32_t> site_;
  const RouteSpec* route_ = nullptr;
  std::string host_;
  NormalizedPath path_;      // only where it differs from the raw one
  bool is_path_plain_ = true;

  std::unique_ptr<upstream::UpstreamRequest> upstream_;
  upstream::UpstreamInfo upstream_info_;
  Buffer request_body_;            // waits for filters or the upstream
  Buffer request_piece_;           // is with the filters
  size_t request_unconsumed_ = 0;  // came from the client and has not left yet
  uint64_t request_bytes_ = 0;
  std::optional<http::Headers> request_trailers_;

  Buffer response_body_;            // waits for filters
  Buffer response_piece_;           // is with them
  size_t response_unconsumed_ = 0;  // came from the upstream and has not left yet
  uint64_t response_bytes_ = 0;
  std::optional<http::Headers> response_trailers_;

  std::optional<LocalReply> reply_;  // asked for by a hook that is still on the stack
  std::string client_address_;       // where a trusted proxy conveyed another than the connection's
  std::string user_, request_id_;    // what modules found out
  struct Collection {
    size_t most = 0;
    std::function<void(Result<std::string>)> done;
  };
  std::optional<Collection> collection_;
  std::string answered_by_;
  std::string_view answered_module_;  // its instance's name, in the snapshot
  std::string failure_;

  bool is_from_trusted_proxy_ = false;
  bool request_ended_ = false;       // the client has sent all
  bool request_end_sent_ = false;    // the upstream has been told
  bool drops_request_body_ = false;  // nobody wants it any more
  bool has_response_ = false;        // a final head was given to the codec
  bool response_received_ = false;   // the upstream has sent all
  bool response_ended_ = false;      // the codec has all
  bool is_local_ = false;            // the response is ours
  bool is_tunnel_ = false;
  bool is_gone_ = false;             // the client's stream
  bool is_stream_done_ = false;
  bool is_in_hook_ = false;
  bool is_resumed_ = false;          // Resume() came before the hook had returned
  bool forwards_now_ = false;
  bool is_upstream_done_ = false;    // nothing more comes from it
  bool is_window_full_ = false;      // the upstream takes no more of the request's body now

  WallTime began_wall_;
  MonotonicTime began_, body_began_, last_request_bytes_, last_progress_, response_head_at_,
      window_full_since_;
  size_t last_held_ = 0;

  struct OffloadGuard;
  std::shared_ptr<OffloadGuard> offload_guard_;
};

}  // namespace genkan::server
