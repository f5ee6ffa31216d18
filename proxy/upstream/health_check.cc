#include "proxy/upstream/health_check.h"

#include <algorithm>

#include "proxy/base/log.h"

namespace genkan::upstream {

HealthCheck::HealthCheck(event::EventLoop& loop, ClusterShared& shared, size_t server,
                         Endpoint& endpoint, ConnectOptions options)
    : loop_(loop),
      shared_(shared),
      spec_(shared.spec()),
      server_(server),
      endpoint_(endpoint),
      options_(std::move(options)),
      timer_(loop, [this] { Ask(); }),
      turn_(loop,
            [this] {
              if (connection_) {
                connection_->is_dirty = false;
                connection_->RunTurn();
              }
            }),
      random_(std::random_device()()) {
  // A check that is not answered before the next one is due has failed.
  Millis limit = std::max(spec_.health_interval, Millis(100));
  options_.timeout = std::min(spec_.connect_timeout, limit);
  spec_.response_timeout = std::min(spec_.response_timeout, limit);
  spec_.write_timeout = std::min(spec_.write_timeout, limit);
  spec_.stream_idle_timeout = spec_.response_timeout;
  Schedule(0.0, 1.0);
}

HealthCheck::~HealthCheck() { Drop(); }

void HealthCheck::Schedule(double from, double to) {
  double part = std::uniform_real_distribution<double>(from, to)(random_);
  timer_.Start(
      Millis(static_cast<int64_t>(static_cast<double>(spec_.health_interval.count()) * part)));
}

void HealthCheck::Ask() {
  UpstreamConnection::Owner& owner = *this;
  ConnectionUser& user = *this;
  connection_ = std::make_unique<UpstreamConnection>(loop_, spec_, server_, owner);
  connection_->Connect(endpoint_, options_, user);
}

void HealthCheck::OnConnectionReady() {
  http::RequestHead head;
  head.method = "GET";
  head.target = spec_.health_path;
  head.authority = endpoint_.host().empty() ? "localhost" : endpoint_.text();
  head.headers.Add("User-Agent", "genkan-health-check");
  head.headers.Add("Accept", "*/*");
  connection_->SendRequest(head, true);
}

void HealthCheck::OnConnectionResponse(http::ResponseHead&& head, bool) {
  // The status says all. The rest is not waited for.
  Report(head.status >= 200 && head.status < 400, fmt::format("status {}", head.status));
}

void HealthCheck::OnConnectionBody(Buffer& data, bool) { data.Clear(); }

void HealthCheck::OnConnectionFailed(const Error& error) { Report(false, error.detail); }

void HealthCheck::Report(bool is_good, std::string_view reason) {
  Drop();
  Schedule(0.9, 1.1);
  bool was_up = state_.is_up();
  bool is_up = state_.Report(is_good);
  if (was_up == is_up) return;
  shared_.server(server_).is_healthy.store(is_up, std::memory_order_relaxed);
  const std::string& address = spec_.servers[server_].address;
  if (is_up) {
    LOG_INFO("upstream_up", "upstream={} server={}", spec_.name, address);
  } else {
    LOG_WARN("upstream_down", "upstream={} server={} reason=\"{}\"", spec_.name, address, reason);
  }
}

void HealthCheck::Drop() {
  if (connection_) loop_.Retire(std::move(connection_));
}

void HealthCheck::OnConnectionDirty(UpstreamConnection& connection) {
  connection.is_dirty = true;
  turn_.Schedule();
}

void HealthCheck::OnConnectionFree(UpstreamConnection&) { Drop(); }
void HealthCheck::OnConnectionClosed(UpstreamConnection&) { Drop(); }

}  // namespace genkan::upstream
