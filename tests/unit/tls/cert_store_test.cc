#include "proxy/tls/cert_store.h"

#include <gtest/gtest.h>

#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::KeyKind;
using genkan::testing::TestCa;

class CertStoreTest : public ::testing::Test {
 protected:
  BundlePtr Bundle(std::vector<std::string> names, KeyKind kind = KeyKind::kEcdsa) const {
    return ca_.Bundle(std::move(names), kind);
  }
  const TestCa ca_;
};

TEST_F(CertStoreTest, FindsSites) {
  const BundlePtr one = Bundle({"www.example.com"});
  const CertStore store({
      {.site = 10, .names = {"default.test"}, .bundles = {one}},
      {.site = 11, .names = {"www.example.com", "example.com"}, .bundles = {one}},
      {.site = 12, .names = {"*.example.com"}, .bundles = {one}},
      {.site = 13, .names = {"*.deep.example.com"}, .bundles = {one}},
      {.site = 14, .names = {"*.www.example.com"}, .bundles = {one}},
  });
  const struct {
    const char* name;
    bool is_known;
    uint32_t site;
  } cases[] = {
      {"www.example.com", true, 11},
      {"WWW.Example.Com", true, 11},
      {"www.example.com.", true, 11},
      {"example.com", true, 11},
      {"mail.example.com", true, 12},
      {"deep.example.com", true, 12},
      {"a.deep.example.com", true, 13},
      {"a.b.deep.example.com", true, 13},
      {"a.b.example.com", true, 12},
      {"x.www.example.com", true, 14},
      {"other.test", false, 10},
      {"com", false, 10},
      {"xexample.com", false, 10},
      {"", true, 10},
      {".", true, 10},
      {".example.com", true, 12},
      {"default.test", true, 10},
      {"*.example.com", true, 12},
  };
  for (const auto& c : cases) {
    const CertStore::Match match = store.Find(c.name, true, true);
    EXPECT_EQ(match.is_known, c.is_known) << c.name;
    EXPECT_EQ(match.site, c.site) << c.name;
    EXPECT_EQ(match.bundle, one) << c.name;
  }
}

TEST_F(CertStoreTest, StarTakesEveryNameAndTheDefaultWhatHasNone) {
  const BundlePtr one = Bundle({"a.test"}), two = Bundle({"b.test"}), three = Bundle({"c.test"});
  const CertStore store({
      {.site = 0, .names = {"a.test"}, .bundles = {one}},
      {.site = 1, .names = {"*"}, .bundles = {two}},
      {.site = 2, .names = {"c.test"}, .bundles = {three}, .is_default = true},
  });
  EXPECT_EQ(store.Find("anything.test", true, true).bundle, two);
  EXPECT_TRUE(store.Find("anything.test", true, true).is_known);
  EXPECT_EQ(store.Find("a.test", true, true).bundle, one);
  EXPECT_EQ(store.Find("", true, true).bundle, three);
}

TEST_F(CertStoreTest, SiteWithoutCertificateIsNotServedByAnother) {
  const BundlePtr one = Bundle({"a.test"});
  const CertStore store({
      {.site = 0, .names = {"a.test"}, .bundles = {one}},
      {.site = 1, .names = {"broken.test"}, .bundles = {}},
  });
  const CertStore::Match match = store.Find("broken.test", true, true);
  EXPECT_TRUE(match.is_known);
  EXPECT_EQ(match.site, 1u);
  EXPECT_EQ(match.bundle, nullptr);
}

TEST_F(CertStoreTest, AnEmptyStoreKnowsNothing) {
  const CertStore store({});
  EXPECT_FALSE(store.Find("a.test", true, true).is_known);
  EXPECT_EQ(store.Find("", true, true).bundle, nullptr);
}

TEST_F(CertStoreTest, AChangeSharesEverythingElse) {
  const BundlePtr before = Bundle({"a.test"}), after = Bundle({"b.test"});
  constexpr size_t kMany = 200;
  std::vector<CertStore::SiteEntry> sites(kMany);
  for (size_t i = 0; i < kMany; ++i) {
    sites[i].site = static_cast<uint32_t>(i + 1000);
    sites[i].names = {std::to_string(i) + ".test"};
    sites[i].bundles = {before};
  }
  const CertStore store(std::move(sites));

  const CertStore changed = store.With({{70, {after, before}}, {199, {}}});

  for (size_t i = 0; i < kMany; ++i) {
    const std::string name = std::to_string(i) + ".test";
    EXPECT_EQ(store.Find(name, true, true).bundle, before) << i;
    const CertStore::Match match = changed.Find(name, true, true);
    EXPECT_TRUE(match.is_known);
    EXPECT_EQ(match.site, i + 1000);
    EXPECT_EQ(match.bundle, i == 70 ? after : i == 199 ? nullptr : before) << i;
    const bool is_beside_a_change = i / 64 == 70 / 64 || i / 64 == 199 / 64;
    EXPECT_EQ(&store.BundlesOf(i) == &changed.BundlesOf(i), !is_beside_a_change) << i;
  }
  EXPECT_EQ(changed.sites()[70].bundles.size(), 2u);
  EXPECT_EQ(changed.size(), kMany);
}

TEST_F(CertStoreTest, ChoosesTheKeyThatTheClientTakes) {
  const BundlePtr rsa = Bundle({"a.test"}, KeyKind::kRsa);
  const BundlePtr ecdsa = Bundle({"a.test"});
  const CertStore both({{.names = {"a.test"}, .bundles = {rsa, ecdsa}}});
  EXPECT_EQ(both.Find("a.test", true, true).bundle, ecdsa);
  EXPECT_EQ(both.Find("a.test", false, true).bundle, rsa);
  EXPECT_EQ(both.Find("a.test", true, false).bundle, ecdsa);
  // What a client that offers nothing gets fails in the handshake, with the right alert.
  EXPECT_NE(both.Find("a.test", false, false).bundle, nullptr);
  const CertStore only_rsa({{.names = {"a.test"}, .bundles = {rsa}}});
  EXPECT_EQ(only_rsa.Find("a.test", true, false).bundle, rsa);
}

TEST_F(CertStoreTest, ChoosesTheNamesThatFitWithinASite) {
  const BundlePtr a = Bundle({"a.example.com"});
  const BundlePtr wildcard = Bundle({"*.example.com"});
  const BundlePtr b_rsa = Bundle({"b.example.com"}, KeyKind::kRsa);
  const CertStore store({{.names = {"*.example.com"}, .bundles = {a, wildcard, b_rsa}}});
  const struct {
    const char* name;
    bool offers_ecdsa, offers_rsa;
    BundlePtr bundle;
  } cases[] = {
      {"a.example.com", true, true, a},      {"c.example.com", true, true, wildcard},
      {"b.example.com", true, true, b_rsa},  {"b.example.com", true, false, wildcard},
      {"a.example.com", false, true, b_rsa}, {"x.y.example.com", true, true, a},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(store.Find(c.name, c.offers_ecdsa, c.offers_rsa).bundle, c.bundle) << c.name;
  }
}

}  // namespace
}  // namespace genkan::tls
