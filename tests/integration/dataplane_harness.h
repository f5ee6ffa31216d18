// Workers in this process, on free ports of the loopback, and clients that speak byte by byte. What the data plane's
// tests share. Test code: a failing system call aborts.
#pragma once

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/event/blocking_pool.h"
#include "proxy/server/snapshot.h"
#include "proxy/server/worker.h"
#include "tests/support/h2_frames.h"
#include "tests/support/scripted_origin.h"
#include "tests/support/test_ca.h"

struct ssl_st;
struct ssl_ctx_st;

namespace genkan::testing {

// One site "a.test" (and "b.test", "*") on listener 0 (plain) and listener 1 (TLS), all to `upstream`.
config::Config MakeConfig(const std::string& upstream);

class Proxy {
 public:
  struct Options {
    int workers = 1;
    server::ModuleFinder find_module;
    std::string access_log = "off";
    std::string access_format = "json";
  };
  explicit Proxy(config::Config config);
  Proxy(config::Config config, Options options);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  uint16_t port(size_t listener) const { return ports_.at(listener); }
  uint16_t plain_port() const { return port(0); }
  uint16_t tls_port() const { return port(1); }
  // Publishes another configuration to all workers and waits until they have it.
  void Reload(config::Config config);
  void ApplyStore(tls::CertStorePtr store);
  // What the default store has: bundles for a.test, b.test and *.w.test.
  tls::CertStorePtr MakeStore() const;
  const TestCa& ca() const { return ca_; }
  server::Worker& worker(size_t index = 0) { return *workers_.at(index); }
  server::AccessLog& access_log() { return *access_log_; }
  server::AddressLimiter& addresses() { return addresses_; }
  // Waits until the workers have done what was posted before.
  void Settle();
  uint64_t Sum(Cell server::WorkerMetrics::* cell) const;

 private:
  void Publish(server::SnapshotPtr snapshot);

  TestCa ca_{"Dataplane"};
  Options options_;
  event::BlockingPool blocking_{2};
  std::unique_ptr<server::AccessLog> access_log_;
  server::AddressLimiter addresses_;
  server::WorkerShared shared_;
  server::SnapshotPtr snapshot_;
  std::map<uint32_t, std::vector<uint16_t>> ports_by_id_;
  std::vector<uint16_t> ports_;
  std::vector<std::unique_ptr<server::Worker>> workers_;
};

struct ClientOptions {
  bool tls = false;
  std::string alpn;                     // "h2", "http/1.1", "" = none offered
  std::string server_name = "a.test";
  std::string source = "127.0.0.1";
  int max_version = 0;                  // 0x0303 …
  int receive_buffer = 0;
  std::chrono::milliseconds timeout{60'000};
};

// A blocking connection. Reads give up after the timeout.
class RawClient {
 public:
  explicit RawClient(uint16_t port, const ClientOptions& options = {});
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool is_connected() const { return is_connected_; }
  // The handshake's error, "" when it is done.
  const std::string& handshake_error() const { return handshake_error_; }
  std::string alpn() const;
  bool Send(std::string_view bytes);
  // What comes next, at most `limit`; "" at the end, on a reset or a timeout (see has_ended, has_timed_out).
  std::string Read(size_t limit = 64 * 1024);
  std::string ReadAll();
  // Until `text` is in what was read; what was read.
  std::string ReadUntil(std::string_view text);
  void CloseWrite();
  void Close();
  void Reset();
  bool has_ended() const { return has_ended_; }
  bool was_reset() const { return was_reset_; }
  bool has_timed_out() const { return has_timed_out_; }
  int fd() const { return fd_; }
  ssl_st* ssl() { return ssl_; }

 private:
  int fd_ = -1;
  ssl_ctx_st* context_ = nullptr;
  ssl_st* ssl_ = nullptr;
  bool is_connected_ = false, has_ended_ = false, was_reset_ = false, has_timed_out_ = false;
  std::string handshake_error_;
  std::string rest_;
};

// An answer as a client sees it, whatever the protocol.
struct Answer {
  int status = 0;  // 0: none came
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case
  std::string body;
  std::vector<std::pair<std::string, std::string>> trailers;
  std::vector<int> interims;
  bool is_complete = false;  // its framing came to its end
  uint32_t reset_code = 0;   // h2: of RST_STREAM
  std::string Header(std::string_view name) const;
};

// HTTP/1.1 on a RawClient.
class H1Client {
 public:
  explicit H1Client(uint16_t port, const ClientOptions& options = {}) : raw_(port, options) {}
  RawClient& raw() { return raw_; }
  // Reads one response (and the interim ones before it). `is_head`: no body follows.
  Answer ReadAnswer(bool is_head = false);
  Answer Request(std::string_view bytes, bool is_head = false) {
    raw_.Send(bytes);
    return ReadAnswer(is_head);
  }
  Answer Get(std::string_view target, std::string_view host = "a.test", std::string_view more = "");
  // Unread bytes behind the last answer.
  const std::string& rest() const { return rest_; }

 private:
  bool Fill();
  RawClient raw_;
  std::string rest_;
};

// HTTP/2 on a RawClient with TLS.
class H2Client {
 public:
  explicit H2Client(uint16_t port, ClientOptions options = {});
  RawClient& raw() { return raw_; }
  test::H2RawClient& frames() { return frames_; }
  // Sends HEADERS; the stream's number.
  uint32_t Open(const test::H2Fields& fields, bool end);
  void Data(uint32_t stream, std::string_view bytes, bool end);
  void Trailers(uint32_t stream, const test::H2Fields& fields);
  void Reset(uint32_t stream, uint32_t code = 8);
  // Reads frames until the stream has ended or was reset, or `condition` says so; opens windows as data come.
  Answer Wait(uint32_t stream);
  template <class Condition>
  bool ReadUntil(Condition condition) {
    while (!condition()) {
      if (!ReadFrames()) return false;
    }
    return true;
  }
  Answer Get(std::string_view target, std::string_view host = "a.test");
  Answer& answer(uint32_t stream) { return answers_[stream]; }
  bool has_ended(uint32_t stream) { return answers_[stream].is_complete || answers_[stream].reset_code != 0 || is_reset_[stream]; }
  bool was_reset(uint32_t stream) { return is_reset_[stream]; }
  std::optional<uint32_t> goaway() const { return goaway_; }
  // What the proxy lets us send on this stream now.
  int64_t send_window(uint32_t stream) const {
    auto found = windows_.find(stream);
    auto all = windows_.find(0);
    int64_t own = found == windows_.end() ? 0 : found->second;
    return 65'535 + std::min(own, all == windows_.end() ? 0 : all->second);
  }
  // False: no window is opened for what comes.
  bool opens_windows = true;
  bool ReadFrames();

 private:
  RawClient raw_;
  test::H2RawClient frames_;
  uint32_t next_ = 1;
  std::map<uint32_t, Answer> answers_;
  std::map<uint32_t, bool> is_reset_;
  std::optional<uint32_t> goaway_;
  std::map<uint32_t, int64_t> windows_;  // beyond the 65,535 at first; 0: the connection's
};

// ":method GET, :scheme https, :path, :authority" and `more`.
test::H2Fields Fields(std::string method, std::string path, test::H2Fields more = {}, std::string authority = "a.test");

// True when `condition` became true in time.
template <class Condition>
bool WaitFor(Condition condition, std::chrono::milliseconds longest = std::chrono::seconds(60)) {
  auto until = std::chrono::steady_clock::now() + longest;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// Resident memory of this process in bytes.
size_t ResidentBytes();

}  // namespace genkan::testing
