#include "tests/support/scripted_origin.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/net/acceptor.h"
#include "proxy/tls/openssl_ptr.h"

namespace genkan::testing {
namespace {

// A chunked body's size line, or a head: what ends at `end` in `buffered`, taken off its front.
std::optional<std::string> TakeThrough(std::string& buffered, std::string_view end) {
  size_t at = buffered.find(end);
  if (at == std::string::npos) return std::nullopt;
  std::string taken = buffered.substr(0, at + end.size());
  buffered.erase(0, at + end.size());
  return taken;
}

SSL_CTX* MakeContext(const ScriptedOriginOptions& options) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  GENKAN_CHECK(context != nullptr);
  auto read = [](const std::string& pem) {
    return tls::BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  };
  tls::BioPtr chain = read(options.chain_pem), key = read(options.key_pem);
  X509* leaf = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr);
  GENKAN_CHECK(leaf != nullptr && SSL_CTX_use_certificate(context, leaf) == 1);
  X509_free(leaf);
  while (X509* link = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr))
    SSL_CTX_add0_chain_cert(context, link);
  ERR_clear_error();
  EVP_PKEY* private_key = PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr);
  GENKAN_CHECK(private_key != nullptr && SSL_CTX_use_PrivateKey(context, private_key) == 1);
  EVP_PKEY_free(private_key);
  return context;
}

}  // namespace

std::string OriginRequest::Header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (EqualsIgnoreCase(key, name)) return value;
  return {};
}

size_t OriginRequest::Count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(headers.begin(), headers.end(), [&](const auto& field) {
    return EqualsIgnoreCase(field.first, name);
  }));
}

// ---- one connection

OriginConnection::OriginConnection(int fd, size_t number, ScriptedOrigin& origin)
    : fd_(fd), number_(number), origin_(origin) {}

OriginConnection::~OriginConnection() { Close(); }

void OriginConnection::Shake(ssl_ctx_st* context) {
  ssl_ = SSL_new(context);
  SSL_set_fd(ssl_, fd_);
  if (SSL_accept(ssl_) != 1) ERR_clear_error();
}

// From the thread that stops the origin: whatever blocks returns.
void OriginConnection::Interrupt() {
  if (fd_ >= 0) shutdown(fd_, SHUT_RDWR);
}

std::string OriginConnection::Read(size_t limit) {
  if (!buffered_.empty()) {
    std::string taken = buffered_.substr(0, limit);
    buffered_.erase(0, taken.size());
    return taken;
  }
  if (fd_ < 0) return {};
  std::string bytes(limit, '\0');
  ssize_t got;
  do {
    got = ssl_ != nullptr ? SSL_read(ssl_, bytes.data(), static_cast<int>(limit))
                          : recv(fd_, bytes.data(), limit, 0);
  } while (got < 0 && errno == EINTR && ssl_ == nullptr);
  ERR_clear_error();
  bytes.resize(got > 0 ? static_cast<size_t>(got) : 0);
  origin_.RecordBytes(number_, bytes);
  return bytes;
}

std::string OriginConnection::ReadExactly(size_t bytes) {
  std::string taken;
  while (taken.size() < bytes) {
    std::string more = Read(std::min<size_t>(bytes - taken.size(), 256 * 1024));
    if (more.empty()) break;
    taken += more;
  }
  return taken;
}

std::optional<OriginRequest> OriginConnection::ReadHead() {
  std::string head;
  for (;;) {
    std::string more = Read();
    if (more.empty()) return std::nullopt;
    head += more;
    buffered_ = std::move(head);
    if (auto taken = TakeThrough(buffered_, "\r\n\r\n")) {
      head = std::move(*taken);
      break;
    }
    head = std::move(buffered_);
    buffered_.clear();
  }
  OriginRequest request;
  request.head = head;
  request.connection = number_;
  request.index = ++requests_;
  size_t end = head.find("\r\n");
  std::string line = head.substr(0, end);
  size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string::npos || first == last) return std::nullopt;
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  request.version = line.substr(last + 1);
  for (size_t at = end + 2; at + 2 < head.size();) {
    size_t stop = head.find("\r\n", at);
    std::string field = head.substr(at, stop - at);
    size_t colon = field.find(':');
    if (colon == std::string::npos) return std::nullopt;
    request.headers.emplace_back(field.substr(0, colon),
                                 Trim(std::string_view(field).substr(colon + 1)));
    at = stop + 2;
  }
  return request;
}

