#include "proxy/tls/record_layer.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/tls/openssl_ptr.h"
#include "tests/support/test_ca.h"
#include "tests/unit/tls/from_hex.h"

namespace genkan::tls {
namespace {

using State = RecordLayer::State;

std::string Pattern(size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 7 + i / 251);
  return text;
}

// RFC 8448 3: a simple 1-RTT handshake.
constexpr std::string_view kClientSecret =
    "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
constexpr std::string_view kServerSecret =
    "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
constexpr std::string_view kClientData =
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e"
    "2b62974e1f5a6292a2977014"
    "bd1e3deae63aeebb21694915e4";
constexpr std::string_view kServerData =
    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59"
    "a8fcc49c4bf2e5f0a21c0047"
    "c2abf332540dd032e167c2955d";
constexpr std::string_view kServerAlert = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9";
constexpr std::string_view kClientAlert = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";

std::string FiftyBytes() {
  std::string data;
  for (int i = 0; i < 50; ++i) data.push_back(static_cast<char>(i));
  return data;
}

TEST(RecordLayer, OpensAndSealsTheTraceOfRfc8448) {
  // One ticket went before.
  auto layer = RecordLayer::MakeServer(0x1301, FromHex(kClientSecret), FromHex(kServerSecret), 1);
  ASSERT_NE(layer, nullptr);
  Buffer in(FromHex(kClientData)), got;
  auto opened = layer->Open(in, got, 1000);
  EXPECT_EQ(opened.state, State::kNeedMore);
  EXPECT_EQ(opened.bytes, 50u);
  EXPECT_EQ(got.ToText(), FiftyBytes());

  Buffer out, data(FiftyBytes());
  layer->Seal(data, out, 1000);
  EXPECT_EQ(out.ToText(), FromHex(kServerData));
  out.Clear();
  layer->SealAlert(1, 0, out);
  EXPECT_EQ(out.ToText(), FromHex(kServerAlert));

  in.Append(FromHex(kClientAlert));
  EXPECT_EQ(layer->Open(in, got, 1000).state, State::kEnd);
  EXPECT_EQ(layer->Open(in, got, 1000).state, State::kEnd);
}

TEST(RecordLayer, KnowsTheSuitesOfTls13Alone) {
  std::string secret(32, 's'), long_secret(48, 's');
  EXPECT_NE(RecordLayer::MakeServer(0x1301, secret, secret, 0), nullptr);
  EXPECT_NE(RecordLayer::MakeServer(0x1302, long_secret, long_secret, 0), nullptr);
  EXPECT_NE(RecordLayer::MakeServer(0x1303, secret, secret, 0), nullptr);
  EXPECT_EQ(RecordLayer::MakeServer(0x1304, secret, secret, 0), nullptr);
  EXPECT_EQ(RecordLayer::MakeServer(0x1301, long_secret, secret, 0), nullptr);
  EXPECT_EQ(RecordLayer::MakeServer(0x1302, secret, long_secret, 0), nullptr);
}

// Both ends are ours: what one's server side sends the other's reads as a client's.
struct Ends {
  explicit Ends(uint16_t suite = 0x1301) {
    std::string one(suite == 0x1302 ? 48 : 32, 'a'), other(one.size(), 'b');
    here = RecordLayer::MakeServer(suite, one, other, 0);
    there = RecordLayer::MakeServer(suite, other, one, 0);
  }
  std::unique_ptr<RecordLayer> here, there;
};

class OfSuite : public ::testing::TestWithParam<uint16_t> {};
INSTANTIATE_TEST_SUITE_P(RecordLayer, OfSuite,
                         ::testing::Values(uint16_t{0x1301}, uint16_t{0x1302}, uint16_t{0x1303}));

TEST_P(OfSuite, AnySizeArrivesAsItLeft) {
  Ends ends(GetParam());
  for (size_t bytes :
       {size_t{1}, size_t{15}, size_t{16}, size_t{4'095}, size_t{16'345}, size_t{16'346},
        size_t{16'347}, size_t{65'384}, size_t{300'000}, size_t{1'000'003}}) {
    std::string sent = Pattern(bytes);
    Buffer from, wire, got;
    // In pieces of many sizes, as they come from an origin.
    for (size_t at = 0, piece = 1; at < bytes; at += piece, piece = piece * 3 % 70'001 + 1) {
      Buffer one{std::string_view(sent).substr(at, piece)};
      from.Append(one);
    }
    while (!from.empty()) ends.here->Seal(from, wire, 64 * 1024);
    size_t records = (bytes + RecordLayer::kRecord - 1) / RecordLayer::kRecord;
    EXPECT_EQ(wire.size(), bytes + records * RecordLayer::kOverhead);
    while (got.size() < bytes) ASSERT_GT(ends.there->Open(wire, got, 64 * 1024).bytes, 0u) << bytes;
    EXPECT_EQ(got.ToText(), sent);
    EXPECT_TRUE(wire.empty());
  }
}

TEST_P(OfSuite, DripsAndSmallReadersLoseNothing) {
  Ends ends(GetParam());
  std::string sent = Pattern(40'000);
  Buffer from(sent), wire, arrived, got;
  ends.here->Seal(from, wire, 1'000'000);
  while (!wire.empty()) {
    Buffer piece;
    wire.MoveTo(piece, 997);
    // Each in a chain of its own.
    arrived.Append(piece);
    while (ends.there->Open(arrived, got, 313).bytes > 0) continue;
  }
  EXPECT_EQ(got.ToText(), sent);
  EXPECT_FALSE(ends.there->has_pending());
}

TEST(RecordLayer, ALimitHoldsAndTheRestStaysAnnounced) {
  Ends ends;
  Buffer from(Pattern(1'000)), wire, got;
  ends.here->Seal(from, wire, 10'000);
  auto opened = ends.there->Open(wire, got, 300);
  EXPECT_EQ(opened.state, State::kOk);
  EXPECT_EQ(opened.bytes, 300u);
  EXPECT_TRUE(ends.there->has_pending());
  opened = ends.there->Open(wire, got, 10'000);
  EXPECT_EQ(opened.bytes, 700u);
  EXPECT_EQ(opened.state, State::kNeedMore);
  EXPECT_FALSE(ends.there->has_pending());
  EXPECT_EQ(got.ToText(), Pattern(1'000));
}

// Any byte of a record that is not as it was sent.
TEST(RecordLayer, WhatWasChangedIsRefusedAndGivesNothing) {
  std::string sent = Pattern(60);
  size_t length = 0;
  for (size_t at = 0; at == 0 || at < length; ++at) {
    Ends ends;
    Buffer from(sent), wire, got;
    ends.here->Seal(from, wire, 10'000);
    std::string bytes = wire.ToText();
    length = bytes.size();
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    Buffer in(bytes);
    auto opened = ends.there->Open(in, got, 10'000);
    // A length that grew waits for bytes that never come; two versions in the header are as good as
    // one.
    if (at == 3 || at == 4) {
      EXPECT_TRUE(opened.state == State::kNeedMore || opened.state == State::kFailed) << at;
    } else {
      EXPECT_EQ(opened.state, State::kFailed) << at;
      EXPECT_EQ(ends.there->alert_owed(), at == 0 ? 10 : 20) << at;
    }
    EXPECT_EQ(opened.bytes, 0u);
    EXPECT_TRUE(got.empty());
  }
}

TEST(RecordLayer, ARecordDroppedOrRepeatedIsRefused) {
  for (bool repeats : {false, true}) {
    Ends ends;
    Buffer one("one"), two("two"), wire, next, got;
    ends.here->Seal(one, wire, 1'000);
    std::string first = wire.ToText();
    ends.here->Seal(two, next, 1'000);
    Buffer in(repeats ? first + first : next.ToText());
    EXPECT_EQ(ends.there->Open(in, got, 1'000).state, State::kFailed);
    EXPECT_EQ(ends.there->alert_owed(), 20);
    EXPECT_EQ(got.ToText(), repeats ? "one" : "");
  }
}

struct Malformed {
  const char* what;
  std::string bytes;
  uint8_t alert;
};

TEST(RecordLayer, HeadersThatCannotBeAreRefusedBeforeTheRest) {
  for (const Malformed& one : {
           Malformed{"ChangeCipherSpec", FromHex("140303000101"), 10},
           Malformed{"an alert in the clear", FromHex("15030300020100"), 10},
           Malformed{"a handshake in the clear", FromHex("1603030004"), 10},
           Malformed{"too long", FromHex("1703034101"), 22},
           Malformed{"too short", FromHex("1703030010"), 50},
           Malformed{"HTTP", "GET / HTTP/1.1\r\n\r\n", 10},
       }) {
    Ends ends;
    Buffer in(one.bytes), got;
    EXPECT_EQ(ends.there->Open(in, got, 1'000).state, State::kFailed) << one.what;
    EXPECT_EQ(ends.there->alert_owed(), one.alert) << one.what;
    EXPECT_FALSE(ends.there->reason().empty());
    EXPECT_EQ(ends.there->Open(in, got, 1'000).state, State::kFailed);
  }
}

// A peer of OpenSSL's, whose records can be of any type: SSL's secrets by its key log.
struct Peer {
  Peer()
      : server_context(SSL_CTX_new(TLS_server_method())),
        client_context(SSL_CTX_new(TLS_client_method())) {
    bundle = Ca().Bundle({"a.test"});
    SSL_CTX_use_cert_and_key(server_context.get(), bundle->leaf().x509(), bundle->key().get(),
                             nullptr, 1);
    SSL_CTX_set_num_tickets(server_context.get(), 0);
    SSL_CTX_set_app_data(server_context.get(), this);
    SSL_CTX_set_keylog_callback(server_context.get(), [](const SSL* ssl, const char* line) {
      auto& self = *static_cast<Peer*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
      std::string_view text(line);
      std::string secret = FromHex(text.substr(text.rfind(' ') + 1));
      if (text.starts_with("CLIENT_TRAFFIC_SECRET_0")) self.client_secret = secret;
      if (text.starts_with("SERVER_TRAFFIC_SECRET_0")) self.server_secret = secret;
    });
    server.reset(SSL_new(server_context.get()));
    client.reset(SSL_new(client_context.get()));
    BIO *up = BIO_new(BIO_s_mem()), *down = BIO_new(BIO_s_mem());
    BIO_up_ref(up);
    BIO_up_ref(down);
    SSL_set_bio(client.get(), down, up);
    SSL_set_bio(server.get(), up, down);
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(server.get());
    for (int i = 0; i < 4; ++i) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(server.get());
    }
    EXPECT_EQ(SSL_is_init_finished(server.get()), 1);
    layer = RecordLayer::MakeServer(0x1302, client_secret, server_secret, 0);
    EXPECT_NE(layer, nullptr);
  }
  static const testing::TestCa& Ca() {
    static const testing::TestCa ca;
    return ca;
  }
  // What the client has written to its wire.
  void Take(Buffer& in) {
    char bytes[20'000];
    int got;
    while ((got = BIO_read(SSL_get_wbio(client.get()), bytes, sizeof bytes)) > 0)
      in.Append(std::string_view(bytes, static_cast<size_t>(got)));
  }
  void Give(Buffer& out) {
    std::string text = out.ToText();
    out.Clear();
    BIO_write(SSL_get_rbio(client.get()), text.data(), static_cast<int>(text.size()));
  }
  std::string ClientReads() {
    char bytes[20'000];
    int got = SSL_read(client.get(), bytes, sizeof bytes);
    return got > 0 ? std::string(bytes, static_cast<size_t>(got)) : "";
  }

  BundlePtr bundle;
  SslCtxPtr server_context, client_context;
  SslPtr server, client;
  std::string client_secret, server_secret;
  std::unique_ptr<RecordLayer> layer;
};

TEST(RecordLayer, GoesOnWhereOpensslsServerEnded) {
  Peer peer;
  Buffer in, got, out;
  SSL_write(peer.client.get(), "question", 8);
  peer.Take(in);
  EXPECT_EQ(peer.layer->Open(in, got, 1'000).bytes, 8u);
  EXPECT_EQ(got.ToText(), "question");
  Buffer answer("answer");
  peer.layer->Seal(answer, out, 1'000);
  peer.Give(out);
  EXPECT_EQ(peer.ClientReads(), "answer");
  peer.layer->SealAlert(1, 0, out);
  peer.Give(out);
  EXPECT_EQ(peer.ClientReads(), "");
  EXPECT_EQ(SSL_get_shutdown(peer.client.get()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
}

// RFC 8446 5.1: a message goes on in the next record, and no piece of it is empty.
TEST(RecordLayer, MessagesLongerThanARecordAreInNoMoreThanTheyNeed) {
  constexpr size_t kRecord = RecordLayer::kRecord;
  const std::string ours(32, 'o'), theirs(32, 't');
  for (size_t size : {size_t{1}, kRecord - 1, kRecord, kRecord + 1, 2 * kRecord, 5 * kRecord}) {
    auto writer = RecordLayer::MakeServer(0x1301, theirs, ours, 0);
    auto reader = RecordLayer::MakeServer(0x1301, ours, theirs, 0);
    const std::string messages = Pattern(size);
    Buffer sealed;
    writer->SealHandshake(messages, sealed);
    std::string got;
    size_t records = 0;
    for (; !sealed.empty(); ++records) {
      const size_t before = got.size();
      uint8_t type = 0;
      ASSERT_EQ(reader->OpenOne(sealed, type, got), State::kOk) << size;
      EXPECT_EQ(type, SSL3_RT_HANDSHAKE);
      EXPECT_GT(got.size(), before) << size;
    }
    EXPECT_EQ(records, (size + kRecord - 1) / kRecord);
    EXPECT_TRUE(got == messages) << size;
  }
}

TEST(RecordLayer, AnswersKeyUpdatesOnceAndFollowsThem) {
  Peer peer;
  for (int round = 0; round < 3; ++round) {
    Buffer in, got, out;
    // Two requests before we answer: one answer (RFC 8446 4.6.3).
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(SSL_key_update(peer.client.get(), SSL_KEY_UPDATE_REQUESTED), 1);
      ASSERT_EQ(SSL_do_handshake(peer.client.get()), 1);
    }
    SSL_write(peer.client.get(), "x", 1);
    peer.Take(in);
    EXPECT_EQ(peer.layer->Open(in, got, 1'000).bytes, 1u);
    EXPECT_EQ(got.ToText(), "x");
    peer.layer->SealAnswers(out);
    EXPECT_EQ(out.size(), 5u + RecordLayer::kOverhead);
    peer.layer->SealAnswers(out);
    EXPECT_EQ(out.size(), 5u + RecordLayer::kOverhead);
    Buffer answer("y");
    peer.layer->Seal(answer, out, 1'000);
    peer.Give(out);
    EXPECT_EQ(peer.ClientReads(), "y");
  }
}

TEST(RecordLayer, AFatalAlertOfThePeersIsAFailureWithItsName) {
  Ends ends;
  Buffer wire, got;
  ends.here->SealAlert(2, 42, wire);
  EXPECT_EQ(ends.there->Open(wire, got, 1'000).state, State::kFailed);
  EXPECT_EQ(ends.there->alert_received(), 42);
  EXPECT_EQ(ends.there->alert_owed(), 0);
}

TEST(RecordLayer, UserCanceledIsNoEnd) {
  Ends ends;
  Buffer wire, got, data("data");
  ends.here->SealAlert(1, 90, wire);
  ends.here->Seal(data, wire, 1'000);
  EXPECT_EQ(ends.there->Open(wire, got, 1'000).bytes, 4u);
}

TEST(RecordLayer, RecordsWithoutDataMayNotGoOnForEver) {
  Ends ends;
  Buffer wire, got;
  for (int i = 0; i < 32; ++i) ends.here->SealAlert(1, 90, wire);
  EXPECT_EQ(ends.there->Open(wire, got, 1'000).state, State::kNeedMore);
  ends.here->SealAlert(1, 90, wire);
  EXPECT_EQ(ends.there->Open(wire, got, 1'000).state, State::kFailed);
  EXPECT_EQ(ends.there->alert_owed(), 10);
}

TEST(RecordLayer, AnEndBehindDataComesAfterIt) {
  Ends ends;
  Buffer data(Pattern(50'000)), wire, got;
  ends.here->Seal(data, wire, 100'000);
  ends.here->SealAlert(1, 0, wire);
  auto opened = ends.there->Open(wire, got, 20'000);
  EXPECT_EQ(opened.state, State::kOk);
  while (opened.state == State::kOk) opened = ends.there->Open(wire, got, 20'000);
  EXPECT_EQ(opened.state, State::kEnd);
  EXPECT_EQ(got.ToText(), Pattern(50'000));
}

}  // namespace
}  // namespace genkan::tls
