// A server's TlsStream and a plain OpenSSL client at both ends of a socket pair, on one loop.
#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/net/tcp_stream.h"
#include "proxy/tls/tls_stream.h"
#include "tests/support/eventually.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {

using SslSessionPtr = OpensslPtr<SSL_SESSION, SSL_SESSION_free>;

struct Delegate final : HandshakeDelegate {
  HandshakeChoice OnClientHello(const ClientHello& seen) override {
    ++hellos;
    hello = seen;
    HandshakeChoice choice;
    choice.bundle = bundle;
    if (rsa_bundle && !seen.offers_ecdsa) choice.bundle = rsa_bundle;
    choice.alert = alert;
    choice.site_policy = site_policy;
    choice.session_context = session_context;
    return choice;
  }
  bool IsRevokedLeaf(std::string_view leaf) override { return leaf == revoked; }
  bool has_raw_target() const override { return !raw_protocol.empty(); }
  bool IsForRawTarget(const ClientHello& seen) override {
    hello = seen;
    return seen.alpn == std::vector<std::string>{raw_protocol};
  }

  std::string raw_protocol;
  BundlePtr bundle, rsa_bundle;
  int alert = 112;
  const TlsPolicy* site_policy = nullptr;
  std::string session_context = std::string(32, 's');
  std::string revoked;
  ClientHello hello;
  int hellos = 0;
};

// Passes everything on and counts what would be system calls.
struct CountingStream final : net::Stream {
  explicit CountingStream(std::unique_ptr<net::Stream> below) : lower(std::move(below)) {}
  void SetOwner(Owner& owner) override { lower->SetOwner(owner); }
  net::IoResult Read(Buffer& into, size_t limit) override {
    ++reads;
    return lower->Read(into, limit);
  }
  net::IoResult Write(Buffer& from) override {
    ++writes;
    return lower->Write(from);
  }
  void WantRead(bool wanted) override { lower->WantRead(wanted); }
  void WantWrite(bool wanted) override { lower->WantWrite(wanted); }
  size_t WriteRoom() const override { return lower->WriteRoom(); }
  void CloseWrite() override { lower->CloseWrite(); }
  void Cancel() override { lower->Cancel(); }
  const Error& error() const override { return lower->error(); }
  int fd() const override { return lower->fd(); }

  std::unique_ptr<net::Stream> lower;
  int reads = 0;
  int writes = 0;
};

// Reads all it is told of, unless it is not to.
struct Reader final : net::Stream::Owner {
  void OnReadable() noexcept override {
    ++readable;
    if (!reads) return;
    last = stream->Read(in, limit);
    if (last.state == net::IoState::kEnd || last.state == net::IoState::kFailed) {
      stream->WantRead(false);
      is_over = true;
    }
  }
  void OnWritable() noexcept override {
    ++writable;
    if (out.empty()) {
      stream->WantWrite(false);
      return;
    }
    if (stream->Write(out).state != net::IoState::kWouldBlock) stream->WantWrite(false);
  }
  net::Stream* stream = nullptr;
  Buffer in, out;
  size_t limit = 64 * 1024;
  net::IoResult last;
  int readable = 0, writable = 0;
  bool reads = true;
  bool is_over = false;
};

