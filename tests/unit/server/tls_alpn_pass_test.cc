#include "proxy/server/tls_alpn_pass.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "proxy/net/acceptor.h"
#include "tests/support/eventually.h"
#include "tests/support/held_port.h"

namespace genkan::server {
namespace {

using testing::Eventually;

TEST(TlsAlpnChallenge, IsAHelloOfThisOneProtocolWithAName) {
  tls::ClientHello hello;
  hello.server_name = "a.test";
  hello.alpn = {"acme-tls/1"};
  EXPECT_TRUE(IsTlsAlpnChallenge(hello));
  hello.server_name = "";
  EXPECT_FALSE(IsTlsAlpnChallenge(hello)) << "RFC 8737 3: the name is a must";
  hello.server_name = "a.test";
  for (const std::vector<std::string>& alpn : {std::vector<std::string>{},
                                               {"h2"},
                                               {"acme-tls/1", "h2"},
                                               {"h2", "acme-tls/1"},
                                               {"acme-tls/1", "acme-tls/1"},
                                               {"acme-tls/2"},
                                               {"ACME-TLS/1"}}) {
    hello.alpn = alpn;
    EXPECT_FALSE(IsTlsAlpnChallenge(hello)) << (alpn.empty() ? "none" : alpn[0]);
  }
}

// A client at one end of a socket pair, a listener of the test's as the target.
class TlsAlpnPassTest : public ::testing::Test, private net::Stream::Owner {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    client_ = net::Fd(fds[1]);
    stream_ = std::make_unique<net::TcpStream>(loop_, net::Fd(fds[0]));
    stream_->SetOwner(*this);
    auto listener = net::Acceptor::OpenListener(*net::Address::Parse("127.0.0.1:0"));
    ASSERT_TRUE(listener);
    listener_ = std::move(*listener);
    pass_ = std::make_unique<TlsAlpnPass>(loop_, *stream_, [this] { ++ends_; });
  }
  void Start(std::string_view first) {
    Buffer bytes(first);
    pass_->Start(*net::Acceptor::LocalAddress(listener_.get()), bytes);
  }
  void Accept() {
    ASSERT_TRUE(Eventually(loop_, [&] {
      target_ = net::Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      return target_.is_open();
    }));
  }
  // What has come there so far, until it is `text` or the time is over.
  ::testing::AssertionResult Gets(net::Fd& fd, std::string_view text) {
    std::string got;
    bool has_all = Eventually(loop_, [&] {
      char block[4096];
      ssize_t count = read(fd.get(), block, sizeof block);
      if (count > 0) got.append(block, static_cast<size_t>(count));
      return got == text;
    });
    return has_all ? ::testing::AssertionSuccess() : ::testing::AssertionFailure() << got;
  }
  bool GetsEnd(net::Fd& fd) {
    return Eventually(loop_, [&] {
      char byte;
      return read(fd.get(), &byte, 1) == 0;
    });
  }
  void Say(net::Fd& fd, std::string_view text) {
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void OnReadable() noexcept override { pass_->OnClientReady(); }
  void OnWritable() noexcept override { pass_->OnClientReady(); }

  event::EventLoop loop_;
  net::Fd client_, listener_, target_;
  std::unique_ptr<net::TcpStream> stream_;
  std::unique_ptr<TlsAlpnPass> pass_;
  int ends_ = 0;
};

TEST_F(TlsAlpnPassTest, MovesBytesBothWaysUntilBothHaveEnded) {
  Start("hello ");
  Accept();
  EXPECT_TRUE(Gets(target_, "hello "));
  Say(client_, "client");
  EXPECT_TRUE(Gets(target_, "client"));
  Say(target_, "server");
  EXPECT_TRUE(Gets(client_, "server"));
  shutdown(client_.get(), SHUT_WR);
  EXPECT_TRUE(GetsEnd(target_));
  EXPECT_EQ(ends_, 0) << "the other side may still have something to say";
  Say(target_, "last");
  target_.Reset();
  EXPECT_TRUE(Gets(client_, "last"));
  EXPECT_TRUE(Eventually(loop_, [&] { return ends_ == 1; }));
  EXPECT_EQ(pass_->failure(), "");
  EXPECT_EQ(pass_->bytes_out(), 10u);
}

TEST_F(TlsAlpnPassTest, SaysThatNobodyListens) {
  const testing::HeldPort held;
  const net::Address address = held.address();
  Buffer first("hello");
  pass_->Start(address, first);
  EXPECT_TRUE(Eventually(loop_, [&] { return ends_ == 1; }));
  EXPECT_NE(pass_->failure().find("refused"), std::string::npos) << pass_->failure();
  EXPECT_EQ(pass_->bytes_out(), 0u);
  EXPECT_EQ(pass_->target(), address.ToString());
}

TEST_F(TlsAlpnPassTest, EndsWithWhoeverSendsMoreThanAHandshake) {
  Start("");
  Accept();
  std::string much(TlsAlpnPass::kMostBytes, 'x');
  size_t sent = 0;
  EXPECT_TRUE(Eventually(loop_, [&] {
    char block[4096];
    while (read(target_.get(), block, sizeof block) > 0) {
    }
    ssize_t count = write(client_.get(), much.data(), 4096);
    if (count > 0) sent += static_cast<size_t>(count);
    return ends_ == 1;
  }));
  EXPECT_GT(sent, TlsAlpnPass::kMostBytes);
  EXPECT_NE(pass_->failure().find("more than a handshake"), std::string::npos) << pass_->failure();
}

TEST_F(TlsAlpnPassTest, IsNotCalledAfterShutdown) {
  Start("hello");
  Accept();
  target_.Reset();
  client_.Reset();
  pass_->Shutdown();
  for (int i = 0; i < 5; ++i) loop_.RunOnce();
  EXPECT_EQ(ends_, 0);
}

}  // namespace
}  // namespace genkan::server
