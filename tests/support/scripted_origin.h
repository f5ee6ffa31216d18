// An HTTP/1 origin that does what a test says, well or badly, and remembers what it was asked. It
// listens on a free port of the loopback; a thread a connection runs the script with blocking
// calls, so that the event loops under test need not know of it. Safe to ask from the test's thread
// while it runs. Test code: a failing socket call aborts.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/held_port.h"

struct ssl_st;
struct ssl_ctx_st;

namespace genkan::testing {

// A request as it came over the wire.
struct OriginRequest {
  std::string method, target, version;
  std::vector<std::pair<std::string, std::string>> headers;  // in order, names as sent
  std::string head;       // all of its bytes, up to and with the empty line
  std::string body;       // out of its framing
  size_t connection = 0;  // 1, 2, …: in the order of acceptance
  size_t index = 0;       // 1, 2, …: on its connection

  // The first field of this name, case ignored; "" where there is none.
  std::string Header(std::string_view name) const;
  size_t Count(std::string_view name) const;
};

// One accepted connection, in its script. Calls block; all of them give up when the origin is
// stopped.
class OriginConnection {
 public:
  OriginConnection(int fd, size_t number, class ScriptedOrigin& origin);
  ~OriginConnection();

  size_t number() const { return number_; }
  // The next request with its body; nothing when the peer ended or the bytes are no request.
  std::optional<OriginRequest> ReadRequest();
  // The next request without its body, which ReadBody then reads.
  std::optional<OriginRequest> ReadHead();
  void ReadBody(OriginRequest& request);
  // What comes next, at most `limit` bytes; "" at the end or on a reset.
  std::string Read(size_t limit = 64 * 1024);
  // Exactly `bytes`, or fewer at the end.
  std::string ReadExactly(size_t bytes);
  // False where the peer is gone.
  bool Send(std::string_view bytes);
  // 200 with a Content-Length, or what `status_line` and `headers` ("A: b\r\n") say.
  bool Answer(std::string_view body, std::string_view status_line = "200 OK",
              std::string_view headers = "");
  void CloseWrite();  // FIN: our side is at its end
  void Close();       // in order, where all was read
  void Reset();       // RST
  // Waits; false when the origin is stopped meanwhile.
  bool Sleep(std::chrono::milliseconds time);
  // Waits until ScriptedOrigin::Release; false when the origin is stopped instead.
  bool WaitForRelease();

 private:
  friend class ScriptedOrigin;
  void Shake(ssl_ctx_st* context);
  void Interrupt();

  int fd_;
  size_t number_;
  size_t requests_ = 0;
  ScriptedOrigin& origin_;
  ssl_st* ssl_ = nullptr;
  std::string buffered_;
};

struct ScriptedOriginOptions {
  // "127.0.0.1:0", "[::1]:0", "unix:/path".
  std::string address = "127.0.0.1:0";
  // With both: TLS.
  std::string chain_pem, key_pem;
  int receive_buffer = 0;  // SO_RCVBUF, 0 = the kernel's choice
};

class ScriptedOrigin {
 public:
  using Script = std::function<void(OriginConnection&)>;
  using Responder = std::function<std::string(const OriginRequest&)>;

  // The script runs once a connection; when it returns the connection is closed.
  explicit ScriptedOrigin(Script script, const ScriptedOriginOptions& options = {});
  ~ScriptedOrigin();
  ScriptedOrigin(const ScriptedOrigin&) = delete;
  ScriptedOrigin& operator=(const ScriptedOrigin&) = delete;

  // Answers each request of each connection by what `respond` gives, bytes for bytes. An answer
  // with "Connection: close" closes.
  static Script Respond(Responder respond);
  // 200 with this body to everything, keep-alive.
  static Script Always(std::string body);

  const std::string& address() const { return address_; }  // "127.0.0.1:40123"
  uint16_t port() const { return port_; }
  std::string url() const { return (has_tls_ ? "https://" : "http://") + address_; }

  std::vector<OriginRequest> requests() const;
  size_t request_count() const;
  size_t connections() const;       // accepted so far
  size_t open_connections() const;  // whose script still runs
  // All bytes that connection `number` (from 1) sent us and its script has read so far.
  std::string received(size_t number) const;
  // Lets every WaitForRelease return, those to come as well.
  void Release();
  // Stops listening: connections are refused from here on, and nobody else gets the port. Those that run go on.
  void StopListening();
  // Stops all and waits for the scripts.
  void Stop();

 private:
  friend class OriginConnection;
  void Accept();
  void Run(int fd, size_t number);
  void Record(const OriginRequest& request);
  void RecordBytes(size_t number, std::string_view bytes);

  Script script_;
  std::string address_;
  uint16_t port_ = 0;
  bool has_tls_ = false;
  int receive_buffer_ = 0;
  std::optional<HeldPort> held_;
  int listener_ = -1;
  std::string unix_path_;
  ssl_ctx_st* tls_ = nullptr;
  std::thread acceptor_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool is_stopping_ = false;  // these are guarded by mutex_
  bool is_listening_ = true;
  bool is_released_ = false;
  size_t open_ = 0;
  std::vector<std::thread> threads_;
  std::vector<OriginConnection*> live_;
  std::vector<OriginRequest> requests_;
  std::vector<std::string> received_;
};

}  // namespace genkan::testing
