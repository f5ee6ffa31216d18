// One connection to an origin: a Stream and a ClientCodec, used by one request after another. It
// reads, writes once a turn, keeps the time limits, and decides whether it may be used again
// (message rule 21). Worker's thread; owned by its Owner (a pool, a health check) through the
// Owner's table.
#pragma once

#include <memory>

#include "proxy/event/timer.h"
#include "proxy/http/codec.h"
#include "proxy/upstream/cluster.h"
#include "proxy/upstream/connector.h"

namespace genkan::upstream {

class UpstreamConnection;

// Who uses a connection at the moment: a request or a health check. Called from the loop. The last
// call is OnConnectionResponse, -Body or -Trailers with `end` (a tunnel's end excepted), or
// OnConnectionFailed; from then on the connection is not the user's any more.
class ConnectionUser {
 public:
  virtual void OnConnectionReady() = 0;  // a new connection stands: Send
  virtual void OnConnectionInterim(http::ResponseHead&& head) = 0;
  virtual void OnConnectionResponse(http::ResponseHead&& head, bool end) = 0;
  virtual void OnConnectionBody(Buffer& data, bool end) = 0;
  virtual void OnConnectionTrailers(http::Headers&& trailers) = 0;
  virtual void OnConnectionWritten() = 0;  // the kernel took bytes
  virtual size_t TakesOfResponse() { return 0; }  // UpstreamHandler::TakesAtOnce
  virtual void OnConnectionFailed(const Error& error) = 0;

 protected:
  ~ConnectionUser() = default;
};

class UpstreamConnection final : private net::Stream::Owner,
                                 private http::ResponseSink,
                                 private Connector::Owner {
 public:
  class Owner {
   public:
    // There is something to do at the end of this turn: call RunTurn then.
    virtual void OnConnectionDirty(UpstreamConnection& connection) = 0;
    virtual void OnConnectionUp(UpstreamConnection& connection) = 0;
    virtual void OnConnectionDown(UpstreamConnection& connection) = 0;  // did not come to stand
    // The response is complete and another request may follow.
    virtual void OnConnectionFree(UpstreamConnection& connection) = 0;
    // Of no further use: retire it.
    virtual void OnConnectionClosed(UpstreamConnection& connection) = 0;

   protected:
    ~Owner() = default;
  };

  // `spec`, `endpoint` and `owner` outlive it.
  UpstreamConnection(event::EventLoop& loop, const ClusterSpec& spec, size_t server, Owner& owner);

  void Connect(Endpoint& endpoint, ConnectOptions options, ConnectionUser& user);
  // An idle one takes another request.
  void Take(ConnectionUser& user);
  // False where the origin has closed an idle connection, or sent bytes on it, and epoll has not
  // said so yet. Costs a system call: for requests that cannot be sent again.
  bool Probe();
  // The user goes. Where the response was not complete the connection is closed.
  void Leave();

  void SendRequest(const http::RequestHead& head, bool end);
  void SendBody(Buffer& data, bool end);
  void SendTrailers(const http::Headers& trailers);
  void Consumed(size_t bytes);
  // Given to us and not yet taken by the kernel.
  size_t buffered() const;
  // What the kernel would take at once.
  size_t TakesAtOnce() const;

  // Writes what is due and reads on where a window has opened.
  void RunTurn();
  // EventLoop::Retire calls it.
  void Shutdown();

  size_t server() const { return server_; }
  bool is_idle() const { return step_ == Step::kIdle; }
  bool is_closed() const { return step_ == Step::kClosed; }
  MonotonicTime idle_since() const { return idle_since_; }
  bool is_expired(MonotonicTime now) const { return now - idle_since_ >= idle_limit_; }
  // Of the request in progress, for the decision about another try.
  bool was_connected() const { return stream_ != nullptr; }
  bool is_reused() const { return requests_ > 1; }
  bool has_sent() const { return has_sent_; }
  bool has_received() const { return has_received_; }

  // The owner's: place in its table, mark of its turn, and what only requests with the same one may
  // share.
  size_t slot = 0;
  bool is_dirty = false;
  std::string sharing_key;

 private:
  enum class Step : uint8_t { kConnecting, kInUse, kIdle, kClosed };

  void OnConnected(std::unique_ptr<net::Stream> stream) override;
  void OnConnectFailed(const Error& error) override;

  void OnReadable() noexcept override;
  void OnWritable() noexcept override;
  void OnTimeout();

  void OnInterim(http::StreamId stream, http::ResponseHead&& head) override;
  void OnResponse(http::StreamId stream, http::ResponseHead&& head, bool end) override;
  void OnBody(http::StreamId stream, Buffer& data, bool end) override;
  void OnTrailers(http::StreamId stream, http::Headers&& trailers) override;
  void OnReset(http::StreamId stream, const Error& error) override;

  void Read();
  size_t Window();
  void Receive();
  void Flush();
  void HandleWriteFailure();
  void MarkDirty();
  void Settle();
  bool HasRoom() const;
  bool MayRead() const;
  void SetReading(bool wanted);
  ConnectionUser* EndUse();
  void FailUse(Error error);
  void Close();
  void ArmTimer();

  event::EventLoop& loop_;
  const ClusterSpec& spec_;
  Owner& owner_;
  ConnectionUser* user_ = nullptr;
  std::unique_ptr<net::Stream> stream_;
  std::unique_ptr<http::ClientCodec> codec_;
  std::unique_ptr<Connector> connector_;
  Buffer in_, out_;
  event::Timer timer_;
  size_t server_;
  http::StreamId id_ = 0;
  uint64_t requests_ = 0;
  size_t unconsumed_ = 0;  // body bytes with the user
  MonotonicTime idle_since_{};
  Millis idle_limit_{0};
  Step step_ = Step::kConnecting;

  bool has_sent_ = false;
  bool has_received_ = false;
  bool has_head_ = false;     // the final response's
  bool is_complete_ = false;  // the response is
  bool is_tunnel_ = false;
  bool has_ended_ = false;  // the request's end was given to the codec
  bool waits_for_origin_ =
      false;  // an upgrade, or Expect: 100-continue: the client waits before it goes on
  bool asks_for_tunnel_ = false;
  bool is_reading_ = false;
  bool is_bulk_ = false;     // the last read was large
  bool is_blocked_ = false;  // the kernel takes no more for now
  bool has_read_end_ = false;
  bool has_write_failed_ = false;
  bool has_closed_write_ = false;
};

}  // namespace genkan::upstream
