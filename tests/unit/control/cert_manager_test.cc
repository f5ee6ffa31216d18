#include "proxy/control/cert_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::CertificateSites;
using genkan::testing::Eventually;
using genkan::testing::Issued;
using genkan::testing::KeyKind;
using genkan::testing::MakeOcspResponse;
using genkan::testing::OcspOptions;
using genkan::testing::ReplaceFile;
using genkan::testing::TestCa;
using genkan::testing::WriteFile;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
namespace fs = std::filesystem;

TEST(CertManager, PublishesBeforeApplyReturns) {
  CertificateSites sites;
  Issued leaf = sites.Leaf({"a.test"});
  sites.WriteLineage(sites.dir / "a", leaf);
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.AddSite({"b.test"}, {sites.dir / "b"});

  sites.Start();

  EXPECT_TRUE(sites.Serves("a.test", leaf));
  EXPECT_EQ(sites.Served("a.test")->chain().size(), 2u);
  EXPECT_EQ(sites.Served("b.test"), nullptr);
  EXPECT_TRUE(sites.is_ready) << "no staple to wait for";
  EXPECT_EQ(sites.publications, 1);
  EXPECT_EQ(sites.Logged("cert_missing"), 1u);
  auto status = sites.manager->Status();
  ASSERT_THAT(status, SizeIs(2));
  EXPECT_TRUE(status[0].is_in_service);
  EXPECT_TRUE(status[0].is_chain_complete);
  EXPECT_EQ(status[0].serial, leaf.certificate->serial_hex());
  EXPECT_EQ(status[0].staple, "not offered by the CA");
  EXPECT_THAT(status[0].findings, IsEmpty());
  EXPECT_FALSE(status[1].is_in_service);
  EXPECT_THAT(status[1].last_refusal, HasSubstr("No such file"));
}

TEST(CertManager, TakesARenewedPairWithoutASignal) {
  CertificateSites sites;
  sites.WriteLineage(sites.dir / "a", sites.Leaf({"a.test"}));
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();

  Issued renewed = sites.Leaf({"a.test"}, 1);
  sites.WriteLineage(sites.dir / "a", renewed);

  EXPECT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("a.test", renewed); }));
  EXPECT_EQ(sites.Logged("cert_swapped"), 1u);
  EXPECT_EQ(sites.StatusOf("a.test").swaps, 1u);
  EXPECT_EQ(sites.Refusal("a.test"), "");
}

TEST(CertManager, TakesCertbotsSymlinkFlip) {
  CertificateSites sites;
  Issued first = sites.Leaf({"a.test"}), second = sites.Leaf({"a.test"}, 1);
  const char* names[] = {"cert", "chain", "fullchain", "privkey"};
  auto write = [&](const Issued& leaf, int number) {
    for (std::string name : names) {
      std::string text = name == "cert"        ? leaf.pem()
                         : name == "chain"     ? sites.ca.intermediate().pem()
                         : name == "fullchain" ? sites.ca.FullChainPem(leaf)
                                               : leaf.key_pem();
      WriteFile(sites.dir / ("archive/a.test/" + name + std::to_string(number) + ".pem"), text);
    }
    fs::create_directories(sites.dir / "live/a.test");
    for (std::string name : names) {
      fs::path link = sites.dir / ("live/a.test/" + name + ".pem");
      fs::remove(link);
      fs::create_symlink("../../archive/a.test/" + name + std::to_string(number) + ".pem", link);
    }
  };
  write(first, 1);
  sites.AddSite({"a.test"}, {sites.dir / "live/a.test"});
  sites.Start();
  ASSERT_TRUE(sites.Serves("a.test", first));

  write(second, 2);

  EXPECT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("a.test", second); }));
}

TEST(CertManager, ServesTheOldOneThroughAMismatchWindow) {
  CertificateSites sites;
  Issued first = sites.Leaf({"a.test"}), second = sites.Leaf({"a.test"}, 1);
  WriteFile(sites.dir / "a/fullchain.pem", sites.ca.FullChainPem(first));
  WriteFile(sites.dir / "a/privkey.pem", first.key_pem());
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();

  ReplaceFile(sites.dir / "a/fullchain.pem", sites.ca.FullChainPem(second));
  ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Refusal("a.test") != ""; }));
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("does not match"));
  EXPECT_TRUE(sites.Serves("a.test", first));
  EXPECT_EQ(sites.publications, 1);
  ReplaceFile(sites.dir / "a/privkey.pem", second.key_pem());

  EXPECT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("a.test", second); }));
  EXPECT_EQ(sites.Refusal("a.test"), "");
  EXPECT_EQ(sites.Logged("cert_refused"), 1u);
}

