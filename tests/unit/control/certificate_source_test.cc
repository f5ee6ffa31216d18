#include "proxy/control/certificate_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "proxy/tls/certificate_pool.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::Issued;
using genkan::testing::KeyKind;
using genkan::testing::TempDir;
using genkan::testing::TestCa;
using genkan::testing::WriteFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class CertificateSourceTest : public ::testing::Test {
 protected:
  CertificateSourceTest() {
    context_.roots = {ca_.root().certificate};
    context_.now = SystemClock().Wall();
  }

  SourceReading Read(const std::string& path) {
    config::CertificateSource source;
    source.path = path;
    return ReadSource(source, *files_, context_);
  }
  SourceReading ReadTable(const std::string& certificate, const std::string& key) {
    config::CertificateSource source;
    source.certificate = certificate;
    source.key = key;
    return ReadSource(source, *files_, context_);
  }
  FoundCertificate Only(const SourceReading& reading) {
    EXPECT_EQ(reading.certificates.size(), 1u);
    return reading.certificates.empty() ? FoundCertificate{} : reading.certificates.front();
  }
  std::string Intermediate() { return ca_.intermediate().pem(); }

  TempDir dir_;
  TestCa ca_{"Source"};
  Issued leaf_ = ca_.Leaf({"a.test"});
  std::unique_ptr<FileAccess> files_ = MakeDirectFileAccess();
  CertificateContext context_;
};

TEST_F(CertificateSourceTest, ReadsALineage) {
  WriteFile(dir_ / "live/a.test/privkey.pem", leaf_.key_pem());
  WriteFile(dir_ / "live/a.test/cert.pem", leaf_.pem());
  WriteFile(dir_ / "live/a.test/chain.pem", Intermediate());
  WriteFile(dir_ / "live/a.test/fullchain.pem", ca_.FullChainPem(leaf_));
  WriteFile(dir_ / "live/a.test/README", "-----BEGIN CERTIFICATE-----\nnot one\n");

  auto found = Only(Read(dir_ / "live/a.test/"));

  ASSERT_TRUE(found.bundle) << found.error;
  EXPECT_EQ(found.name, "a.test");
  EXPECT_EQ(found.error, "");
  EXPECT_THAT(found.bundle->chain(), SizeIs(2));
  EXPECT_TRUE(found.chain.is_complete);
  EXPECT_THAT(found.chain.dropped, SizeIs(0)) << "certbot writes everything twice";
  EXPECT_EQ(found.issuer, found.bundle->chain()[1]);
  EXPECT_THAT(found.files, SizeIs(4));
}

TEST_F(CertificateSourceTest, CompletesTheChainFromASibling) {
  WriteFile(dir_ / "d/privkey.pem", leaf_.key_pem());
  WriteFile(dir_ / "d/cert.pem", leaf_.pem());
  WriteFile(dir_ / "d/some-authority.crt", Intermediate());

  auto found = Only(Read(dir_ / "d"));

  ASSERT_TRUE(found.bundle) << found.error;
  EXPECT_TRUE(found.chain.is_complete);
  EXPECT_THAT(found.bundle->chain(), SizeIs(2));
}

TEST_F(CertificateSourceTest, OrdersWhatIsShuffledAndSaysWhatItLeavesOut) {
  TestCa other("Other");
  WriteFile(dir_ / "all.pem", ca_.root().pem() + other.intermediate().pem() + Intermediate() +
                                  leaf_.key_pem() + leaf_.pem() + Intermediate());

  auto found = Only(Read(dir_ / "all.pem"));

  ASSERT_TRUE(found.bundle) << found.error;
  EXPECT_EQ(found.bundle->leaf().sha256(), leaf_.certificate->sha256());
  EXPECT_THAT(found.bundle->chain(), SizeIs(2));
  std::vector<std::string> reasons;
  for (const auto& dropped : found.chain.dropped)
    reasons.emplace_back(tls::ToString(dropped.reason));
  EXPECT_THAT(reasons, ::testing::UnorderedElementsAre("root", "unrelated", "duplicate"));
}

TEST_F(CertificateSourceTest, TakesAMissingLinkFromThePool) {
  WriteFile(dir_ / "a.pem", leaf_.pem() + leaf_.key_pem());
  EXPECT_FALSE(Only(Read(dir_ / "a.pem")).chain.is_complete);

  context_.pool = {ca_.intermediate().certificate};
  auto found = Only(Read(dir_ / "a.pem"));

  EXPECT_TRUE(found.chain.is_complete);
  EXPECT_THAT(found.chain.dropped, SizeIs(0));
}

