#include "proxy/upstream/cluster.h"

#include <algorithm>
#include <list>

#include "proxy/event/turn_end.h"
#include "proxy/net/proxy_protocol.h"
#include "proxy/upstream/balancer.h"
#include "proxy/upstream/health_check.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/request.h"

namespace genkan::upstream {
namespace {

// How long a worker leaves a slot that it gave up to the others before its own queue asks for it
// again.
constexpr Millis kYield{2};

class ClusterImpl final : public Cluster, private Pool::Owner, private Dispatcher {
 public:
  ClusterImpl(event::EventLoop& loop, std::shared_ptr<ClusterShared> shared);
  ~ClusterImpl() override;
  Status Open(event::BlockingPool& blocking, const ClusterOptions& options);

  std::unique_ptr<UpstreamRequest> Start(http::RequestHead&& head, bool end,
                                         const StartOptions& options,
                                         UpstreamHandler& handler) override;
  void Drain() override;
  size_t idle_connections() const override { return pool_.idle_count(); }
  size_t active_requests() const override { return active_ + queue_.size(); }

 private:
  const ClusterSpec& spec() const { return shared_->spec(); }

  void OnPoolDirty() override { turn_.Schedule(); }
  void OnRoom() override;
  bool MustGiveUp(size_t server) override;

  void Dispatch(Request& request) override;
  void OnRequestLeavesServer(size_t server, bool has_failed) override;
  void OnRequestGone(Request& request) override;
  MonotonicTime Now() const override { return loop_.now(); }

  enum class Attempt { kStarted, kWait, kNone };
  Attempt TryStart(Request& request);
  void Enqueue(Request& request);
  void Unqueue(Request& request);
  void ServeQueue();
  void FailLater(Request& request, Error error);
  void RunTurn();
  void OnQueueTimeout();
  void OnWake();
  uint32_t waiting_elsewhere() const;

