#include "proxy/control/certificate_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pkcs12.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

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
  config::CertificateSource source;
  source.path = dir_ / "c/*.pem";
  EXPECT_THAT(WatchPathsOf(source, *files_), ElementsAre(dir_ / "c"));
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

// The DST Root CA X3 case: profiles of the operator's own, one of them an old store.
class TrustProfilesOfASource : public CertificateSourceTest {
 protected:
  TrustProfilesOfASource() {
    WriteFile(dir_ / "trust/modern.profile",
              "required = true\nwithout = " + dst_.certificate->sha256_hex() + "\n");
    WriteFile(dir_ / "trust/openssl.profile", "client = OpenSSL 1.0\npath = as_sent\n");
    WriteFile(dir_ / "trust/android.profile",
              "root_dates = ignored\nwithout = " + x1_.certificate->sha256_hex() + "\n");
    WriteFile(dir_ / "live/a.pem", leaf_.pem() + r3_.pem() + x1_by_dst_.pem() + leaf_.key_pem());
    EXPECT_TRUE(SetTrust({x1_.certificate, dst_.certificate}, dir_ / "trust", context_));
  }
  FoundCertificate With(const std::string& choice) {
    config::CertificateSource source;
    source.certificate = dir_ / "live/a.pem";
    source.chain = choice;
    return Only(ReadSource(source, *files_, context_));
  }
  // Who takes it: "modern openssl"; "android*" by the long chain alone.
  static std::string AcceptedBy(const FoundCertificate& found) {
    std::string names;
    for (const tls::ChainProof& proof : found.proofs) {
      if (!proof.verdict.is_accepted) continue;
      names += (names.empty() ? "" : " ") + proof.profile->name() + (proof.is_by_long ? "*" : "");
    }
    return names;
  }

  static constexpr auto kDay = std::chrono::hours(24);
  WallTime now_ = SystemClock().Wall();
  Issued dst_ = testing::MakeRoot(
      {.common_name = "DST Root CA X3", .not_before = now_ - 999 * kDay, .not_after = now_ - kDay});
  Issued x1_ = testing::MakeRoot({.common_name = "ISRG Root X1"});
  Issued x1_by_dst_ = testing::MakeIntermediate(dst_, {.common_name = "ISRG Root X1"});
  Issued r3_ = testing::MakeIntermediate(x1_, {.common_name = "R3"});
  Issued leaf_ = testing::MakeLeaf(r3_, {.names = {"a.test"}});
};

TEST_F(TrustProfilesOfASource, ChooseAndProveTheChain) {
  const struct {
    const char* choice;
    size_t size, long_size;
    const char* accepted_by;
  } cases[] = {
      {"auto", 2, 0, "modern openssl"},
      {"short", 2, 0, "modern openssl"},
      {"long", 3, 0, "modern android"},
      {"by_client", 2, 3, "modern android* openssl"},
  };
  for (const auto& c : cases) {
    const FoundCertificate found = With(c.choice);
    ASSERT_TRUE(found.bundle) << found.error;
    EXPECT_THAT(found.chain.certificates, SizeIs(c.size)) << c.choice;
    EXPECT_THAT(found.chain.long_certificates, SizeIs(c.long_size)) << c.choice;
    EXPECT_TRUE(found.chain.is_complete) << c.choice;
    EXPECT_EQ(AcceptedBy(found), c.accepted_by) << c.choice;
    ASSERT_THAT(found.proofs, SizeIs(3));
  }
  const FoundCertificate sent = With("long");
  EXPECT_EQ(sent.proofs[2].profile->client(), "OpenSSL 1.0");
  EXPECT_EQ(sent.proofs[2].verdict.code, X509_V_ERR_CERT_HAS_EXPIRED);
}

TEST_F(TrustProfilesOfASource, BrokenOnesLeaveTheRoots) {
  WriteFile(dir_ / "trust/z.profile", "path = nowhere\n");
  EXPECT_FALSE(SetTrust({x1_.certificate}, dir_ / "trust", context_));
  const FoundCertificate found = With("auto");
  ASSERT_TRUE(found.bundle);
  EXPECT_TRUE(found.chain.is_complete);
  EXPECT_THAT(found.proofs, SizeIs(0));
}

