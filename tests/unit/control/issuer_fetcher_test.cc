#include "proxy/control/issuer_fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_site.h"
#include "tests/support/scripted_origin.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateSites;
using genkan::testing::Eventually;
using genkan::testing::Issued;
using genkan::testing::MakeIntermediate;
using genkan::testing::MakeLeaf;
using genkan::testing::OriginRequest;
using genkan::testing::ScriptedOrigin;
using genkan::testing::WriteFile;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

std::string Answer(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/pkix-cert\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}
const std::string kNotFound = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

// An authority that says where its certificates are: root <- upper <- lower <- leaf.
struct Published {
  Published()
      : server(ScriptedOrigin::Respond([this](const OriginRequest& request) {
          if (request.target == "/lower.crt") return Answer(lower.certificate->der());
          if (request.target == "/upper.crt") return Answer(upper.certificate->der());
          return kNotFound;
        })) {}

  CertificateSites sites;
  Issued upper = sites.ca.intermediate(), lower;
  ScriptedOrigin server;
  Issued leaf;

  void Issue(const std::string& leaf_url_path = "/lower.crt") {
    lower = MakeIntermediate(
        upper, {.common_name = "Lower", .ca_issuer_urls = {server.url() + "/upper.crt"}});
    leaf = MakeLeaf(lower, {.names = {"a.test"}, .ca_issuer_urls = {server.url() + leaf_url_path}});
  }
  // The leaf alone.
  void Write(const std::string& folder = "a") {
    WriteFile(sites.dir / (folder + "/cert.pem"), leaf.pem());
    WriteFile(sites.dir / (folder + "/privkey.pem"), leaf.key_pem());
  }
  size_t ServedLength() const {
    auto bundle = sites.Served("a.test");
    return bundle ? bundle->chain().size() : 0;
  }
};

TEST(Completion, ServesTheLeafThenWhatItsAddressesLeadTo) {
  Published t;
  t.Issue();
  t.Write();
  t.sites.AddSite({"a.test"}, {t.sites.dir / "a"});
  t.sites.Start();
  EXPECT_TRUE(t.sites.is_ready) << "a fetch holds no start";
  EXPECT_EQ(t.ServedLength(), 1u) << "what is known is served meanwhile";
  EXPECT_EQ(t.sites.Logged("cert_incomplete"), 1u);
  EXPECT_THAT(t.sites.StatusOf("a.test").finding_codes, Contains("CHAIN_MISSING_INTERMEDIATE"));
  EXPECT_THAT(t.sites.StatusOf("a.test").findings, Contains(HasSubstr("it is being fetched from")));

  EXPECT_TRUE(Eventually(t.sites.loop, [&] { return t.ServedLength() == 3; })) << "two hops";
  EXPECT_TRUE(t.sites.StatusOf("a.test").is_chain_complete);
  EXPECT_THAT(t.sites.StatusOf("a.test").findings, IsEmpty());
  EXPECT_EQ(t.server.request_count(), 2u);

  // The next start finds them on the disk.
  t.server.Stop();
  t.sites.Start();
  EXPECT_EQ(t.ServedLength(), 3u);
  EXPECT_THAT(t.sites.StatusOf("a.test").findings, IsEmpty());
}

TEST(Completion, IsNotWantedWhereAiaIsOff) {
  Published t;
  t.Issue();
  t.Write();
  t.sites.config.certificates.aia = false;
  t.sites.AddSite({"a.test"}, {t.sites.dir / "a"});
  t.sites.Start();
  t.sites.Pass(Millis(50));
  EXPECT_EQ(t.ServedLength(), 1u);
  EXPECT_EQ(t.server.connections(), 0u);
  EXPECT_THAT(t.sites.StatusOf("a.test").findings, Contains(HasSubstr("it is at http://")));
}

TEST(Completion, WhatDidNotSignIsNotTaken) {
  Published t;
  t.Issue("/upper.crt");
  t.Write();
  t.sites.AddSite({"a.test"}, {t.sites.dir / "a"});
  t.sites.Start();
  EXPECT_TRUE(Eventually(t.sites.loop, [&] { return t.sites.Logged("aia_failed") == 1; }));
  EXPECT_EQ(t.ServedLength(), 1u);
  EXPECT_THAT(t.sites.StatusOf("a.test").findings, Contains(HasSubstr("did not sign CN=a.test")));
}

TEST(Completion, ASiteThatCannotBeCompletedHoldsNoOther) {
  Published t;
  t.Issue("/nowhere");
  t.Write();
  Issued good = t.sites.Leaf({"b.test"});
  t.sites.WriteLineage(t.sites.dir / "b", good);
  t.sites.AddSite({"a.test"}, {t.sites.dir / "a"});
  t.sites.AddSite({"b.test"}, {t.sites.dir / "b"});
  t.sites.AddSite({"c.test"}, {t.sites.dir / "nothing"});
  t.sites.config.certificates.incomplete_at_start = "refuse";
  t.sites.Start();
  EXPECT_TRUE(t.sites.Serves("b.test", good));
  EXPECT_EQ(t.sites.Served("a.test"), nullptr);
  EXPECT_EQ(t.sites.Served("c.test"), nullptr);
  EXPECT_TRUE(Eventually(t.sites.loop, [&] { return t.sites.Logged("aia_failed") == 1; }));
  EXPECT_TRUE(t.sites.Serves("b.test", good));
}

