#include "proxy/tls/chain_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/err.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::Issued;
using genkan::testing::MakeIntermediate;
using genkan::testing::MakeLeaf;
using genkan::testing::MakeRoot;
using ::testing::ElementsAre;

const WallTime kNow = ManualClock().Wall();
constexpr auto kDay = std::chrono::hours(24);

std::vector<std::string> Subjects(const Chain& chain) {
  std::vector<std::string> subjects;
  for (const auto& one : chain.certificates) subjects.push_back(one->subject());
  return subjects;
}

// The reason for `certificate`; "kept" where it was not dropped.
std::string Fate(const Chain& chain, const Issued& certificate) {
  for (const auto& dropped : chain.dropped) {
    if (dropped.certificate->der() == certificate.certificate->der()) {
      return std::string(ToString(dropped.reason));
    }
  }
  return "kept";
}

Chain Build(const Issued& leaf, const std::vector<Issued>& pool,
            const std::vector<Issued>& roots = {}) {
  ChainInput input;
  input.leaf = leaf.certificate;
  for (const auto& one : pool) input.pool.push_back(one.certificate);
  for (const auto& one : roots) input.roots.push_back(one.certificate);
  input.now = kNow;
  Chain chain = ChainBuilder::Build(input);
  EXPECT_EQ(ERR_peek_error(), 0u);
  EXPECT_LE(chain.signature_checks, ChainBuilder::kMaxSignatureChecks);
  EXPECT_FALSE(chain.certificates.empty());
  return chain;
}

TEST(ChainBuilder, OrdersAndDropsTheRoot) {
  const Issued root = MakeRoot({.common_name = "R"});
  const Issued middle = MakeIntermediate(root, {.common_name = "M"});
  const Issued lower = MakeIntermediate(middle, {.common_name = "L"});
  const Issued leaf = MakeLeaf(lower, {.names = {"a.test"}});
  const Chain chain = Build(leaf, {root, middle, leaf, lower});
  EXPECT_THAT(Subjects(chain), ElementsAre("CN=a.test", "CN=L", "CN=M"));
  EXPECT_TRUE(chain.is_complete);
  EXPECT_EQ(Fate(chain, root), "root");
  EXPECT_EQ(Fate(chain, leaf), "kept");
  EXPECT_EQ(chain.dropped.size(), 1u);
  EXPECT_EQ(chain.missing_issuer, "");
}

TEST(ChainBuilder, SaysWhoIsMissingAndWhereToFetchIt) {
  const Issued root = MakeRoot({.common_name = "R"});
  const Issued lower = MakeIntermediate(root, {.common_name = "L"});
  const Issued leaf =
      MakeLeaf(lower, {.names = {"a.test"}, .ca_issuer_urls = {"http://ca.test/l.der"}});
  const Chain chain = Build(leaf, {leaf, root});
  EXPECT_THAT(Subjects(chain), ElementsAre("CN=a.test"));
  EXPECT_FALSE(chain.is_complete);
  EXPECT_EQ(chain.missing_issuer, "CN=L");
  EXPECT_THAT(chain.missing_urls, ElementsAre("http://ca.test/l.der"));
  EXPECT_EQ(Fate(chain, root), "unrelated");

  const Chain next = Build(leaf, {leaf, lower});
  EXPECT_EQ(next.missing_issuer, "CN=R");
  EXPECT_FALSE(next.is_complete);
  EXPECT_TRUE(Build(leaf, {leaf, lower}, {root}).is_complete);
}

TEST(ChainBuilder, AnIntermediateInTheTrustStoreIsStillSent) {
  const Issued root = MakeRoot({.common_name = "R"});
  const Issued lower = MakeIntermediate(root, {.common_name = "L"});
  const Issued leaf = MakeLeaf(lower, {.names = {"a.test"}});
  for (const auto& roots : {std::vector<Issued>{lower}, std::vector<Issued>{lower, root}}) {
    for (const auto& pool : {std::vector<Issued>{leaf}, std::vector<Issued>{leaf, lower}}) {
      const Chain chain = Build(leaf, pool, roots);
      EXPECT_THAT(Subjects(chain), ElementsAre("CN=a.test", "CN=L"));
      EXPECT_TRUE(chain.is_complete);
      EXPECT_TRUE(chain.dropped.empty());
    }
  }
}

