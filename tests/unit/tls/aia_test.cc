#include "proxy/tls/aia.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>

#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::Issued;
using genkan::testing::MakeIntermediate;
using genkan::testing::MakeLeaf;
using genkan::testing::MakeRoot;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const WallTime kNow = ManualClock().Wall();
constexpr auto kDay = std::chrono::hours(24);

// What "certs-only" servers send (RFC 5273).
std::string Pkcs7(const std::vector<const Issued*>& certificates) {
  OpensslPtr<PKCS7, PKCS7_free> pkcs7(PKCS7_new());
  PKCS7_set_type(pkcs7.get(), NID_pkcs7_signed);
  PKCS7_content_new(pkcs7.get(), NID_pkcs7_data);
  for (const Issued* one : certificates)
    PKCS7_add_certificate(pkcs7.get(), one->certificate->x509());
  unsigned char* der = nullptr;
  const int size = i2d_PKCS7(pkcs7.get(), &der);
  std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

struct Hierarchy {
  Issued root = MakeRoot({.common_name = "R"});
  Issued upper = MakeIntermediate(root, {.common_name = "Upper"});
  Issued lower = MakeIntermediate(upper, {.common_name = "Lower"});
  Issued leaf = MakeLeaf(lower, {.names = {"a.test"}});
};

std::vector<std::string> Subjects(const Result<std::vector<CertificatePtr>>& accepted) {
  EXPECT_EQ(ERR_peek_error(), 0u);
  std::vector<std::string> subjects;
  if (!accepted) return {accepted.error().detail};
  for (const CertificatePtr& one : *accepted) subjects.push_back(one->subject());
  return subjects;
}

TEST(Aia, TakesDerPkcs7AndPem) {
  const Hierarchy t;
  EXPECT_THAT(Subjects(AcceptIssuers(*t.leaf, t.lower.certificate->der(), kNow)),
              ElementsAre("CN=Lower"));
  EXPECT_THAT(Subjects(AcceptIssuers(*t.leaf, t.lower.pem(), kNow)), ElementsAre("CN=Lower"));
  const Issued stranger = MakeRoot({.common_name = "Stranger"});
  EXPECT_THAT(
      Subjects(AcceptIssuers(*t.leaf, Pkcs7({&t.root, &stranger, &t.upper, &t.lower}), kNow)),
      ElementsAre("CN=Lower", "CN=Upper", "CN=R"))
      << "in order, the stranger left out";
  EXPECT_THAT(Subjects(AcceptIssuers(*t.upper, t.root.certificate->der(), kNow)),
              ElementsAre("CN=R"));
}

TEST(Aia, TakesNothingThatDidNotSign) {
  const Hierarchy t;
  const Issued other_root = MakeRoot({.common_name = "R", .key_label = "other"});
  // The right name, another key.
  const Issued impostor =
      MakeIntermediate(other_root, {.common_name = "Lower", .key_label = "impostor"});
  const Issued expired = MakeIntermediate(
      t.upper, {.common_name = "Lower", .not_before = kNow - 9 * kDay, .not_after = kNow - kDay});
  const struct {
    const char* what;
    std::string bytes;
    const char* error;
  } cases[] = {
      {"another key", impostor.certificate->der(), "did not sign CN=a.test"},
      {"expired", expired.certificate->der(), "is not valid now"},
      {"the issuer's issuer", t.upper.certificate->der(), "did not sign CN=a.test"},
      {"itself", t.leaf.certificate->der(), "did not sign CN=a.test"},
      {"an error page", "<html>404</html>", "no PEM block"},
      {"nothing", "", "empty"},
      {"too much", std::string(kMaxAiaBytes + 1, '\x30'), "more than 65536 bytes"},
      {"a cut one", t.lower.certificate->der().substr(0, 200), "no PEM block"},
  };
  for (const auto& c : cases) {
    const auto accepted = AcceptIssuers(*t.leaf, c.bytes, kNow);
    ASSERT_FALSE(accepted.has_value()) << c.what;
    EXPECT_THAT(accepted.error().detail, HasSubstr(c.error)) << c.what;
    EXPECT_EQ(ERR_peek_error(), 0u);
  }
}

TEST(Aia, OnlyPlainHttpAddresses) {
  for (const char* url : {"http://r3.i.example/", "HTTP://127.0.0.1:80/a.crt", "http://[::1]/x"})
    EXPECT_TRUE(IsAiaUrl(url)) << url;
  for (const char* url : {"", "http://", "https://a.example/x", "ldap://a/cn=x",
                          "file:///etc/passwd", "http://user@a.example/", "http:///x",
                          "http://a.example/a b", "http://a.example/\r\nHost: b"})
    EXPECT_FALSE(IsAiaUrl(url)) << url;
  EXPECT_FALSE(IsAiaUrl("http://a.example/" + std::string(3000, 'x')));
  EXPECT_TRUE(IsAiaUrl("http://a.example/x@y")) << "not a user";
}

}  // namespace
}  // namespace genkan::tls
