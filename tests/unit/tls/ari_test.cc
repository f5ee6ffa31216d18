#include "proxy/tls/ari.h"

#include <gtest/gtest.h>

#include "proxy/base/text.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::Issued;
using genkan::testing::TestCa;

TEST(AriCertId, IsKeyIdentifierAndSerialAsBase64Url) {
  const TestCa ca;
  const Issued leaf = ca.LeafWith({.names = {"a.test"}, .serial = 0x87654321});
  auto id = AriCertId(*leaf);
  ASSERT_TRUE(id) << id.error().detail;
  // The example of RFC 9773 4.1: a serial number whose first bit is set has a zero in front.
  EXPECT_EQ(*id, Base64UrlEncode(AsBytes(leaf.certificate->authority_key_id())) + ".AIdlQyE");
}

TEST(AriCertId, NeedsAnAuthorityKeyIdentifier) {
  const TestCa ca;
  const Issued leaf = ca.LeafWith({.names = {"a.test"}, .has_key_ids = false});
  EXPECT_FALSE(AriCertId(*leaf));
}

}  // namespace
}  // namespace genkan::tls
