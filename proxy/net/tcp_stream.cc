#include "proxy/net/tcp_stream.h"

#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace genkan::net {
namespace {

// Requests and heads fit in the small size; a connection that fills it moves bulk, and a relayed
// byte costs a third as much with the large one.
constexpr size_t kSmallRead = 16 * 1024;
constexpr size_t kLargeRead = 256 * 1024 - Buffer::kBlockOverhead;
constexpr size_t kMaxPieces = 64;

bool IsWouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

TcpStream::TcpStream(event::EventLoop& loop, Fd fd)
    : fd_(std::move(fd)), watcher_(loop, fd_.get(), *this), read_size_(kSmallRead) {}

Result<std::unique_ptr<TcpStream>> TcpStream::Connect(event::EventLoop& loop, const Address& to,
                                                      const Address* from) {
  Fd fd(socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open())
    return Fail(ErrorCode::kIo, "{}: socket: {}", to.ToString(), std::strerror(errno));
  if (to.is_ip()) {
    int one = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  }
  if (from != nullptr) {
    int one = 1;
    // The port is chosen at connect, so that one address serves more than 28,000 connections.
    if (from->is_ip() && from->port() == 0)
      setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd.get(), from->get(), from->length()) != 0)
      return Fail(ErrorCode::kIo, "bind {}: {}", from->ToString(), std::strerror(errno));
  }
  bool is_connecting = false;
  while (connect(fd.get(), to.get(), to.length()) != 0) {
    if (errno == EINPROGRESS) {
      is_connecting = true;
      break;
    }
    // An interrupted connect goes on by itself (POSIX); a second call would say EALREADY.
    if (errno == EINTR) {
      is_connecting = true;
      break;
    }
    ErrorCode code = errno == EAGAIN ? ErrorCode::kBusy : ErrorCode::kClosed;
    return Fail(code, "connect {}: {}", to.ToString(), std::strerror(errno));
  }
  auto stream = std::make_unique<TcpStream>(loop, std::move(fd));
  stream->is_connecting_ = is_connecting;
  return stream;
}

IoState TcpStream::FinishConnect() {
  if (has_failed_) return IoState::kFailed;
  if (!is_connecting_) return IoState::kOk;
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return FailWith("connect", error).state;
  sockaddr_storage peer;
  socklen_t peer_length = sizeof(peer);
  if (getpeername(fd_.get(), reinterpret_cast<sockaddr*>(&peer), &peer_length) != 0)
    return errno == ENOTCONN ? IoState::kWouldBlock : FailWith("connect", errno).state;
  is_connecting_ = false;
  return IoState::kOk;
}

IoResult TcpStream::FailWith(const char* what, int error) {
  has_failed_ = true;
  bool is_closed = error == ECONNRESET || error == EPIPE || error == ECONNREFUSED ||
                   error == ECONNABORTED || error == ENOTCONN;
  ErrorCode code = error == ETIMEDOUT ? ErrorCode::kTimeout
                   : is_closed        ? ErrorCode::kClosed
                                      : ErrorCode::kIo;
  error_ = Error{code, fmt::format("{}: {}", what, std::strerror(error))};
  return {IoState::kFailed, 0};
}

IoResult TcpStream::Read(Buffer& into, size_t limit) {
  if (limit == 0) return {IoState::kOk, 0};
  if (is_connecting_ || has_failed_) {
    IoState state = FinishConnect();
    if (state != IoState::kOk) return {state, 0};
  }
  // What is small is read aside and copied, so that a waiting head holds its own size and not a
  // whole block.
  thread_local std::array<char, kSmallRead> aside;
  bool is_small = std::min(read_size_, limit) <= kSmallRead;
  std::span<char> room;
  if (is_small) {
    room = std::span(aside).first(std::min(limit, kSmallRead));
  } else {
    room = into.Reserve(std::min(read_size_, limit));
    if (room.size() > limit) room = room.first(limit);
    if (room.size() > kLargeRead) room = room.first(kLargeRead);
  }
  ssize_t got;
  do {
    got = recv(fd_.get(), room.data(), room.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    if (!is_small) into.Commit(0);
    if (got < 0 && IsWouldBlock(errno)) return {IoState::kWouldBlock, 0};
    if (got == 0) return {IoState::kEnd, 0};
    return FailWith("read", errno);
  }
  auto bytes = static_cast<size_t>(got);
  if (is_small) {
    into.Append(std::string_view(room.data(), bytes));
  } else {
    into.Commit(bytes);
  }
  if (bytes >= read_size_) {
    constexpr size_t kOverhead = Buffer::kBlockOverhead;
    read_size_ = std::min((read_size_ + kOverhead) * 4 - kOverhead, kLargeRead);
  } else if (bytes < read_size_ / 4) {
    read_size_ = std::max(read_size_ / 2, kSmallRead);
  }
  return {IoState::kOk, bytes};
}

IoResult TcpStream::Write(Buffer& from) {
  if (is_connecting_ || has_failed_) {
    IoState state = FinishConnect();
    if (state != IoState::kOk) return {state, 0};
  }
  if (has_write_failed_) return {IoState::kFailed, 0};
  size_t total = 0;
  while (!from.empty()) {
    iovec pieces[kMaxPieces];
    int count = from.Peek(pieces, from.size());
    size_t offered = 0;
    for (int i = 0; i < count; ++i) offered += pieces[i].iov_len;
    ssize_t sent;
    if (count == 1) {
      sent = send(fd_.get(), pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = pieces;
      message.msg_iovlen = static_cast<size_t>(count);
      sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    }
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (IsWouldBlock(errno)) break;
      // A server that refuses an upload answers and closes: the answer may be here, behind the
      // reset.
      FailWith("write", errno);
      has_failed_ = false;
      has_write_failed_ = true;
      return {IoState::kFailed, total};
    }
    from.Drain(static_cast<size_t>(sent));
    total += static_cast<size_t>(sent);
    // The socket's buffer is full: the next call would only say so.
    if (static_cast<size_t>(sent) < offered) break;
  }
  return {from.empty() ? IoState::kOk : IoState::kWouldBlock, total};
}

size_t TcpStream::WriteRoom() const {
  if (is_connecting_ || has_failed_ || has_write_failed_) return 0;
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof(memory);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_MEMINFO, memory, &length) != 0) return 0;
  // The kernel counts its own overhead in: what it takes is less than this by some per cent, and a
  // record is more than its contents by little.
  uint32_t most = memory[SK_MEMINFO_SNDBUF];
  uint32_t held = std::max(memory[SK_MEMINFO_WMEM_QUEUED], memory[SK_MEMINFO_WMEM_ALLOC]);
  return (most - std::min(most, held)) / 4 * 3;
}

void TcpStream::WantRead(bool wanted) { watcher_.WantRead(wanted); }
void TcpStream::WantWrite(bool wanted) { watcher_.WantWrite(wanted); }

void TcpStream::CloseWrite() {
  if (!is_connecting_ && !has_failed_) shutdown(fd_.get(), SHUT_WR);
}

void TcpStream::ResetOnClose() {
  // Fails on a Unix socket, whose end says no more than that it is the end.
  linger none{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

void TcpStream::Cancel() {
  watcher_.Cancel();
  owner_ = nullptr;
}

void TcpStream::OnReadable() noexcept {
  if (owner_ != nullptr) owner_->OnReadable();
}

void TcpStream::OnWritable() noexcept {
  if (is_connecting_ && FinishConnect() == IoState::kWouldBlock) return;
  if (owner_ != nullptr) owner_->OnWritable();
}

}  // namespace genkan::net
