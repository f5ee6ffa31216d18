#include "tests/integration/dataplane_harness.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <future>

#include "proxy/base/check.h"
#include "proxy/base/text.h"
#include "proxy/net/acceptor.h"

namespace genkan::testing {

config::Config MakeConfig(const std::string& upstream) {
  config::Config config;
  config::Listener plain, tls;
  plain.address = "127.0.0.1:0";
  tls.address = "127.0.0.1:0";
  tls.tls = true;
  config.listeners = {plain, tls};
  config::Site a;
  a.names = {"a.test", "localhost", "127.0.0.1"};
  a.upstream = upstream;
  a.redirect_to_https = false;
  config::Site b = a;
  b.names = {"b.test", "*.w.test"};
  config.sites = {a, b};
  config.limits.connections = 20'000;
  return config;
}

Proxy::Proxy(config::Config config) : Proxy(std::move(config), Options()) {}

Proxy::Proxy(config::Config config, Options options)
    : options_(std::move(options)),
      access_log_(std::move(
          server::AccessLog::Open(options_.access_log, options_.access_format).value())),
      shared_{blocking_, *access_log_, addresses_, SystemClock()} {
  std::signal(SIGPIPE, SIG_IGN);
  if (!options_.find_module) options_.find_module = [](std::string_view) { return nullptr; };
  for (int i = 0; i < options_.workers; ++i) {
    workers_.push_back(server::Worker::Make(static_cast<uint32_t>(i), shared_));
  }
  ApplyStore(MakeStore());
  for (auto& worker : workers_) {
    worker->ApplyTicketKeys(tls::TicketKeys::Rotate(nullptr));
    worker->Start();
  }
  Reload(std::move(config));
}

Proxy::~Proxy() { workers_.clear(); }

tls::CertStorePtr Proxy::MakeStore() const {
  std::vector<tls::CertStore::SiteEntry> sites(2);
  sites[0].site = 0;
  sites[0].names = {"a.test", "localhost", "127.0.0.1"};
  sites[0].bundles = {ca_.Bundle({"a.test", "localhost"})};
  sites[0].is_default = true;
  sites[1].site = 1;
  sites[1].names = {"b.test", "*.w.test"};
  sites[1].bundles = {ca_.Bundle({"b.test", "*.w.test"})};
  return std::make_shared<tls::CertStore>(std::move(sites));
}

void Proxy::ApplyStore(tls::CertStorePtr store) {
  for (auto& worker : workers_) worker->ApplyCertStore(store, nullptr);
}

void Proxy::Reload(config::Config config) {
  auto built = server::BuildSnapshot(std::make_shared<config::Config>(std::move(config)),
                                     options_.find_module, snapshot_.get());
  if (!built) {
    for (const std::string& error : built.error()) std::fprintf(stderr, "%s\n", error.c_str());
    std::abort();
  }
  Publish(*built);
}

void Proxy::Publish(server::SnapshotPtr snapshot) {
  std::vector<std::vector<server::ListenerSocket>> sockets(workers_.size());
  ports_.clear();
  for (const server::ListenerSpec& spec : snapshot->listeners) {
    bool is_known = ports_by_id_.contains(spec.id);
    net::Address address = spec.address;
    for (size_t i = 0; i < workers_.size() && !is_known; ++i) {
      auto fd = net::Acceptor::OpenListener(address);
      GENKAN_CHECK(fd.has_value());
      address = *net::Acceptor::LocalAddress(fd->get());
      sockets[i].push_back({spec.id, std::move(*fd)});
    }
    if (!is_known) ports_by_id_[spec.id] = {address.port()};
    ports_.push_back(ports_by_id_[spec.id].front());
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->ApplySnapshot(snapshot, std::move(sockets[i]));
  }
  snapshot_ = std::move(snapshot);
  Settle();
}

void Proxy::Settle() {
  for (auto& worker : workers_) {
    std::promise<void> done;
    worker->loop().Post([&done] { done.set_value(); });
    done.get_future().wait();
  }
}

uint64_t Proxy::Sum(Cell server::WorkerMetrics::* cell) const {
  uint64_t total = 0;
  for (const auto& worker : workers_) total += (worker->metrics().*cell).value();
  return total;
}

// ---- RawClient

RawClient::RawClient(uint16_t port, const ClientOptions& options) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  GENKAN_CHECK(fd_ >= 0);
  if (options.receive_buffer > 0) {
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof(int));
  }
  int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  timeval wait{static_cast<time_t>(options.timeout.count() / 1000),
               static_cast<suseconds_t>(options.timeout.count() % 1000 * 1000)};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  sockaddr_in from{};
  from.sin_family = AF_INET;
  inet_pton(AF_INET, options.source.c_str(), &from.sin_addr);
  GENKAN_CHECK(bind(fd_, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  is_connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  if (!options.tls || !is_connected_) return;
  context_ = SSL_CTX_new(TLS_client_method());
  if (options.max_version != 0) SSL_CTX_set_max_proto_version(context_, options.max_version);
  ssl_ = SSL_new(context_);
  if (!options.server_name.empty()) SSL_set_tlsext_host_name(ssl_, options.server_name.c_str());
  if (!options.alpn.empty()) {
    std::string wire = static_cast<char>(options.alpn.size()) + options.alpn;
    SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(wire.data()),
                        static_cast<unsigned>(wire.size()));
  }
  SSL_set_fd(ssl_, fd_);
  ERR_clear_error();
  if (SSL_connect(ssl_) == 1) return;
  unsigned long error = ERR_peek_error();
  const char* reason = ERR_reason_error_string(error);
  handshake_error_ = reason != nullptr ? reason : "closed";
  ERR_clear_error();
  is_connected_ = false;
}

