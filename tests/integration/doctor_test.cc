// `genkan doctor` against servers in this process that send exactly what a test wants: staples,
// several addresses of one name, certificates for each kind of key.
#include "proxy/control/diagnosis/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <csignal>
#include <future>
#include <thread>

#include "proxy/net/fd.h"
#include "tests/support/held_port.h"
#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::Issued;
using genkan::testing::MakeOcspResponse;
using genkan::testing::OcspOptions;
using genkan::testing::TestCa;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// One handshake at a time, then it hangs up. The certificates are sent in the order in which they
// are given.
class TlsServer {
 public:
  TlsServer(const std::string& ip, uint16_t port, const Issued& leaf,
            const std::vector<tls::CertificatePtr>& chain, std::string staple = {})
      : staple_(std::move(staple)), context_(SSL_CTX_new(TLS_server_method())) {
    SSL_CTX_set_mode(context_.get(), SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_use_certificate(context_.get(), leaf.certificate->x509());
    SSL_CTX_use_PrivateKey(context_.get(), leaf.key->get());
    for (const tls::CertificatePtr& one : chain)
      SSL_CTX_add1_chain_cert(context_.get(), one->x509());
    SSL_CTX_set_tlsext_status_cb(context_.get(), &OnStatus);
    SSL_CTX_set_tlsext_status_arg(context_.get(), this);
    auto address = net::Address::ParseHost(ip, port);
    listener_ = net::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    is_up_ = bind(listener_.get(), address->get(), address->length()) == 0 &&
             listen(listener_.get(), 16) == 0;
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&bound), &length);
    address_ = net::Address::FromSockaddr(reinterpret_cast<sockaddr*>(&bound), length);
    thread_ = std::thread([this] { Serve(); });
  }
  ~TlsServer() {
    is_over_ = true;
    thread_.join();
  }

  const net::Address& address() const { return address_; }
  bool is_up() const { return is_up_; }

 private:
  static int OnStatus(SSL* ssl, void* user) {
    const std::string& staple = static_cast<TlsServer*>(user)->staple_;
    if (staple.empty()) return SSL_TLSEXT_ERR_NOACK;
    auto* copy = static_cast<unsigned char*>(OPENSSL_memdup(staple.data(), staple.size()));
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(staple.size()));
    return SSL_TLSEXT_ERR_OK;
  }

  void Serve() {
    while (!is_over_) {
      pollfd one{listener_.get(), POLLIN, 0};
      if (poll(&one, 1, 20) <= 0) continue;
      const net::Fd connection(accept(listener_.get(), nullptr, nullptr));
      const timeval limit{60, 0};
      setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      const tls::SslPtr ssl(SSL_new(context_.get()));
      SSL_set_fd(ssl.get(), connection.get());
      if (SSL_accept(ssl.get()) == 1) {
        char byte = 0;
        SSL_read(ssl.get(), &byte, 1);
      }
      ERR_clear_error();
    }
  }

  const std::string staple_;
  tls::SslCtxPtr context_;
  net::Fd listener_;
  net::Address address_;
  bool is_up_ = false;
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

class DoctorServers : public ::testing::Test {
 protected:
  // OpenSSL's own sockets write to clients that have gone.
  DoctorServers() { std::signal(SIGPIPE, SIG_IGN); }