// Each breaks the files in another way: the old one stays, the reason is told once, good files that
// follow are taken.
TEST(CertManager, BadFilesKeepTheOldOne) {
  struct Case {
    const char* what;
    std::function<void(CertificateSites&, const Issued& renewed)> ruin;
    const char* words;
  };
  const Case cases[] = {
      {"truncated",
       [](CertificateSites& sites, const Issued& renewed) {
         WriteFile(sites.dir / "a/fullchain.pem", sites.ca.FullChainPem(renewed).substr(0, 400));
       },
       "fullchain.pem"},
      {"empty",
       [](CertificateSites& sites, const Issued&) { WriteFile(sites.dir / "a/privkey.pem", ""); },
       "privkey.pem: empty"},
      {"garbage",
       [](CertificateSites& sites, const Issued&) {
         WriteFile(sites.dir / "a/fullchain.pem", "\x01\x02garbage");
       },
       "fullchain.pem"},
      {"removed", [](CertificateSites& sites, const Issued&) { fs::remove_all(sites.dir / "a"); },
       "No such file"},
      {"dangling",
       [](CertificateSites& sites, const Issued&) {
         fs::remove(sites.dir / "a/privkey.pem");
         fs::create_symlink("nowhere.pem", sites.dir / "a/privkey.pem");
       },
       "no private key"},
      {"a directory in its place",
       [](CertificateSites& sites, const Issued&) {
         fs::remove(sites.dir / "a/fullchain.pem");
         fs::create_directories(sites.dir / "a/fullchain.pem");
       },
       "no certificate"},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.what);
    CertificateSites sites;
    Issued first = sites.Leaf({"a.test"}), second = sites.Leaf({"a.test"}, 1);
    WriteFile(sites.dir / "a/fullchain.pem", sites.ca.FullChainPem(first));
    WriteFile(sites.dir / "a/privkey.pem", first.key_pem());
    sites.AddSite({"a.test"}, {sites.dir / "a"});
    sites.Start();
    ASSERT_TRUE(sites.Serves("a.test", first));

    one.ruin(sites, second);
    ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Refusal("a.test") != ""; }));
    EXPECT_THAT(sites.Refusal("a.test"), HasSubstr(one.words));
    sites.Pass(Millis(50));
    EXPECT_TRUE(sites.Serves("a.test", first));
    EXPECT_EQ(sites.Logged("cert_refused"), 1u);

    fs::remove_all(sites.dir / "a");
    WriteFile(sites.dir / "a/fullchain.pem", sites.ca.FullChainPem(second));
    WriteFile(sites.dir / "a/privkey.pem", second.key_pem());
    EXPECT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("a.test", second); }));
    EXPECT_EQ(sites.Refusal("a.test"), "");
  }
}

TEST(CertManager, ALineageThatComesLaterIsTaken) {
  CertificateSites sites;
  sites.AddSite({"a.test"}, {sites.dir / "live/a.test"});
  sites.Start();
  EXPECT_EQ(sites.Served("a.test"), nullptr);

  Issued leaf = sites.Leaf({"a.test"});
  fs::create_directories(sites.dir / "live/a.test");
  sites.WriteLineage(sites.dir / "live/a.test", leaf);

  EXPECT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("a.test", leaf); }));
  EXPECT_EQ(sites.StatusOf("a.test").swaps, 0u);
}

TEST(CertManager, AGlobTakesNewFilesAndKeepsVanishedOnesUntilAReload) {
  CertificateSites sites;
  Issued a = sites.Leaf({"a.test"}), b = sites.Leaf({"b.test"});
  WriteFile(sites.dir / "c/a.pem", sites.ca.FullChainPem(a) + a.key_pem());
  sites.AddSite({"a.test", "b.test"}, {sites.dir / "c/*.pem"});
  sites.Start();
  ASSERT_TRUE(sites.Serves("a.test", a));

  WriteFile(sites.dir / "c/b.pem", sites.ca.FullChainPem(b) + b.key_pem());
  ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Serves("b.test", b); }));

  fs::remove(sites.dir / "c/a.pem");
  ASSERT_TRUE(Eventually(sites.loop, [&] { return sites.Refusal("a.test") != ""; }));
  EXPECT_TRUE(sites.Serves("a.test", a));
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(sites.Serves("a.test", b)) << "the only one left";
  EXPECT_THAT(sites.manager->Status(), SizeIs(1));
}

