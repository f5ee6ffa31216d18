// UpstreamRequest as the cluster makes it: waits for a connection, uses one, and tries another
// where that is allowed. Worker's thread; owned by the exchange, known to its cluster until it is
// done.
#pragma once

#include <array>
#include <list>
#include <optional>
#include <string>

#include "proxy/upstream/pool.h"
#include "proxy/upstream/retry.h"
#include "proxy/upstream/upstream_request.h"

namespace genkan::upstream {

class Request;

// What a request needs of its cluster.
class Dispatcher {
 public:
  // Finds a connection now, or queues it, or fails it at the end of the turn.
  virtual void Dispatch(Request& request) = 0;
  virtual void OnRequestLeavesServer(size_t server, bool has_failed) = 0;
  // Forgets a request that waits or fails.
  virtual void OnRequestGone(Request& request) = 0;
  virtual MonotonicTime Now() const = 0;

 protected:
  ~Dispatcher() = default;
};

class Request final : public UpstreamRequest, private ConnectionUser {
 public:
  Request(Dispatcher& dispatcher, const ClusterSpec& spec, http::RequestHead&& head, bool end,
          const StartOptions& options, UpstreamHandler& handler);
  ~Request() override;

  void SendBody(Buffer& data, bool end) override;
  void SendTrailers(const http::Headers& trailers) override;
  void Consumed(size_t bytes) override;
  size_t buffered() const override;
  size_t TakesAtOnce() const override;
  const UpstreamInfo& info() const override { return info_; }

  // ---- the cluster's side

  Wish wish() const;
  uint64_t hash_key() const { return hash_key_; }
  bool was_tried(size_t server) const;
  // False where no connection could be had after all.
  bool StartOn(Pool& pool, size_t server);
  // Nothing more is tried. Calls the handler: from the loop only.
  void Fail(Error error);
  const Error& last_error() const { return last_error_; }
  // The cluster goes first.
  void Orphan();

  // The cluster's: its place among all, and in the queue; why it fails at the end of the turn.
  size_t index = 0;
  std::list<Request*>::iterator place;
  bool is_queued = false;
  MonotonicTime queued_at{};
  std::optional<Error> failure;

 private:
  enum class Step : uint8_t { kWaiting, kConnecting, kSent, kDone };

  void OnConnectionReady() override;
  void OnConnectionInterim(http::ResponseHead&& head) override;
  void OnConnectionResponse(http::ResponseHead&& head, bool end) override;
  void OnConnectionBody(Buffer& data, bool end) override;
  void OnConnectionTrailers(http::Headers&& trailers) override;
  void OnConnectionWritten() override;
  size_t TakesOfResponse() override { return handler_.TakesAtOnce(); }
  void OnConnectionFailed(const Error& error) override;

  void Send();
  void LeaveServer(bool has_failed);
  void Finish();
  Error Describe(const Error& error) const;
  size_t mark() const { return spec_.limits.buffered_per_stream; }

  Dispatcher* dispatcher_;
  const ClusterSpec& spec_;
  UpstreamHandler& handler_;
  UpstreamConnection* connection_ = nullptr;
  http::RequestHead head_;
  Buffer body_;  // what came before there was a connection
  std::optional<http::Headers> trailers_;
  std::string proxy_header_;
  uint64_t hash_key_ = 0;
  UpstreamInfo info_;
  Error last_error_;
  MonotonicTime started_at_, connect_began_{};
  size_t server_ = 0;
  std::array<size_t, kMaxRetries + 1> tried_{};
  size_t tried_count_ = 0;
  Step step_ = Step::kWaiting;
  bool end_;  // the request's end was given to us
  bool has_body_;
  bool has_server_ = false;
  bool is_idempotent_;
  bool wants_new_ = false;
  bool has_body_begun_ = false;
  bool is_above_ = false;  // the mark's half: OnUpstreamWritable is owed
  bool is_tunnel_ = false;
};

}  // namespace genkan::upstream
