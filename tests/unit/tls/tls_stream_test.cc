#include "proxy/tls/tls_stream.h"

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "tests/unit/tls/tls_pair.h"

namespace genkan::tls {
namespace {

using net::IoState;
using testing::Eventually;

std::string Pattern(size_t bytes) {
  std::string text;
  text.reserve(bytes);
  for (size_t i = 0; i < bytes; ++i) text.push_back(static_cast<char>(i * 7 + i / 251));
  return text;
}

bool ClientWrites(TlsPair& pair, std::string_view text) {
  size_t sent = 0;
  return Eventually(pair.loop, [&] {
    while (sent < text.size()) {
      ERR_clear_error();
      size_t part = std::min<size_t>(text.size() - sent, 16384);
      size_t written = 0;
      if (SSL_write_ex(pair.client.get(), text.data() + sent, part, &written) != 1) return false;
      sent += written;
    }
    return true;
  });
}

TEST(TlsStream, MovesMegabytesBothWays) {
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsPair pair;
    SSL_CTX_set_max_proto_version(pair.client_context.get(), version);
    pair.Open();
    ASSERT_TRUE(pair.Handshake());
    std::string text = Pattern(3'000'001);
    ASSERT_TRUE(ClientWrites(pair, text));
    ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() >= text.size(); }))
        << pair.reader.in.size();
    EXPECT_TRUE(pair.reader.in.ToText() == text);
    pair.reader.out.Append(text);
    pair.stream->WantWrite(true);
    ASSERT_TRUE(pair.ClientReads(text.size())) << pair.received.size();
    EXPECT_TRUE(pair.received == text);
  }
}

TEST(TlsStream, KernelTlsThatTheKernelDoesNotHaveChangesNothing) {
  // A socket pair is no TCP: the kernel refuses here whatever modules it has.
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    ServerContextOptions options = TlsPair::DefaultOptions();
    options.policy.ktls = true;
    TlsPair pair(options);
    SSL_CTX_set_max_proto_version(pair.client_context.get(), version);
    pair.Open();
    ASSERT_TRUE(pair.Handshake()) << pair.client_error;
    std::string text = Pattern(300'001);
    ASSERT_TRUE(ClientWrites(pair, text));
    ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() >= text.size(); }));
    pair.reader.out.Append(text);
    pair.stream->WantWrite(true);
    ASSERT_TRUE(pair.ClientReads(text.size()));
    EXPECT_TRUE(pair.received == text);
    pair.stream->CloseWrite();
    ASSERT_TRUE(pair.ClientReads(text.size() + 1));
    EXPECT_EQ(pair.client_end, SSL_ERROR_ZERO_RETURN);
  }
}

TEST(TlsStream, ReaderThatStopsBoundsWhatWaits) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  Buffer out(Pattern(8'000'000));
  for (int i = 0; i < 100; ++i) {
    pair.stream->Write(out);
    pair.loop.RunOnce();
  }
  EXPECT_EQ(pair.stream->Write(out).state, IoState::kWouldBlock);
  EXPECT_GT(pair.stream->pending_write(), 0u);
  EXPECT_LE(pair.stream->pending_write(), 96u * 1024);
  EXPECT_GT(out.size(), 7'000'000u);
  pair.reader.out = std::move(out);
  pair.stream->WantWrite(true);
  ASSERT_TRUE(pair.ClientReads(8'000'000));
  EXPECT_TRUE(pair.received == Pattern(8'000'000));
  EXPECT_EQ(pair.stream->pending_write(), 0u);
}

TEST(TlsStream, WriterThatIsNotReadIsHeldBack) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.stream->WantRead(false);
  std::string text = Pattern(1 << 20);
  size_t sent = 0;
  for (int i = 0; i < 200; ++i) {
    size_t written = 0;
    if (SSL_write_ex(pair.client.get(), text.data() + sent, std::min<size_t>(16384, text.size() - sent),
                     &written) == 1)
      sent += written;
    pair.loop.RunOnce();
  }
  EXPECT_LT(sent, text.size());
  EXPECT_TRUE(pair.reader.in.empty());
  pair.stream->WantRead(true);
  EXPECT_TRUE(ClientWrites(pair, std::string_view(text).substr(sent)));
  EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == text.size(); }));
  EXPECT_TRUE(pair.reader.in.ToText() == text);
}