TEST(CertManager, RefusesAnOlderOneUnlessForced) {
  CertificateSites sites;
  Issued first = sites.Leaf({"a.test"}, 5), older = sites.Leaf({"a.test"}, 1);
  sites.WriteLineage(sites.dir / "a", first);
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();

  sites.WriteLineage(sites.dir / "a", older);
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(sites.Serves("a.test", first));
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("older"));

  sites.manager->ReadAgain(true);
  EXPECT_TRUE(sites.Serves("a.test", older));
  EXPECT_THAT(sites.barred, ElementsAre(first.certificate->sha256()))
      << "its sessions do not resume";
  EXPECT_EQ(sites.Logged("cert_taken_anyway"), 1u);
}

TEST(CertManager, RefusesWhatNoHandshakeSucceedsWithForcedOrNot) {
  CertificateSites sites;
  Issued first = sites.Leaf({"a.test"}), second = sites.Leaf({"a.test"}, 1);
  second.key = genkan::testing::KeyThatLies(*second.key);
  sites.WriteLineage(sites.dir / "a", first);
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();

  sites.WriteLineage(sites.dir / "a", second);
  sites.manager->ReadAgain(false);
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("no handshake succeeds"));
  sites.manager->ReadAgain(true);

  EXPECT_TRUE(sites.Serves("a.test", first));
  EXPECT_EQ(sites.Logged("cert_refused"), 1u);
  EXPECT_EQ(sites.LoggedText("cert_refused").find("--force"), std::string::npos)
      << "it would not help";
}

TEST(CertManager, RefusesToLoseClientsAndTakesTheNextGoodOne) {
  CertificateSites sites;
  Issued first = sites.Leaf({"a.test"}), third = sites.Leaf({"a.test"}, 2);
  CertificateOptions options = sites.Leaf({"a.test"}, 1).options;
  options.extended_key_usage = "clientAuth";
  options.serial = 0;
  Issued second = sites.ca.LeafWith(options);
  sites.WriteLineage(sites.dir / "a", first);
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  sites.Start();

  sites.WriteLineage(sites.dir / "a", second);
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(sites.Serves("a.test", first));
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("clients that take the one in service"));
  EXPECT_THAT(sites.LoggedText("cert_refused"), HasSubstr("genkan reload --force"));

  sites.WriteLineage(sites.dir / "a", third);
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(sites.Serves("a.test", third));
  auto status = sites.StatusOf("a.test");
  EXPECT_EQ(status.last_refusal, "") << "none stands";
  EXPECT_EQ(status.refusals, 1u);
  EXPECT_THAT(status.refused_last, HasSubstr("unsuitable certificate purpose"));
  EXPECT_NE(status.refused_last_at, WallTime{});
}

TEST(CertManager, RefusesToLoseANameOfTheSite) {
  CertificateSites sites;
  Issued first = sites.Leaf({"a.test", "www.a.test"}), second = sites.Leaf({"a.test"}, 1);
  sites.WriteLineage(sites.dir / "a", first);
  sites.AddSite({"a.test", "www.a.test"}, {sites.dir / "a"});
  sites.Start();

  sites.WriteLineage(sites.dir / "a", second);
  sites.manager->ReadAgain(false);

  EXPECT_TRUE(sites.Serves("a.test", first));
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("does not cover www.a.test"));
}

TEST(CertManager, RefusesToLoseTheIntermediate) {
  CertificateSites sites;
  Issued first = sites.Leaf({"a.test"}), second = sites.Leaf({"a.test"}, 1);
  WriteFile(sites.dir / "a.pem", sites.ca.FullChainPem(first) + first.key_pem());
  sites.AddSite({"a.test"}, {sites.dir / "a.pem"});
  sites.Start();

  ReplaceFile(sites.dir / "a.pem", second.pem() + second.key_pem());
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(sites.Serves("a.test", first));
  EXPECT_THAT(sites.Refusal("a.test"), HasSubstr("incomplete"));

  sites.config.certificates.incomplete_at_swap = "serve";
  sites.manager->Apply(sites.MakeSnapshot(), {});
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(sites.Serves("a.test", second));
  EXPECT_THAT(sites.StatusOf("a.test").findings, Contains(HasSubstr("incomplete")));
}