void OriginConnection::ReadBody(OriginRequest& request) {
  if (!EqualsIgnoreCase(request.Header("transfer-encoding"), "chunked")) {
    request.body = ReadExactly(ParseDecimal(request.Header("content-length")).value_or(0));
    return;
  }
  auto read_line = [&]() -> std::optional<std::string> {
    std::string so_far;
    for (;;) {
      std::string more = Read();
      if (more.empty()) return std::nullopt;
      buffered_ = so_far + more;
      if (auto line = TakeThrough(buffered_, "\r\n")) return line->substr(0, line->size() - 2);
      so_far = std::move(buffered_);
      buffered_.clear();
    }
  };
  for (;;) {
    auto line = read_line();
    auto size = line ? ParseHex(line->substr(0, line->find(';'))) : std::nullopt;
    if (!size) return;
    if (*size == 0) break;
    request.body += ReadExactly(*size);
    if (ReadExactly(2) != "\r\n") return;
  }
  while (auto trailer = read_line()) {
    if (trailer->empty()) return;
    size_t colon = trailer->find(':');
    if (colon == std::string::npos) return;
    request.headers.emplace_back("trailer " + trailer->substr(0, colon),
                                 Trim(std::string_view(*trailer).substr(colon + 1)));
  }
}

std::optional<OriginRequest> OriginConnection::ReadRequest() {
  auto request = ReadHead();
  if (!request) return request;
  ReadBody(*request);
  origin_.Record(*request);
  return request;
}

bool OriginConnection::Send(std::string_view bytes) {
  while (!bytes.empty() && fd_ >= 0) {
    ssize_t sent = ssl_ != nullptr ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                                   : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR && ssl_ == nullptr) continue;
    ERR_clear_error();
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return fd_ >= 0;
}

bool OriginConnection::Answer(std::string_view body, std::string_view status_line,
                              std::string_view headers) {
  return Send(fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\n{}\r\n{}", status_line, body.size(),
                          headers, body));
}

void OriginConnection::CloseWrite() {
  if (fd_ < 0) return;
  if (ssl_ != nullptr) SSL_shutdown(ssl_);
  shutdown(fd_, SHUT_WR);
}

void OriginConnection::Close() {
  if (fd_ < 0) return;
  if (ssl_ != nullptr) {
    SSL_shutdown(ssl_);
    SSL_free(ssl_);
    ssl_ = nullptr;
    ERR_clear_error();
  }
  // Interrupt() comes from another thread: the number must not be closed, and given anew, under it.
  std::lock_guard lock(origin_.mutex_);
  close(std::exchange(fd_, -1));
}

