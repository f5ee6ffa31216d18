// What serves before it had its trial: proved in the background, known at the next start, and out
// of service where nobody gets through with it.
#include "proxy/control/cert_prover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateSites;
using genkan::testing::Eventually;
using genkan::testing::Issued;
using genkan::testing::KeyThatLies;
using genkan::testing::ReadFile;
using genkan::testing::WriteFile;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

bool IsProved(const CertificateSites& sites, std::string_view site) {
  return sites.StatusOf(site).proof == "proved";
}

std::vector<fs::path> FilesIn(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& one : fs::directory_iterator(folder, error)) files.push_back(one.path());
  return files;
}

bool HasLastGood(const CertificateSites& sites) {
  std::error_code error;
  for (const auto& one : fs::recursive_directory_iterator(sites.dir / "state/last_good", error)) {
    if (one.path().extension() == ".pem") return true;
  }
  return false;
}

TEST(CertProver, AStartServesAtOnceAndTheNextOneKnows) {
  CertificateSites sites;
  Issued leaf = sites.Leaf({"a.test"});
  sites.WriteLineage(sites.dir / "a", leaf);
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();
  EXPECT_TRUE(sites.Serves("a.test", leaf));
  EXPECT_EQ(sites.StatusOf("a.test").proof, "proving");

  ASSERT_TRUE(Eventually(sites.loop, [&] { return IsProved(sites, "a.test"); }));
  for (const auto& client : sites.StatusOf("a.test").clients)
    EXPECT_TRUE(client.is_accepted) << client.client << ": every kind has the test's root";
  ASSERT_TRUE(
      Eventually(sites.loop, [&] { return FilesIn(sites.dir / "state/proofs").size() == 1; }));
  sites.Start();

  EXPECT_EQ(sites.StatusOf("a.test").proof, "proved") << "without a turn of the loop";
}

TEST(CertProver, ABrokenFileOfProofsAndAnotherTrustStoreProveNothing) {
  CertificateSites sites;
  sites.WriteLineage(sites.dir / "a", sites.Leaf({"a.test"}));
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();
  ASSERT_TRUE(
      Eventually(sites.loop, [&] { return FilesIn(sites.dir / "state/proofs").size() == 1; }));
  const fs::path file = FilesIn(sites.dir / "state/proofs").front();
  const std::string whole = ReadFile(file);
  for (const std::string& broken : {std::string(), whole.substr(0, 20), "x" + whole}) {
    sites.manager.reset();
    WriteFile(file, broken);
    sites.Start();
    EXPECT_EQ(sites.StatusOf("a.test").proof, "proving") << broken.size();
  }

  sites.manager.reset();
  WriteFile(file, whole);
  WriteFile(sites.dir / "roots.pem",
            sites.ca.root().pem() + genkan::testing::TestCa("x").root().pem());
  sites.Start();
  EXPECT_EQ(sites.StatusOf("a.test").proof, "proving");
}

TEST(CertProver, AKeyThatDoesNotSignGoesOutOfService) {
  CertificateSites sites;
  Issued leaf = sites.Leaf({"a.test"}), good = sites.Leaf({"a.test"}, 1);
  leaf.key = KeyThatLies(*leaf.key);
  sites.WriteLineage(sites.dir / "a", leaf);
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();

  ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Served("a.test") == nullptr; }));
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("no handshake succeeds"));
  sites.manager->ReadAgain(false);
  EXPECT_EQ(sites.Served("a.test"), nullptr) << "it is known by now";
  EXPECT_FALSE(HasLastGood(sites));

  sites.WriteLineage(sites.dir / "a", good);
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(sites.Serves("a.test", good));
}