RawClient::~RawClient() { Close(); }

void RawClient::Close() {
  if (ssl_ != nullptr) {
    SSL_shutdown(ssl_);
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ERR_clear_error();
    ssl_ = nullptr;
  }
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

void RawClient::Reset() {
  linger hard{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  if (ssl_ != nullptr) SSL_set_quiet_shutdown(ssl_, 1);
  Close();
}

void RawClient::CloseWrite() {
  if (ssl_ != nullptr) {
    SSL_shutdown(ssl_);
    ERR_clear_error();
  }
  shutdown(fd_, SHUT_WR);
}

std::string RawClient::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  if (ssl_ != nullptr) SSL_get0_alpn_selected(ssl_, &name, &size);
  return std::string(reinterpret_cast<const char*>(name), size);
}

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent;
    if (ssl_ != nullptr) {
      ERR_clear_error();
      sent = SSL_write(ssl_, bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1 << 20)));
    } else {
      sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string RawClient::Read(size_t limit) {
  if (!rest_.empty()) {
    std::string bytes = rest_.substr(0, limit);
    rest_.erase(0, bytes.size());
    return bytes;
  }
  std::string bytes(limit, '\0');
  errno = 0;
  ssize_t got;
  if (ssl_ != nullptr) {
    ERR_clear_error();
    got = SSL_read(ssl_, bytes.data(), static_cast<int>(limit));
  } else {
    got = recv(fd_, bytes.data(), limit, 0);
  }
  if (got <= 0) {
    int error = errno;
    has_timed_out_ = error == EAGAIN || error == EWOULDBLOCK;
    was_reset_ = error == ECONNRESET;
    has_ended_ = !has_timed_out_;
    ERR_clear_error();
    return "";
  }
  bytes.resize(static_cast<size_t>(got));
  return bytes;
}

std::string RawClient::ReadAll() {
  std::string all;
  for (std::string piece = Read(); !piece.empty(); piece = Read()) all += piece;
  return all;
}

std::string RawClient::ReadUntil(std::string_view text) {
  std::string all;
  while (all.find(text) == std::string::npos) {
    std::string piece = Read();
    if (piece.empty()) break;
    all += piece;
  }
  return all;
}

// ---- answers

std::string Answer::Header(std::string_view name) const {
  for (const auto& [known, value] : headers) {
    if (EqualsIgnoreCase(known, name)) return value;
  }
  return "";
}

bool H1Client::Fill() {
  std::string piece = raw_.Read();
  rest_ += piece;
  return !piece.empty();
}

namespace {

// Fields up to the empty line; false where more bytes are needed.
bool TakeFields(std::string& text, std::vector<std::pair<std::string, std::string>>& fields) {
  size_t end = text.starts_with("\r\n") ? 0 : text.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  std::string_view lines = std::string_view(text).substr(0, end == 0 ? 0 : end + 2);
  while (!lines.empty()) {
    size_t eol = lines.find("\r\n");
    std::string_view line = lines.substr(0, eol);
    size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      fields.emplace_back(ToLower(line.substr(0, colon)), std::string(Trim(line.substr(colon + 1))));
    }
    lines.remove_prefix(eol + 2);
  }
  text.erase(0, end == 0 ? 2 : end + 4);
  return true;
}

}  // namespace

Answer H1Client::ReadAnswer(bool is_head) {
  Answer answer;
  std::vector<int> interims;
  while (true) {
    size_t eol;
    while ((eol = rest_.find("\r\n")) == std::string::npos || rest_.find("\r\n\r\n") == std::string::npos) {
      if (!Fill()) return answer;
    }
    answer = Answer();
    answer.status = std::atoi(rest_.c_str() + std::min<size_t>(9, rest_.size()));
    rest_.erase(0, eol + 2);
    TakeFields(rest_, answer.headers);
    if (answer.status < 200 && answer.status != 101) {
      interims.push_back(answer.status);
      continue;
    }
    break;
  }
  answer.interims = interims;
  if (is_head || answer.status == 204 || answer.status == 304 || answer.status == 101) {
    answer.is_complete = true;
    return answer;
  }
  if (EqualsIgnoreCase(answer.Header("transfer-encoding"), "chunked")) {
    while (true) {
      size_t eol;
      while ((eol = rest_.find("\r\n")) == std::string::npos) {
        if (!Fill()) return answer;
      }
      size_t size = std::strtoul(rest_.c_str(), nullptr, 16);
      rest_.erase(0, eol + 2);
      if (size == 0) break;
      while (rest_.size() < size + 2) {
        if (!Fill()) {
          answer.body += rest_;
          return answer;
        }
      }
      answer.body += rest_.substr(0, size);
      rest_.erase(0, size + 2);
    }
    while (!TakeFields(rest_, answer.trailers)) {
      if (!Fill()) return answer;
    }
    answer.is_complete = true;
    return answer;
  }
  if (std::string length = answer.Header("content-length"); !length.empty()) {
    size_t size = std::strtoul(length.c_str(), nullptr, 10);
    while (rest_.size() < size) {
      if (!Fill()) {
        answer.body = rest_;
        return answer;
      }
    }
    answer.body = rest_.substr(0, size);
    rest_.erase(0, size);
    answer.is_complete = true;
    return answer;
  }
  while (Fill()) {
  }
  answer.body = std::exchange(rest_, "");
  answer.is_complete = raw_.has_ended() && !raw_.was_reset();
  return answer;
}