  Examination Look(upstream::Addresses addresses) {
    DoctorOptions options;
    options.budget = Millis(60'000);  // of a busy machine; no server here is slow by intent
    options.resolve = [addresses](const std::string&, uint16_t) { return addresses; };
    auto diagnostician = Diagnostician::Make({ca_.root().certificate});
    EXPECT_TRUE(diagnostician.has_value());
    const auto files = MakeDirectFileAccess();
    const Doctor doctor(*diagnostician, *files, options);
    ServerTarget target;
    target.host = "a.test";
    target.port = addresses.empty() ? 443 : addresses[0].port();
    return doctor.ExamineServer(target, "a.test");
  }
  static std::vector<std::string> Codes(const Examination& one) {
    std::vector<std::string> codes;
    for (const Finding& finding : one.findings) codes.emplace_back(ToString(finding.code));
    return codes;
  }
  std::vector<tls::CertificatePtr> chain() const { return {ca_.intermediate().certificate}; }

  const TestCa ca_{"Doctor"};
  const Issued leaf_ = ca_.Leaf({"a.test"});
};

TEST_F(DoctorServers, StaplesAreVerified) {
  const struct {
    const char* name;
    std::string staple;
    std::vector<std::string> codes;
    const char* said;
  } cases[] = {
      {"none", "", {}, "none"},
      {"good", MakeOcspResponse(*leaf_, ca_.intermediate()), {}, "good until "},
      {"revoked",
       MakeOcspResponse(
           *leaf_, ca_.intermediate(),
           {.state = V_OCSP_CERTSTATUS_REVOKED, .reason = OCSP_REVOKED_STATUS_KEYCOMPROMISE}),
       {"REVOKED"},
       "revoked"},
      {"broken",
       MakeOcspResponse(*leaf_, ca_.intermediate(), {.breaks_signature = true}),
       {"STAPLE_INVALID"},
       ""},
      {"of another",
       MakeOcspResponse(*ca_.Leaf({"b.test"}), ca_.intermediate()),
       {"STAPLE_INVALID"},
       ""},
      {"no OCSP at all", "hello", {"STAPLE_INVALID"}, ""},
  };
  for (const auto& c : cases) {
    const TlsServer server("127.0.0.1", 0, leaf_, chain(), c.staple);
    const Examination seen = Look({server.address()});
    EXPECT_EQ(Codes(seen), c.codes) << c.name;
    ASSERT_EQ(seen.chains.size(), 1u) << c.name;
    EXPECT_THAT(seen.chains[0].staple, HasSubstr(c.said)) << c.name;
  }
}

TEST_F(DoctorServers, FirstAddressThatAnswersIsLookedAt) {
  const TlsServer server("127.0.0.1", 0, leaf_, chain());
  const testing::HeldPort shut("127.0.0.2");
  const Examination seen = Look({shut.address(), server.address()});
  EXPECT_TRUE(seen.is_seen);
  EXPECT_THAT(Codes(seen), IsEmpty());
  ASSERT_EQ(seen.addresses.size(), 2u);
  EXPECT_THAT(seen.addresses[0].outcome, HasSubstr("refused"));
  EXPECT_EQ(seen.addresses[1].outcome, "answers");
}

// The server that was forgotten at the renewal.
TEST_F(DoctorServers, AddressesOfOneNameThatDifferAreNamed) {
  const TlsServer renewed("127.0.0.1", 0, leaf_, chain());
  const Issued other = ca_.Leaf({"a.test"});
  const TlsServer forgotten("127.0.0.2", 0, other, chain());
  const Examination seen = Look({renewed.address(), forgotten.address()});
  EXPECT_THAT(Codes(seen), ElementsAre("SERVERS_DIFFER"));
  EXPECT_THAT(seen.findings[0].facts.detail, HasSubstr(other.certificate->serial_hex()));
  EXPECT_THAT(seen.findings[0].facts.detail, HasSubstr("127.0.0.2:"));
  EXPECT_THAT(Codes(Look({renewed.address(), renewed.address()})), IsEmpty());
}

TEST_F(DoctorServers, NameWithoutAddresses) {
  const Examination seen = Look({});
  EXPECT_FALSE(seen.is_seen);
  EXPECT_THAT(Codes(seen), ElementsAre("SERVER_NOT_FOUND"));
}

TEST_F(DoctorServers, ResolverThatHangsIsLeftBehind) {
  auto diagnostician = Diagnostician::Make({ca_.root().certificate});
  ASSERT_TRUE(diagnostician.has_value());
  const auto files = MakeDirectFileAccess();
  std::promise<void> over;
  DoctorOptions options;
  options.budget = Millis(50);
  options.resolve = [wait = over.get_future().share()](const std::string&, uint16_t) {
    wait.wait();
    return Result<upstream::Addresses>(upstream::Addresses{});
  };
  ServerTarget target;
  target.host = "a.test";
  const Examination seen = Doctor(*diagnostician, *files, options).ExamineServer(target, "a.test");
  EXPECT_THAT(Codes(seen), ElementsAre("SERVER_TIMEOUT"));
  over.set_value();
}

}  // namespace
}  // namespace genkan::control