TEST(TlsStream, TellsOfBytesThatOpensslHolds) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.reader.limit = 10;
  ASSERT_TRUE(ClientWrites(pair, Pattern(1000)));
  EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == 1000; }))
      << pair.reader.in.size();
}

TEST(TlsStream, TellsAgainWhenAnOwnerDidNotRead) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.reader.limit = 10;
  ASSERT_TRUE(ClientWrites(pair, Pattern(1000)));
  ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() >= 10; }));
  pair.stream->WantRead(false);
  size_t had = pair.reader.in.size();
  ASSERT_LT(had, 1001u);
  pair.reader.reads = false;
  pair.stream->WantRead(true);
  int told = pair.reader.readable;
  if (had < 1000) {
    EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.readable >= told + 3; }));
  }
  pair.reader.reads = true;
  EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == 1000; }));
}

TEST(TlsStream, TakesAHandshakeInDripsOfOneByte) {
  TlsPair pair;
  pair.Open();
  // The client writes into memory; each byte goes to the server in a turn of its own.
  BIO* from_server = BIO_new_socket(pair.fd.get(), BIO_NOCLOSE);
  BIO* to_server = BIO_new(BIO_s_mem());
  SSL_set_bio(pair.client.get(), from_server, to_server);
  SSL_set_connect_state(pair.client.get());
  std::string request = "GET / HTTP/1.1\r\n\r\n";
  bool has_written = false;
  ASSERT_TRUE(Eventually(pair.loop, [&] {
    if (pair.Shake() && !has_written) {
      SSL_write(pair.client.get(), request.data(), static_cast<int>(request.size()));
      has_written = true;
    }
    char byte;
    while (BIO_read(to_server, &byte, 1) == 1) {
      EXPECT_EQ(write(pair.fd.get(), &byte, 1), 1);
      pair.loop.RunOnce();
      pair.loop.RunOnce();
    }
    return !pair.client_error.empty() || pair.reader.in.size() == request.size();
  })) << pair.client_error;
  EXPECT_EQ(pair.reader.in.ToText(), request);
}

TEST(TlsStream, ReplaysWhatWasReadBefore) {
  for (ssize_t taken : {1, 5, 100}) {
    TlsPair pair;
    pair.Open();
    auto [near, far] = SocketPair();
    net::Fd client_end(far);
    SSL_set_fd(pair.client.get(), far);
    pair.Shake();
    char hello[100];
    ASSERT_EQ(read(near, hello, static_cast<size_t>(taken)), taken);
    pair.stream = TlsStream::Accept(
        pair.loop, std::make_unique<net::TcpStream>(pair.loop, net::Fd(near)), *pair.context,
        pair.delegate, std::string_view(hello, static_cast<size_t>(taken)));
    pair.reader.stream = pair.stream.get();
    pair.stream->SetOwner(pair.reader);
    pair.stream->WantRead(true);
    EXPECT_TRUE(pair.Handshake()) << pair.client_error;
    pair.Close();
  }
}

TEST(TlsStream, WholeHelloReplayedNeedsNoFurtherByte) {
  TlsPair pair;
  pair.Open();
  BIO* to_server = BIO_new(BIO_s_mem());
  SSL_set_bio(pair.client.get(), BIO_new_socket(pair.fd.get(), BIO_NOCLOSE), to_server);
  pair.Shake();
  char* bytes = nullptr;
  long size = BIO_get_mem_data(to_server, &bytes);
  std::string hello(bytes, static_cast<size_t>(size));
  auto [near, far] = SocketPair();
  pair.stream = TlsStream::Accept(pair.loop,
                                  std::make_unique<net::TcpStream>(pair.loop, net::Fd(near)),
                                  *pair.context, pair.delegate, hello);
  pair.stream->SetOwner(pair.reader);
  EXPECT_TRUE(Eventually(pair.loop, [&] {
    char byte;
    return recv(far, &byte, 1, MSG_PEEK) == 1;
  })) << "the server's flight";
  EXPECT_EQ(pair.delegate.hello.server_name, "a.test");
  net::Fd closes(far);
}