TEST(ChainBuilder, SelfSignedLeafIsServedAsItIs) {
  const Issued leaf = genkan::testing::MakeSelfSignedLeaf({.names = {"a.test"}});
  const Chain chain = Build(leaf, {leaf, leaf});
  EXPECT_THAT(Subjects(chain), ElementsAre("CN=a.test"));
  EXPECT_TRUE(chain.is_complete);
  EXPECT_EQ(chain.signature_checks, 0);
  ASSERT_EQ(chain.dropped.size(), 1u);
  EXPECT_EQ(chain.dropped[0].reason, DropReason::kDuplicate);
}

TEST(ChainBuilder, DropsExpiredAndEarlyIntermediates) {
  const Issued root = MakeRoot({.common_name = "R"});
  const Issued good = MakeIntermediate(root, {.common_name = "L"});
  const Issued expired = MakeIntermediate(
      root, {.common_name = "L", .not_before = kNow - 9 * kDay, .not_after = kNow - kDay});
  const Issued early = MakeIntermediate(
      root, {.common_name = "L", .not_before = kNow + kDay, .not_after = kNow + 9 * kDay});
  const Issued leaf = MakeLeaf(good, {.names = {"a.test"}});
  const Chain chain = Build(leaf, {expired, early, good, leaf}, {root});
  EXPECT_THAT(chain.certificates, ElementsAre(leaf.certificate, good.certificate));
  EXPECT_EQ(Fate(chain, expired), "expired");
  EXPECT_EQ(Fate(chain, early), "not_yet_valid");

  const Chain without = Build(leaf, {expired, leaf}, {root});
  EXPECT_THAT(Subjects(without), ElementsAre("CN=a.test"));
  EXPECT_FALSE(without.is_complete);
}

TEST(ChainBuilder, SignatureDecidesWhereNamesAreEqual) {
  const Issued root = MakeRoot({.common_name = "R"});
  CertificateOptions options{.common_name = "L", .has_key_ids = false};
  const Issued right = MakeIntermediate(root, options);
  options.key_label = "an impostor";
  const Issued wrong = MakeIntermediate(root, options);
  const Issued leaf = MakeLeaf(right, {.names = {"a.test"}, .has_key_ids = false});
  const Chain chain = Build(leaf, {wrong, right}, {root});
  EXPECT_THAT(chain.certificates, ElementsAre(leaf.certificate, right.certificate));
  EXPECT_EQ(Fate(chain, wrong), "unrelated");
}

TEST(ChainBuilder, ALeafIsNobodysIssuer) {
  const Issued root = MakeRoot({.common_name = "R"});
  const Issued leaf = MakeLeaf(root, {.common_name = "a.test", .names = {"a.test"}});
  const Issued below = MakeLeaf(leaf, {.names = {"b.test"}});
  const Chain chain = Build(below, {leaf, root});
  EXPECT_THAT(Subjects(chain), ElementsAre("CN=b.test"));
  EXPECT_FALSE(chain.is_complete);
}

// Let's Encrypt's hierarchy of 2026: the new root travels cross-signed by an old one.
struct RootYe {
  Issued x1 = MakeRoot({.common_name = "Root X1"});
  Issued x2 = MakeRoot({.common_name = "Root X2"});
  Issued x2_by_x1 = MakeIntermediate(x1, {.common_name = "Root X2"});
  Issued ye = MakeRoot({.common_name = "Root YE"});
  Issued ye_by_x2 = MakeIntermediate(x2, {.common_name = "Root YE"});
  Issued ye1 = MakeIntermediate(ye, {.common_name = "YE1"});
  Issued leaf = MakeLeaf(ye1, {.names = {"a.test"}});
};

TEST(ChainBuilder, RootYeIsFourDeepForAStoreWithX1Only) {
  const RootYe t;
  const Chain chain = Build(t.leaf, {t.x2_by_x1, t.ye1, t.leaf, t.ye_by_x2}, {t.x1});
  EXPECT_THAT(Subjects(chain), ElementsAre("CN=a.test", "CN=YE1", "CN=Root YE", "CN=Root X2"));
  EXPECT_TRUE(chain.is_complete);
}

