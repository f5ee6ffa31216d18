#include "proxy/net/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/base/log.h"

namespace genkan::net {
namespace {

constexpr int kMaxBatch = 64;
constexpr Millis kFirstRetry{100};
constexpr Millis kLastRetry{1000};

void SetOption(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof(value));
}

// Whether the file of a Unix socket is left over from a program that has ended.
bool IsStaleSocket(const Address& address, const char* path) {
  struct stat status;
  if (lstat(path, &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe.is_open()) return false;
  return connect(probe.get(), address.get(), address.length()) != 0 && errno == ECONNREFUSED;
}

Result<Fd> OpenUnix(const Address& address, const ListenOptions& options) {
  const char* path = reinterpret_cast<const sockaddr_un*>(address.get())->sun_path;
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return Fail(ErrorCode::kIo, "socket: {}", std::strerror(errno));
  int bound = bind(fd.get(), address.get(), address.length());
  if (bound != 0 && errno == EADDRINUSE && IsStaleSocket(address, path)) {
    unlink(path);
    bound = bind(fd.get(), address.get(), address.length());
  }
  if (bound != 0) {
    ErrorCode code = errno == EACCES ? ErrorCode::kPermission : ErrorCode::kIo;
    return Fail(code, "listen on {}: {}", address.ToString(), std::strerror(errno));
  }
  // Nobody can connect before listen(), so nobody sees the permissions that the umask left.
  if (chmod(path, options.unix_mode) != 0 || listen(fd.get(), options.backlog) != 0)
    return Fail(ErrorCode::kIo, "listen on {}: {}", address.ToString(), std::strerror(errno));
  return fd;
}

Result<Fd> BindTcp(const Address& address, bool has_reuse_port) {
  Fd fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) {
    ErrorCode code = errno == EAFNOSUPPORT ? ErrorCode::kUnsupported : ErrorCode::kIo;
    return Fail(code, "listen on {}: socket: {}", address.ToString(), std::strerror(errno));
  }
  SetOption(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (has_reuse_port) SetOption(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.family() == AF_INET6)
    SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, address.is_dual_stack() ? 0 : 1);
  if (bind(fd.get(), address.get(), address.length()) != 0) {
    ErrorCode code = errno == EACCES          ? ErrorCode::kPermission
                     : errno == EAFNOSUPPORT  ? ErrorCode::kUnsupported
                     : errno == EADDRNOTAVAIL ? ErrorCode::kNotFound
                                              : ErrorCode::kIo;
    return Fail(code, "listen on {}: {}", address.ToString(), std::strerror(errno));
  }
  return fd;
}

}  // namespace

Result<Fd> Acceptor::OpenListener(const Address& address, const ListenOptions& options) {
  if (address.is_unix()) return OpenUnix(address, options);
  if (!address.is_ip()) return Fail(ErrorCode::kInvalid, "no address to listen on");
  if (options.must_be_free && options.has_reuse_port && address.port() != 0) {
    // A socket without SO_REUSEPORT cannot be bound beside one that listens.
    auto probe = BindTcp(address, false);
    if (!probe && probe.error().code != ErrorCode::kUnsupported) return PassOn(probe);
  }
  auto fd = BindTcp(address, options.has_reuse_port);
  if (!fd && address.is_dual_stack() &&
      (fd.error().code == ErrorCode::kUnsupported || fd.error().code == ErrorCode::kNotFound)) {
    // No IPv6 on this machine: every address means every IPv4 address.
    auto v4 = Address::ParseHost("0.0.0.0", address.port());
    if (v4) fd = BindTcp(*v4, options.has_reuse_port);
  }
  if (!fd) return PassOn(fd);
  // Connections inherit it (Linux): no system call for each.
  SetOption(fd->get(), IPPROTO_TCP, TCP_NODELAY, 1);
  if (listen(fd->get(), options.backlog) != 0)
    return Fail(ErrorCode::kIo, "listen on {}: {}", address.ToString(), std::strerror(errno));
  return fd;
}

Result<Address> Acceptor::LocalAddress(int fd) {
  sockaddr_storage name;
  socklen_t length = sizeof(name);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0)
    return Fail(ErrorCode::kIo, "getsockname: {}", std::strerror(errno));
  return Address::FromSockaddr(reinterpret_cast<sockaddr*>(&name), length);
}

Acceptor::Acceptor(event::EventLoop& loop, Fd listener, OnAccept on_accept)
    : listener_(std::move(listener)),
      on_accept_(std::move(on_accept)),
      watcher_(loop, listener_.get(), *this),
      retry_(loop, [this] { if (!is_paused_) watcher_.WantRead(true); }),
      retry_delay_(kFirstRetry) {
  if (auto address = LocalAddress(listener_.get())) address_ = *address;
  if (address_.is_ip()) {
    // Also for sockets that somebody else opened (systemd, an older binary).
    SetOption(listener_.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    is_wildcard_ = address_.HostBytes().find_first_not_of('\0') == std::string_view::npos;
  }
  watcher_.WantRead(true);
}

void Acceptor::Pause() {
  is_paused_ = true;
  retry_.Cancel();
  watcher_.WantRead(false);
}

void Acceptor::Resume() {
  is_paused_ = false;
  watcher_.WantRead(true);
}

Fd Acceptor::Release() {
  Pause();
  return std::move(listener_);
}

void Acceptor::OnReadable() noexcept {
  // The batch follows the load: one quiet connection costs one accept4, a rush up to 64 in a row.
  int accepted = 0;
  while (accepted < batch_ && !is_paused_) {
    sockaddr_storage name;
    socklen_t length = sizeof(name);
    Fd fd(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&name), &length,
                  SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.is_open()) {
      if (errno == EINTR) continue;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        Starve(errno);
        return;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        batch_ = std::max(1, accepted);
        return;
      }
      // accept(2): other errors are those of the one connection that is gone. They count, so that the loop ends.
      ++accepted;
      continue;
    }
    ++accepted;
    retry_delay_ = kFirstRetry;
    Address peer = Address::FromSockaddr(reinterpret_cast<sockaddr*>(&name), length);
    if (is_wildcard_) {
      auto local = LocalAddress(fd.get());
      on_accept_(std::move(fd), peer, local ? *local : address_);
    } else {
      on_accept_(std::move(fd), peer, address_);
    }
  }
  if (accepted == batch_) batch_ = std::min(batch_ * 2, kMaxBatch);
}

void Acceptor::Starve(int error) {
  if (retry_delay_ == kFirstRetry)
    LOG_WARN("accept_paused", "listener={} error=\"{}\" hint=\"raise LimitNOFILE\"",
             address_.ToString(), std::strerror(error));
  watcher_.WantRead(false);
  retry_.Start(retry_delay_);
  retry_delay_ = std::min(retry_delay_ * 2, kLastRetry);
}

}  // namespace genkan::net