TEST(CertManager, AnIncompleteChainAtStartIsServedOrRefused) {
  for (std::string policy : {"serve", "refuse"}) {
    CertificateSites sites;
    Issued leaf = sites.Leaf({"a.test"});
    WriteFile(sites.dir / "a.pem", leaf.pem() + leaf.key_pem());
    sites.AddSite({"a.test"}, {sites.dir / "a.pem"});
    sites.config.certificates.incomplete_at_start = policy;

    sites.Start();

    EXPECT_EQ(sites.Serves("a.test", leaf), policy == "serve") << policy;
    EXPECT_EQ(sites.Logged("cert_incomplete"), policy == "serve" ? 1u : 0u);
    EXPECT_THAT(sites.StatusOf("a.test").findings, Contains(HasSubstr("incomplete")));
  }
}

TEST(CertManager, ServesRsaAndEcdsaOfOneSite) {
  CertificateSites sites;
  Issued ecdsa = sites.Leaf({"a.test"}), rsa = sites.Leaf({"a.test"}, 0, KeyKind::kRsa);
  sites.WriteLineage(sites.dir / "ecdsa", ecdsa);
  sites.WriteLineage(sites.dir / "rsa", rsa);
  sites.AddSite({"a.test"}, {sites.dir / "ecdsa", sites.dir / "rsa"});
  sites.Start();

  EXPECT_TRUE(sites.Served("a.test", true)->leaf().is_ecdsa());
  EXPECT_TRUE(sites.Served("a.test", false)->leaf().is_rsa());

  Issued renewed = sites.Leaf({"a.test"}, 1, KeyKind::kRsa);
  sites.WriteLineage(sites.dir / "rsa", renewed);
  EXPECT_TRUE(Eventually(sites.loop, [&] {
    return sites.Served("a.test", false)->leaf().sha256() == renewed.certificate->sha256();
  }));
  EXPECT_TRUE(sites.Serves("a.test", ecdsa)) << "the other one is not touched";
}

TEST(CertManager, WarnsInTheWordsThatPeopleSearchFor) {
  CertificateSites sites;
  auto hours = [&](int count) { return sites.clock->Wall() + std::chrono::hours(count); };
  auto add = [&](const std::string& name, CertificateOptions options) {
    options.names = {name};
    Issued leaf = sites.ca.LeafWith(options);
    WriteFile(sites.dir / (name + ".pem"), sites.ca.FullChainPem(leaf) + leaf.key_pem());
    sites.AddSite({name, "www." + name}, {sites.dir / (name + ".pem")});
  };
  add("expired.test", {.not_before = hours(-2000), .not_after = hours(-1)});
  add("late.test", {.not_before = hours(-70 * 24), .not_after = hours(20 * 24 + 1)});
  add("verylate.test", {.not_before = hours(-88 * 24), .not_after = hours(49)});
  add("short.test", {.not_before = hours(-1), .not_after = hours(6 * 24)});
  add("staple.test", {.must_staple = true});

  sites.Start();

  auto findings = [&](const char* site) { return sites.StatusOf(site).findings; };
  EXPECT_THAT(findings("expired.test"), Contains(HasSubstr("expired on")));
  EXPECT_TRUE(sites.StatusOf("expired.test").is_in_service) << "a refusal would help nobody";
  EXPECT_THAT(findings("late.test"), Contains(HasSubstr("expires in 20 days")));
  EXPECT_THAT(findings("verylate.test"), Contains(HasSubstr("expires in 2 days")));
  EXPECT_THAT(findings("short.test"), ElementsAre("does not cover www.short.test"));
  EXPECT_THAT(findings("staple.test"), Contains(HasSubstr("must-staple")));
  auto codes = [&](const char* site) { return sites.StatusOf(site).finding_codes; };
  EXPECT_THAT(codes("expired.test"), Contains("LEAF_EXPIRED"));
  EXPECT_THAT(codes("late.test"), Contains("LEAF_EXPIRES_SOON"));
  EXPECT_THAT(codes("short.test"), ElementsAre("NAME_MISMATCH"));
  EXPECT_THAT(codes("staple.test"), Contains("MUST_STAPLE_WITHOUT_RESPONDER"));
  auto level = [&](std::string_view event, std::string_view site) {
    for (const auto& line : sites.LogLines()) {
      if (line.event == event && line.text.find(site) != std::string::npos) return line.level;
    }
    return LogLevel::kOff;
  };
  EXPECT_EQ(level("cert_expired", "expired.test"), LogLevel::kError);
  EXPECT_EQ(level("cert_expires", "=late.test"), LogLevel::kWarn);
  EXPECT_EQ(level("cert_expires", "verylate.test"), LogLevel::kError);
}