TEST(Completion, RefusedAtTheStartItIsTakenWhenItIsWhole) {
  Published t;
  t.Issue();
  t.Write();
  t.sites.AddSite({"a.test"}, {t.sites.dir / "a"});
  t.sites.config.certificates.incomplete_at_start = "refuse";
  t.sites.Start();
  EXPECT_EQ(t.sites.Served("a.test"), nullptr);
  EXPECT_THAT(t.sites.Refusal("a.test"), HasSubstr("incomplete_at_start"));
  EXPECT_TRUE(Eventually(t.sites.loop, [&] { return t.ServedLength() == 3; }));
  EXPECT_EQ(t.sites.Refusal("a.test"), "");
}

TEST(Completion, ASwapToALeafAloneWaitsForItsChain) {
  Published t;
  t.Issue();
  Issued before = t.sites.Leaf({"a.test"});
  t.sites.WriteLineage(t.sites.dir / "a", before);
  t.sites.AddSite({"a.test"}, {t.sites.dir / "a"});
  t.sites.Start();
  ASSERT_TRUE(t.sites.Serves("a.test", before));
  for (const char* name : {"chain.pem", "fullchain.pem"})
    std::filesystem::remove(t.sites.dir / ("a/" + std::string(name)));
  t.Write();
  EXPECT_TRUE(Eventually(t.sites.loop, [&] { return t.sites.Serves("a.test", t.leaf); }));
  EXPECT_EQ(t.ServedLength(), 3u) << "never the leaf alone";
  EXPECT_EQ(t.sites.Logged("cert_incomplete"), 0u);
}

TEST(Completion, AChainOfAddressesEnds) {
  Published t;
  std::vector<Issued> ladder = {t.upper};
  ScriptedOrigin server(ScriptedOrigin::Respond([&](const OriginRequest& request) {
    return Answer(ladder.at(std::stoul(request.target.substr(1))).certificate->der());
  }));
  const auto url = [&](size_t rung) {
    return std::vector<std::string>{server.url() + "/" + std::to_string(rung)};
  };
  for (size_t i = 1; i <= 6; ++i)
    ladder.push_back(MakeIntermediate(
        ladder.back(), {.common_name = "L" + std::to_string(i), .ca_issuer_urls = url(i - 1)}));
  t.leaf = MakeLeaf(ladder.back(), {.names = {"a.test"}, .ca_issuer_urls = url(6)});
  t.Write();
  t.sites.AddSite({"a.test"}, {t.sites.dir / "a"});
  t.sites.Start();
  EXPECT_TRUE(Eventually(t.sites.loop, [&] { return t.sites.Logged("aia_failed") == 1; }));
  EXPECT_EQ(server.request_count(), static_cast<size_t>(IssuerFetcher::kMaxHops));
  EXPECT_EQ(t.ServedLength(), 1u + IssuerFetcher::kMaxHops);
  EXPECT_THAT(t.sites.StatusOf("a.test").findings, Contains(HasSubstr("5th fetch")));
}

TEST(Completion, ASpoiltFileOnTheDiskIsFetchedAnew) {
  Published t;
  t.Issue();
  t.Write();
  t.sites.AddSite({"a.test"}, {t.sites.dir / "a"});
  t.sites.Start();
  ASSERT_TRUE(Eventually(t.sites.loop, [&] { return t.ServedLength() == 3; }));
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(t.sites.dir / "state/aia")) {
    WriteFile(entry.path(), "spoilt");
    ++files;
  }
  EXPECT_EQ(files, 2u);
  t.sites.Start();
  EXPECT_TRUE(Eventually(t.sites.loop, [&] { return t.ServedLength() == 3; }));
  EXPECT_EQ(t.server.request_count(), 4u);
}

// A private root that no store has, and a leaf that is its own: said once, no errors.
TEST(Completion, PrivateRootsAndSelfSignedLeavesAreNoErrors) {
  CertificateSites sites;
  const testing::TestCa house("House");
  const Issued below = house.Leaf({"a.test"});
  WriteFile(sites.dir / "a.pem", house.FullChainPem(below) + below.key_pem());
  const Issued with_root = house.Leaf({"b.test"});
  WriteFile(sites.dir / "b.pem",
            house.FullChainPem(with_root) + house.root().pem() + with_root.key_pem());
  const Issued self = testing::MakeSelfSignedLeaf({.names = {"c.test"}});
  WriteFile(sites.dir / "c.pem", self.pem() + self.key_pem());
  for (const char* name : {"a", "b", "c"})
    sites.AddSite({name + std::string(".test")}, {sites.dir / (std::string(name) + ".pem")});
  sites.config.certificates.incomplete_at_start = "refuse";
  sites.Start();
  EXPECT_TRUE(sites.Serves("a.test", below));
  EXPECT_TRUE(sites.Serves("b.test", with_root));
  EXPECT_TRUE(sites.Serves("c.test", self));
  EXPECT_EQ(sites.Logged("cert_private_root"), 2u);
  EXPECT_EQ(sites.Logged("cert_incomplete"), 0u);
  EXPECT_THAT(sites.StatusOf("b.test").findings, Contains(HasSubstr("name it in trust_store")));
  EXPECT_THAT(sites.StatusOf("c.test").findings, IsEmpty());
  sites.manager->ReadAgain(false);
  EXPECT_EQ(sites.Logged("cert_private_root"), 2u) << "once";
}

}  // namespace
}  // namespace genkan::control