TEST(CertProver, AKeyThatDoesNotSignGivesWayToTheLastGood) {
  CertificateSites sites;
  Issued good = sites.Leaf({"a.test"}), bad = sites.Leaf({"a.test"}, 1);
  bad.key = KeyThatLies(*bad.key);
  sites.WriteLineage(sites.dir / "a", good);
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();
  ASSERT_TRUE(Eventually(sites.loop, [&] { return HasLastGood(sites); }));
  sites.manager.reset();

  sites.WriteLineage(sites.dir / "a", bad);
  sites.Start();

  ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("a.test", good); }));
  EXPECT_EQ(sites.Logged("cert_last_good"), 1u);
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("no handshake succeeds"));
}

TEST(CertProver, AStartWritesTheLastGoodWhereItIsAnotherOrGoneAndLeavesItAloneWhereItIsTheSame) {
  CertificateSites sites;
  constexpr int kMany = 12;  // read by several threads
  for (int i = 0; i < kMany; ++i) {
    const std::string name = std::to_string(i) + ".test";
    sites.WriteLineage(sites.dir / name, sites.Leaf({name}));
    sites.AddSite({name}, {sites.dir / name});
  }
  const auto kept = [&] {
    std::vector<fs::path> files;
    std::error_code error;
    for (const auto& one : fs::recursive_directory_iterator(sites.dir / "state/last_good", error)) {
      if (one.path().extension() == ".pem") files.push_back(one.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  };
  sites.Start();
  ASSERT_TRUE(Eventually(sites.loop, [&] { return kept().size() == kMany; }));
  ASSERT_TRUE(
      Eventually(sites.loop, [&] { return FilesIn(sites.dir / "state/proofs").size() == 1; }));
  const std::vector<fs::path> files = kept();
  const std::string first = ReadFile(files[0]);
  struct stat before {};
  ASSERT_EQ(stat(files[2].c_str(), &before), 0);
  sites.manager.reset();
  fs::remove(files[0]);
  WriteFile(files[1], "not a certificate");

  sites.Start();
  for (int i = 0; i < kMany; ++i) EXPECT_TRUE(IsProved(sites, std::to_string(i) + ".test"));

  ASSERT_TRUE(Eventually(sites.loop, [&] {
    return kept().size() == kMany && ReadFile(files[0]) == first &&
           ReadFile(files[1]) != "not a certificate";
  }));
  struct stat after {};
  ASSERT_EQ(stat(files[2].c_str(), &after), 0);
  EXPECT_EQ(after.st_ino, before.st_ino);
}

TEST(CertReader, ManyAreReadWithHelpersAndOneThatChangesAlone) {
  CertificateSites sites;
  constexpr int kMany = 24;
  for (int i = 0; i < kMany; ++i) {
    const std::string name = std::to_string(i) + ".test";
    Issued leaf = sites.Leaf({name});
    WriteFile(sites.dir / (name + "/all.pem"), sites.ca.FullChainPem(leaf) + leaf.key_pem());
    sites.AddSite({name}, {sites.dir / name});
  }
  sites.Start();
  EXPECT_EQ(sites.manager->reads(), static_cast<uint64_t>(kMany));
  auto status = sites.manager->Status();
  ASSERT_EQ(status.size(), static_cast<size_t>(kMany));
  for (int i = 0; i < kMany; ++i) {
    EXPECT_EQ(status[static_cast<size_t>(i)].site, std::to_string(i) + ".test");
    EXPECT_TRUE(status[static_cast<size_t>(i)].is_in_service);
  }
  EXPECT_EQ(sites.Served("0.test")->chain()[1], sites.Served("1.test")->chain()[1])
      << "one intermediate for all";

  Issued renewed = sites.Leaf({"7.test"}, 1);
  WriteFile(sites.dir / "new.pem", sites.ca.FullChainPem(renewed) + renewed.key_pem());
  fs::rename(sites.dir / "new.pem", sites.dir / "7.test/all.pem");
  ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("7.test", renewed); }));

  EXPECT_EQ(sites.manager->reads(), kMany + 1u) << "the others' files were not touched";
}

}  // namespace
}  // namespace genkan::control