// The bytes decide, not the path: what is the same is not parsed again, what is not is.
TEST(CertManager, AReloadTakesOtherRootsOfTheSameFile) {
  CertificateSites sites;
  const std::string roots = sites.dir / "roots.pem";
  sites.WriteLineage(sites.dir / "a", sites.Leaf({"a.test"}));
  sites.AddSite({"a.test"}, {sites.dir / "a"});
  const auto is_trusted = [&] {
    const auto clients = sites.StatusOf("a.test").clients;
    return !clients.empty() && std::all_of(clients.begin(), clients.end(), [](const auto& client) {
      return client.is_accepted;
    });
  };
  ReplaceFile(roots, TestCa("Others").root().pem());
  sites.Start();
  EXPECT_FALSE(is_trusted());

  ReplaceFile(roots, sites.ca.root().pem());
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(is_trusted());
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(is_trusted());

  // What cannot be read is told each time, and what was known stays.
  fs::remove(roots);
  sites.manager->ReadAgain(false);
  sites.manager->ReadAgain(false);
  EXPECT_TRUE(is_trusted());
  EXPECT_EQ(sites.Logged("trust_store"), 2u);

  ReplaceFile(roots, TestCa("Others").root().pem());
  sites.manager->ReadAgain(false);
  EXPECT_FALSE(is_trusted());
}

TEST(CertManager, AReloadKeepsWhatStaysAndDropsTheRest) {
  CertificateSites sites;
  Issued a = sites.Leaf({"a.test"}), b = sites.Leaf({"b.test"}), c = sites.Leaf({"c.test"});
  for (const auto* leaf : {&a, &b, &c})
    sites.WriteLineage(sites.dir / leaf->options.names[0], *leaf);
  sites.AddSite({"a.test"}, {sites.dir / "a.test"});
  sites.AddSite({"b.test"}, {sites.dir / "b.test"});
  sites.Start();
  auto served = sites.Served("b.test");

  sites.config.sites.clear();
  sites.AddSite({"c.test"}, {sites.dir / "c.test"});
  sites.AddSite({"b.test"}, {sites.dir / "b.test"});
  bool is_applied = false;
  sites.manager->Apply(sites.MakeSnapshot(), [&] { is_applied = true; });

  EXPECT_TRUE(is_applied);
  EXPECT_EQ(sites.Served("b.test"), served) << "the same object";
  EXPECT_EQ(sites.store->Find("b.test", true, true).site, 1u);
  EXPECT_TRUE(sites.Serves("c.test", c));
  EXPECT_FALSE(sites.store->Find("a.test", true, true).is_known);
}

// ---- watchers
// ------------------------------------------------------------------------------------------------------

// Hands out what the test puts in.
struct Script {
  std::vector<CertificateView> seen;
  std::vector<std::function<void()>> releases;
  std::vector<std::string> gone, timers;
  CertificateEnv* env = nullptr;
  bool releases_at_once = true;
};

class ScriptedWatcher final : public CertificateWatcher {
 public:
  explicit ScriptedWatcher(Script& script) : script_(script) {}
  void OnBundle(CertificateEnv& env, const CertificateView& certificate,
                std::function<void()> release) override {
    script_.env = &env;
    script_.seen.push_back(certificate);
    if (script_.releases_at_once) return release();
    script_.releases.push_back(std::move(release));
  }
  void OnTimer(CertificateEnv&, const CertificateView& certificate) override {
    script_.timers.push_back(certificate.sha256_hex);
  }
  void OnGone(CertificateEnv&, std::string_view sha256_hex) override {
    script_.gone.emplace_back(sha256_hex);
  }

 private:
  Script& script_;
};

std::vector<std::unique_ptr<CertificateWatcher>> Watchers(Script& script) {
  std::vector<std::unique_ptr<CertificateWatcher>> watchers;
  watchers.push_back(std::make_unique<ScriptedWatcher>(script));
  return watchers;
}