// The client's hello with this protocol, to a stream whose delegate has "acme-tls/1" passed raw.
std::string OfferRaw(TlsPair& pair, std::string_view protocol) {
  pair.delegate.raw_protocol = "acme-tls/1";
  pair.Open();
  std::string list(1, static_cast<char>(protocol.size()));
  list += protocol;
  SSL_set_alpn_protos(pair.client.get(), reinterpret_cast<const unsigned char*>(list.data()),
                      static_cast<unsigned>(list.size()));
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(pair.client.get(), BIO_new_socket(pair.fd.get(), BIO_NOCLOSE), out);
  pair.Shake();
  char* bytes = nullptr;
  long size = BIO_get_mem_data(out, &bytes);
  return std::string(bytes, static_cast<size_t>(size));
}

TEST(TlsStream, PassesAConnectionRawFromItsHelloOn) {
  for (size_t piece : {1u, 7u, 100'000u}) {
    TlsPair pair;
    std::string hello = OfferRaw(pair, "acme-tls/1");
    for (size_t at = 0; at < hello.size(); at += piece) {
      ASSERT_FALSE(pair.stream->is_raw());
      std::string_view part = std::string_view(hello).substr(at, piece);
      ASSERT_EQ(write(pair.fd.get(), part.data(), part.size()), static_cast<ssize_t>(part.size()));
      for (int i = 0; i < 3; ++i) pair.loop.RunOnce();
    }
    ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == hello.size(); }));
    EXPECT_TRUE(pair.stream->is_raw());
    EXPECT_FALSE(pair.stream->is_handshake_done());
    EXPECT_EQ(pair.stream->handshake().server_name, "a.test");
    EXPECT_EQ(pair.delegate.hellos, 0) << "no handshake of ours has begun";
    // Both ways, and no byte is touched.
    ASSERT_EQ(write(pair.fd.get(), "more", 4), 4);
    ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == hello.size() + 4; }));
    EXPECT_EQ(pair.reader.in.ToText(), hello + "more");
    Buffer out("\x16\x03\x03 back");
    EXPECT_EQ(pair.stream->Write(out).state, IoState::kOk);
    pair.stream->CloseWrite();
    char back[64];
    ssize_t got = 0;
    ASSERT_TRUE(Eventually(pair.loop, [&] { return (got = read(pair.fd.get(), back, sizeof back)) > 0; }));
    EXPECT_EQ(std::string(back, static_cast<size_t>(got)), "\x16\x03\x03 back");
    EXPECT_EQ(read(pair.fd.get(), back, sizeof back), 0) << "and the end";
    pair.fd.Reset();
    EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  }
}

TEST(TlsStream, AnOwnerThatReadsLittleGetsAllOfARawHello) {
  TlsPair pair;
  std::string hello = OfferRaw(pair, "acme-tls/1");
  pair.reader.limit = 10;
  ASSERT_EQ(write(pair.fd.get(), hello.data(), hello.size()), static_cast<ssize_t>(hello.size()));
  EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == hello.size(); }));
  EXPECT_EQ(pair.reader.in.ToText(), hello);
}

TEST(TlsStream, OtherProtocolsAreNotPassedRaw) {
  TlsPair pair;
  std::string hello = OfferRaw(pair, "h2");
  ASSERT_EQ(write(pair.fd.get(), hello.data(), hello.size()), static_cast<ssize_t>(hello.size()));
  ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.delegate.hellos == 1; }));
  EXPECT_FALSE(pair.stream->is_raw());
  EXPECT_TRUE(pair.reader.in.empty());
}

TEST(TlsStream, AHelloInAReplayIsPassedRawToo) {
  TlsPair pair;
  std::string hello = OfferRaw(pair, "acme-tls/1");
  auto [near, far] = SocketPair();
  net::Fd closes(far);
  pair.reader = Reader();
  pair.stream = TlsStream::Accept(pair.loop,
                                  std::make_unique<net::TcpStream>(pair.loop, net::Fd(near)),
                                  *pair.context, pair.delegate, hello);
  pair.reader.stream = pair.stream.get();
  pair.stream->SetOwner(pair.reader);
  pair.stream->WantRead(true);
  EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == hello.size(); }));
  EXPECT_TRUE(pair.stream->is_raw());
}

