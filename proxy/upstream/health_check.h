// Asks one server for health_path at intervals: 2xx and 3xx mean that it is up; two failures in a
// row take it out, one success takes it in again. On connections of its own, which count for no
// limit. Worker's thread; owned by the cluster of the one worker that checks.
#pragma once

#include <memory>
#include <random>

#include "proxy/event/turn_end.h"
#include "proxy/upstream/upstream_connection.h"

namespace genkan::upstream {

// The rule alone. Pure.
class HealthState {
 public:
  static constexpr int kFailuresToGoDown = 2;
  // Returns whether the server is up after this answer.
  bool Report(bool is_good) {
    failures_ = is_good ? 0 : failures_ + 1;
    if (is_good) is_up_ = true;
    if (failures_ >= kFailuresToGoDown) is_up_ = false;
    return is_up_;
  }
  bool is_up() const { return is_up_; }

 private:
  int failures_ = 0;
  bool is_up_ = true;
};

class HealthCheck final : private UpstreamConnection::Owner, private ConnectionUser {
 public:
  // The first check comes within the first interval, so that many servers are not asked at once.
  HealthCheck(event::EventLoop& loop, ClusterShared& shared, size_t server, Endpoint& endpoint,
              ConnectOptions options);
  ~HealthCheck();
  HealthCheck(const HealthCheck&) = delete;
  HealthCheck& operator=(const HealthCheck&) = delete;

 private:
  void OnConnectionDirty(UpstreamConnection& connection) override;
  void OnConnectionUp(UpstreamConnection&) override {}
  void OnConnectionDown(UpstreamConnection&) override {}
  void OnConnectionFree(UpstreamConnection& connection) override;
  void OnConnectionClosed(UpstreamConnection& connection) override;

  void OnConnectionReady() override;
  void OnConnectionInterim(http::ResponseHead&&) override {}
  void OnConnectionResponse(http::ResponseHead&& head, bool end) override;
  void OnConnectionBody(Buffer& data, bool end) override;
  void OnConnectionTrailers(http::Headers&&) override {}
  void OnConnectionWritten() override {}
  void OnConnectionFailed(const Error& error) override;

  void Ask();
  void Report(bool is_good, std::string_view reason);
  void Drop();
  void Schedule(double from, double to);

  event::EventLoop& loop_;
  ClusterShared& shared_;
  ClusterSpec spec_;  // with time limits of its own
  size_t server_;
  Endpoint& endpoint_;
  ConnectOptions options_;
  HealthState state_;
  std::unique_ptr<UpstreamConnection> connection_;
  event::Timer timer_;
  event::TurnEnd turn_;
  std::minstd_rand random_;
};

}  // namespace genkan::upstream