class StapledSites : public ::testing::Test {
 protected:
  Issued Stapled(int generation, bool must_staple = false) {
    CertificateOptions options = sites_.Leaf({"a.test"}, generation).options;
    options.ocsp_urls = {"http://127.0.0.1:1/"};
    options.must_staple = must_staple;
    options.serial = 0;
    return sites_.ca.LeafWith(options);
  }
  std::string Good(const Issued& leaf) { return MakeOcspResponse(*leaf, sites_.ca.intermediate()); }

  CertificateSites sites_;
  Script script_;
};

TEST_F(StapledSites, ReadyWaitsForTheFirstStaple) {
  Issued leaf = Stapled(0);
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  script_.releases_at_once = false;
  sites_.Start(Watchers(script_));
  EXPECT_FALSE(sites_.is_ready);
  EXPECT_TRUE(sites_.Serves("a.test", leaf));
  EXPECT_EQ(sites_.StatusOf("a.test").staple, "waiting");
  ASSERT_THAT(script_.seen, SizeIs(1));
  EXPECT_EQ(script_.seen[0].issuer_der, sites_.ca.intermediate().certificate->der());

  std::string response = Good(leaf);
  script_.env->AttachStaple(script_.seen[0], response);
  script_.env->Report(script_.seen[0], {"ocsp", "good", ""});
  script_.releases[0]();

  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.is_ready; }));
  EXPECT_EQ(sites_.Served("a.test")->staple()->der, response);
  EXPECT_EQ(sites_.publications, 2) << "one for all three reports";
  EXPECT_THAT(sites_.StatusOf("a.test").staple, HasSubstr("good until"));
  EXPECT_EQ(sites_.StatusOf("a.test").revocation, "good");
}

TEST_F(StapledSites, ReadyDoesNotWaitForever) {
  sites_.WriteLineage(sites_.dir / "a", Stapled(0));
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.config.ocsp.first_response_wait = Millis(50);
  script_.releases_at_once = false;
  sites_.Start(Watchers(script_));
  EXPECT_FALSE(sites_.is_ready);
  EXPECT_TRUE(Eventually(sites_.loop, [&] { return sites_.is_ready; }));
}

TEST_F(StapledSites, ASwapWaitsForItsStaple) {
  Issued first = Stapled(0), second = Stapled(1);
  sites_.WriteLineage(sites_.dir / "a", first);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.Start(Watchers(script_));
  script_.releases_at_once = false;

  sites_.WriteLineage(sites_.dir / "a", second);
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return script_.seen.size() == 2; }));
  sites_.Pass(Millis(50));
  EXPECT_TRUE(sites_.Serves("a.test", first));
  EXPECT_THAT(script_.gone, IsEmpty());

  script_.env->AttachStaple(script_.seen[1], Good(second));
  script_.releases[0]();
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.Serves("a.test", second); }));
  EXPECT_TRUE(sites_.Served("a.test")->staple()) << "from its first handshake on";
  EXPECT_THAT(script_.gone, ElementsAre(first.certificate->sha256_hex()));
}

TEST_F(StapledSites, AMustStapleLeafWaitsAlthoughItIsReleased) {
  Issued first = Stapled(0), second = Stapled(1, true);
  sites_.WriteLineage(sites_.dir / "a", first);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.Start(Watchers(script_));

  sites_.WriteLineage(sites_.dir / "a", second);
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return script_.seen.size() == 2; }));
  sites_.Pass(Millis(50));
  EXPECT_TRUE(sites_.Serves("a.test", first));

  script_.env->AttachStaple(script_.seen[1], Good(second));
  EXPECT_TRUE(Eventually(sites_.loop, [&] { return sites_.Serves("a.test", second); }));
}

TEST_F(StapledSites, ARevokedCandidateIsRefused) {
  Issued first = Stapled(0), second = Stapled(1);
  sites_.WriteLineage(sites_.dir / "a", first);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.Start(Watchers(script_));
  script_.releases_at_once = false;

  sites_.WriteLineage(sites_.dir / "a", second);
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return script_.seen.size() == 2; }));
  script_.env->Report(script_.seen[1], {"ocsp", "revoked", "keyCompromise"});
  script_.releases[0]();

  ASSERT_TRUE(Eventually(sites_.loop, [&] { return sites_.Refusal("a.test") != ""; }));
  EXPECT_THAT(sites_.Refusal("a.test"), HasSubstr("revoked"));
  EXPECT_TRUE(sites_.Serves("a.test", first));
}