TEST(ChainBuilder, RootYeIsThreeDeepForAStoreWithX2) {
  const RootYe t;
  const Chain chain = Build(t.leaf, {t.x2_by_x1, t.ye1, t.leaf, t.ye_by_x2}, {t.x2, t.x1});
  EXPECT_THAT(Subjects(chain), ElementsAre("CN=a.test", "CN=YE1", "CN=Root YE"));
  EXPECT_EQ(Fate(chain, t.x2_by_x1), "other_path");
}

TEST(ChainBuilder, ATrustedRootIsBetterThanARootThatOnlyThePoolHas) {
  const RootYe t;
  // The self-signed Root YE in the files is in no store: the short path to it helps nobody.
  const Chain chain = Build(t.leaf, {t.ye, t.x2_by_x1, t.ye1, t.ye_by_x2}, {t.x1});
  EXPECT_EQ(chain.certificates.size(), 4u);
  EXPECT_EQ(Fate(chain, t.ye), "root");
  EXPECT_EQ(Build(t.leaf, {t.ye, t.x2_by_x1, t.ye1, t.ye_by_x2}).certificates.size(), 2u);
}

TEST(ChainBuilder, AScoreComesBeforeAll) {
  const RootYe t;
  ChainInput input;
  input.leaf = t.leaf.certificate;
  for (const Issued* one : {&t.x2_by_x1, &t.ye1, &t.ye_by_x2}) {
    input.pool.push_back(one->certificate);
  }
  input.roots = {t.x2.certificate, t.x1.certificate};
  input.now = kNow;
  int asked = 0;
  input.score = [&](const std::vector<CertificatePtr>& chain) {
    ++asked;
    return chain.size() == 4 ? 2 : 1;
  };
  EXPECT_EQ(ChainBuilder::Build(input).certificates.size(), 4u);
  EXPECT_EQ(asked, 2);
  input.score = [](const std::vector<CertificatePtr>&) { return 0; };
  EXPECT_EQ(ChainBuilder::Build(input).certificates.size(), 3u);
}

// September 2021: X1, cross-signed by a root that had expired, stopped OpenSSL 1.0.1 and old
// GnuTLS.
struct DstRoot {
  Issued dst = MakeRoot(
      {.common_name = "DST Root CA X3", .not_before = kNow - 999 * kDay, .not_after = kNow - kDay});
  Issued x1 = MakeRoot({.common_name = "ISRG Root X1"});
  Issued x1_by_dst = MakeIntermediate(dst, {.common_name = "ISRG Root X1"});
  Issued r3 = MakeIntermediate(x1, {.common_name = "R3"});
  Issued leaf = MakeLeaf(r3, {.names = {"a.test"}});
};

TEST(ChainBuilder, DropsTheCrossSignBelowAnExpiredRoot) {
  const DstRoot t;
  const struct {
    const char* what;
    std::vector<Issued> pool, roots;
    bool is_complete;
    const char* fate;
  } cases[] = {
      {"both in the store", {t.r3, t.x1_by_dst}, {t.dst, t.x1}, true, "leads_to_expired_root"},
      {"expired root in the files",
       {t.r3, t.x1_by_dst, t.dst},
       {t.x1},
       true,
       "leads_to_expired_root"},
      {"the expired root is unknown", {t.r3, t.x1_by_dst}, {t.x1}, true, "other_path"},
      {"no store, all in the files",
       {t.r3, t.x1_by_dst, t.dst, t.x1},
       {},
       true,
       "leads_to_expired_root"},
      {"no store, X1 only by the cross-sign",
       {t.r3, t.x1_by_dst, t.dst},
       {},
       false,
       "leads_to_expired_root"},
  };
  for (const auto& c : cases) {
    const Chain chain = Build(t.leaf, c.pool, c.roots);
    EXPECT_THAT(Subjects(chain), ElementsAre("CN=a.test", "CN=R3")) << c.what;
    EXPECT_EQ(chain.is_complete, c.is_complete) << c.what;
    EXPECT_EQ(Fate(chain, t.x1_by_dst), c.fate) << c.what;
  }
}