void OriginConnection::Reset() {
  if (fd_ < 0) return;
  linger now{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  if (ssl_ != nullptr) SSL_set_quiet_shutdown(ssl_, 1);
  Close();
}

bool OriginConnection::Sleep(std::chrono::milliseconds time) {
  std::unique_lock lock(origin_.mutex_);
  return !origin_.changed_.wait_for(lock, time, [&] { return origin_.is_stopping_; });
}

bool OriginConnection::WaitForRelease() {
  std::unique_lock lock(origin_.mutex_);
  origin_.changed_.wait(lock, [&] { return origin_.is_stopping_ || origin_.is_released_; });
  return !origin_.is_stopping_;
}

// ---- the origin

ScriptedOrigin::ScriptedOrigin(Script script, const ScriptedOriginOptions& options)
    : script_(std::move(script)), receive_buffer_(options.receive_buffer) {
  // OpenSSL writes without MSG_NOSIGNAL.
  std::signal(SIGPIPE, SIG_IGN);
  has_tls_ = !options.chain_pem.empty();
  if (has_tls_) tls_ = MakeContext(options);
  auto address = net::Address::Parse(options.address);
  GENKAN_CHECK(address.has_value());
  if (address->is_ip() && address->port() == 0) {
    held_.emplace(address->HostString());
    address = held_->address();
  }
  net::ListenOptions listen_options;
  listen_options.has_reuse_port = false;
  auto listener = net::Acceptor::OpenListener(*address, listen_options);
  GENKAN_CHECK(listener.has_value());
  auto local = net::Acceptor::LocalAddress(listener->get());
  GENKAN_CHECK(local.has_value());
  address_ = local->ToString();
  port_ = local->port();
  if (address->is_unix()) unix_path_ = options.address.substr(5);
  // Inherited by what is accepted; it must stand before the handshake to bound the window.
  if (receive_buffer_ > 0)
    setsockopt(listener->get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_, sizeof(receive_buffer_));
  listener_ = listener->Release();
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedOrigin::~ScriptedOrigin() {
  Stop();
  if (tls_ != nullptr) SSL_CTX_free(tls_);
}

ScriptedOrigin::Script ScriptedOrigin::Respond(Responder respond) {
  return [respond = std::move(respond)](OriginConnection& connection) {
    while (auto request = connection.ReadRequest()) {
      std::string answer = respond(*request);
      if (!connection.Send(answer)) return;
      std::string head = ToLower(answer.substr(0, answer.find("\r\n\r\n")));
      if (head.find("connection: close") != std::string::npos) return;
    }
  };
}

ScriptedOrigin::Script ScriptedOrigin::Always(std::string body) {
  return [body = std::move(body)](OriginConnection& connection) {
    while (auto request = connection.ReadRequest())
      if (!connection.Answer(request->method == "HEAD" ? "" : body)) return;
  };
}

void ScriptedOrigin::Accept() {
  for (;;) {
    pollfd waits{listener_, POLLIN, 0};
    poll(&waits, 1, 20);
    std::lock_guard lock(mutex_);
    if (is_stopping_ || !is_listening_) break;
    int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    received_.emplace_back();
    ++open_;
    threads_.emplace_back([this, fd, number = received_.size()] { Run(fd, number); });
  }
  close(listener_);
  if (!unix_path_.empty()) unlink(unix_path_.c_str());
}

void ScriptedOrigin::Run(int fd, size_t number) {
  OriginConnection connection(fd, number, *this);
  {
    std::lock_guard lock(mutex_);
    live_.push_back(&connection);
    if (is_stopping_) connection.Interrupt();
  }
  if (tls_ != nullptr) connection.Shake(tls_);
  script_(connection);
  connection.Close();
  std::lock_guard lock(mutex_);
  std::erase(live_, &connection);
  --open_;
}

void ScriptedOrigin::StopListening() {
  {
    std::lock_guard lock(mutex_);
    is_listening_ = false;
  }
  if (acceptor_.joinable()) acceptor_.join();
}

void ScriptedOrigin::Stop() {
  {
    std::lock_guard lock(mutex_);
    is_stopping_ = true;
    for (auto* connection : live_) connection->Interrupt();
  }
  changed_.notify_all();
  if (acceptor_.joinable()) acceptor_.join();
  for (auto& thread : threads_)
    if (thread.joinable()) thread.join();
}

void ScriptedOrigin::Release() {
  {
    std::lock_guard lock(mutex_);
    is_released_ = true;
  }
  changed_.notify_all();
}

void ScriptedOrigin::Record(const OriginRequest& request) {
  std::lock_guard lock(mutex_);
  requests_.push_back(request);
}

void ScriptedOrigin::RecordBytes(size_t number, std::string_view bytes) {
  // Enough to look at; a test that moves gigabytes counts for itself.
  constexpr size_t kMostRecorded = 1024 * 1024;
  std::lock_guard lock(mutex_);
  std::string& all = received_[number - 1];
  all.append(bytes.substr(0, kMostRecorded - std::min(kMostRecorded, all.size())));
}

std::vector<OriginRequest> ScriptedOrigin::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

size_t ScriptedOrigin::request_count() const {
  std::lock_guard lock(mutex_);
  return requests_.size();
}

size_t ScriptedOrigin::connections() const {
  std::lock_guard lock(mutex_);
  return received_.size();
}

size_t ScriptedOrigin::open_connections() const {
  std::lock_guard lock(mutex_);
  return open_;
}

std::string ScriptedOrigin::received(size_t number) const {
  std::lock_guard lock(mutex_);
  return number >= 1 && number <= received_.size() ? received_[number - 1] : std::string();
}

}  // namespace genkan::testing