TEST_F(StapledSites, ARevokedLeafIsBarredAndGivesWayToAnything) {
  Issued first = Stapled(3), older = Stapled(1);
  sites_.WriteLineage(sites_.dir / "a", first);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.Start(Watchers(script_));
  script_.env->AttachStaple(script_.seen[0], Good(first));
  ASSERT_TRUE(
      Eventually(sites_.loop, [&] { return sites_.Served("a.test")->staple() != nullptr; }));

  script_.env->AttachStaple(script_.seen[0], "");
  script_.env->Report(script_.seen[0], {"ocsp", "revoked", "keyCompromise"});
  ASSERT_TRUE(Eventually(sites_.loop, [&] { return !sites_.barred.empty(); }));
  EXPECT_THAT(sites_.barred, ElementsAre(first.certificate->sha256()));
  EXPECT_EQ(sites_.Served("a.test")->staple(), nullptr);
  EXPECT_EQ(sites_.StatusOf("a.test").revocation, "revoked");

  sites_.WriteLineage(sites_.dir / "a", older);
  EXPECT_TRUE(Eventually(sites_.loop, [&] { return sites_.Serves("a.test", older); }));
  EXPECT_THAT(sites_.barred, ElementsAre(first.certificate->sha256())) << "still";
}

TEST_F(StapledSites, OnlyAGoodResponseForThisLeafIsAttached) {
  Issued leaf = Stapled(0), other = Stapled(1);
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.Start(Watchers(script_));
  OcspOptions revoked;
  revoked.state = V_OCSP_CERTSTATUS_REVOKED;

  for (const std::string& response :
       {Good(other), MakeOcspResponse(*leaf, sites_.ca.intermediate(), revoked),
        std::string("garbage")}) {
    script_.env->AttachStaple(script_.seen[0], response);
    sites_.loop.RunOnce();
    EXPECT_EQ(sites_.Served("a.test")->staple(), nullptr);
  }
}

TEST_F(StapledSites, TwoSitesShareALeafUntilTheLastIsGone) {
  Issued leaf = Stapled(0);
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.AddSite({"b.test"}, {sites_.dir / "a"});
  sites_.Start(Watchers(script_));
  ASSERT_THAT(script_.seen, SizeIs(1)) << "asked about once";
  script_.env->AttachStaple(script_.seen[0], Good(leaf));
  sites_.loop.RunOnce();
  EXPECT_TRUE(sites_.Served("a.test")->staple());
  EXPECT_TRUE(sites_.Served("b.test")->staple());
  EXPECT_EQ(sites_.publications, 2);

  sites_.config.sites.pop_back();
  sites_.manager->Apply(sites_.MakeSnapshot(), {});
  EXPECT_THAT(script_.gone, IsEmpty());
  sites_.config.sites.clear();
  sites_.manager->Apply(sites_.MakeSnapshot(), {});
  EXPECT_THAT(script_.gone, SizeIs(1));
}

TEST_F(StapledSites, AWatcherThatIsRemovedTakesItsWordBack) {
  Issued leaf = Stapled(0);
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  Script other;
  sites_.Start(Watchers(script_));
  const size_t number = sites_.manager->AddWatcher(std::make_unique<ScriptedWatcher>(other));
  ASSERT_THAT(other.seen, SizeIs(1)) << "told of what is there";
  script_.env->AttachStaple(script_.seen[0], Good(leaf));
  script_.env->Report(script_.seen[0], {"ocsp", "good"});
  other.env->Report(other.seen[0], {"crl", "revoked", "keyCompromise"});
  sites_.loop.RunOnce();
  ASSERT_EQ(sites_.StatusOf("a.test").revocation, "revoked");

  other.env->CallAgain(other.seen[0], Millis(1));
  sites_.manager->RemoveWatcher(number);
  sites_.loop.RunOnce();
  EXPECT_EQ(sites_.StatusOf("a.test").revocation, "good");
  EXPECT_TRUE(sites_.Served("a.test")->staple());
  sites_.Pass(Millis(20));
  EXPECT_THAT(other.timers, IsEmpty());

  sites_.manager->RemoveWatcher(0);
  sites_.loop.RunOnce();
  EXPECT_EQ(sites_.StatusOf("a.test").revocation, "unknown");
  EXPECT_FALSE(sites_.Served("a.test")->staple());
}