TEST(ChainBuilder, ShortAndLongAreWhatAnOperatorAsksFor) {
  const DstRoot t;
  ChainInput input;
  input.leaf = t.leaf.certificate;
  input.pool = {t.x1_by_dst.certificate, t.r3.certificate};
  input.roots = {t.x1.certificate, t.dst.certificate};
  input.now = kNow;
  const auto takes_both = [](const std::vector<CertificatePtr>&) { return 1; };
  const auto takes_short = [](const std::vector<CertificatePtr>& chain) {
    return chain.size() == 2 ? 1 : 0;
  };
  const struct {
    const char* what;
    ChainChoice choice;
    std::function<int(const std::vector<CertificatePtr>&)> score;
    size_t size, long_size;
  } cases[] = {
      {"auto takes the short one of two that are as good", ChainChoice::kAuto, takes_both, 2, 0},
      {"short", ChainChoice::kShort, takes_both, 2, 0},
      {"long", ChainChoice::kLong, takes_both, 3, 0},
      {"long, but nobody takes it", ChainChoice::kLong, takes_short, 2, 0},
      {"long without profiles is no way to an expired root", ChainChoice::kLong, {}, 2, 0},
      {"by_client has both", ChainChoice::kByClient, takes_both, 2, 3},
      {"by_client where there is one", ChainChoice::kByClient, takes_short, 2, 0},
  };
  for (const auto& c : cases) {
    input.choice = c.choice;
    input.score = c.score;
    const Chain chain = ChainBuilder::Build(input);
    EXPECT_EQ(chain.certificates.size(), c.size) << c.what;
    EXPECT_EQ(chain.long_certificates.size(), c.long_size) << c.what;
    const bool sends_cross_sign = c.size == 3 || c.long_size == 3;
    EXPECT_EQ(Fate(chain, t.x1_by_dst), sends_cross_sign ? "kept" : "leads_to_expired_root")
        << c.what;
    // Who stops at X1 is content, whatever is sent above it.
    EXPECT_TRUE(chain.is_complete) << c.what;
    EXPECT_EQ(chain.root, c.size == 3 ? t.dst.certificate : t.x1.certificate) << c.what;
    EXPECT_EQ(chain.long_root, c.long_size == 0 ? nullptr : t.dst.certificate) << c.what;
  }
}

TEST(ChainBuilder, LongOfFourIsRootYeToX1) {
  const RootYe t;
  ChainInput input;
  input.leaf = t.leaf.certificate;
  for (const Issued* one : {&t.x2_by_x1, &t.ye1, &t.ye_by_x2}) {
    input.pool.push_back(one->certificate);
  }
  input.roots = {t.x2.certificate, t.x1.certificate};
  input.now = kNow;
  input.choice = ChainChoice::kLong;
  EXPECT_EQ(ChainBuilder::Build(input).certificates.size(), 4u);
  input.choice = ChainChoice::kShort;
  EXPECT_EQ(ChainBuilder::Build(input).certificates.size(), 3u);
}

// One path: nothing to choose, and a proof costs a millisecond.
TEST(ChainBuilder, AsksNobodyWhereThereIsOneChain) {
  const RootYe t;
  ChainInput input;
  input.leaf = t.leaf.certificate;
  input.pool = {t.ye1.certificate, t.ye_by_x2.certificate};
  input.roots = {t.x2.certificate};
  input.now = kNow;
  input.score = [](const std::vector<CertificatePtr>&) -> int {
    ADD_FAILURE() << "asked";
    return 0;
  };
  const Chain chain = ChainBuilder::Build(input);
  EXPECT_EQ(chain.certificates.size(), 3u);
  EXPECT_TRUE(chain.is_root_trusted);
  EXPECT_EQ(chain.root, t.x2.certificate);
}

TEST(ChainBuilder, TheOnlyIntermediateStaysBelowAnExpiredRoot) {
  const DstRoot t;
  const Issued only = MakeIntermediate(t.dst, {.common_name = "Only"});
  const Issued leaf = MakeLeaf(only, {.names = {"a.test"}});
  const Chain chain = Build(leaf, {only, t.dst});
  EXPECT_THAT(Subjects(chain), ElementsAre("CN=a.test", "CN=Only"));
  EXPECT_FALSE(chain.is_complete);
}

