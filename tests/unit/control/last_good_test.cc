#include "proxy/control/last_good.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;

class LastGoodTest : public ::testing::Test {
 protected:
  tls::BundlePtr BundleOf(const CertificateOptions& options) {
    auto leaf = genkan::testing::MakeLeaf(intermediate_, options);
    auto bundle =
        tls::CertificateBundle::Make({leaf.certificate, intermediate_.certificate}, leaf.key);
    return bundle ? *bundle : nullptr;
  }

  CertificateContext ContextAt(WallTime now) const {
    CertificateContext context;
    context.roots = {root_.certificate};
    context.now = now;
    return context;
  }

  std::unique_ptr<StateDir> OpenState() { return *StateDir::Open(folder_.path()); }

  bool SaveAndWait(StateDir& state, const std::string& name, const tls::BundlePtr& bundle) {
    event::EventLoop loop;
    LastGood last_good(loop, state);
    last_good.Save(name, bundle);
    return genkan::testing::Eventually(
        loop, [&] { return state.Load("last_good", name) == tls::ToPem(*bundle); });
  }

  genkan::testing::TempDir folder_;
  genkan::testing::Issued root_ = genkan::testing::MakeRoot({.common_name = "last good root"});
  genkan::testing::Issued intermediate_ =
      genkan::testing::MakeIntermediate(root_, {.common_name = "last good intermediate"});
  event::EventLoop loop_;
};

TEST_F(LastGoodTest, ItHoldsWhatWasSavedAndNothingElse) {
  const auto bundle = BundleOf({.names = {"a.test"}}), other = BundleOf({.names = {"a.test"}});
  auto state = OpenState();
  ASSERT_TRUE(SaveAndWait(*state, "a/1.pem", bundle));
  LastGood last_good(loop_, *state);

  EXPECT_TRUE(last_good.Holds("a/1.pem", *bundle));
  EXPECT_FALSE(last_good.Holds("a/1.pem", *other));
  EXPECT_FALSE(last_good.Holds("b/1.pem", *bundle));
  EXPECT_FALSE(last_good.Holds("b/1.pem", *other));
}

TEST_F(LastGoodTest, WhatWasSavedComesBackWholeInAnotherProcess) {
  tls::BundlePtr bundle = BundleOf({.names = {"a.test"}});
  ASSERT_TRUE(SaveAndWait(*OpenState(), "a.test/1.pem", bundle));

  auto state = OpenState();
  LastGood last_good(loop_, *state);
  auto found = last_good.Load("a.test/1.pem", ContextAt(std::chrono::system_clock::now()));

  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->bundle->leaf().sha256(), bundle->leaf().sha256());
  EXPECT_EQ(found->bundle->chain().size(), 2u);
  EXPECT_TRUE(found->chain.is_complete);
  ASSERT_TRUE(found->issuer);
  EXPECT_EQ(found->issuer->sha256(), intermediate_.certificate->sha256());
}

TEST_F(LastGoodTest, FileIsForNobodyElse) {
  ASSERT_TRUE(SaveAndWait(*OpenState(), "a.test/1.pem", BundleOf({.names = {"a.test"}})));

  struct stat info {};
  ASSERT_EQ(stat((folder_ / "last_good/a.test/1.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  for (const char* folder : {"last_good", "last_good/a.test"}) {
    ASSERT_EQ(stat((folder_ / folder).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u) << folder;
  }
}

TEST_F(LastGoodTest, ExpiredOneIsNoGood) {
  tls::BundlePtr bundle = BundleOf({.names = {"a.test"}});
  auto state = OpenState();
  ASSERT_TRUE(SaveAndWait(*state, "a.test/1.pem", bundle));

  LastGood last_good(loop_, *state);
  EXPECT_FALSE(last_good.Load("a.test/1.pem", ContextAt(bundle->leaf().not_after())).has_value());
}

TEST_F(LastGoodTest, NothingOrGarbageIsNoGood) {
  auto state = OpenState();
  state->Save("last_good", "a.test/broken.pem", "-----BEGIN PRIVATE KEY-----\nMIIB");
  LastGood last_good(loop_, *state);
  auto context = ContextAt(std::chrono::system_clock::now());

  EXPECT_FALSE(last_good.Load("a.test/missing.pem", context).has_value());
  EXPECT_FALSE(last_good.Load("a.test/broken.pem", context).has_value());
}

TEST(LastGoodName, TellsSitesAndPlacesApartAndIsAFileName) {
  config::CertificateSource here, there;
  here.path = "/etc/letsencrypt/live/a.test";
  there.path = "/srv/../certs/a.test";

  EXPECT_EQ(LastGood::NameOf("a.test", here, "a.test"), LastGood::NameOf("a.test", here, "a.test"));
  EXPECT_NE(LastGood::NameOf("a.test", here, "a.test"),
            LastGood::NameOf("a.test", there, "a.test"));
  EXPECT_NE(LastGood::NameOf("a.test", here, "a.test"), LastGood::NameOf("b.test", here, "a.test"));
  EXPECT_NE(LastGood::NameOf("a.test", here, "a.test/rsa.key"),
            LastGood::NameOf("a.test", here, "a.test/ecdsa.key"));
  for (const char* site : {"*.test", "*", "../../etc/passwd", ""}) {
    std::string name = LastGood::NameOf(site, here, "/x/y");
    EXPECT_TRUE(IsFileOfFolder(name)) << name;
    EXPECT_EQ(std::count(name.begin(), name.end(), '/'), 1) << name;
    EXPECT_EQ(name.find('*'), std::string::npos) << name;
  }
  EXPECT_THAT(LastGood::NameOf("a.test", here, "a.test"), ::testing::StartsWith("a.test/"));
  EXPECT_THAT(LastGood::NameOf("*.test", here, "a.test"), ::testing::StartsWith("_.test/"));
}

TEST(LastGoodLayout, FilesOfTheFlatOneGoToTheirSitesFolders) {
  genkan::testing::TempDir dir;
  const std::string flat = dir / "last_good";
  config::CertificateSource source;
  source.path = "/etc/letsencrypt/live/a.test";
  // As an earlier version named them: s_SITE-HASH.pem.
  std::vector<std::string> names;
  for (const char* site : {"a.test", "*.b-c.test", ""}) {
    const std::string name = LastGood::NameOf(site, source, "x"),
                      file = name.substr(name.find('/') + 1);
    const std::string old = site[0] == '*' ? "_.b-c.test" : site;
    genkan::testing::WriteFile(flat + "/s_" + old + "-" + file, name);
    names.push_back(name);
  }
  for (const char* other : {"notes.txt", "s_short.pem", "s_a.test-0123456789abcdef.pem.new"})
    genkan::testing::WriteFile(flat + "/" + other, "left alone");
  PrivateFolder folder(flat);

  MoveFlatLastGood(folder);
  MoveFlatLastGood(folder);

  for (const std::string& name : names) EXPECT_EQ(folder.Load(name).value(), name);
  EXPECT_EQ(folder.Files().size(), 3u);
}

}  // namespace
}  // namespace genkan::control
