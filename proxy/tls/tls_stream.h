// TLS over another Stream, through a BIO of ours: it replays bytes already read (PROXY header, a peeked ClientHello),
// gathers many records, or the tickets with the first answer, into one write, and reads ahead. A server's TLS 1.3 goes on
// without OpenSSL once it is shaken (RecordLayer), and where nothing special is asked for it begins without it
// (Tls13Handshake).
// Worker's thread; owned by its connection.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "proxy/event/event_loop.h"
#include "proxy/net/stream.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/server_context.h"

namespace genkan::tls {

// What is known when the handshake is done; for logs and modules.
struct HandshakeInfo {
  int version = 0;                 // 0x0304 …
  std::string_view cipher;         // "TLS_AES_128_GCM_SHA256"; static storage
  std::string server_name;         // as in the hello, also after a resumption
  std::string alpn;                // the agreed protocol, "" for none
  bool is_resumed = false;
  bool has_sent_staple = false;
  std::string client_subject;      // of a verified client certificate
  CertificatePtr client_certificate;  // the same whole; null where there is none
};

class TlsStream : public net::Stream {
 public:
  // `replay`: bytes read before (they come first). `delegate` and `context` outlive the stream.
  static std::unique_ptr<TlsStream> Accept(event::EventLoop& loop, std::unique_ptr<net::Stream> lower,
                                           const ServerContext& context, HandshakeDelegate& delegate,
                                           std::string_view replay = {});
  // `name` is sent as SNI and verified (unless it is an address: then verified as one). "" = neither.
  static std::unique_ptr<TlsStream> Connect(event::EventLoop& loop, std::unique_ptr<net::Stream> lower,
                                            const ClientContext& context, const std::string& name);

  // Read and Write drive the handshake; until it is done they give kWouldBlock (Write takes nothing) or kFailed.
  // The owner wants to read from the start; OnReadable is also called when the handshake ends.
  virtual bool is_handshake_done() const = 0;
  virtual const HandshakeInfo& handshake() const = 0;
  // The alert that ended the handshake (sent or received), as OpenSSL's short text ("unknown ca"), or "".
  virtual std::string_view alert() const = 0;
  // The certificate in use (server side); null before the choice.
  virtual const BundlePtr& bundle() const = 0;
  // The handshake is done and OpenSSL with it: a RecordLayer of ours has the keys (server side, TLS 1.3, no kTLS).
  virtual bool has_record_layer() const = 0;
  // The delegate wants this connection's bytes passed as they are: there will be no handshake, Read gives what the peer
  // sent from its ClientHello on, Write sends as it is. Then the hello's SNI is server_name() of handshake().
  virtual bool is_raw() const = 0;
};

}  // namespace genkan::tls