TEST(ChainBuilder, ACrossSignThatLastsLongerWins) {
  const Issued root = MakeRoot({.common_name = "R"});
  const Issued brief = MakeIntermediate(root, {.common_name = "L", .not_after = kNow + 5 * kDay});
  const Issued lasting =
      MakeIntermediate(root, {.common_name = "L", .not_after = kNow + 50 * kDay});
  const Issued leaf = MakeLeaf(lasting, {.names = {"a.test"}});
  EXPECT_EQ(Build(leaf, {brief, lasting}, {root}).certificates[1], lasting.certificate);
  EXPECT_EQ(Build(leaf, {lasting, brief}, {root}).certificates[1], lasting.certificate);
}

TEST(ChainBuilder, CrossSignsInACircleEnd) {
  const Issued a = MakeRoot({.common_name = "A"});
  const Issued b = MakeRoot({.common_name = "B"});
  const Issued a_by_b = MakeIntermediate(b, {.common_name = "A"});
  const Issued b_by_a = MakeIntermediate(a, {.common_name = "B"});
  const Issued leaf = MakeLeaf(a, {.names = {"a.test"}});
  const Chain chain = Build(leaf, {a_by_b, b_by_a});
  EXPECT_FALSE(chain.is_complete);
  EXPECT_LE(chain.certificates.size(), 3u);
}

TEST(ChainBuilder, StopsAtDepthEight) {
  std::vector<Issued> pool = {MakeRoot({.common_name = "D0"})};
  for (int i = 1; i <= 12; ++i) {
    pool.push_back(MakeIntermediate(pool.back(), {.common_name = "D" + std::to_string(i)}));
  }
  const Chain seven = Build(MakeLeaf(pool[7], {.names = {"a.test"}}), pool);
  EXPECT_EQ(seven.certificates.size(), 8u);
  EXPECT_TRUE(seven.is_complete);
  const Chain twelve = Build(MakeLeaf(pool[12], {.names = {"a.test"}}), pool);
  EXPECT_EQ(twelve.certificates.size(), static_cast<size_t>(ChainBuilder::kMaxDepth));
  EXPECT_FALSE(twelve.is_complete);
}

// 64 authorities of one name and many keys, each signed by another of them, without key ids.
TEST(ChainBuilder, AMeshOfOneNameStaysWithinTheLimits) {
  std::vector<Issued> pool = {
      MakeRoot({.common_name = "One", .key_label = "k0", .has_key_ids = false})};
  for (int i = 1; i < 64; ++i) {
    const Issued issuer = pool[static_cast<size_t>(i * 7) % pool.size()];
    pool.push_back(MakeIntermediate(
        issuer,
        {.common_name = "One", .key_label = "k" + std::to_string(i % 40), .has_key_ids = false}));
  }
  const Issued leaf = MakeLeaf(pool.back(), {.names = {"a.test"}, .has_key_ids = false});
  // What it takes is measured by tests/bench, on a thousand such pools.
  const Chain chain = Build(leaf, pool, {pool.front()});
  EXPECT_LE(chain.signature_checks, ChainBuilder::kMaxSignatureChecks);
  EXPECT_EQ(chain.certificates.front(), leaf.certificate);
}

TEST(ChainBuilder, StrangersDoNotCountAgainstTheLimit) {
  const Issued root = MakeRoot({.common_name = "R"});
  const Issued lower = MakeIntermediate(root, {.common_name = "L"});
  const Issued leaf = MakeLeaf(lower, {.names = {"a.test"}});
  std::vector<Issued> pool;
  for (int i = 0; i < 100; ++i) {
    pool.push_back(
        MakeLeaf(root, {.names = {"s" + std::to_string(i) + ".test"}, .key_label = "s"}));
  }
  pool.push_back(lower);
  const Chain chain = Build(leaf, pool, {root});
  EXPECT_TRUE(chain.is_complete);
  EXPECT_EQ(Fate(chain, pool[0]), "unrelated");
}

TEST(ChainBuilder, TooManyOfOneNameAreSaid) {
  const Issued root = MakeRoot({.common_name = "R"});
  std::vector<Issued> pool;
  for (int i = 0; i < 100; ++i) pool.push_back(MakeIntermediate(root, {.common_name = "L"}));
  const Chain chain = Build(MakeLeaf(pool[0], {.names = {"a.test"}}), pool, {root});
  EXPECT_TRUE(chain.is_complete);
  EXPECT_TRUE(std::any_of(chain.dropped.begin(), chain.dropped.end(), [](const auto& dropped) {
    return dropped.reason == DropReason::kTooMany;
  }));
}

