#include "proxy/control/service_manager.h"

#include <fcntl.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "proxy/base/log.h"
#include "proxy/net/acceptor.h"

namespace genkan::control {

ServiceManager::ServiceManager(event::EventLoop& loop) : timer_(loop, [this] { Beat(); }) {}

void ServiceManager::TakeSockets() {
  // The variables are forgotten: a program that we start must not take them for its own.
  int count = sd_listen_fds(1);
  for (int i = 0; i < count; ++i) {
    net::Fd fd(SD_LISTEN_FDS_START + i);
    if (sd_is_socket(fd.get(), AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
      LOG_WARN("activation_socket_ignored", "fd={} it is no listening stream socket", fd.get());
      continue;
    }
    fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
    auto address = net::Acceptor::LocalAddress(fd.get());
    if (!address) {
      LOG_WARN("activation_socket_ignored", "fd={} error=\"{}\"", fd.get(), address.error().detail);
      continue;
    }
    sockets_.push_back({*address, std::move(fd)});
  }
}

std::optional<net::Fd> ServiceManager::FindSocket(const net::Address& address) {
  for (size_t i = 0; i < sockets_.size(); ++i) {
    const net::Address& given = sockets_[i].address;
    bool is_wildcard = address.is_dual_stack() && given.family() == AF_INET6 &&
                       given.HostBytes() == address.HostBytes() && given.port() == address.port();
    if (!is_wildcard && !(given == address)) continue;
    net::Fd fd = std::move(sockets_[i].fd);
    sockets_.erase(sockets_.begin() + static_cast<ptrdiff_t>(i));
    return fd;
  }
  return std::nullopt;
}

std::vector<std::string> ServiceManager::UnusedSockets() const {
  std::vector<std::string> unused;
  for (const Given& given : sockets_) unused.push_back(given.address.ToString());
  return unused;
}

void ServiceManager::Notify(const std::string& state) { sd_notify(0, state.c_str()); }

void ServiceManager::NotifyReloading() {
  // Type=notify-reload wants to know when (sd_notify(3)).
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  uint64_t micros =
      static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1'000;
  Notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", micros));
}

void ServiceManager::StartWatchdog(std::function<bool()> is_alive) {
  uint64_t micros = 0;
  if (sd_watchdog_enabled(0, &micros) <= 0) return;
  is_alive_ = std::move(is_alive);
  interval_ = std::max(Millis(static_cast<int64_t>(micros / 2'000)), Millis(1));
  Beat();
}

void ServiceManager::NameMain(pid_t pid) {
  // READY too: what the new process said of itself was not listened to yet.
  Notify(fmt::format("MAINPID={}\nREADY=1", pid));
  timer_.Cancel();
}

void ServiceManager::Beat() {
  if (is_alive_()) Notify("WATCHDOG=1");
  timer_.Start(interval_);
}

}  // namespace genkan::control
