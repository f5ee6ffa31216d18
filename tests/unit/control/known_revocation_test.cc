#include "proxy/control/known_revocation.h"

#include <gtest/gtest.h>

#include "proxy/tls/digest.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using testing::Issued;
using testing::TestCa;

class Known : public ::testing::Test {
 protected:
  std::optional<KnownRevocation> Find() const {
    return FindKnownRevocation(dir_.path().string(), *leaf_, *ca_.intermediate(), now_);
  }
  testing::TempDir dir_;
  TestCa ca_;
  const WallTime now_ = SystemClock().Wall();
  Issued leaf_ = ca_.LeafWith({.names = {"a.test"},
                               .ocsp_urls = {"http://ocsp.test/"},
                               .crl_urls = {"http://crl.test/1"},
                               .serial = 0x77});
};

TEST_F(Known, NothingIsKnownOfAnEmptyStateDir) { EXPECT_FALSE(Find()); }

TEST_F(Known, ARevokedOcspResponseIsFound) {
  const std::string path = dir_ / ("ocsp/" + leaf_.certificate->sha256_hex());
  testing::WriteFile(path, testing::MakeOcspResponse(*leaf_, ca_.intermediate(), {}));
  EXPECT_FALSE(Find()) << "good";
  testing::WriteFile(path,
                     testing::MakeOcspResponse(*leaf_, ca_.intermediate(),
                                               {.state = V_OCSP_CERTSTATUS_REVOKED, .reason = 1}));
  auto known = Find();
  ASSERT_TRUE(known);
  EXPECT_EQ(known->source, "ocsp");
  EXPECT_EQ(known->reason, "keyCompromise");
}

TEST_F(Known, AnEntryOfTheListIsFoundAndAForgedListIsNot) {
  const std::string path = dir_ / ("crl/" + tls::Sha256Hex("http://crl.test/1"));
  const testing::CrlOptions options{.revoked = {{"77", now_ - std::chrono::hours(3), 4}}};
  testing::WriteFile(path, testing::MakeCrl(TestCa("Other").intermediate(), options));
  EXPECT_FALSE(Find());
  testing::WriteFile(path, testing::MakeCrl(ca_.intermediate(), options));
  auto known = Find();
  ASSERT_TRUE(known);
  EXPECT_EQ(known->source, "crl");
  EXPECT_EQ(known->reason, "superseded");
}

}  // namespace
}  // namespace genkan::control