TEST(TlsStream, CloseNotifyIsAnEndAndACutIsAFailure) {
  for (bool is_orderly : {true, false}) {
    TlsPair pair;
    pair.Open();
    ASSERT_TRUE(pair.Handshake());
    ASSERT_TRUE(ClientWrites(pair, "body"));
    if (is_orderly) SSL_shutdown(pair.client.get());
    shutdown(pair.fd.get(), SHUT_WR);
    ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }));
    EXPECT_EQ(pair.reader.in.ToText(), "body");
    EXPECT_EQ(pair.reader.last.state, is_orderly ? IoState::kEnd : IoState::kFailed);
    if (!is_orderly) {
      EXPECT_EQ(pair.stream->error().code, ErrorCode::kClosed);
      EXPECT_NE(pair.stream->error().detail.find("cut"), std::string::npos)
          << pair.stream->error().detail;
    }
  }
}

TEST(TlsStream, CutInTheMiddleOfARecordIsAFailure) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  ASSERT_EQ(write(pair.fd.get(), "\x17\x03\x03\x00\x40half", 9), 9);
  shutdown(pair.fd.get(), SHUT_WR);
  ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_EQ(pair.reader.last.state, IoState::kFailed);
}

TEST(TlsStream, CloseWriteSendsCloseNotifyAndStillReads) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  Buffer out("last words");
  pair.stream->Write(out);
  pair.stream->CloseWrite();
  pair.ClientReads(1 << 20);
  EXPECT_EQ(pair.received, "last words");
  EXPECT_EQ(pair.client_end, SSL_ERROR_ZERO_RETURN);
  ASSERT_TRUE(ClientWrites(pair, "still here"));
  EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == 10; }));
}

TEST(TlsStream, NonsenseEndsAtOnce) {
  for (std::string_view nonsense :
       {std::string_view("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        std::string_view("\x16\x03\x01\xff\xff\x01", 6), std::string_view("\0\0\0\0\0\0\0\0", 8),
        std::string_view("\x15\x03\x01\x00\x02\x02\x28", 7),
        std::string_view("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10)}) {
    TlsPair pair;
    pair.Open();
    ASSERT_EQ(write(pair.fd.get(), nonsense.data(), nonsense.size()),
              static_cast<ssize_t>(nonsense.size()));
    EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }))
        << HexEncode(AsBytes(nonsense));
    EXPECT_EQ(pair.reader.last.state, IoState::kFailed);
    EXPECT_FALSE(pair.stream->error().detail.empty());
    EXPECT_FALSE(pair.stream->is_handshake_done());
  }
}

TEST(TlsStream, ClientThatGoesAwayInTheHandshakeIsAFailure) {
  TlsPair pair;
  pair.Open();
  pair.Shake();
  pair.client.reset();
  pair.fd.Reset();
  EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_EQ(pair.stream->error().code, ErrorCode::kClosed) << pair.stream->error().detail;
}

TEST(TlsStream, FloodOfHandshakeBytesIsRefused) {
  TlsPair pair;
  pair.Open();
  // An endless certificate message cannot come before keys; a hello that never ends can.
  std::string record("\x16\x03\x01\x40\x00", 5);
  std::string first("\x01\x01\xff\xff\x03\x03", 6);
  std::string body = first + std::string(16384 - first.size(), '\0');
  size_t sent = 0;
  EXPECT_TRUE(Eventually(pair.loop, [&] {
    ssize_t got = send(pair.fd.get(), (record + body).data(), record.size() + body.size(), MSG_NOSIGNAL);
    if (got > 0) sent += static_cast<size_t>(got);
    return pair.reader.is_over;
  }));
  EXPECT_LT(sent, 1u << 20);
}

ServerContextOptions TwoTickets() {
  ServerContextOptions options = TlsPair::DefaultOptions();
  options.tickets_per_handshake = 2;
  return options;
}

