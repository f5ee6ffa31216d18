// A client's connection: transport, codec and the exchanges on it. It reads, lets the codec tell it of requests, and at
// the end of the turn pulls what goes on the wire in one write.
// Worker's thread; owned by the WorkerCore's table.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/event/timer.h"
#include "proxy/http/codec.h"
#include "proxy/module/api.h"
#include "proxy/net/fd.h"
#include "proxy/net/stream.h"
#include "proxy/server/listener.h"
#include "proxy/server/tls_alpn_pass.h"
#include "proxy/server/worker_core.h"
#include "proxy/tls/tls_stream.h"

namespace genkan::server {

class ServerExchange;

class DownstreamConnection final : private net::Stream::Owner, private http::RequestSink {
 public:
  DownstreamConnection(WorkerCore& core, std::shared_ptr<Listener> listener, net::Fd fd,
                       const net::Address& peer, const net::Address& local);
  ~DownstreamConnection();

  // Begins to read; call it once the connection is in the core's table. May remove it.
  void Start();
  // Called by loop.Retire: nothing is called after it.
  void Shutdown();
  // The end of a turn.
  void Flush();
  // GOAWAY, or Connection: close on the next answer. One of h1 that rests goes after `idle` at the latest: no answer has
  // told its client, so a request may be on its way.
  void Drain(Millis idle);
  // Ends it at once.
  void Cut();
  // The exchanges that never end by themselves.
  void CutEndless();
  // Cuts the tunnels and event streams that still hold this snapshot.
  void CutHolders(const WorkerSnapshot* snapshot);

  // --- for exchanges
  http::ServerCodec& codec() { return *codec_; }
  const ConnectionView& view() const { return view_; }
  const Listener& listener() const { return *listener_; }
  const net::Address& peer() const { return peer_; }
  std::string_view local_port() const { return local_port_; }
  bool is_tls() const { return tls_ != nullptr; }
  const tls::TlsStream* tls() const { return tls_; }
  uint64_t number() const { return number_; }
  std::string id() const;
  // Bytes that the codec has handed out and the kernel has not taken.
  size_t unsent() const { return out_.size() + stream_->pending_write(); }
  // How many body bytes of a stream would go to the kernel at once now; 0: not more than ever. Asking is a promise: the
  // next turn's writes are made for it.
  size_t TakesAtOnce(http::StreamId stream);
  bool has_peer_closed() const { return has_peer_closed_; }
  void MarkDirty() { core_.MarkDirty(*this); }
  // The exchange has a deadline no later than this.
  void NeedDeadline(MonotonicTime at);

  // For the core's table alone.
  size_t table_index = 0;
  bool is_dirty = false;

 private:
  static constexpr Millis kLingerTime{2'000};
  static constexpr size_t kMostLingered = 1024 * 1024;
  // How long a client may take to end a connection that GOAWAY has told it of.
  static constexpr Millis kGoAwayIdle{1'000};

  enum class State : uint8_t { kProxyHeader, kHandshake, kPassing, kServing, kLingering, kClosed };

  // net::Stream::Owner
  void OnReadable() noexcept override;
  void OnWritable() noexcept override;
  // http::RequestSink
  void OnRequest(http::StreamId stream, http::RequestHead&& head, bool end) override;
  void OnBody(http::StreamId stream, Buffer& data, bool end) override;
  void OnTrailers(http::StreamId stream, http::Headers&& trailers) override;
  void OnRefused(http::StreamId stream, const http::Refusal& refusal,
                 const http::RequestHead& head) override;
  void OnReset(http::StreamId stream, const Error& error) override;
  void OnStreamDone(http::StreamId stream) override;

  // False: refused, and gone.
  bool TakeAddress(const net::Address& client);
  void SetViewAddresses(const net::Address& client, const net::Address& local);
  void ReadProxyHeader();
  void StartTransport(std::string replay);
  void ContinueHandshake();
  void FinishHandshake();
  // The hello was of a validation by tls-alpn-01.
  void StartPassing();
  void FinishPassing();
  void RefusePassing(std::string_view why);
  void EndPassing();
  void SendAlert();
  void StartServing(std::string_view protocol);
  void ReadRequests();
  void HandleEnd();
  size_t ReadLimit();
  void Receive();
  void CountRequest();
  ServerExchange* Find(http::StreamId stream);
  void AbortExchanges(const Error& error);
  bool Write();
  void AccountExchanges();
  void Reap();
  void UpdateInterest();
  bool CanClose() const;
  void NoteIdle();
  void NoteH2Head();
  void BeginLinger();
  void DrainLinger();
  void OnTimer();
  void CheckServing(MonotonicTime now);
  void CheckIdle(MonotonicTime now);

  WorkerCore& core_;
  std::shared_ptr<Listener> listener_;
  // Keeps the context that its TLS was made from.
  std::shared_ptr<tls::ServerContext> context_;
  const uint64_t number_;
  std::unique_ptr<net::Stream> stream_;
  tls::TlsStream* tls_ = nullptr;  // stream_, where it is one
  std::unique_ptr<TlsAlpnPass> pass_;
  Buffer in_, out_;
  std::unique_ptr<http::ServerCodec> codec_;
  std::vector<std::unique_ptr<ServerExchange>> exchanges_;
  event::Timer timer_;

  net::Address peer_;   // who really connects: conveyed by a PROXY header, or the socket's
  net::Address local_;
  ConnectionView view_;
  std::unique_ptr<const ClientCertificateView> client_certificate_;
  std::string client_address_, local_address_, local_port_;
  std::string_view tls_version_;

  State state_ = State::kProxyHeader;
  bool is_counted_ = false;      // in the address limiter
  bool is_handshaking_ = false;  // counted there as such
  bool is_passing_ = false;      // counted in the gate of tls-alpn-01
  bool has_peer_closed_ = false;
  bool has_failed_ = false;      // the codec says that this is the end
  bool is_cut_ = false;          // the transport is gone
  bool is_flushing_ = false;
  bool is_draining_ = false;
  bool has_gone_away_ = false;
  bool is_write_blocked_ = false;
  bool is_bulk_in_ = false;   // the last read was large
  bool is_bulk_out_ = false;  // more than usual goes out in this turn
  bool has_begun_head_ = false;
  bool has_seen_head_ = false;       // h2: the preface and what came with it are past
  bool needs_more_ = false;      // what is unread in in_ makes no sense without more bytes
  uint32_t requests_ = 0;
  size_t lingered_ = 0;
  Millis drain_idle_{0};  // while is_draining_

  MonotonicTime deadline_;        // of the proxy header, the handshake, lingering
  MonotonicTime head_deadline_;   // of a request head that has begun
  MonotonicTime idle_deadline_;
  MonotonicTime blocked_since_;
  size_t last_unsent_ = 0;
};

}  // namespace genkan::server
