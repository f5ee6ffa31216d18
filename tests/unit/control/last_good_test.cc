#include "proxy/control/last_good.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

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
  ASSERT_TRUE(SaveAndWait(*state, "s_a", bundle));
  LastGood last_good(loop_, *state);

  EXPECT_TRUE(last_good.Holds("s_a", *bundle));
  EXPECT_FALSE(last_good.Holds("s_a", *other));
  EXPECT_FALSE(last_good.Holds("s_b", *bundle));
  EXPECT_FALSE(last_good.Holds("s_b", *other));
}

TEST_F(LastGoodTest, WhatWasSavedComesBackWholeInAnotherProcess) {
  tls::BundlePtr bundle = BundleOf({.names = {"a.test"}});
  ASSERT_TRUE(SaveAndWait(*OpenState(), "s_a.test.pem", bundle));

  auto state = OpenState();
  LastGood last_good(loop_, *state);
  auto found = last_good.Load("s_a.test.pem", ContextAt(std::chrono::system_clock::now()));

  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->bundle->leaf().sha256(), bundle->leaf().sha256());
  EXPECT_EQ(found->bundle->chain().size(), 2u);
  EXPECT_TRUE(found->chain.is_complete);
  ASSERT_TRUE(found->issuer);
  EXPECT_EQ(found->issuer->sha256(), intermediate_.certificate->sha256());
}

TEST_F(LastGoodTest, FileIsForNobodyElse) {
  ASSERT_TRUE(SaveAndWait(*OpenState(), "s_a.test.pem", BundleOf({.names = {"a.test"}})));

  struct stat info {};
  ASSERT_EQ(stat((folder_ / "last_good/s_a.test.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((folder_ / "last_good").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(LastGoodTest, ExpiredOneIsNoGood) {
  tls::BundlePtr bundle = BundleOf({.names = {"a.test"}});
  auto state = OpenState();
  ASSERT_TRUE(SaveAndWait(*state, "s_a.test.pem", bundle));

  LastGood last_good(loop_, *state);
  EXPECT_FALSE(last_good.Load("s_a.test.pem", ContextAt(bundle->leaf().not_after())).has_value());
}

TEST_F(LastGoodTest, NothingOrGarbageIsNoGood) {
  auto state = OpenState();
  state->Save("last_good", "s_broken.pem", "-----BEGIN PRIVATE KEY-----\nMIIB");
  LastGood last_good(loop_, *state);
  auto context = ContextAt(std::chrono::system_clock::now());

  EXPECT_FALSE(last_good.Load("s_missing.pem", context).has_value());
  EXPECT_FALSE(last_good.Load("s_broken.pem", context).has_value());
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
    EXPECT_EQ(name.find('/'), std::string::npos) << name;
    EXPECT_EQ(name.find('*'), std::string::npos) << name;
    EXPECT_NE(name.front(), '.') << name;
  }
}

}  // namespace
}  // namespace genkan::control