Answer H1Client::Get(std::string_view target, std::string_view host, std::string_view more) {
  return Request("GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n" +
                 std::string(more) + "\r\n");
}

// ---- h2

test::H2Fields Fields(std::string method, std::string path, test::H2Fields more, std::string authority) {
  test::H2Fields fields = {{":method", std::move(method)},
                           {":scheme", "https"},
                           {":path", std::move(path)},
                           {":authority", std::move(authority)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

namespace {
ClientOptions WithH2(ClientOptions options) {
  options.tls = true;
  options.alpn = "h2";
  return options;
}
}  // namespace

H2Client::H2Client(uint16_t port, ClientOptions options) : raw_(port, WithH2(std::move(options))) {
  raw_.Send(test::H2RawClient::Hello());
}

uint32_t H2Client::Open(const test::H2Fields& fields, bool end) {
  uint32_t stream = std::exchange(next_, next_ + 2);
  raw_.Send(frames_.Head(stream, fields, end));
  return stream;
}

void H2Client::Data(uint32_t stream, std::string_view bytes, bool end) {
  do {
    std::string_view piece = bytes.substr(0, 16384);
    bytes.remove_prefix(piece.size());
    raw_.Send(test::Frame(test::kData, end && bytes.empty() ? test::kEndStream : 0, stream, piece));
    windows_[stream] -= static_cast<int64_t>(piece.size());
    windows_[0] -= static_cast<int64_t>(piece.size());
  } while (!bytes.empty());
}

void H2Client::Trailers(uint32_t stream, const test::H2Fields& fields) {
  raw_.Send(frames_.Head(stream, fields, true));
}

void H2Client::Reset(uint32_t stream, uint32_t code) {
  raw_.Send(test::Frame(test::kRstStream, 0, stream, test::Uint32(code)));
}

bool H2Client::ReadFrames() {
  std::string bytes = raw_.Read();
  if (bytes.empty()) return false;
  for (const test::H2Frame& frame : frames_.Read(bytes)) {
    Answer& answer = answers_[frame.stream];
    switch (frame.type) {
      case test::kHeaders: {
        int status = 0;
        std::vector<std::pair<std::string, std::string>> fields;
        for (const auto& [name, value] : frame.fields) {
          if (name == ":status") {
            status = std::atoi(value.c_str());
          } else {
            fields.emplace_back(name, value);
          }
        }
        if (status == 0) {
          answer.trailers = fields;
        } else if (status < 200) {
          answer.interims.push_back(status);
        } else {
          answer.status = status;
          answer.headers = fields;
        }
        if (frame.ends_stream()) answer.is_complete = true;
        break;
      }
      case test::kData:
        answer.body += frame.payload;
        if (frame.ends_stream()) answer.is_complete = true;
        if (opens_windows && !frame.payload.empty()) {
          auto size = static_cast<uint32_t>(frame.payload.size());
          raw_.Send(test::Frame(test::kWindowUpdate, 0, 0, test::Uint32(size)));
          if (!frame.ends_stream()) {
            raw_.Send(test::Frame(test::kWindowUpdate, 0, frame.stream, test::Uint32(size)));
          }
        }
        break;
      case test::kRstStream:
        answer.reset_code = frame.error();
        is_reset_[frame.stream] = true;
        break;
      case test::kGoAwayFrame:
        goaway_ = frame.error();
        break;
      case test::kWindowUpdate: {
        uint32_t size = 0;
        for (char c : frame.payload) size = size << 8 | static_cast<unsigned char>(c);
        windows_[frame.stream] += size;
        break;
      }
      case test::kPing:
        if ((frame.flags & test::kAck) == 0) {
          raw_.Send(test::Frame(test::kPing, test::kAck, 0, frame.payload));
        }
        break;
      default:
        break;
    }
  }
  return true;
}

Answer H2Client::Wait(uint32_t stream) {
  ReadUntil([&] { return has_ended(stream); });
  return answers_[stream];
}

Answer H2Client::Get(std::string_view target, std::string_view host) {
  return Wait(Open(Fields("GET", std::string(target), {}, std::string(host)), true));
}

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace genkan::testing