TEST(ChainBuilder, EveryOrderOfThePoolGivesTheSameChain) {
  const RootYe ye;
  const DstRoot dst;
  const Issued stranger = MakeRoot({.common_name = "Stranger"});
  const Issued stranger_leaf = MakeLeaf(stranger, {.names = {"s.test"}});
  const Issued old = MakeIntermediate(
      ye.ye, {.common_name = "YE1", .not_before = kNow - 9 * kDay, .not_after = kNow - kDay});
  const struct {
    Issued leaf;
    std::vector<Issued> pool, roots;
  } cases[] = {
      {ye.leaf,
       {ye.leaf, ye.ye1, ye.ye_by_x2, ye.x2_by_x1, ye.x1, ye.ye1, ye.leaf, stranger, stranger_leaf,
        old, dst.r3},
       {}},
      {ye.leaf,
       {ye.leaf, ye.ye1, ye.ye_by_x2, ye.x2_by_x1, ye.x2, ye.ye, stranger},
       {ye.x1, ye.x2}},
      {dst.leaf, {dst.leaf, dst.r3, dst.x1_by_dst, dst.dst, dst.x1, dst.r3, stranger}, {dst.x1}},
      {dst.leaf, {dst.leaf, dst.r3, dst.x1_by_dst, stranger_leaf}, {}},
      {ye.leaf, {ye.leaf, ye.x2_by_x1, stranger, stranger}, {}},
  };
  std::mt19937 random(20261122);
  for (const auto& c : cases) {
    const Chain expected = Build(c.leaf, c.pool, c.roots);
    std::vector<Issued> pool = c.pool;
    for (int i = 0; i < 60; ++i) {
      std::shuffle(pool.begin(), pool.end(), random);
      const Chain chain = Build(c.leaf, pool, c.roots);
      ASSERT_EQ(Subjects(chain), Subjects(expected));
      ASSERT_EQ(chain.is_complete, expected.is_complete);
      ASSERT_EQ(chain.dropped.size(), expected.dropped.size());
      // Nothing is lost: each certificate of the pool is in the chain or has a reason.
      ASSERT_EQ(chain.dropped.size() + chain.certificates.size(), pool.size());
    }
  }
}

// Random hierarchies: whatever is served must be a chain, and an order must not matter.
TEST(ChainBuilder, RandomPoolsGiveTrueChains) {
  std::mt19937 random(1);
  for (int round = 0; round < 100; ++round) {
    std::vector<Issued> authorities = {MakeRoot({.common_name = "P0"})};
    const int count = 1 + static_cast<int>(random() % 12);
    for (int i = 0; i < count; ++i) {
      const Issued issuer = authorities[random() % authorities.size()];
      const std::string name = "P" + std::to_string(random() % 6);
      const bool is_old = random() % 5 == 0;
      authorities.push_back(
          MakeIntermediate(issuer, {.common_name = name,
                                    .not_before = kNow - 30 * kDay,
                                    .not_after = is_old ? kNow - kDay : kNow + 30 * kDay,
                                    .has_key_ids = random() % 2 == 0}));
    }
    const Issued leaf = MakeLeaf(authorities[random() % authorities.size()], {.names = {"a.test"}});
    std::vector<Issued> pool = authorities;
    for (int i = 0; i < 4; ++i) pool.push_back(pool[random() % pool.size()]);
    const std::vector<Issued> roots =
        random() % 2 == 0 ? std::vector<Issued>{authorities[0]} : std::vector<Issued>{};
    const Chain chain = Build(leaf, pool, roots);
    for (size_t i = 0; i + 1 < chain.certificates.size(); ++i) {
      const Certificate& subject = *chain.certificates[i];
      const Certificate& issuer = *chain.certificates[i + 1];
      EXPECT_EQ(X509_verify(subject.x509(), X509_get0_pubkey(issuer.x509())), 1);
      EXPECT_EQ(subject.issuer_der(), issuer.subject_der());
      EXPECT_FALSE(issuer.is_self_signed());
      EXPECT_GT(issuer.not_after(), kNow);
    }
    std::shuffle(pool.begin(), pool.end(), random);
    EXPECT_EQ(Build(leaf, pool, roots).certificates, chain.certificates);
  }
}

}  // namespace
}  // namespace genkan::tls