TEST_F(CertificateSourceTest, FindsTheKeyBesideTheFileByItsPublicKey) {
  Issued other = ca_.Leaf({"other.test"}, KeyKind::kRsa);
  WriteFile(dir_ / "certs/a.crt", ca_.FullChainPem(leaf_));
  WriteFile(dir_ / "certs/a.key", other.key_pem());
  WriteFile(dir_ / "certs/strange-name.key", leaf_.key_pem());

  auto found = Only(Read(dir_ / "certs/a.crt"));

  ASSERT_TRUE(found.bundle) << found.error;
  EXPECT_EQ(found.name, dir_ / "certs/a.crt");
  EXPECT_THAT(found.files, ElementsAre(dir_ / "certs/a.crt", dir_ / "certs/strange-name.key"));
}

TEST_F(CertificateSourceTest, ReadsATable) {
  WriteFile(dir_ / "certs/a.pem", leaf_.pem());
  WriteFile(dir_ / "certs/ca.pem", Intermediate());
  WriteFile(dir_ / "keys/a", leaf_.key_pem());

  auto found = Only(ReadTable(dir_ / "certs/a.pem", dir_ / "keys/a"));

  ASSERT_TRUE(found.bundle) << found.error;
  EXPECT_TRUE(found.chain.is_complete);
  EXPECT_THAT(found.files, ElementsAre(dir_ / "certs/a.pem", dir_ / "keys/a"));
}

TEST_F(CertificateSourceTest, GivesOneBundleForEachKeyOfADirectory) {
  Issued rsa = ca_.Leaf({"a.test"}, KeyKind::kRsa);
  WriteFile(dir_ / "d/ecdsa.key", leaf_.key_pem());
  WriteFile(dir_ / "d/ecdsa.crt", leaf_.pem());
  WriteFile(dir_ / "d/rsa.key", rsa.key_pem());
  WriteFile(dir_ / "d/rsa.crt", rsa.pem());
  WriteFile(dir_ / "d/ca.crt", Intermediate());

  auto reading = Read(dir_ / "d");

  ASSERT_THAT(reading.certificates, SizeIs(2));
  EXPECT_EQ(reading.certificates[0].name, "d/ecdsa.key");
  EXPECT_EQ(reading.certificates[1].name, "d/rsa.key");
  EXPECT_TRUE(reading.certificates[1].bundle->leaf().is_rsa());
  EXPECT_THAT(reading.certificates[0].chain.dropped, SizeIs(0));
}

TEST_F(CertificateSourceTest, ThePrivkeyOfALineageWins) {
  Issued rsa = ca_.Leaf({"a.test"}, KeyKind::kRsa);
  WriteFile(dir_ / "d/account.key", rsa.key_pem());
  WriteFile(dir_ / "d/old.pem", rsa.pem());
  WriteFile(dir_ / "d/privkey.pem", leaf_.key_pem());
  WriteFile(dir_ / "d/fullchain.pem", ca_.FullChainPem(leaf_));

  auto found = Only(Read(dir_ / "d"));

  ASSERT_TRUE(found.bundle) << found.error;
  EXPECT_EQ(found.bundle->leaf().sha256(), leaf_.certificate->sha256());
}

TEST_F(CertificateSourceTest, AGlobGivesEachFileWithACertificate) {
  Issued b = ca_.Leaf({"b.test"});
  WriteFile(dir_ / "c/a.pem", ca_.FullChainPem(leaf_) + leaf_.key_pem());
  WriteFile(dir_ / "c/b.pem", b.pem());
  WriteFile(dir_ / "c/b-key.pem", b.key_pem());
  WriteFile(dir_ / "c/authority.pem", Intermediate());

  auto reading = Read(dir_ / "c/*.pem");

  std::vector<std::string> names;
  for (const auto& one : reading.certificates) {
    EXPECT_TRUE(one.bundle) << one.error;
    names.push_back(one.name);
  }
  EXPECT_THAT(names, ElementsAre(dir_ / "c/a.pem", dir_ / "c/b.pem"));
  EXPECT_THAT(reading.watch, ElementsAre(dir_ / "c"));
  EXPECT_THAT(Only(Read(dir_ / "c/*.none")).error, HasSubstr("no certificate matches"));
}

TEST_F(CertificateSourceTest, FindsAnIssuerThatIsARoot) {
  Issued direct = testing::MakeLeaf(ca_.root(), {.names = {"direct.test"}});
  WriteFile(dir_ / "d.pem", direct.pem() + direct.key_pem());

  auto found = Only(Read(dir_ / "d.pem"));

  ASSERT_TRUE(found.bundle) << found.error;
  EXPECT_THAT(found.bundle->chain(), SizeIs(1));
  EXPECT_EQ(found.issuer, ca_.root().certificate);
}

