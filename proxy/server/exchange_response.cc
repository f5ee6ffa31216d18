// The way back of an exchange: from the upstream or from us, through the filters, to the client; and what is counted
// and written down at its end.
#include <algorithm>

#include "proxy/base/log.h"
#include "proxy/base/text.h"
#include "proxy/http/forwarding.h"
#include "proxy/server/downstream_connection.h"
#include "proxy/server/exchange.h"

namespace genkan::server {
namespace {

constexpr MonotonicTime kNever = MonotonicTime::max();
// Slow bodies are given this long before their average counts.
constexpr Seconds kAverageAfter{20};

int64_t MicrosBetween(MonotonicTime from, MonotonicTime to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

int StatusOf(const Error& error) {
  if (error.code == ErrorCode::kTimeout) return 504;
  if (error.code == ErrorCode::kBusy) return 503;
  return 502;
}

}  // namespace

void ServerExchange::Dirty() { connection_->MarkDirty(); }

// ---- answers of ours

void ServerExchange::SendStatus(int status) {
  SendReply(MakeLocalReply(status, core_.shared().clock.Wall()));
}

void ServerExchange::SendReply(LocalReply&& reply) {
  if (!can_answer()) return;
  DropUpstream();
  step_ = Step::kUpstream;
  visible_request_ = &request_;
  is_local_ = true;
  response_ = std::move(reply.head);
  response_body_.Clear();
  response_piece_.Clear();
  response_trailers_.reset();
  response_body_.Append(std::string_view(reply.body));
  response_received_ = true;
  RunResponseHead();
  DropRequestBody();
}

void ServerExchange::DropUpstream() {
  if (upstream_ == nullptr) return;
  // It may be calling us right now: it goes with the next Account.
  is_upstream_done_ = true;
  response_unconsumed_ = 0;
}

void ServerExchange::Cut(const Error& error) {
  if (is_stream_done_) return;
  NoteFailure(error.detail);
  DropUpstream();
  response_ended_ = true;
  drops_request_body_ = true;
  connection_->codec().Reset(stream_, error);
  Dirty();
}

// ---- what the upstream says

void ServerExchange::OnUpstreamInterim(http::ResponseHead&& head) {
  if (is_upstream_done_ || is_stream_done_ || has_response_) return;
  http::PrepareForDownstream(head, config().forwarding[static_cast<size_t>(route_->cluster)]);
  connection_->codec().SendInterim(stream_, head);
  if (head.status == 100) last_request_bytes_ = core_.loop().now();
  Dirty();
}

void ServerExchange::OnUpstreamResponse(http::ResponseHead&& head, bool end) {
  if (is_upstream_done_ || is_stream_done_) return;
  response_ = std::move(head);
  response_head_at_ = last_progress_ = core_.loop().now();
  response_received_ = is_upstream_done_ = end;
  is_tunnel_ = response_.status == 101;
  http::PrepareForDownstream(response_, config().forwarding[static_cast<size_t>(route_->cluster)]);
  const config::Rewrite& rewrite = config().sites[route_->site].config.rewrite;
  if (rewrite.location || rewrite.cookies_secure) {
    http::RewritePolicy policy{rewrite.location && connection_->is_tls(),
                               rewrite.cookies_secure && connection_->is_tls()};
    http::RewriteResponse(response_, request_.authority, policy);
  }
  RunResponseHead();
  Dirty();
}

void ServerExchange::OnUpstreamBody(Buffer& data, bool end) {
  if (is_upstream_done_ || is_stream_done_) {
    data.Clear();
    return;
  }
  response_unconsumed_ += data.size();
  last_progress_ = core_.loop().now();
  if (end) response_received_ = is_upstream_done_ = true;
  response_body_.Append(data);
  PumpResponseBody();
  Collect();
  Dirty();
}

void ServerExchange::OnUpstreamTrailers(http::Headers&& trailers) {
  if (is_upstream_done_ || is_stream_done_) return;
  response_trailers_ = std::move(trailers);
  response_received_ = is_upstream_done_ = true;
  PumpResponseBody();
  Collect();
  Dirty();
}

void ServerExchange::OnUpstreamFailed(const Error& error) {
  if (is_upstream_done_ || is_stream_done_) return;
  core_.metrics().upstream_errors.Add();
  NoteFailure(error.detail);
  LOG_DEBUG("upstream_failed", "x={} upstream={} error=\"{}\"", id(), upstream_->info().address,
            error.detail);
  is_upstream_done_ = true;
  if (has_response_) return Cut({error.code, error.detail, Side::kUpstream});
  if (auto collection = std::exchange(collection_, std::nullopt)) {
    collection->done(Fail(error.code, "{}", error.detail));
    Dirty();
    if (!can_answer()) return;
  }
  paused_ &= static_cast<uint8_t>(~(kPausedResponseHead | kPausedResponseBody));
  SendStatus(StatusOf(error));
  Dirty();
}

// ---- through the filters

void ServerExchange::RunResponseHead() {
  while (true) {
    is_in_hook_ = true;
    is_resumed_ = false;
    Verdict verdict = chain_.ResponseHead(*this);
    is_in_hook_ = false;
    if (reply_) {
      // Another response takes its place; the filters that are left see that one.
      DropUpstream();
      response_ = std::move(reply_->head);
      response_body_.Clear();
      response_body_.Append(std::string_view(reply_->body));
      response_trailers_.reset();
      response_received_ = is_local_ = true;
      is_tunnel_ = false;
      reply_.reset();
      continue;
    }
    if (verdict == Verdict::kStop) return ObeyStop();
    if (verdict == Verdict::kContinue) break;
    if (!is_resumed_) {
      paused_ |= kPausedResponseHead;
      return Collect();
    }
  }
  SendHead();
}

void ServerExchange::Collect() {
  if (!collection_ || (paused_ & kPausedResponseHead) == 0) return;
  bool is_too_large = response_body_.size() > collection_->most;
  if (!is_too_large && !response_received_) return;
  auto done = std::move(collection_->done);
  collection_.reset();
  if (is_too_large) {
    done(Fail(ErrorCode::kTooLarge, "too long a body"));
  } else {
    done(response_body_.ToText());
  }
}

void ServerExchange::SendHead() {
  bool has_no_body = http::HasNoBody(response_.status) && !is_tunnel_;
  bool is_bare = has_no_body || request_.method == "HEAD";
  if (is_bare) {
    response_body_.Clear();
    response_trailers_.reset();
    // The upstream has nothing more to say either.
    if (!is_local_) response_received_ = true;
  }
  bool end = response_received_ && response_body_.empty() && !response_trailers_ && !is_tunnel_;
  has_response_ = true;
  response_ended_ = end;
  connection_->codec().SendResponse(stream_, response_, end);
  if (is_tunnel_) {
    request_ended_ = request_end_sent_ = false;
    PumpRequestBody();
  }
  if (!end) {
    PumpResponseBody();
    connection_->NeedDeadline(core_.loop().now() + connection_->listener().spec().limits.stream_idle_timeout);
  } else if (!request_ended_) {
    // An answer before the end of the question: the rest of the body goes nowhere.
    DropRequestBody();
  }
  Dirty();
}

void ServerExchange::PumpResponseBody() {
  if (!has_response_ || response_ended_ || (paused_ & kPausedResponseBody) != 0) return;
  if (response_body_.empty() && !response_received_) return;
  if (is_tunnel_ || !chain_.Has(kHookResponseBody)) return SendResponseBody(response_body_);
  response_piece_.Append(response_body_);
  RunResponseBody();
}

void ServerExchange::RunResponseBody() {
  bool is_last = response_received_ && response_body_.empty();
  Verdict verdict = Verdict::kPause;
  do {
    is_in_hook_ = true;
    is_resumed_ = false;
    verdict = chain_.ResponseBody(*this, response_piece_, is_last);
    is_in_hook_ = false;
  } while (verdict == Verdict::kPause && is_resumed_);
  if (verdict == Verdict::kStop) {
    // The head is with the client: all that is left is to end visibly.
    reply_.reset();
    return Cut({ErrorCode::kInternal, "stopped by a module", Side::kLocal});
  }
  if (verdict == Verdict::kPause) {
    paused_ |= kPausedResponseBody;
    return;
  }
  SendResponseBody(response_piece_);
  if (!response_body_.empty()) PumpResponseBody();
}

void ServerExchange::SendResponseBody(Buffer& data) {
  bool is_last = response_received_ &&
                 response_body_.size() == (&data == &response_body_ ? data.size() : 0);
  bool has_trailers = response_trailers_.has_value();
  response_bytes_ += data.size();
  core_.metrics().bytes_out.Add(data.size());
  http::ServerCodec& codec = connection_->codec();
  if (!data.empty() || (is_last && !has_trailers)) {
    codec.SendBody(stream_, data, is_last && !has_trailers);
    data.Clear();
  }
  if (!is_last) return;
  if (has_trailers) codec.SendTrailers(stream_, *response_trailers_);
  response_ended_ = true;
  if (!is_tunnel_ && !request_ended_) DropRequestBody();
}

size_t ServerExchange::TakesAtOnce() {
  if (!has_response_ || response_ended_ || is_stream_done_ || paused_ != 0 || response_unconsumed_ > 0) return 0;
  // A filter may hold back what it gets.
  if (!is_tunnel_ && chain_.Has(kHookResponseBody)) return 0;
  return connection_->TakesAtOnce(stream_);
}

// ---- bytes that have left

void ServerExchange::Account() {
  if (connection_ == nullptr || is_stream_done_) return;
  http::ServerCodec& codec = connection_->codec();
  if (upstream_ != nullptr && is_upstream_done_) {
    // All of its answer is here, or nobody wants it.
    upstream_info_ = upstream_->info();
    upstream_.reset();
    if (!request_ended_ || request_unconsumed_ > 0) DropRequestBody();
  }
  if (request_unconsumed_ > 0) {
    size_t held = request_body_.size() + request_piece_.size() +
                  (upstream_ != nullptr ? upstream_->buffered() : 0);
    NoteWindow(held >= connection_->listener().spec().codec_limits.buffered_per_stream);
    if (held < request_unconsumed_) {
      codec.Consumed(stream_, request_unconsumed_ - held);
      request_unconsumed_ = held;
    }
  }
  if (!has_response_) return;
  size_t held = codec.buffered(stream_) + response_body_.size() + response_piece_.size();
  // One stream has all of an h1 connection; on h2 what is on its way out belongs to many.
  bool is_h1 = codec.version() != http::Version::kHttp2;
  if (is_h1) held += connection_->unsent();
  if (held < response_unconsumed_) {
    size_t left = response_unconsumed_ - held;
    response_unconsumed_ = held;
    if (upstream_ != nullptr) upstream_->Consumed(left);
  }
  if (held == last_held_) return;
  bool has_begun_to_wait = last_held_ == 0;
  last_held_ = held;
  last_progress_ = core_.loop().now();
  if (has_begun_to_wait && !is_h1) {
    connection_->NeedDeadline(last_progress_ + connection_->listener().spec().limits.write_timeout);
  }
}

// The time that the upstream takes is not the client's slowness.
void ServerExchange::NoteWindow(bool is_full) {
  if (is_full == is_window_full_) return;
  MonotonicTime now = core_.loop().now();
  if (is_full) {
    window_full_since_ = now;
  } else {
    body_began_ += now - window_full_since_;
    last_request_bytes_ = now;
    connection_->NeedDeadline(now + connection_->listener().spec().limits.body_timeout);
  }
  is_window_full_ = is_full;
}

bool ServerExchange::is_endless() const {
  if (is_tunnel_) return true;
  if (!has_response_ || response_ended_) return false;
  auto type = response_.headers.Get("content-type");
  return type && type->starts_with("text/event-stream");
}

MonotonicTime ServerExchange::CheckDeadlines(MonotonicTime now) {
  if (connection_ == nullptr || is_stream_done_) return kNever;
  const config::Limits& limits = connection_->listener().spec().limits;
  MonotonicTime next = kNever;
  bool waits_for_body = !request_ended_ && !drops_request_body_ && !has_response_ && !is_window_full_;
  if (waits_for_body) {
    MonotonicTime idle_until = last_request_bytes_ + limits.body_timeout;
    MonotonicTime average_from = body_began_ + kAverageAfter;
    auto seconds = std::chrono::duration<double>(now - body_began_).count();
    bool is_too_slow = now >= average_from && limits.body_min_rate > 0 &&
                       static_cast<double>(request_bytes_) < seconds * limits.body_min_rate;
    if (now >= idle_until || is_too_slow) {
      NoteFailure(is_too_slow ? "the request's body is too slow" : "the request's body stopped");
      // The rest of the body may still come: the connection is of no further use.
      if (connection_->codec().version() != http::Version::kHttp2) connection_->codec().GoAway();
      SendStatus(408);
      Dirty();
      return kNever;
    }
    next = std::min(idle_until, now < average_from ? average_from : now + Seconds(1));
  }
  if (collection_) {
    // A body that somebody waits for here is short: it is not a stream that may rest.
    MonotonicTime until = last_progress_ + limits.body_timeout;
    if (now >= until) {
      auto done = std::move(collection_->done);
      collection_.reset();
      done(Fail(ErrorCode::kTimeout, "the body stopped"));
      Dirty();
      return kNever;
    }
    next = std::min(next, until);
  }
  if (!has_response_) return next;
  if (last_held_ > 0 && connection_->codec().version() == http::Version::kHttp2) {
    MonotonicTime until = last_progress_ + limits.write_timeout;
    if (now >= until) {
      Cut({ErrorCode::kTimeout, "the client takes nothing", Side::kDownstream});
      return kNever;
    }
    return std::min(next, until);
  }
  // Nothing to send: an hour; half a minute where the client has closed its side and may be gone altogether.
  Millis idle = connection_->has_peer_closed() ? limits.write_timeout : limits.stream_idle_timeout;
  if (now >= last_progress_ + idle) {
    Cut({ErrorCode::kTimeout, "nothing moved for too long", Side::kLocal});
    return kNever;
  }
  return std::min(next, last_progress_ + idle);
}

// ---- the end

void ServerExchange::CountMetrics() {
  WorkerMetrics& metrics = core_.metrics();
  metrics.requests_open.Subtract();
  int status = has_response_ ? response_.status : 0;
  metrics.responses[static_cast<size_t>(std::clamp(status / 100, 0, 5))].Add();
  if (!is_tunnel_) {
    metrics.request_duration.Observe(
        static_cast<uint64_t>(std::max<int64_t>(0, MicrosBetween(began_, core_.loop().now()))));
  }
  if (response_head_at_ != MonotonicTime{}) {
    metrics.upstream_head_duration.Observe(
        static_cast<uint64_t>(std::max<int64_t>(0, MicrosBetween(began_, response_head_at_))));
  }
  if (answered_by_.starts_with("acme_challenge")) {
    (status == 200 ? metrics.challenges_answered : metrics.challenges_refused).Add();
  }
}

void ServerExchange::NoteChallenge() {
  ChallengeBoard& board = core_.shared().challenges;
  std::string_view path = request_.path();
  bool is_challenge = path.starts_with(kChallengePrefix);
  if (!is_challenge && !board.is_watching()) return;
  std::string token =
      board.TokenOf(path, is_challenge ? "" : request_.headers.Get("user-agent").value_or(""));
  if (token.empty()) return;
  ChallengeHit hit;
  hit.time = began_wall_;
  hit.host = request_.authority;
  hit.client = connection_->view().client_address;
  hit.target = original_target_.empty() ? request_.target : original_target_;
  hit.site = site();
  hit.is_tls = connection_->is_tls();
  hit.status = has_response_ ? response_.status : 0;
  hit.answered_by = answered_by_;
  hit.module = answered_module_;
  hit.upstream = upstream_info_.address;
  hit.reason = failure_;
  board.Note(token, std::move(hit), core_.loop().now());
}

void ServerExchange::WriteLog() {
  AccessLog& log = core_.shared().access_log;
  if (!log.is_on()) return;
  const ConnectionView& view = connection_->view();
  AccessRecord record;
  record.time = began_wall_;
  record.client_address = client_address();
  if (!user_.empty()) record.user = user_;
  record.request_id = request_id_;
  record.method = request_.method;
  record.target = original_target_.empty() ? request_.target : original_target_;
  record.version = http::ToString(request_.version);
  record.host = request_.authority;
  record.referer = request_.headers.Get("referer").value_or("");
  record.user_agent = request_.headers.Get("user-agent").value_or("");
  record.status = has_response_ ? response_.status : 0;
  record.body_bytes = response_bytes_;
  record.request_bytes = request_bytes_;
  record.site = site();
  if (const tls::TlsStream* tls = connection_->tls(); tls != nullptr) {
    const tls::HandshakeInfo& info = tls->handshake();
    record.server_name = info.server_name;
    record.tls_version = view.tls_version;
    record.cipher = info.cipher;
    record.alpn = info.alpn;
    record.is_resumed = info.is_resumed;
    record.has_sent_staple = info.has_sent_staple;
  }
  record.upstream = upstream_info_.address;
  record.answered_by = answered_by_;
  std::string id_text = id();
  record.id = id_text;
  record.error = failure_;
  record.duration_us = MicrosBetween(began_, core_.loop().now());
  if (upstream_info_.connect_time.count() >= 0) {
    record.upstream_connect_us = upstream_info_.connect_time.count() * 1000;
  }
  if (response_head_at_ != MonotonicTime{}) record.upstream_head_us = MicrosBetween(began_, response_head_at_);
  log.Write(record);
}

}  // namespace genkan::server