TEST(TlsStream, TicketsAndAFirstAnswerInTheSameTurnAreOneWrite) {
  TlsPair pair(TwoTickets());
  pair.Open();
  ASSERT_FALSE(pair.Shake());
  ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.Shake(); }));
  // The client's last flight and its request arrive together.
  SSL_write(pair.client.get(), "GET /", 5);
  struct Answering final : net::Stream::Owner {
    void OnReadable() noexcept override {
      Buffer in;
      if (stream->Read(in, 100).bytes == 0) return;
      Buffer out("head ");
      out.Append(std::string_view("and body"));
      stream->Write(out);
      has_answered = true;
    }
    void OnWritable() noexcept override {}
    net::Stream* stream = nullptr;
    bool has_answered = false;
  } owner;
  owner.stream = pair.stream.get();
  pair.stream->SetOwner(owner);
  int writes = pair.counting->writes;
  int reads = pair.counting->reads;
  ASSERT_TRUE(Eventually(pair.loop, [&] { return owner.has_answered; }));
  pair.loop.RunOnce();
  EXPECT_EQ(pair.counting->writes - writes, 1);
  EXPECT_EQ(pair.counting->reads - reads, 1);
  ASSERT_TRUE(pair.ClientReads(13));
  EXPECT_EQ(pair.received, "head and body");
  EXPECT_EQ(pair.sessions.size(), 2u);
}

TEST(TlsStream, AnAnswerOfALaterTurnTakesTheTicketsAlong) {
  TlsPair pair(TwoTickets());
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  int writes = pair.counting->writes;
  EXPECT_EQ(pair.stream->pending_write(), 0u);
  Buffer out("answer");
  pair.stream->Write(out);
  EXPECT_EQ(pair.counting->writes - writes, 1);
  ASSERT_TRUE(pair.ClientReads(6));
  EXPECT_EQ(pair.received, "answer");
  EXPECT_EQ(pair.sessions.size(), 2u);
}

TEST(TlsStream, AClosePushesTicketsThatWait) {
  TlsPair pair(TwoTickets());
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.stream->CloseWrite();
  pair.ClientReads(1);
  EXPECT_EQ(pair.client_end, SSL_ERROR_ZERO_RETURN);
  EXPECT_EQ(pair.sessions.size(), 2u);
}

TEST(TlsStream, Tls13GoesOnWithoutOpenssl) {
  for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const char* suite : {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
      TlsPair pair(TwoTickets());
      SSL_CTX_set_max_proto_version(pair.client_context.get(), version);
      SSL_CTX_set_ciphersuites(pair.client_context.get(), suite);
      pair.Open();
      ASSERT_TRUE(pair.Handshake());
      EXPECT_EQ(pair.stream->has_record_layer(), version == TLS1_3_VERSION);
      ASSERT_TRUE(ClientWrites(pair, "question"));
      ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == 8; }));
      Buffer out("answer");
      pair.stream->Write(out);
      ASSERT_TRUE(pair.ClientReads(6));
      EXPECT_EQ(pair.received, "answer");
      // Resumed as well: the tickets before were records of OpenSSL's.
      pair.Finish();
      pair.Open();
      SSL_set_session(pair.client.get(), pair.sessions.back().get());
      ASSERT_TRUE(pair.Handshake());
      EXPECT_TRUE(pair.stream->handshake().is_resumed);
      EXPECT_EQ(pair.stream->has_record_layer(), version == TLS1_3_VERSION);
      Buffer again("again");
      pair.received.clear();
      pair.stream->Write(again);
      ASSERT_TRUE(pair.ClientReads(5));
      EXPECT_EQ(pair.received, "again");
    }
  }
}

TEST(TlsStream, WithoutTheProviderOpensslGoesOn) {
  ServerContextOptions options = TlsPair::DefaultOptions();
  options.policy.own_provider = false;
  TlsPair pair(options);
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  EXPECT_FALSE(pair.stream->has_record_layer());
  Buffer out("answer");
  pair.stream->Write(out);
  ASSERT_TRUE(pair.ClientReads(6));
}

