#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_exchange.h"
#include "tests/support/module_options.h"

namespace genkan {
extern const ModuleEntry genkan_module_client_cert_headers;

namespace {

using ::testing::ElementsAre;
using testing::FakeExchange;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ModuleOptions;
using testing::ModuleUnderTest;

std::vector<std::string> Lines(const http::Headers& headers) {
  std::vector<std::string> lines;
  for (http::Headers::Field field : headers)
    lines.push_back(std::string(field.name) + ": " + std::string(field.value));
  return lines;
}

ClientCertificateView Alice() {
  ClientCertificateView view;
  view.der = "\x30\x01\xff";
  view.subject = "CN=Alice,O=Example";
  view.issuer = "CN=Test CA";
  view.serial_hex = "0A1B";
  view.sha256_hex = "abcd";
  view.not_before = WallTime(Seconds(1'800'000'000));
  view.not_after = WallTime(Seconds(1'800'086'400));
  return view;
}

// The fields as they leave for the origin.
std::vector<std::string> Sent(const std::string& keys, FakeExchange& exchange) {
  auto options = ModuleOptions(keys);
  ModuleUnderTest module(genkan_module_client_cert_headers, options.get());
  EXPECT_THAT(module.errors, IsEmpty());
  auto filter = module.MakeFilter();
  EXPECT_EQ(filter->OnRequestHead(exchange), Verdict::kContinue);
  EXPECT_EQ(filter->OnUpstreamRequest(exchange), Verdict::kContinue);
  return Lines(exchange.request_head.headers);
}

TEST(ClientCertHeaders, TellWhoTheClientIs) {
  FakeExchange exchange;
  ClientCertificateView alice = Alice();
  exchange.view.client_certificate = &alice;
  EXPECT_THAT(
      Sent("", exchange),
      ElementsAre("X-SSL-Client-Verify: SUCCESS", "X-SSL-Client-Subject: CN=Alice,O=Example",
                  "X-SSL-Client-Issuer: CN=Test CA", "X-SSL-Client-Serial: 0A1B",
                  "X-SSL-Client-Fingerprint: abcd", "X-SSL-Client-Not-Before: 2027-01-15T08:00:00Z",
                  "X-SSL-Client-Not-After: 2027-01-16T08:00:00Z"));
}

TEST(ClientCertHeaders, WithoutACertificateTheySaySo) {
  FakeExchange exchange;
  EXPECT_THAT(Sent("", exchange), ElementsAre("X-SSL-Client-Verify: NONE"));
}

TEST(ClientCertHeaders, WhatAClientSendsUnderTheseNamesIsRemoved) {
  FakeExchange exchange;
  for (const char* name :
       {"X-SSL-Client-Verify", "x-ssl-client-verify", "X_SSL_Client_Verify", "X-SSL_Client-Verify",
        "X.SSL.Client.Verify", "X~SSL!Client'Verify", "X-SSL-Client-Subject", "X-SSL-Client-Other",
        "X-SSL-Client-", "x_ssl_client_s_dn", "Client-Cert", "client_cert", "Client-Cert-Chain"})
    exchange.request_head.headers.Add(name, "SUCCESS");
  exchange.request_head.headers.Add("X-SSL-Clients", "not one of them");
  EXPECT_THAT(Sent("", exchange),
              ElementsAre("X-SSL-Clients: not one of them", "X-SSL-Client-Verify: NONE"));
}

TEST(ClientCertHeaders, TheCertificateAsOneEscapedLine) {
  FakeExchange exchange;
  ClientCertificateView alice = Alice();
  exchange.view.client_certificate = &alice;
  EXPECT_THAT(Sent("certificate = \"pem\"", exchange),
              ::testing::Contains("X-SSL-Client-Cert: -----BEGIN%20CERTIFICATE-----%0AMAH%2F%0A"
                                  "-----END%20CERTIFICATE-----%0A"));
}

TEST(ClientCertHeaders, LongCertificatesAreBrokenIntoLinesAsPemHasThem) {
  FakeExchange exchange;
  ClientCertificateView alice = Alice();
  alice.der = std::string(100, 'A');
  exchange.view.client_certificate = &alice;
  Sent("certificate = \"pem\"", exchange);
  std::string pem(*exchange.request_head.headers.Get("x-ssl-client-cert"));
  std::vector<size_t> ends;
  for (size_t at = pem.find("%0A"); at != std::string::npos; at = pem.find("%0A", at + 1))
    ends.push_back(at);
  ASSERT_EQ(ends.size(), 5u) << pem;
  EXPECT_EQ(ends[1] - ends[0] - 3, 64u);
}

TEST(ClientCertHeaders, TheCertificateAsRfc9440HasIt) {
  FakeExchange exchange;
  ClientCertificateView alice = Alice();
  exchange.view.client_certificate = &alice;
  EXPECT_THAT(Sent("certificate = \"rfc9440\"", exchange),
              ::testing::Contains("Client-Cert: :MAH/:"));
}

TEST(ClientCertHeaders, ControlBytesInANameReachNobody) {
  FakeExchange exchange;
  ClientCertificateView mallory = Alice();
  mallory.subject = "CN=Mallory\r\nX-SSL-Client-Verify: SUCCESS";
  exchange.view.client_certificate = &mallory;
  EXPECT_THAT(
      Sent("", exchange),
      ::testing::Contains("X-SSL-Client-Subject: CN=Mallory??X-SSL-Client-Verify: SUCCESS"));
}

TEST(ClientCertHeaders, ThePrefixIsChosen) {
  FakeExchange exchange;
  exchange.request_head.headers.Add("ssl_client_verify", "SUCCESS");
  EXPECT_THAT(Sent("prefix = \"SSL-Client-\"", exchange), ElementsAre("SSL-Client-Verify: NONE"));
}

TEST(ClientCertHeaders, NonsenseIsAnError) {
  auto options = ModuleOptions("prefix = \"X_\"\ncertificate = \"der\"");
  ModuleUnderTest module(genkan_module_client_cert_headers, options.get());
  EXPECT_THAT(module.errors, ElementsAre(HasSubstr("test.toml:3:1: \"prefix\""),
                                         HasSubstr("test.toml:4:1: \"certificate\"")));
}

}  // namespace
}  // namespace genkan
