// A load of HTTPS requests that does not retry: connections that are kept alive and connections for
// one request each, every one verified, every answer compared. Prints one JSON object when it ends
// (SIGTERM, or its stdin at its end).
//
//   genkan_load run  --port P --name HOST --ca FILE [--path /] [--expect TEXT]
//                    [--keep N --keep-rate R] [--new N --new-rate R] [--sources N]
//       N threads of each kind; R requests a second for each thread. The JSON has every request
//       with the times at which it began and ended, and every serial with the time when it was
//       first seen.
//   genkan_load hold --port P --name HOST --ca FILE --connections N [--sources N] [--plain]
//       Opens N connections, keeps them, then sends one request on each that is open.
//
// Source addresses are 127.0.1.1, 127.0.1.2, …, as many as --sources says.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Options {
  std::string mode, name, ca, path = "/", expect;
  int port = 0, keep = 0, fresh = 0, sources = 64, connections = 0;
  double keep_rate = 100, fresh_rate = 20;
  bool is_plain = false;
};

std::atomic<bool> is_stopping{false};

// Milliseconds since 1970, so that other programs' times compare.
double Now() {
  auto since = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(since).count();
}

struct Request {
  double begun, ended;
  bool is_fresh;
  size_t serial;  // index into Record::serials
};

struct Failure {
  double at;
  bool is_fresh;
  std::string why;
};

// What one thread saw. Its own until it is joined.
struct Record {
  std::vector<Request> requests;
  std::vector<Failure> failures;
  std::vector<std::string> serials;
  size_t connections = 0;

  size_t SerialIndex(const std::string& serial) {
    for (size_t i = 0; i < serials.size(); ++i) {
      if (serials[i] == serial) return i;
    }
    serials.push_back(serial);
    return serials.size() - 1;
  }
};