inline std::pair<int, int> SocketPair() {
  int fds[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {fds[0], fds[1]};
}

struct TlsPair {
  explicit TlsPair(ServerContextOptions options = DefaultOptions())
      : tickets(TicketKeys::Rotate(nullptr)), client_context(SSL_CTX_new(TLS_client_method())) {
    context = Make(options);
    delegate.bundle = Ca().Bundle({"a.test"});
    SSL_CTX_set_session_cache_mode(client_context.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_app_data(client_context.get(), this);
    SSL_CTX_sess_set_new_cb(client_context.get(), [](SSL* ssl, SSL_SESSION* session) {
      auto& self = *static_cast<TlsPair*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      self.sessions.emplace_back(session);
      return 1;
    });
    X509_STORE_add_cert(SSL_CTX_get_cert_store(client_context.get()),
                        Ca().root().certificate->x509());
    SSL_CTX_set_verify(client_context.get(), SSL_VERIFY_PEER, nullptr);
    // Levels as of a client that is not picky.
    SSL_CTX_set_security_level(client_context.get(), 0);
  }
  ~TlsPair() { Close(); }

  static ServerContextOptions DefaultOptions() {
    ServerContextOptions options;
    options.alpn = {"h2", "http/1.1"};
    return options;
  }
  static const testing::TestCa& Ca() {
    static const testing::TestCa ca;
    return ca;
  }
  std::unique_ptr<ServerContext> Make(const ServerContextOptions& options) {
    auto made = ServerContext::Make(options, tickets, clock);
    EXPECT_TRUE(made) << made.error().detail;
    return std::move(*made);
  }

  // A fresh connection; the client's SSL is not yet shaken.
  void Open(std::string_view replay = {}) {
    Close();
    auto [near, far] = SocketPair();
    auto counted = std::make_unique<CountingStream>(
        std::make_unique<net::TcpStream>(loop, net::Fd(near)));
    counting = counted.get();
    reader = Reader();
    stream = TlsStream::Accept(loop, std::move(counted), *context, delegate, replay);
    reader.stream = stream.get();
    stream->SetOwner(reader);
    stream->WantRead(true);
    fd = net::Fd(far);
    client.reset(SSL_new(client_context.get()));
    SSL_set_fd(client.get(), fd.get());
    SSL_set_tlsext_host_name(client.get(), "a.test");
    SSL_set_connect_state(client.get());
  }
  void Close() {
    client.reset();
    stream.reset();
    fd.Reset();
  }

  // One step of the client; true when shaken.
  bool Shake() {
    if (SSL_is_init_finished(client.get())) return true;
    ERR_clear_error();
    int result = SSL_do_handshake(client.get());
    if (result == 1) return true;
    int error = SSL_get_error(client.get(), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE && client_error.empty())
      client_error = TakeOpensslErrors();
    return false;
  }
  // Both sides to the end of the handshake; false when it failed.
  bool Handshake() {
    client_error.clear();
    testing::Eventually(loop, [&] {
      bool is_shaken = Shake();
      return !client_error.empty() || reader.is_over || (is_shaken && stream->is_handshake_done());
    });
    return SSL_is_init_finished(client.get()) && stream->is_handshake_done();
  }
  // The client's last flight with `request` behind it, in pieces of so many bytes.
  void FinishWith(std::string_view request, size_t step) {
    BIO* out = BIO_new(BIO_s_mem());
    SSL_set0_wbio(client.get(), out);
    ASSERT_TRUE(testing::Eventually(loop, [&] { return Shake(); })) << client_error;
    ASSERT_EQ(SSL_write(client.get(), request.data(), static_cast<int>(request.size())),
              static_cast<int>(request.size()));
    char* bytes = nullptr;
    const auto size = static_cast<size_t>(BIO_get_mem_data(out, &bytes));
    for (std::string_view left(bytes, size); !left.empty();) {
      const std::string_view piece = left.substr(0, step);
      ASSERT_EQ(write(fd.get(), piece.data(), piece.size()), static_cast<ssize_t>(piece.size()));
      left.remove_prefix(piece.size());
      loop.RunOnce();
    }
    SSL_set0_wbio(client.get(), BIO_new_socket(fd.get(), BIO_NOCLOSE));
    ASSERT_TRUE(testing::Eventually(loop, [&] { return reader.in.size() == request.size(); }));
    EXPECT_EQ(reader.in.ToText(), request);
  }
  // What the client has read so far; runs until it has `bytes` or its connection ends.
  bool ClientReads(size_t bytes) {
    return testing::Eventually(loop, [&] {
      char block[16384];
      for (;;) {
        ERR_clear_error();
        int got = SSL_read(client.get(), block, sizeof(block));
        if (got <= 0) {
          client_end = SSL_get_error(client.get(), got);
          if (client_end != SSL_ERROR_WANT_READ) TakeOpensslErrors();
          break;
        }
        received.append(block, static_cast<size_t>(got));
      }
      return received.size() >= bytes || client_end != SSL_ERROR_WANT_READ;
    });
  }
  // Lets the client see the tickets, then ends the connection. The newest session is kept.
  void Finish() {
    received.clear();
    Buffer out("bye");
    stream->Write(out);
    ClientReads(3);
    // TLS 1.2 tells of no new ticket when it has resumed.
    if (SSL_version(client.get()) < TLS1_3_VERSION)
      sessions.emplace_back(SSL_get1_session(client.get()));
    SSL_shutdown(client.get());
    Close();
  }

  event::EventLoop loop;
  ManualClock clock;
  TicketKeysPtr tickets;
  Delegate delegate;
  std::unique_ptr<ServerContext> context;
  SslCtxPtr client_context;
  std::vector<SslSessionPtr> sessions;
  CountingStream* counting = nullptr;
  Reader reader;
  std::unique_ptr<TlsStream> stream;
  net::Fd fd;
  SslPtr client;
  std::string client_error;
  std::string received;
  int client_end = 0;
};

}  // namespace genkan::tls
