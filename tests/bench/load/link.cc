#include "tests/bench/load/link.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {
namespace {

// So many source addresses that ports in TIME_WAIT never run out.
constexpr uint32_t kSources = 200;
constexpr size_t kBlock = 256 * 1024;

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "genkan_bench_load: %s: %s\n", what, std::strerror(errno));
  std::exit(2);
}

std::string TlsError(const char* what) {
  char text[200] = "closed by the peer";
  if (unsigned long code = ERR_peek_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return std::string(what) + ": " + text;
}

}  // namespace

Target::Target(int port, std::string name, std::string_view alpn, bool is_bulk)
    : port_(port), name_(std::move(name)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  context_ = SSL_CTX_new(TLS_client_method());
  if (epoll_ < 0 || context_ == nullptr) Die("setting up");
  SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
  SSL_CTX_set_ciphersuites(context_, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(context_, "X25519");
  SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_alpn_protos(context_, reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned>(alpn.size()));
  SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context_, &Target::OnSession);
  SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (is_bulk) {
    SSL_CTX_set_read_ahead(context_, 1);
    SSL_CTX_set_default_read_buffer_len(context_, kBlock);
  }
}

Target::~Target() {
  SSL_CTX_free(context_);
  close(epoll_);
}

int Target::OnSession(SSL* ssl, SSL_SESSION* session) {
  static_cast<Link*>(SSL_get_app_data(ssl))->KeepSession(session);
  return 1;
}

int Target::Connect() {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(0x7f000101 + connected_++ % kSources);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<uint16_t>(port_));
  bool is_bound = bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0;
  if (!is_bound ||
      (connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS)) {
    close(fd);
    return -1;
  }
  return fd;
}

std::string_view Link::alpn() const {
  const unsigned char* protocol = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &length);
  return {reinterpret_cast<const char*>(protocol), length};
}

Link::~Link() {
  Close();
  KeepSession(nullptr);
}

void Link::KeepSession(SSL_SESSION* session) {
  SSL_SESSION_free(session_);
  session_ = session;
}

void Link::Open(bool resumes) {
  Close();
  fd_ = target_.Connect();
  if (fd_ < 0) return Fail(std::string("connect: ") + std::strerror(errno));
  ssl_ = SSL_new(target_.context());
  SSL_set_app_data(ssl_, this);
  SSL_set_fd(ssl_, fd_);
  SSL_set_tlsext_host_name(ssl_, target_.name().c_str());
  SSL_set_connect_state(ssl_);
  if (resumes && session_ != nullptr) SSL_set_session(ssl_, session_);
  KeepSession(nullptr);
  epoll_event event{};
  // Edge-triggered: no change of interest costs a call of its own.
  event.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP;
  event.data.ptr = this;
  if (epoll_ctl(target_.epoll(), EPOLL_CTL_ADD, fd_, &event) != 0) Die("epoll_ctl");
}

void Link::Close() {
  if (ssl_ != nullptr) {
    if (is_open_) SSL_shutdown(ssl_);
    ERR_clear_error();
    SSL_free(ssl_);
  }
  if (fd_ >= 0) close(fd_);
  ssl_ = nullptr;
  fd_ = -1;
  is_open_ = false;
  out_.clear();
}

void Link::Fail(const std::string& why) {
  Close();
  owner_.OnClosed(*this, why);
}

void Link::OnEvent() {
  if (fd_ < 0) return;
  if (!is_open_) Handshake();
  if (is_open_ && !out_.empty()) {
    Write();
    if (is_open_ && out_.empty()) owner_.OnWritable(*this);
  }
  if (is_open_) Read();
}

void Link::Handshake() {
  ERR_clear_error();
  int result = SSL_do_handshake(ssl_);
  if (result == 1) {
    is_open_ = true;
    return owner_.OnOpen(*this);
  }
  int error = SSL_get_error(ssl_, result);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) Fail(TlsError("handshake"));
}

void Link::Read() {
  static std::array<char, kBlock> block;
  while (is_open_) {
    ERR_clear_error();
    size_t got = 0;
    int result = SSL_read_ex(ssl_, block.data(), block.size(), &got);
    if (result == 1) {
      owner_.OnData(*this, {block.data(), got});
      continue;
    }
    int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
    Fail(error == SSL_ERROR_ZERO_RETURN ? "" : TlsError("read"));
  }
}

void Link::Send(std::string_view data) {
  bool was_empty = out_.empty();
  if (was_empty && is_open_) {
    size_t sent = 0;
    ERR_clear_error();
    while (!data.empty() && SSL_write_ex(ssl_, data.data(), data.size(), &sent) == 1)
      data.remove_prefix(sent);
    if (data.empty()) return;
  }
  out_.append(data);
}

void Link::Write() {
  size_t sent = 0;
  while (!out_.empty()) {
    ERR_clear_error();
    if (SSL_write_ex(ssl_, out_.data(), out_.size(), &sent) == 1) {
      out_.erase(0, sent);
      continue;
    }
    int error = SSL_get_error(ssl_, 0);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) Fail(TlsError("write"));
    return;
  }
}

void RunEvents(Target& target, Time until) {
  std::array<epoll_event, 256> events;
  auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(until - Clock::now()).count();
  timespec wait{left > 0 ? left / 1'000'000'000 : 0, left > 0 ? left % 1'000'000'000 : 0};
  int count = epoll_pwait2(target.epoll(), events.data(), events.size(), &wait, nullptr);
  for (int i = 0; i < count; ++i)
    static_cast<Link*>(events[static_cast<size_t>(i)].data.ptr)->OnEvent();
}

}  // namespace bench
