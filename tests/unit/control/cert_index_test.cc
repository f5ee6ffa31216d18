#include "proxy/control/cert_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using testing::CertificateSites;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TestCa;
using ::testing::UnorderedElementsAre;
using testing::WriteFile;

class Index : public ::testing::Test {
 protected:
  Index() {
    for (size_t site = 0; site < 3; ++site) {
      sources_.push_back(std::make_unique<CertSource>());
      sources_.back()->site_index = site;
      auto entry = std::make_unique<CertEntry>();
      entry->source = sources_.back().get();
      entry->in_service = ca_.Bundle({std::to_string(site) + ".test"});
      sources_.back()->entries.push_back(std::move(entry));
    }
    index_.Renew();
    index_.Take();
  }
  CertEntry& At(size_t site) { return *sources_[site]->entries.front(); }

  TestCa ca_;
  CertSources sources_;
  CertIndex index_{sources_};
};

TEST_F(Index, OnlyWhatWasTouchedIsLookedAt) {
  EXPECT_THAT(index_.Take().entries, IsEmpty());
  index_.Touch(At(1));
  index_.TouchLeaf(ShaOf(At(2).in_service));
  index_.TouchLeaf("of nobody");

  const auto changes = index_.Take();

  EXPECT_FALSE(changes.is_all);
  EXPECT_THAT(changes.entries, UnorderedElementsAre(&At(1), &At(2)));
  EXPECT_THAT(changes.sites, ElementsAre(1u, 2u));
  EXPECT_THAT(changes.gone, IsEmpty());
  EXPECT_EQ(index_.looks(), 3u + 2u) << "all of them once at the start";
}

TEST_F(Index, ALeafIsGoneWithItsLastEntry) {
  const std::string leaf = ShaOf(At(0).in_service);
  At(1).pending = std::make_unique<FoundCertificate>();
  At(1).pending->bundle = At(0).in_service;
  index_.Touch(At(1));
  index_.Take();
  At(0).in_service = ca_.Bundle({"0.test"});
  index_.Touch(At(0));
  EXPECT_THAT(index_.Take().gone, IsEmpty()) << "the other waits for it";
  EXPECT_FALSE(index_.IsInService(leaf));

  At(1).pending.reset();
  index_.Touch(At(1));
  EXPECT_THAT(index_.Take().gone, ElementsAre(leaf));
}

TEST_F(Index, WhatIsWatchedAndNotTakenIsGone) {
  index_.Note("refused");
  index_.Note(ShaOf(At(0).in_service));
  EXPECT_THAT(index_.Take().gone, ElementsAre("refused"));
}

TEST_F(Index, AnEntryThatGoesLeavesItsSiteToBeLookedAt) {
  const std::string leaf = ShaOf(At(2).in_service);
  index_.Touch(At(2));
  index_.Forget(At(2));
  sources_[2]->entries.clear();
  const auto changes = index_.Take();
  EXPECT_THAT(changes.entries, IsEmpty());
  EXPECT_THAT(changes.sites, ElementsAre(2u));
  EXPECT_THAT(changes.gone, ElementsAre(leaf));
  EXPECT_EQ(index_.entries(), 2u);
}

// Through the manager: of many, what changes is looked at, read and tried, and nothing else.
TEST(CertManagerWork, AChangeIsTheWorkOfOneCertificate) {
  CertificateSites sites;
  constexpr int kMany = 40;
  for (int i = 0; i < kMany; ++i) {
    const std::string name = std::to_string(i) + ".test";
    sites.WriteLineage(sites.dir / name, sites.Leaf({name}));
    sites.AddSite({name}, {sites.dir / name});
  }
  sites.Start();
  const auto is_settled = [&] {
    const auto all = sites.manager->Status();
    return std::all_of(all.begin(), all.end(), [](const CertificateStatus& one) {
      return one.proof == "proved" && !one.clients.empty();
    });
  };
  ASSERT_TRUE(testing::Eventually(sites.loop, is_settled));
  EXPECT_EQ(sites.manager->trials(), static_cast<uint64_t>(kMany));
  const uint64_t looks = sites.manager->looks(), reads = sites.manager->reads();
  const auto untouched = sites.Served("8.test");
  const int publications = sites.publications;

  const testing::Issued renewed = sites.Leaf({"7.test"}, 1);
  sites.WriteLineage(sites.dir / "7.test", renewed);
  ASSERT_TRUE(testing::Eventually(sites.loop, [&] { return sites.Serves("7.test", renewed); }));

  EXPECT_EQ(sites.manager->reads() - reads, 1u);
  EXPECT_EQ(sites.manager->looks() - looks, 1u);
  EXPECT_EQ(sites.publications - publications, 1);
  EXPECT_EQ(sites.manager->trials(), static_cast<uint64_t>(kMany)) << "tried before it was taken";
  EXPECT_EQ(sites.Served("8.test"), untouched) << "the very object";
  ASSERT_TRUE(testing::Eventually(sites.loop, [&] {
    std::error_code error;
    return !std::filesystem::is_empty(sites.dir / "state/proofs", error) && !error;
  }));
  sites.Pass(Millis(1500));  // what was proved is written a second later

  sites.Start();
  ASSERT_TRUE(testing::Eventually(sites.loop, is_settled));
  EXPECT_EQ(sites.manager->trials(), 0u) << "all was proved by the run before";
}

}  // namespace
}  // namespace genkan::control