// What is wrong, in words, with the file.
TEST_F(CertificateSourceTest, SaysWhatIsWrong) {
  Issued other = ca_.Leaf({"other.test"}, KeyKind::kRsa);
  std::string pem = ca_.FullChainPem(leaf_);
  WriteFile(dir_ / "nokey/cert.pem", pem);
  WriteFile(dir_ / "nocert/privkey.pem", leaf_.key_pem());
  WriteFile(dir_ / "mismatch/privkey.pem", other.key_pem());
  WriteFile(dir_ / "mismatch/fullchain.pem", pem);
  WriteFile(dir_ / "half/privkey.pem", leaf_.key_pem());
  WriteFile(dir_ / "half/fullchain.pem", pem.substr(0, 300));
  WriteFile(dir_ / "emptykey/privkey.pem", "");
  WriteFile(dir_ / "emptykey/fullchain.pem", pem);
  std::filesystem::create_directories(dir_ / "dangling");
  std::filesystem::create_symlink(dir_ / "archive/privkey2.pem", dir_ / "dangling/privkey.pem");
  WriteFile(dir_ / "dangling/fullchain.pem", pem);
  WriteFile(dir_ / "alone/a.crt", pem);
  WriteFile(dir_ / "wrong/a.crt", pem);
  WriteFile(dir_ / "wrong/a.key", other.key_pem());
  struct Case {
    const char *path, *words;
  };
  constexpr Case kCases[] = {
      {"nokey", "no private key"},
      {"nocert", "no certificate"},
      {"mismatch", "privkey.pem: the key does not match"},
      {"half", "fullchain.pem"},
      {"emptykey", "privkey.pem: empty"},
      {"dangling", "no private key"},
      {"nothing", "nothing: No such file or directory"},
      {"alone/a.crt", "no private key in it or beside it"},
      {"wrong/a.crt", "does not match"},
      {"wrong/b.crt", "b.crt: No such file or directory"},
  };
  for (const Case& one : kCases) {
    auto found = Only(Read(dir_ / one.path));
    EXPECT_FALSE(found.bundle) << one.path;
    EXPECT_THAT(found.error, HasSubstr(one.words)) << one.path;
    EXPECT_TRUE(found.may_be_half_written) << one.path;
  }
}

TEST_F(CertificateSourceTest, TellsAHalfWrittenFileBesideAGoodOne) {
  WriteFile(dir_ / "d/privkey.pem", leaf_.key_pem());
  WriteFile(dir_ / "d/fullchain.pem", ca_.FullChainPem(leaf_).substr(0, leaf_.pem().size() + 200));

  auto found = Only(Read(dir_ / "d"));

  ASSERT_TRUE(found.bundle);
  EXPECT_TRUE(found.may_be_half_written);
  EXPECT_THAT(found.error, HasSubstr("fullchain.pem"));
}

TEST_F(CertificateSourceTest, TellsWhoseAClosedFileIs) {
  if (geteuid() != 0) GTEST_SKIP() << "needs another uid's file";
  std::filesystem::permissions(dir_.path(), std::filesystem::perms(0755));
  WriteFile(dir_ / "d/privkey.pem", leaf_.key_pem());
  WriteFile(dir_ / "d/fullchain.pem", ca_.FullChainPem(leaf_));
  chmod((dir_ / "d/privkey.pem").c_str(), 0600);
  ASSERT_EQ(seteuid(65534), 0);
  auto found = Only(Read(dir_ / "d"));
  ASSERT_EQ(seteuid(0), 0);

  EXPECT_FALSE(found.bundle);
  EXPECT_THAT(found.error, HasSubstr("privkey.pem: permission denied"));
  EXPECT_THAT(found.error, HasSubstr("uid 0"));
  EXPECT_THAT(found.error, HasSubstr("mode 0600"));
  EXPECT_THAT(found.error, HasSubstr("uid 65534"));
  EXPECT_THAT(found.error, HasSubstr("chgrp"));
}

TEST_F(CertificateSourceTest, NamedPipesAndBigFilesHoldNobody) {
  WriteFile(dir_ / "d/fullchain.pem", ca_.FullChainPem(leaf_));
  ASSERT_EQ(mkfifo((dir_ / "d/privkey.pem").c_str(), 0600), 0);
  WriteFile(dir_ / "d/big.pem", std::string(tls::kMaxPoolBytes + 1, 'x'));

  auto found = Only(Read(dir_ / "d"));

  EXPECT_FALSE(found.bundle);
  EXPECT_THAT(found.error, HasSubstr("no private key"));
  EXPECT_THAT(found.error, HasSubstr("big.pem: more than"));
}

}  // namespace
}  // namespace genkan::control