  event::EventLoop& loop_;
  std::unique_ptr<tls::ClientContext> tls_;
  Balancer balancer_;
  std::vector<Candidate> candidates_;
  std::list<Request*> queue_;
  std::vector<Request*> failing_;
  std::vector<Request*> requests_;  // all that are not destroyed
  size_t active_ = 0;
  bool is_draining_ = false;
  bool is_serve_due_ = false;
  event::TurnEnd turn_;
  event::Timer queue_timer_;
  event::Timer yield_timer_;
  std::shared_ptr<ClusterShared::Member> member_;
  Pool pool_;
  std::vector<std::unique_ptr<HealthCheck>> checks_;
};

ClusterImpl::ClusterImpl(event::EventLoop& loop, std::shared_ptr<ClusterShared> shared)
    : Cluster(std::move(shared)),
      loop_(loop),
      balancer_(spec().balance, spec().servers),
      candidates_(spec().servers.size()),
      turn_(loop, [this] { RunTurn(); }),
      queue_timer_(loop, [this] { OnQueueTimeout(); }),
      yield_timer_(loop, [this] { ServeQueue(); }),
      member_(shared_->Join(loop, [this] { OnWake(); })),
      pool_(loop, *shared_, *this) {}

ClusterImpl::~ClusterImpl() {
  shared_->AddWaiting(-static_cast<int>(queue_.size()));
  shared_->Leave(member_);
  for (Request* request : requests_) request->Orphan();
}

Status ClusterImpl::Open(event::BlockingPool& blocking, const ClusterOptions& options) {
  if (spec().servers.empty())
    return Fail(ErrorCode::kInvalid, "upstream {}: no servers", spec().name);
  if (spec().tls) {
    auto tls = tls::ClientContext::Make({spec().tls_verify, spec().trust_store, {"http/1.1"}});
    if (!tls) return PassOn(tls, "upstream {}", spec().name);
    tls_ = std::move(*tls);
  }
  auto added = pool_.AddServers(blocking, tls_.get());
  if (!added || spec().health_path.empty() || !options.checks_health) return added;
  for (size_t i = 0; i < spec().servers.size(); ++i) {
    ConnectOptions connect;
    connect.tls = tls_.get();
    connect.tls_name = pool_.tls_name(i);
    // Nobody's connection but our own: a header without addresses.
    if (spec().proxy_protocol == ProxyProtocolOut::kV1)
      connect.proxy_header = net::WriteProxyHeaderV1({}, {});
    if (spec().proxy_protocol == ProxyProtocolOut::kV2)
      connect.proxy_header = net::WriteProxyHeaderV2({}, {});
    checks_.push_back(
        std::make_unique<HealthCheck>(loop_, *shared_, i, pool_.endpoint(i), std::move(connect)));
  }
  return {};
}

std::unique_ptr<UpstreamRequest> ClusterImpl::Start(http::RequestHead&& head, bool end,
                                                    const StartOptions& options,
                                                    UpstreamHandler& handler) {
  Dispatcher& self = *this;
  auto request = std::make_unique<Request>(self, spec(), std::move(head), end, options, handler);
  request->index = requests_.size();
  requests_.push_back(request.get());
  Dispatch(*request);
  return request;
}

void ClusterImpl::Drain() {
  is_draining_ = true;
  checks_.clear();
  pool_.CloseAllIdle();
}

// ---- from a request to a connection

void ClusterImpl::Dispatch(Request& request) {
  // Those that came first go first.
  if (!queue_.empty()) return Enqueue(request);
  switch (TryStart(request)) {
    case Attempt::kStarted:
      return;
    case Attempt::kWait:
      return Enqueue(request);
    case Attempt::kNone:
      return FailLater(request, request.last_error());
  }
}

ClusterImpl::Attempt ClusterImpl::TryStart(Request& request) {
  MonotonicTime now = loop_.now();
  for (size_t i = 0; i < candidates_.size(); ++i) {
    const auto& server = shared_->server(i);
    candidates_[i] = {server.is_up(now), pool_.HasRoom(i), request.was_tried(i),
                      server.requests.load(std::memory_order_relaxed)};
  }
  Choice choice = balancer_.Pick(candidates_, request.hash_key());
  if (choice.outcome == Choice::Outcome::kNone) return Attempt::kNone;
  if (choice.outcome == Choice::Outcome::kWait) return Attempt::kWait;
  // The last slot may just have gone to another worker.
  if (!request.StartOn(pool_, choice.server)) return Attempt::kWait;
  auto& server = shared_->server(choice.server);
  server.requests.fetch_add(1, std::memory_order_relaxed);
  server.requests_total.fetch_add(1, std::memory_order_relaxed);
  ++active_;
  return Attempt::kStarted;
}

void ClusterImpl::OnRequestLeavesServer(size_t index, bool has_failed) {
  auto& server = shared_->server(index);
  server.requests.fetch_sub(1, std::memory_order_relaxed);
  if (has_failed) server.failures_total.fetch_add(1, std::memory_order_relaxed);
  --active_;
}

void ClusterImpl::OnRequestGone(Request& request) {
  if (request.is_queued) Unqueue(request);
  if (request.failure)
    std::replace(failing_.begin(), failing_.end(), &request, static_cast<Request*>(nullptr));
  std::swap(requests_[request.index], requests_.back());
  requests_[request.index]->index = request.index;
  requests_.pop_back();
}

void ClusterImpl::FailLater(Request& request, Error error) {
  if (error.detail.empty())
    error = {ErrorCode::kBusy, fmt::format("upstream {}: no server takes requests", spec().name)};
  error.side = Side::kUpstream;
  request.failure = std::move(error);
  failing_.push_back(&request);
  turn_.Schedule();
}

void ClusterImpl::RunTurn() {
  if (std::exchange(is_serve_due_, false)) ServeQueue();
  // By index: handlers may start requests, and destroy them.
  for (size_t i = 0; i < failing_.size(); ++i) {
    Request* request = std::exchange(failing_[i], nullptr);
    if (request == nullptr) continue;
    Error error = std::move(*request->failure);
    request->failure.reset();
    request->Fail(std::move(error));
  }
  failing_.clear();
  pool_.RunTurn();
}

// ---- the queue

void ClusterImpl::Enqueue(Request& request) {
  if (queue_.size() >= spec().queue) {
    FailLater(request, {ErrorCode::kBusy,
                        fmt::format("upstream {}: all connections are in use and {} requests wait",
                                    spec().name, queue_.size())});
    return;
  }
  request.place = queue_.insert(queue_.end(), &request);
  request.is_queued = true;
  request.queued_at = loop_.now();
  shared_->AddWaiting(1);
  if (!queue_timer_.is_running()) queue_timer_.Start(spec().queue_timeout);
  // Another worker may hold idle connections.
  if (shared_->member_count() > 1) shared_->Wake(member_);
}

void ClusterImpl::Unqueue(Request& request) {
  queue_.erase(request.place);
  request.is_queued = false;
  shared_->AddWaiting(-1);
}

void ClusterImpl::ServeQueue() {
  while (!queue_.empty() && !yield_timer_.is_running()) {
    Request& request = *queue_.front();
    Attempt attempt = TryStart(request);
    if (attempt == Attempt::kWait) return;
    Unqueue(request);
    if (attempt == Attempt::kNone) FailLater(request, request.last_error());
  }
}

void ClusterImpl::OnQueueTimeout() {
  MonotonicTime now = loop_.now();
  while (!queue_.empty()) {
    Request& request = *queue_.front();
    MonotonicTime deadline = request.queued_at + spec().queue_timeout;
    if (deadline > now) {
      queue_timer_.Start(std::chrono::ceil<Millis>(deadline - now));
      return;
    }
    Unqueue(request);
    FailLater(request,
              {ErrorCode::kBusy, fmt::format("upstream {}: no connection became free within {} ms",
                                             spec().name, spec().queue_timeout.count())});
  }
}

// ---- slots, ours and the other workers'

uint32_t ClusterImpl::waiting_elsewhere() const {
  uint32_t all = shared_->waiting();
  auto here = static_cast<uint32_t>(queue_.size());
  return all > here ? all - here : 0;
}

void ClusterImpl::OnRoom() {
  if (!queue_.empty()) {
    is_serve_due_ = true;
    turn_.Schedule();
  }
  if (waiting_elsewhere() > 0) shared_->Wake(member_);
}

bool ClusterImpl::MustGiveUp(size_t server) {
  if (is_draining_) return true;
  if (waiting_elsewhere() == 0 ||
      shared_->server(server).connections.load(std::memory_order_relaxed) < spec().max_connections)
    return false;
  if (queue_.empty()) return true;
  // Both wait: each worker may keep its part. Where there are fewer connections than workers they
  // take turns.
  uint32_t workers = std::max(shared_->member_count(), 1u);
  uint32_t part =
      spec().max_connections < workers ? 0 : (spec().max_connections + workers - 1) / workers;
  if (pool_.connection_count(server) <= part) return false;
  yield_timer_.Start(kYield);
  return true;
}

void ClusterImpl::OnWake() {
  uint32_t others = waiting_elsewhere();
  if (others > 0) {
    for (size_t i = 0; i < spec().servers.size(); ++i)
      if (shared_->server(i).connections.load(std::memory_order_relaxed) >= spec().max_connections)
        pool_.CloseIdle(i, others);
  }
  ServeQueue();
}

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::Make(event::EventLoop& loop, event::BlockingPool& pool,
                                               std::shared_ptr<ClusterShared> shared,
                                               const ClusterOptions& options) {
  auto cluster = std::make_unique<ClusterImpl>(loop, std::move(shared));
  auto opened = cluster->Open(pool, options);
  if (!opened) return PassOn(opened);
  return cluster;
}

}  // namespace genkan::upstream