struct SslFree {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// A call on a socket with a time limit is never started again by the kernel, whatever interrupts
// it: a signal, a debugger, a frozen container. That is nobody's failure.
template <class Call>
auto Again(Call call) {
  while (true) {
    ERR_clear_error();
    errno = 0;
    const auto result = call();
    if (result > 0 || errno != EINTR) return result;
  }
}

std::string LastTlsError() {
  unsigned long code = ERR_peek_error();
  char text[256] = "closed by the peer";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

// One connection: opened, verified, and asked. Every failure is a sentence in error().
class Connection {
 public:
  Connection(const Options& options, SSL_CTX* context) : options_(options), context_(context) {}
  ~Connection() {
    if (ssl_ && !has_failed_) SSL_shutdown(ssl_.get());
    if (fd_ >= 0) ::close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool Open(int source) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return Fail(std::string("socket: ") + std::strerror(errno));
    timeval limit{60, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    // The port is chosen at connect(), per destination: thousands of connections do not run out of
    // them.
    ::setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    sockaddr_in from = At(0x7f000101 + static_cast<uint32_t>(source % options_.sources), 0);
    if (::bind(fd_, reinterpret_cast<sockaddr*>(&from), sizeof from) != 0) {
      return Fail(std::string("bind: ") + std::strerror(errno));
    }
    sockaddr_in to = At(INADDR_LOOPBACK, options_.port);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 && !IsConnectedYet()) {
      return Fail(std::string("connect: ") + std::strerror(errno));
    }
    return options_.is_plain || Handshake();
  }

  // One GET. `is_last` asks the server to close.
  bool Get(bool is_last) {
    std::string request = "GET " + options_.path + " HTTP/1.1\r\nHost: " + options_.name + "\r\n" +
                          (is_last ? "Connection: close\r\n\r\n" : "\r\n");
    if (!Write(request)) return false;
    size_t head_end;
    while ((head_end = input_.find("\r\n\r\n")) == std::string::npos) {
      if (!ReadMore(input_.empty() ? "before the response" : "in the response's head"))
        return false;
    }
    std::string head = input_.substr(0, head_end + 2);
    for (char& c : head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (head.compare(0, 13, "http/1.1 200 ") != 0) {
      return Fail("answered " + head.substr(0, head.find("\r\n")));
    }
    size_t length_at = head.find("\r\ncontent-length:");
    if (length_at == std::string::npos) return Fail("a response without content-length");
    size_t length = std::strtoul(head.c_str() + length_at + 17, nullptr, 10);
    wants_close_ = head.find("\r\nconnection: close\r\n") != std::string::npos;
    while (input_.size() < head_end + 4 + length) {
      if (!ReadMore("in the response's body")) return false;
    }
    std::string body = input_.substr(head_end + 4, length);
    input_.erase(0, head_end + 4 + length);
    if (!options_.expect.empty() && body != options_.expect)
      return Fail("another body: " + body.substr(0, 60));
    return true;
  }

  // True where the peer has closed it (or said something that nobody asked for).
  bool IsGone() const {
    pollfd one{fd_, POLLIN, 0};
    char byte;
    return ::poll(&one, 1, 0) > 0 && ::recv(fd_, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
  }

  bool wants_close() const { return wants_close_; }
  const std::string& serial() const { return serial_; }
  const std::string& error() const { return error_; }

 private:
  // An interrupted connect() goes on by itself.
  bool IsConnectedYet() {
    if (errno != EINTR) return false;
    pollfd one{fd_, POLLOUT, 0};
    Again([&] { return ::poll(&one, 1, 60'000); });
    socklen_t size = sizeof errno;
    return ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &errno, &size) == 0 && errno == 0 &&
           (one.revents & POLLOUT) != 0;
  }

  static sockaddr_in At(uint32_t host, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(host);
    address.sin_port = htons(static_cast<uint16_t>(port));
    return address;
  }

  bool Handshake() {
    ssl_.reset(SSL_new(context_));
    SSL_set_fd(ssl_.get(), fd_);
    SSL_set_tlsext_host_name(ssl_.get(), options_.name.c_str());
    SSL_set1_host(ssl_.get(), options_.name.c_str());
    if (Again([&] { return SSL_connect(ssl_.get()); }) != 1)
      return Fail("handshake: " + LastTlsError());
    std::unique_ptr<X509, void (*)(X509*)> leaf(SSL_get1_peer_certificate(ssl_.get()), X509_free);
    std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> number(
        ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf.get()), nullptr), BN_free);
    char* hex = BN_bn2hex(number.get());
    serial_ = hex;
    OPENSSL_free(hex);
    return true;
  }

  bool Write(const std::string& bytes) {
    ssize_t n = Again([&]() -> ssize_t {
      return ssl_ ? SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()))
                  : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    });
    if (n == static_cast<ssize_t>(bytes.size())) return true;
    return Fail("write: " + (ssl_ ? LastTlsError() : std::string(std::strerror(errno))));
  }

  bool ReadMore(const char* where) {
    char bytes[16384];
    ssize_t n = Again([&]() -> ssize_t {
      return ssl_ ? SSL_read(ssl_.get(), bytes, sizeof bytes) : ::recv(fd_, bytes, sizeof bytes, 0);
    });
    if (n > 0) {
      input_.append(bytes, static_cast<size_t>(n));
      return true;
    }
    std::string why = errno == EAGAIN ? "60 s of silence"
                      : errno != 0    ? std::strerror(errno)
                      : ssl_          ? LastTlsError()
                                      : "closed by the peer";
    return Fail(std::string("read ") + where + ": " + why);
  }

  bool Fail(std::string why) {
    error_ = std::move(why);
    has_failed_ = true;
    return false;
  }

  const Options& options_;
  SSL_CTX* context_;
  int fd_ = -1;
  std::unique_ptr<SSL, SslFree> ssl_;
  std::string input_, serial_, error_;
  bool wants_close_ = false, has_failed_ = false;
};

// Waits for the next turn of a thread that is to do `rate` a second. A turn that was missed is not
// made up for.
class Pace {
 public:
  explicit Pace(double rate)
      : step_(
            std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / rate))) {}
  void Wait() {
    next_ = std::max(next_ + step_, Clock::now());
    std::this_thread::sleep_until(next_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::duration step_;
  Clock::time_point next_ = Clock::now();
};

void KeepAlive(const Options& options, SSL_CTX* context, int number, Record& record) {
  Pace pace(options.keep_rate);
  std::unique_ptr<Connection> connection;
  while (!is_stopping) {
    double begun = Now();
    if (!connection) {
      connection = std::make_unique<Connection>(options, context);
      ++record.connections;
      if (!connection->Open(number)) {
        record.failures.push_back({Now(), false, connection->error()});
        connection.reset();
        pace.Wait();
        continue;
      }
      begun = Now();
    }
    if (connection->Get(false)) {
      record.requests.push_back({begun, Now(), false, record.SerialIndex(connection->serial())});
      if (connection->wants_close()) connection.reset();
    } else {
      record.failures.push_back({Now(), false, connection->error()});
      connection.reset();
    }
    pace.Wait();
  }
}

void Fresh(const Options& options, SSL_CTX* context, int number, Record& record) {
  Pace pace(options.fresh_rate);
  while (!is_stopping) {
    double begun = Now();
    Connection connection(options, context);
    ++record.connections;
    if (connection.Open(number) && connection.Get(true)) {
      record.requests.push_back({begun, Now(), true, record.SerialIndex(connection.serial())});
    } else {
      record.failures.push_back({Now(), true, connection.error()});
    }
    pace.Wait();
  }
}

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + "\"";
}

void Print(const std::vector<Record>& records) {
  std::map<std::string, size_t> serials;
  size_t connections = 0;
  for (const Record& record : records) {
    connections += record.connections;
    for (const std::string& serial : record.serials) serials.emplace(serial, serials.size());
  }
  std::vector<std::string> names(serials.size());
  for (const auto& [serial, index] : serials) names[index] = serial;
  std::printf("{\"connections\":%zu,\"serials\":[", connections);
  for (size_t i = 0; i < names.size(); ++i)
    std::printf("%s%s", i ? "," : "", Quoted(names[i]).c_str());
  std::printf("],\"failures\":[");
  const char* comma = "";
  for (const Record& record : records) {
    for (const Failure& failure : record.failures) {
      std::printf("%s{\"at\":%.1f,\"fresh\":%s,\"why\":%s}", comma, failure.at,
                  failure.is_fresh ? "true" : "false", Quoted(failure.why).c_str());
      comma = ",";
    }
  }
  std::printf("],\"requests\":[");
  comma = "";
  for (const Record& record : records) {
    for (const Request& request : record.requests) {
      std::printf("%s[%.1f,%.1f,%d,%zu]", comma, request.begun, request.ended,
                  request.is_fresh ? 1 : 0, serials[record.serials[request.serial]]);
      comma = ",";
    }
  }
  std::printf("]}\n");
}

void Run(const Options& options, SSL_CTX* context) {
  std::vector<Record> records(static_cast<size_t>(options.keep + options.fresh));
  std::vector<std::thread> threads;
  for (int i = 0; i < options.keep + options.fresh; ++i) {
    threads.emplace_back([&, i] {
      auto kind = i < options.keep ? KeepAlive : Fresh;
      kind(options, context, i, records[static_cast<size_t>(i)]);
    });
  }
  char byte;
  while (!is_stopping && ::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  is_stopping = true;
  for (std::thread& thread : threads) thread.join();
  Print(records);
}

void Hold(const Options& options, SSL_CTX* context) {
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    connections.push_back(std::make_unique<Connection>(options, context));
  }
  constexpr int kThreads = 8;
  auto each = [&](auto what) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (size_t i = static_cast<size_t>(t); i < connections.size(); i += kThreads) {
          what(connections[i], static_cast<int>(i));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  std::mutex lock;
  std::map<std::string, int> errors;
  auto drop = [&](std::unique_ptr<Connection>& connection) {
    std::lock_guard<std::mutex> guard(lock);
    ++errors[connection->error()];
    connection.reset();
  };
  each([&](std::unique_ptr<Connection>& one, int i) {
    if (!one->Open(i)) drop(one);
  });
  // All of them are open now, at the same time, unless the server has closed some.
  std::atomic<int> held{0}, answered{0};
  each([&](std::unique_ptr<Connection>& one, int) {
    if (one && !one->IsGone()) ++held;
  });
  each([&](std::unique_ptr<Connection>& one, int) {
    if (!one) return;
    if (one->Get(false)) {
      ++answered;
    } else {
      drop(one);
    }
  });
  std::printf("{\"held\":%d,\"answered\":%d,\"errors\":{", held.load(), answered.load());
  const char* comma = "";
  for (const auto& [why, count] : errors) {
    std::printf("%s%s:%d", comma, Quoted(why).c_str(), count);
    comma = ",";
  }
  std::printf("}}\n");
}

bool Parse(int argc, char** argv, Options& options) {
  if (argc < 2) return false;
  options.mode = argv[1];
  for (int i = 2; i < argc; ++i) {
    std::string flag = argv[i];
    if (flag == "--plain") {
      options.is_plain = true;
      continue;
    }
    if (++i == argc) return false;
    const char* value = argv[i];
    if (flag == "--port")
      options.port = std::atoi(value);
    else if (flag == "--name")
      options.name = value;
    else if (flag == "--ca")
      options.ca = value;
    else if (flag == "--path")
      options.path = value;
    else if (flag == "--expect")
      options.expect = value;
    else if (flag == "--keep")
      options.keep = std::atoi(value);
    else if (flag == "--keep-rate")
      options.keep_rate = std::atof(value);
    else if (flag == "--new")
      options.fresh = std::atoi(value);
    else if (flag == "--new-rate")
      options.fresh_rate = std::atof(value);
    else if (flag == "--sources")
      options.sources = std::atoi(value);
    else if (flag == "--connections")
      options.connections = std::atoi(value);
    else
      return false;
  }
  return options.port > 0 && options.sources > 0 &&
         (options.mode == "run" || options.mode == "hold");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, options)) {
    std::fprintf(stderr, "usage: see the head of load_client.cc\n");
    return 64;
  }
  struct sigaction stop {};
  stop.sa_handler = [](int) { is_stopping = true; };  // no SA_RESTART: read() ends
  ::sigaction(SIGTERM, &stop, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  std::unique_ptr<SSL_CTX, SslFree> context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(),
                                 SSL_SESS_CACHE_OFF);  // each handshake is a whole one
  if (!options.ca.empty() &&
      SSL_CTX_load_verify_locations(context.get(), options.ca.c_str(), nullptr) != 1) {
    std::fprintf(stderr, "%s: %s\n", options.ca.c_str(), LastTlsError().c_str());
    return 2;
  }
  if (options.mode == "run") {
    Run(options, context.get());
  } else {
    Hold(options, context.get());
  }
  return 0;
}