TEST(TlsStream, ASpoiltRecordIsAnsweredWithItsAlert) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  const std::string spoilt("\x17\x03\x03\x00\x14" "0123456789abcdefghij", 25);
  ASSERT_EQ(write(pair.fd.get(), spoilt.data(), spoilt.size()), static_cast<ssize_t>(spoilt.size()));
  ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_EQ(pair.reader.last.state, IoState::kFailed);
  EXPECT_EQ(pair.stream->error().code, ErrorCode::kTls);
  EXPECT_EQ(pair.stream->alert(), "bad record mac");
  pair.ClientReads(1);
  EXPECT_EQ(pair.client_end, SSL_ERROR_SSL);
}

TEST(TlsStream, TicketsAreSentWithoutAnAnswerToo) {
  TlsPair pair(TwoTickets());
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  EXPECT_TRUE(Eventually(pair.loop, [&] {
    char byte;
    SSL_peek(pair.client.get(), &byte, 1);
    return pair.sessions.size() == 2;
  }));
}

TEST(TlsStream, SmallAnswerIsOneRecordAndOneWrite) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.loop.RunOnce();
  Buffer out("head");
  out.Append(Buffer("body"));  // a piece of its own
  int before = pair.counting->writes;
  EXPECT_EQ(pair.stream->Write(out).state, IoState::kOk);
  EXPECT_EQ(pair.counting->writes - before, 1);
  Buffer bulk(Pattern(64 * 1024));
  pair.stream->Write(bulk);
  EXPECT_LE(pair.counting->writes - before, 3);
  ASSERT_TRUE(pair.ClientReads(8 + 64 * 1024));
}

// What an origin's burst brings goes on as one write where the kernel has room for it, not as 64 KiB and a rest.
TEST(TlsStream, ABurstIsOneWriteWhereThereIsRoom) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  pair.loop.RunOnce();
  constexpr size_t kBurst = 93 * 1024;
  size_t room = pair.stream->WriteRoom();
  Buffer burst(Pattern(kBurst));
  int before = pair.counting->writes;
  pair.stream->Write(burst);
  EXPECT_LE(pair.counting->writes - before, room > kBurst + 1024 ? 1 : 3) << room;
  ASSERT_TRUE(pair.ClientReads(kBurst));
}

TEST(TlsStream, KeyUpdatesAreAnswered) {
  TlsPair pair;
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(SSL_key_update(pair.client.get(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_TRUE(ClientWrites(pair, "x"));
    pair.reader.out.Append(std::string_view("y"));
    pair.stream->WantWrite(true);
    ASSERT_TRUE(pair.ClientReads(static_cast<size_t>(i) + 1));
  }
  EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == 5; }));
}

TEST(TlsStream, RenegotiationIsRefused) {
  TlsPair pair;
  SSL_CTX_set_max_proto_version(pair.client_context.get(), TLS1_2_VERSION);
  pair.Open();
  ASSERT_TRUE(pair.Handshake());
  SSL_renegotiate(pair.client.get());
  int hellos = pair.delegate.hellos;
  for (int i = 0; i < 20; ++i) {
    SSL_do_handshake(pair.client.get());
    ERR_clear_error();
    pair.loop.RunOnce();
  }
  EXPECT_EQ(pair.delegate.hellos, hellos);
}

// Two TlsStreams, one at each end.
struct BothEnds {
  explicit BothEnds(TlsPair& server, ClientContextOptions options, const std::string& name) {
    auto made = ClientContext::Make(options);
    EXPECT_TRUE(made) << made.error().detail;
    context = std::move(*made);
    server.Close();
    auto [near, far] = SocketPair();
    server.reader = Reader();
    server.stream = TlsStream::Accept(server.loop,
                                      std::make_unique<net::TcpStream>(server.loop, net::Fd(near)),
                                      *server.context, server.delegate);
    server.reader.stream = server.stream.get();
    server.stream->SetOwner(server.reader);
    server.stream->WantRead(true);
    client = TlsStream::Connect(server.loop,
                                std::make_unique<net::TcpStream>(server.loop, net::Fd(far)),
                                *context, name);
    reader.stream = client.get();
    client->SetOwner(reader);
    client->WantRead(true);
  }
  std::unique_ptr<ClientContext> context;
  std::unique_ptr<TlsStream> client;
  Reader reader;
};