// As the certificates of a start are read: many at once, with one context.
TEST_F(TrustProfilesOfASource, SeveralThreadsReadAtOnce) {
  std::vector<std::thread> threads;
  std::vector<FoundCertificate> found(8);
  for (FoundCertificate& one : found)
    threads.emplace_back([this, &one] { one = With("by_client"); });
  for (std::thread& thread : threads) thread.join();
  for (const FoundCertificate& one : found)
    EXPECT_EQ(AcceptedBy(one), "modern android* openssl") << one.error;
}

class EncryptedSource : public CertificateSourceTest {
 protected:
  // A PKCS#12 as `openssl pkcs12 -export` writes it.
  void WritePkcs12(const std::string& path, const std::string& password) {
    tls::OpensslPtr<STACK_OF(X509), FreeStack> others(sk_X509_new_null());
    sk_X509_push(others.get(), ca_.intermediate().certificate->x509());
    tls::OpensslPtr<PKCS12, PKCS12_free> pkcs12(
        PKCS12_create(password.c_str(), "a", leaf_.key->get(), leaf_.certificate->x509(),
                      others.get(), 0, 0, 0, 0, 0));
    unsigned char* der = nullptr;
    const int size = i2d_PKCS12(pkcs12.get(), &der);
    ASSERT_GT(size, 0);
    WriteFile(path, std::string(reinterpret_cast<char*>(der), static_cast<size_t>(size)));
    OPENSSL_free(der);
  }
  static void FreeStack(STACK_OF(X509) * stack) { sk_X509_free(stack); }
  FoundCertificate With(const std::string& file, const std::string& variable) {
    config::CertificateSource source;
    source.certificate = dir_ / "a.p12";
    source.password_file = file;
    source.password_env = variable;
    return Only(ReadSource(source, *files_, context_));
  }
};

TEST_F(EncryptedSource, ThePasswordIsInAFileOrAVariable) {
  WritePkcs12(dir_ / "a.p12", "s3 cret#");
  WriteFile(dir_ / "pass", "s3 cret#\r\nnotes\n");
  WriteFile(dir_ / "empty", "\n");
  setenv("GENKAN_TEST_PASSWORD", "s3 cret#", 1);
  setenv("GENKAN_TEST_WRONG", "secret", 1);
  unsetenv("GENKAN_TEST_UNSET");
  const struct {
    std::string file, variable;
    const char* error;
  } cases[] = {
      {dir_ / "pass", "", ""},
      {"", "GENKAN_TEST_PASSWORD", ""},
      {"", "", "a PKCS#12 that needs a password"},
      {"", "GENKAN_TEST_WRONG", "a PKCS#12 that the password does not open"},
      {"", "GENKAN_TEST_UNSET", "the environment has no GENKAN_TEST_UNSET"},
      {dir_ / "none", "", "password_file: "},
      {dir_ / "empty", "", "no password in its first line"},
  };
  for (const auto& c : cases) {
    const FoundCertificate found = With(c.file, c.variable);
    EXPECT_EQ(found.bundle != nullptr, *c.error == '\0') << c.file << c.variable << found.error;
    EXPECT_THAT(found.error, HasSubstr(c.error));
    EXPECT_EQ(found.error.find("s3 cret"), std::string::npos);
    EXPECT_THAT(found.chain.certificates, SizeIs(found.bundle ? 2 : 0));
  }
  unsetenv("GENKAN_TEST_PASSWORD");
  unsetenv("GENKAN_TEST_WRONG");
}

TEST_F(EncryptedSource, ANewPasswordFileIsSeen) {
  config::CertificateSource source;
  source.certificate = dir_ / "a.p12";
  source.password_file = dir_ / "secrets/pass";
  EXPECT_THAT(WatchPathsOf(source, *files_), ::testing::Contains(dir_ / "secrets/pass"));
}

}  // namespace
}  // namespace genkan::control
