#include "proxy/server/exchange.h"

#include <mutex>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/http/forwarding.h"
#include "proxy/http/message_rules.h"
#include "proxy/server/client_address.h"
#include "proxy/server/downstream_connection.h"

namespace genkan::server {

// The way of the request: guard, modules, routing, upstream. What comes back is in exchange_response.cc.

namespace {

bool GoesPastModules(std::string_view name) {
  for (std::string_view one : {"accept", "accept-encoding", "cache-control", "forwarded", "user-agent", "via"}) {
    if (EqualsIgnoreCase(name, one)) return true;
  }
  constexpr std::string_view kForwarded = "x-forwarded-";
  return EqualsIgnoreCase(name.substr(0, kForwarded.size()), kForwarded);
}

}  // namespace

// What work on another thread may still refer to when the exchange is gone.
struct ServerExchange::OffloadGuard {
  WorkerSnapshotPtr snapshot;
  FilterChain::Filters filters;
};

ServerExchange::ServerExchange(WorkerCore& core) : core_(core) {}
ServerExchange::~ServerExchange() = default;

// ---- beginning and end

void ServerExchange::Begin(DownstreamConnection& connection, http::StreamId stream,
                           http::RequestHead&& head, bool end) {
  connection_ = &connection;
  stream_ = stream;
  snapshot_ = connection.listener().snapshot();
  request_ = std::move(head);
  request_ended_ = end;
  began_ = body_began_ = last_request_bytes_ = last_progress_ = core_.loop().now();
  began_wall_ = core_.shared().clock.Wall();
  core_.metrics().requests_open.Add();
  response_.status = 0;
  FindClient();
  std::string_view path = request_.path();
  is_path_plain_ = IsPlainPath(path);
  if (!is_path_plain_) path_ = NormalizePath(path);
  FindSite();
  AddFilter(0);
  Advance();
  if (!request_ended_ && !is_finished()) {
    connection.NeedDeadline(began_ + connection.listener().spec().limits.body_timeout);
  }
}

void ServerExchange::BeginRefused(DownstreamConnection& connection, http::StreamId stream,
                                  const http::Refusal& refusal, const http::RequestHead& head) {
  connection_ = &connection;
  stream_ = stream;
  snapshot_ = connection.listener().snapshot();
  request_ = head;
  request_ended_ = true;
  drops_request_body_ = true;
  step_ = Step::kUpstream;
  began_ = body_began_ = last_request_bytes_ = last_progress_ = core_.loop().now();
  began_wall_ = core_.shared().clock.Wall();
  core_.metrics().requests_open.Add();
  response_.status = 0;
  FindClient();
  failure_ = refusal.rule;
  LOG_DEBUG("request_refused", "x={} client={} status={} rule=\"{}\"", id(),
            connection.view().client_address, refusal.status, refusal.rule);
  SendStatus(refusal.status);
}

void ServerExchange::FindClient() {
  const net::Address& peer = connection_->peer();
  is_from_trusted_proxy_ = net::ContainsAny(config().trusted_proxies, peer);
  if (!is_from_trusted_proxy_) return;
  net::Address client = ConveyedAddress(request_.headers, peer, config().trusted_proxies);
  if (!(client == peer)) client_address_ = client.HostString();
}

void ServerExchange::FindSite() {
  const Snapshot& snapshot = config();
  if (!request_.authority.empty()) {
    host_ = http::NormalizeHost(request_.authority);
    site_ = snapshot.router.FindSite(host_);
    return;
  }
  // HTTP/1.0 without Host: what the handshake was for, or the default.
  std::string_view name = connection_->view().server_name;
  if (!name.empty()) site_ = snapshot.router.FindSite(name);
  if (!site_) site_ = snapshot.router.default_site();
}

void ServerExchange::OnGone(const Error& error) {
  if (is_stream_done_) return;
  is_gone_ = is_stream_done_ = true;
  NoteFailure(error.detail);
}

void ServerExchange::OnStreamDone() { is_stream_done_ = true; }

void ServerExchange::NoteFailure(std::string_view what) {
  if (failure_.empty()) failure_ = what;
}

void ServerExchange::Finish() {
  if (connection_ == nullptr) return;
  if (upstream_ != nullptr) upstream_info_ = upstream_->info();
  chain_.Complete(*this);
  WriteLog();
  NoteChallenge();
  CountMetrics();
  // Not complete: the origin's connection is closed, so that it learns at once.
  upstream_.reset();
  core_.Unregister(handle_);
  FilterChain::Filters filters = chain_.Take();
  if (offload_guard_ != nullptr) {
    offload_guard_->filters = std::move(filters);
    offload_guard_->snapshot = snapshot_;
  }
  Clear();
}

void ServerExchange::Clear() {
  connection_ = nullptr;
  stream_ = 0;
  handle_ = {};
  request_ = {};
  upstream_request_ = {};
  visible_request_ = &request_;
  original_target_.clear();
  response_ = {};
  step_ = Step::kGuard;
  paused_ = 0;
  site_.reset();
  route_ = nullptr;
  host_.clear();
  path_ = {};
  is_path_plain_ = true;
  upstream_info_ = {};
  request_body_.Clear();
  request_piece_.Clear();
  request_unconsumed_ = 0;
  request_bytes_ = 0;
  request_trailers_.reset();
  response_body_.Clear();
  response_piece_.Clear();
  response_unconsumed_ = 0;
  response_bytes_ = 0;
  response_trailers_.reset();
  reply_.reset();
  client_address_.clear();
  user_.clear();
  request_id_.clear();
  collection_.reset();
  answered_by_.clear();
  answered_module_ = {};
  failure_.clear();
  is_from_trusted_proxy_ = false;
  request_ended_ = request_end_sent_ = drops_request_body_ = false;
  has_response_ = response_received_ = response_ended_ = false;
  is_local_ = is_tunnel_ = is_gone_ = is_stream_done_ = false;
  is_in_hook_ = is_resumed_ = forwards_now_ = is_upstream_done_ = is_window_full_ = false;
  response_head_at_ = {};
  last_held_ = 0;
  offload_guard_.reset();
  snapshot_.reset();
}

// ---- the steps

void ServerExchange::AddFilter(uint32_t module) {
  const ModuleSlot& slot = config().modules[module];
  if (slot.module == nullptr) return;
  unsigned hooks = slot.module->hooks();
  if (hooks == 0) return;
  auto filter = slot.module->MakeFilter(*snapshot_->states[module]);
  if (filter != nullptr) chain_.Add(std::move(filter), hooks, slot.name);
}

void ServerExchange::AddFilters(const std::vector<uint32_t>& modules) {
  for (uint32_t module : modules) AddFilter(module);
}

void ServerExchange::Advance() {
  while (can_answer()) {
    switch (step_) {
      case Step::kGuard:
        if (!RunRequestModules()) return;
        step_ = Step::kListenerModules;
        if (RefusesPath(connection_->listener().spec().has_path_filter)) return;
        AddFilters(connection_->listener().spec().modules);
        break;
      case Step::kListenerModules:
        if (!RunRequestModules()) return;
        step_ = Step::kRouting;
        break;
      case Step::kRouting:
        if (!RouteRequest()) return;
        AddFilters(route_->modules);
        step_ = Step::kRouteModules;
        break;
      case Step::kRouteModules:
        if (!RunRequestModules()) return;
        if (!PrepareUpstreamHead()) return;
        step_ = Step::kUpstreamModules;
        break;
      case Step::kUpstreamModules:
        if (!RunRequestModules()) return;
        step_ = Step::kUpstream;
        StartUpstream();
        return;
      case Step::kUpstream:
        return;
    }
  }
}

bool ServerExchange::RunRequestModules() {
  while (true) {
    bool is_at_upstream = step_ == Step::kUpstreamModules;
    is_in_hook_ = true;
    is_resumed_ = false;
    // What forwards past all other modules has no more of them in front of it.
    Verdict verdict = forwards_now_    ? Verdict::kContinue
                      : is_at_upstream ? chain_.UpstreamRequest(*this)
                                       : chain_.RequestHead(*this);
    is_in_hook_ = false;
    if (forwards_now_) {
      if (step_ == Step::kUpstreamModules) return true;
      ForwardPastModules();
      return false;
    }
    if (reply_ || verdict == Verdict::kStop) {
      ObeyStop();
      return false;
    }
    if (verdict == Verdict::kContinue) return true;
    if (!is_resumed_) {
      paused_ |= kPausedRequest;
      return false;
    }
  }
}

void ServerExchange::ForwardPastModules() {
  const Snapshot& snapshot = config();
  if (site_ && route_ == nullptr) {
    std::string_view path = is_path_plain_ ? request_.path() : std::string_view(path_.path);
    if (auto route = snapshot.router.FindRoute(*site_, path)) route_ = &snapshot.routes[*route];
  }
  if (route_ == nullptr) return SendStatus(404);
  if (!PrepareUpstreamHead()) return;
  // No module has looked at these fields, nor removed what only modules may say (who the client is): the origin gets
  // what such a request needs and what is ours.
  upstream_request_.headers.RemoveIf(
      [](std::string_view name, std::string_view) { return !GoesPastModules(name); });
  step_ = Step::kUpstreamModules;
  Advance();
}

void ServerExchange::ObeyStop() {
  if (reply_) {
    LocalReply reply = std::move(*reply_);
    reply_.reset();
    return SendReply(std::move(reply));
  }
  // The module wants the connection gone.
  NoteFailure("stopped by a module");
  connection_->codec().GoAway();
  Cut({ErrorCode::kPermission, "stopped by a module", Side::kLocal});
}

bool ServerExchange::RefusesPath(bool has_path_filter) {
  if (!has_path_filter || is_path_plain_) return false;
  if (!path_.doubt.empty()) {
    NoteFailure(path_.doubt);
    SendStatus(400);
    return true;
  }
  // What is judged is what is forwarded.
  if (original_target_.empty() && request_.path() != path_.path) {
    original_target_ = request_.target;
    size_t query = request_.target.find('?');
    std::string target = path_.path;
    if (query != std::string::npos) target.append(request_.target, query);
    request_.target = std::move(target);
  }
  return false;
}

// A path that servers read in different ways, one of which leads to a route with other modules (one that asks for a
// password): the origin might take that way, past them.
bool ServerExchange::MayLeadElsewhere() const {
  if (is_path_plain_ || path_.doubt.empty()) return false;
  const Snapshot& snapshot = config();
  for (const std::string& reading : OtherReadings(request_.path())) {
    auto route = snapshot.router.FindRoute(*site_, reading);
    if (route && snapshot.routes[*route].modules != route_->modules) return true;
  }
  return false;
}

bool ServerExchange::RefusesBody() {
  uint64_t most = config().sites[*site_].config.max_body;
  if (most == 0 || !request_.upgrade.empty()) return false;
  bool is_too_large = request_bytes_ > most || (request_.framing == http::BodyFraming::kContentLength &&
                                                request_.content_length > most);
  if (!is_too_large) return false;
  NoteFailure("body over max_body");
  if (can_answer()) {
    SendStatus(413);
  } else {
    Cut({ErrorCode::kTooLarge, "body over max_body", Side::kDownstream});
  }
  return true;
}

bool ServerExchange::IsRedirected() const {
  if (connection_->is_tls() || !config().sites[*site_].config.redirects()) return false;
  // A balancer of ours that speaks TLS with the client already.
  if (is_from_trusted_proxy_) {
    auto scheme = request_.headers.Get("x-forwarded-proto");
    if (scheme && EqualsIgnoreCase(*scheme, "https")) return false;
  }
  return true;
}

bool ServerExchange::LacksCertificate(const tls::TlsPolicy& policy) const {
  return policy.client_certificates == tls::TlsPolicy::ClientCertificates::kRequire &&
         connection_->view().client_certificate == nullptr;
}

bool ServerExchange::RouteRequest() {
  const Snapshot& snapshot = config();
  bool is_tls = connection_->is_tls();
  if (!site_) {
    // RFC 9110 15.5.20: a certificate of ours does not make every name ours.
    SendStatus(is_tls ? 421 : 404);
    return false;
  }
  std::string_view server_name = connection_->view().server_name;
  if (is_tls && server_name != host_) {
    auto shaken = server_name.empty() ? std::nullopt : snapshot.router.FindSite(server_name);
    if (!shaken) shaken = snapshot.router.default_site();
    // What the handshake demanded (a client certificate, a version) is not what this site demands.
    if (shaken && *shaken != *site_ &&
        !(snapshot.sites[*shaken].tls_policy == snapshot.sites[*site_].tls_policy)) {
      SendStatus(421);
      return false;
    }
  }
  if (is_tls && LacksCertificate(snapshot.sites[*site_].tls_policy)) {
    // The configuration has come to ask for one since: another connection will.
    NoteFailure("a connection from before certificates were required");
    connection_->codec().GoAway();
    SendStatus(421);
    return false;
  }
  if (IsRedirected()) {
    std::string host = host_.empty() ? snapshot.sites[*site_].name : host_;
    if (host.find(':') != std::string::npos) host = '[' + host + ']';
    std::string_view target = request_.target.starts_with('/') ? request_.target : std::string_view("/");
    bool is_safe = request_.method == "GET" || request_.method == "HEAD";
    answered_by_ = "redirect_to_https";
    SendReply(MakeRedirect(is_safe ? 301 : 308, fmt::format("https://{}{}", host, target),
                           core_.shared().clock.Wall()));
    return false;
  }
  std::string_view path = is_path_plain_ ? request_.path() : std::string_view(path_.path);
  auto route = snapshot.router.FindRoute(*site_, path);
  if (!route) {
    SendStatus(404);
    return false;
  }
  route_ = &snapshot.routes[*route];
  return !RefusesBody() && !RefusesPath(route_->has_path_filter || MayLeadElsewhere());
}

// ---- to the upstream

http::PeerView ServerExchange::MakePeerView() const {
  http::PeerView peer;
  peer.address = connection_->view().client_address;
  peer.local_port = connection_->local_port();
  peer.is_tls = connection_->is_tls();
  peer.is_trusted = is_from_trusted_proxy_;
  return peer;
}

bool ServerExchange::PrepareUpstreamHead() {
  if (route_->cluster < 0) {
    SendStatus(404);
    return false;
  }
  auto cluster = static_cast<size_t>(route_->cluster);
  if (snapshot_->clusters[cluster] == nullptr) {
    NoteFailure("the upstream cannot be used");
    SendStatus(502);
    return false;
  }
  upstream_request_.headers.ReserveFor(request_.headers, http::kForwardingFields,
                                       http::kForwardingBytes);
  upstream_request_ = request_;
  if (upstream_request_.authority.empty()) {
    // The origin speaks HTTP/1.1 with us, and that needs a Host.
    const std::string& name = config().sites[route_->site].name;
    upstream_request_.authority = name.starts_with('*') ? "" : name;
  }
  if (!http::PrepareForUpstream(upstream_request_, MakePeerView(), config().forwarding[cluster])) {
    NoteFailure("a field name with an underscore");
    SendStatus(400);
    return false;
  }
  visible_request_ = &upstream_request_;
  return true;
}

void ServerExchange::StartUpstream() {
  visible_request_ = &request_;
  upstream::StartOptions options;
  const ConnectionView& view = connection_->view();
  options.client_address = view.client_address;
  options.client_port = view.client_port;
  options.local_address = view.local_address;
  options.local_port = view.local_port;
  // A tunnel's bytes come behind the 101.
  bool is_upgrade = !upstream_request_.upgrade.empty();
  bool has_body = !is_upgrade && (!request_ended_ || !request_body_.empty() || request_trailers_);
  bool is_whole = !has_body && !is_upgrade;
  request_end_sent_ = is_whole;
  upstream::Cluster& cluster = *snapshot_->clusters[static_cast<size_t>(route_->cluster)];
  upstream_ = cluster.Start(std::move(upstream_request_), is_whole, options, *this);
  PumpRequestBody();
}

// ---- the request's body

void ServerExchange::OnBody(Buffer& data, bool end) {
  size_t size = data.size();
  last_request_bytes_ = last_progress_ = core_.loop().now();
  request_bytes_ += size;
  request_unconsumed_ += size;
  if (end) request_ended_ = true;
  core_.metrics().bytes_in.Add(size);
  Dirty();
  if (drops_request_body_) {
    data.Clear();
    return DropRequestBody();
  }
  if (route_ != nullptr && RefusesBody()) {
    data.Clear();
    return DropRequestBody();
  }
  request_body_.Append(data);
  PumpRequestBody();
}

void ServerExchange::OnTrailers(http::Headers&& trailers) {
  request_ended_ = true;
  Dirty();
  if (drops_request_body_) return;
  request_trailers_ = std::move(trailers);
  PumpRequestBody();
}

void ServerExchange::DropRequestBody() {
  drops_request_body_ = true;
  request_body_.Clear();
  request_piece_.Clear();
  request_trailers_.reset();
  if (request_unconsumed_ == 0 || is_stream_done_) return;
  connection_->codec().Consumed(stream_, request_unconsumed_);
  request_unconsumed_ = 0;
}

void ServerExchange::PumpRequestBody() {
  if (upstream_ == nullptr || is_upstream_done_ || request_end_sent_ ||
      (paused_ & kPausedRequestBody) != 0) {
    return;
  }
  // Until the 101 nobody knows whether there will be a tunnel.
  if (!request_.upgrade.empty() && !is_tunnel_) return;
  if (request_body_.empty() && !request_ended_) return;
  bool is_judged = !is_tunnel_ && chain_.Has(kHookRequestBody);
  if (!is_judged) return SendRequestBody(request_body_);
  request_piece_.Append(request_body_);
  RunRequestBody();
}

void ServerExchange::RunRequestBody() {
  // `end` is what it was when the piece was cut off: nothing more is appended to it while it is with the filters.
  bool is_last = request_ended_ && request_body_.empty();
  Verdict verdict = Verdict::kPause;
  do {
    is_in_hook_ = true;
    is_resumed_ = false;
    verdict = chain_.RequestBody(*this, request_piece_, is_last);
    is_in_hook_ = false;
  } while (verdict == Verdict::kPause && is_resumed_);
  if (reply_ || verdict == Verdict::kStop) {
    ObeyStop();
    return DropRequestBody();
  }
  if (verdict == Verdict::kPause) {
    paused_ |= kPausedRequestBody;
    return;
  }
  SendRequestBody(request_piece_);
  if (!request_body_.empty()) PumpRequestBody();
}

void ServerExchange::SendRequestBody(Buffer& data) {
  bool is_last = request_ended_ && request_body_.size() == (&data == &request_body_ ? data.size() : 0);
  bool has_trailers = request_trailers_.has_value();
  if (!data.empty() || (is_last && !has_trailers)) {
    upstream_->SendBody(data, is_last && !has_trailers);
    data.Clear();
  }
  if (!is_last) return;
  if (has_trailers) upstream_->SendTrailers(*request_trailers_);
  request_end_sent_ = true;
}

void ServerExchange::OnUpstreamWritable() { Dirty(); }

size_t ServerExchange::UploadTakesAtOnce() const {
  bool flows = upstream_ != nullptr && !is_upstream_done_ && !request_ended_ && !drops_request_body_ &&
               paused_ == 0 && request_unconsumed_ == 0;
  if (!flows || (!is_tunnel_ && chain_.Has(kHookRequestBody))) return 0;
  return upstream_->TakesAtOnce();
}

// ---- what modules ask

const ConnectionView& ServerExchange::connection() const { return connection_->view(); }

std::string_view ServerExchange::client_address() const {
  return client_address_.empty() ? connection_->view().client_address
                                 : std::string_view(client_address_);
}

std::string ServerExchange::id() const {
  return fmt::format("{}.{}/{}", core_.index(), connection_->number(), stream_);
}

Result<std::string> ServerExchange::normalized_path() {
  if (is_path_plain_) return std::string(request_.path());
  if (!path_.doubt.empty()) return Fail(ErrorCode::kInvalid, "{}", path_.doubt);
  return path_.path;
}

std::string_view ServerExchange::site() const {
  return site_ ? std::string_view(config().sites[*site_].name) : std::string_view();
}

bool ServerExchange::site_has_challenge_upstream() const {
  return site_ && config().sites[*site_].config.challenge_to_upstream;
}

std::string_view ServerExchange::site_thumbprint() const {
  return site_ ? std::string_view(config().sites[*site_].config.thumbprint) : std::string_view();
}

void ServerExchange::Reply(http::ResponseHead head, std::string body, std::string_view answered_by) {
  if (!can_answer()) return;
  answered_by_ = answered_by;
  answered_module_ = chain_.last_name();
  LocalReply reply{std::move(head), std::move(body)};
  CompleteLocalHead(reply.head, reply.body, core_.shared().clock.Wall());
  if (is_in_hook_) {
    reply_ = std::move(reply);
    return;
  }
  paused_ = 0;
  SendReply(std::move(reply));
}

void ServerExchange::ReplyStatus(int status, std::string_view answered_by) {
  ReplyStatusWith(status, {}, answered_by);
}

void ServerExchange::ReplyStatusWith(int status, const http::Headers& more,
                                     std::string_view answered_by) {
  LocalReply reply = MakeLocalReply(status, core_.shared().clock.Wall());
  for (http::Headers::Field field : more) reply.head.headers.Set(field.name, field.value);
  Reply(std::move(reply.head), std::move(reply.body), answered_by);
}

std::string ServerExchange::OwnChallenge(std::string_view token) {
  return core_.shared().challenges.Answer(token, core_.loop().now());
}

void ServerExchange::CollectResponse(size_t most, std::function<void(Result<std::string>)> done) {
  collection_ = Collection{most, std::move(done)};
  connection_->NeedDeadline(core_.loop().now() + connection_->listener().spec().limits.body_timeout);
}

void ServerExchange::ForwardNow() {
  if (!can_answer() || step_ == Step::kUpstream) return;
  forwards_now_ = true;
  if (is_in_hook_) return;
  paused_ &= static_cast<uint8_t>(~kPausedRequest);
  ForwardPastModules();
}

void ServerExchange::Resume() {
  if (is_in_hook_) {
    is_resumed_ = true;
    return;
  }
  uint8_t paused = std::exchange(paused_, uint8_t{0});
  if (is_stream_done_) return;
  if ((paused & kPausedRequest) != 0) Advance();
  if ((paused & kPausedRequestBody) != 0 && !is_stream_done_) RunRequestBody();
  if ((paused & kPausedResponseHead) != 0 && !is_stream_done_) RunResponseHead();
  if ((paused & kPausedResponseBody) != 0 && !is_stream_done_) RunResponseBody();
  Dirty();
}

bool ServerExchange::Offload(std::function<void()> work, std::function<void()> done) {
  return Submit(core_.shared().blocking, std::move(work), std::move(done));
}

bool ServerExchange::Compute(std::function<void()> work, std::function<void()> done) {
  return Submit(core_.shared().computing, std::move(work), std::move(done));
}

bool ServerExchange::Submit(event::BlockingPool& pool, std::function<void()> work,
                            std::function<void()> done) {
  if (handle_.generation == 0) handle_ = core_.Register(*this);
  if (offload_guard_ == nullptr) offload_guard_ = std::make_shared<OffloadGuard>();
  auto run = [work = std::move(work), done = std::move(done), guard = offload_guard_,
              mailbox = core_.mailbox(), core = &core_, handle = handle_]() mutable {
    work();
    std::lock_guard lock(mailbox->mutex);
    if (mailbox->loop == nullptr) return;
    // The guard goes along: what it holds dies on the worker's thread.
    mailbox->loop->Post([done = std::move(done), guard = std::move(guard), core, handle] {
      if (ServerExchange* exchange = core->Find(handle); exchange != nullptr) exchange->RunOffloaded(done);
    });
  };
  return pool.Submit(std::move(run));
}

void ServerExchange::RunOffloaded(const std::function<void()>& done) {
  if (is_stream_done_) return;
  done();
  Dirty();
}

}  // namespace genkan::server