ClientContextOptions Trusting(testing::TempDir& folder) {
  testing::WriteFile(folder / "root.pem", TlsPair::Ca().root().pem());
  ClientContextOptions options;
  options.trust_store = folder / "root.pem";
  options.alpn = {"http/1.1"};
  return options;
}

TEST(TlsStream, ConnectsAndVerifiesTheName) {
  testing::TempDir folder;
  TlsPair pair;
  pair.delegate.bundle = TlsPair::Ca().Bundle({"a.test", "127.0.0.1"});
  for (const char* name : {"a.test", "127.0.0.1"}) {
    BothEnds ends(pair, Trusting(folder), name);
    ends.reader.out.Append(std::string_view("hello"));
    ends.client->WantWrite(true);
    ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.in.size() == 5; }))
        << ends.client->error().detail;
    EXPECT_EQ(ends.client->handshake().alpn, "http/1.1");
    EXPECT_EQ(ends.client->handshake().version, TLS1_3_VERSION);
    EXPECT_EQ(pair.delegate.hello.server_name, std::string(name) == "a.test" ? "a.test" : "");
    ends.client->CloseWrite();
    EXPECT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }));
    EXPECT_EQ(pair.reader.last.state, IoState::kEnd);
  }
}

TEST(TlsStream, RefusesAServerThatIsSomebodyElse) {
  testing::TempDir folder;
  TlsPair pair;
  for (const char* name : {"b.test", "127.0.0.2"}) {
    BothEnds ends(pair, Trusting(folder), name);
    ASSERT_TRUE(Eventually(pair.loop, [&] { return ends.reader.is_over; }));
    EXPECT_EQ(ends.client->error().code, ErrorCode::kTls);
    EXPECT_NE(ends.client->error().detail.find("mismatch"), std::string::npos)
        << ends.client->error().detail;
    ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }));
    EXPECT_NE(pair.stream->alert(), "") << "the server hears of it";
  }
}

TEST(TlsStream, RefusesAServerOfAnUnknownCa) {
  testing::TempDir folder;
  TlsPair pair;
  auto options = Trusting(folder);
  testing::WriteFile(folder / "root.pem", testing::TestCa("Other").root().pem());
  BothEnds ends(pair, options, "a.test");
  ASSERT_TRUE(Eventually(pair.loop, [&] { return ends.reader.is_over; }));
  EXPECT_NE(ends.client->error().detail.find("issuer"), std::string::npos)
      << ends.client->error().detail;
  ASSERT_TRUE(Eventually(pair.loop, [&] { return pair.reader.is_over; }));
  EXPECT_EQ(pair.stream->alert(), "unknown CA");
}

TEST(TlsStream, ConnectsToAnybodyWhereToldNotToVerify) {
  TlsPair pair;
  ClientContextOptions options;
  options.verify = false;
  BothEnds ends(pair, options, "anything.test");
  ASSERT_TRUE(Eventually(pair.loop, [&] { return ends.client->is_handshake_done(); }))
      << ends.client->error().detail;
  EXPECT_EQ(pair.delegate.hello.server_name, "anything.test");
}

TEST(TlsStream, MayBeDestroyedInAnyStateOfTheHandshake) {
  for (int turns = 0; turns < 12; ++turns) {
    testing::TempDir folder;
    TlsPair pair;
    BothEnds ends(pair, Trusting(folder), "a.test");
    for (int i = 0; i < turns; ++i) pair.loop.RunOnce();
    if (turns % 2 == 0) pair.stream->Cancel();
    pair.stream.reset();
    for (int i = 0; i < 5; ++i) pair.loop.RunOnce();
    ends.client.reset();
    pair.loop.RunOnce();
  }
}

TEST(TlsStream, ClientContextRefusesAMissingTrustStore) {
  ClientContextOptions options;
  options.trust_store = "/nonexistent/roots.pem";
  EXPECT_FALSE(ClientContext::Make(options));
}

}  // namespace
}  // namespace genkan::tls