TEST_F(StapledSites, AWatcherThatIsRemovedHoldsNoSwapBack) {
  Issued first = Stapled(0), second = Stapled(1);
  sites_.WriteLineage(sites_.dir / "a", first);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  Script other;
  sites_.Start(Watchers(script_));
  const size_t number = sites_.manager->AddWatcher(std::make_unique<ScriptedWatcher>(other));
  other.releases_at_once = false;
  sites_.WriteLineage(sites_.dir / "a", second);
  ASSERT_TRUE(Eventually(
      sites_.loop, [&] { return !other.releases.empty(); }, Millis(60'000)));
  EXPECT_TRUE(sites_.Serves("a.test", first));
  sites_.manager->RemoveWatcher(number);
  EXPECT_TRUE(Eventually(
      sites_.loop, [&] { return sites_.Serves("a.test", second); }, Millis(60'000)));
}

// ---- what state_dir remembers

TEST_F(StapledSites, AReloadRemovesWhatIsRememberedOfOthers) {
  Issued first = Stapled(0), second = Stapled(1);
  sites_.WriteLineage(sites_.dir / "a", first);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.Start(Watchers(script_));
  auto path = [&](const std::string& folder, const Issued& leaf) {
    return sites_.dir / ("state/" + folder + "/" + leaf.certificate->sha256_hex());
  };
  for (const Issued* leaf : {&first, &second}) {
    for (const char* folder : {"ocsp", "ari"})
      sites_.state->Save(folder, leaf->certificate->sha256_hex(), "x");
  }
  const std::string list = sites_.dir / ("state/crl/" + std::string(64, 'a'));
  WriteFile(list, "a list that nobody names");
  auto apply = [&] {
    sites_.manager->Apply(sites_.MakeSnapshot(), {});
    sites_.loop.RunOnce();
  };
  // The trial of the first one is made in the background.
  ASSERT_TRUE(Eventually(
      sites_.loop, [&] { return sites_.StatusOf("a.test").proof == "proved"; }, Millis(60'000)));
  apply();
  for (const char* folder : {"ocsp", "ari"}) {
    EXPECT_TRUE(std::filesystem::exists(path(folder, first))) << folder;
    EXPECT_FALSE(std::filesystem::exists(path(folder, second))) << folder;
  }
  EXPECT_FALSE(std::filesystem::exists(list));
  EXPECT_EQ(sites_.Logged("state_swept"), 1u);
  apply();
  EXPECT_EQ(sites_.Logged("state_swept"), 1u) << "nothing is left to remove";
}

TEST_F(StapledSites, WhileACertificateIsInTroubleNothingIsRemoved) {
  Issued leaf = Stapled(0);
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.AddSite({"b.test"}, {sites_.dir / "b"});
  sites_.Start(Watchers(script_));
  ASSERT_TRUE(Eventually(
      sites_.loop, [&] { return sites_.StatusOf("a.test").proof == "proved"; }, Millis(60'000)));
  // It may be of what b.test has where it is found again.
  sites_.state->Save("ocsp", std::string(64, 'b'), "x");
  sites_.manager->Apply(sites_.MakeSnapshot(), {});
  sites_.loop.RunOnce();
  EXPECT_EQ(sites_.state->Load("ocsp", std::string(64, 'b')), "x");

  sites_.config.sites.pop_back();
  sites_.manager->Apply(sites_.MakeSnapshot(), {});
  sites_.loop.RunOnce();
  EXPECT_EQ(sites_.state->Load("ocsp", std::string(64, 'b')), "");
}

TEST_F(StapledSites, TimersCallTheirWatcherAgain) {
  Issued leaf = Stapled(0);
  sites_.WriteLineage(sites_.dir / "a", leaf);
  sites_.AddSite({"a.test"}, {sites_.dir / "a"});
  sites_.Start(Watchers(script_));
  script_.env->CallAgain(script_.seen[0], Millis(60'000));
  script_.env->CallAgain(script_.seen[0], Millis(1));
  EXPECT_TRUE(Eventually(sites_.loop, [&] { return script_.timers.size() == 1; }));
  EXPECT_EQ(script_.timers[0], leaf.certificate->sha256_hex());
}

}  // namespace
}  // namespace genkan::control
