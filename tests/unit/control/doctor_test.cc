#include "proxy/control/diagnosis/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "proxy/control/diagnosis/acme_traces.h"
#include "proxy/control/diagnosis/letter_steps.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::control {
namespace {

using genkan::testing::Issued;
using genkan::testing::TestCa;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const WallTime kNow = ManualClock().Wall();

TEST(ServerTarget, NamesAddressesPortsAndUrls) {
  const struct {
    const char *text, *host;
    int port;
    bool is_address;
  } cases[] = {
      {"example.com", "example.com", 443, false},
      {"Example.COM.:8443", "example.com", 8443, false},
      {"https://example.com/a?b#c", "example.com", 443, false},
      {"https://example.com:444", "example.com", 444, false},
      {"127.0.0.1", "127.0.0.1", 443, true},
      {"127.0.0.1:1", "127.0.0.1", 1, true},
      {"[::1]", "::1", 443, true},
      {"[::1]:8443", "::1", 8443, true},
      {"::1", "::1", 443, true},
      {"xn--r8jz45g.jp:443", "xn--r8jz45g.jp", 443, false},
  };
  for (const auto& c : cases) {
    const auto target = ParseServerTarget(c.text);
    ASSERT_TRUE(target.has_value()) << c.text;
    EXPECT_EQ(target->host, c.host) << c.text;
    EXPECT_EQ(target->port, c.port) << c.text;
    EXPECT_EQ(target->is_address, c.is_address) << c.text;
  }
  for (const char* bad : {"", ":443", "a:", "a:0", "a:65536", "a:x", "a b", "-a", "a;b", "[::1",
                          "[x]:443", "https://", "a:1:2"})
    EXPECT_FALSE(ParseServerTarget(bad).has_value()) << bad;
  EXPECT_THAT(ParseServerTarget("例え.jp").error().detail, HasSubstr("xn--"));
}

TEST(AcmeTraces, RenewalFilesNameTheServer) {
  const RenewalConf conf = ParseRenewalConf(
      "# comment\r\nversion = 0.20.0\r\narchive_dir = /x\r\n[renewalparams]\r\n"
      "server = \"https://acme-v01.api.letsencrypt.org/directory\"\r\n");
  EXPECT_TRUE(conf.is_renewal);
  EXPECT_EQ(conf.version, "0.20.0");
  EXPECT_EQ(conf.server, "https://acme-v01.api.letsencrypt.org/directory");
  EXPECT_TRUE(IsAcmeV1(conf.server));
  EXPECT_FALSE(IsAcmeV1("https://acme-v02.api.letsencrypt.org/directory"));
  EXPECT_FALSE(IsAcmeV1("https://acme.example/v1/directory"));
  EXPECT_FALSE(ParseRenewalConf("#server = x\n[other]\na = b").is_renewal);
  for (const char* old : {"0.20.0", "0.21.1", "0.9"}) EXPECT_TRUE(IsCertbotOfV1(old)) << old;
  for (const char* young : {"0.22.0", "0.31.0", "1.0", "2.1.0", "", "x", "0", "0.x"})
    EXPECT_FALSE(IsCertbotOfV1(young)) << young;
}

TEST(AcmeTraces, LogsAreReadInPiecesOfAnySizeAndLinesOfAnyLength) {
  const std::string log =
      "2020:DEBUG:acme.client:Sending GET request to "
      "https://acme-v02.api.letsencrypt.org/directory.\n" +
      std::string(100'000, 'x') + " Sending GET request to https://far.test/directory\n" +
      "2020:DEBUG:acme.client:Sending GET request to "
      "https://acme-v01.api.letsencrypt.org/directory.\n"
      "2020:DEBUG:acme.client:Sending GET request to "
      "https://acme-v01.api.letsencrypt.org/acme/cert/1.";
  for (const size_t step : {1u, 3u, 100u, 4096u, 1'000'000u}) {
    AcmeLogScanner scanner;
    for (size_t at = 0; at < log.size(); at += step)
      scanner.Feed(std::string_view(log).substr(at, step));
    scanner.End();
    EXPECT_EQ(scanner.last_server(), "https://acme-v01.api.letsencrypt.org/directory") << step;
  }
}

TEST(Letter, OneForAllFindingsHasEachRemedyOnce) {
  const TestCa ca("Letter");
  const Issued leaf = ca.Leaf({"a.test"});
  Examination one;
  one.target = "a.test";
  one.host = "a.test";
  one.port = 443;
  one.is_seen = true;
  one.chains.push_back({"ecdsa", {leaf.certificate}, 1, {}, {}, "", ""});
  one.findings = {MakeFinding(FindingCode::kChainMissingIntermediate, "a.test", ""),
                  MakeFinding(FindingCode::kChainOrder, "a.test", ""),
                  MakeFinding(FindingCode::kLeafExpiresSoon, "a.test", "")};
  const std::string letter = LetterFor(one, one.findings, kNow, Language::kEnglish);
  const auto count = [&](std::string_view word) {
    size_t found = 0;
    for (size_t at = 0; (at = letter.find(word, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  EXPECT_EQ(count("cat server.crt intermediate.crt > fullchain.crt"), 1u) << letter;
  EXPECT_EQ(count("certbot renew --cert-name a.test"), 1u);
  EXPECT_EQ(count("How to see that it worked"), 1u);
  EXPECT_EQ(count("CN=a.test"), 1u + count("issued by: CN=a.test"));
  EXPECT_EQ(LetterFor(one, {}, kNow, Language::kEnglish), "");
}

TEST(Letter, EachFindingHasOneInBothLanguages) {
  Examination one;
  one.target = "a.test";
  one.host = "a.test";
  one.port = 8443;
  for (const FindingCode code : AllFindingCodes()) {
    const Finding finding = MakeFinding(code, "a.test:8443", "why");
    EXPECT_THAT(LetterFor(one, {finding}, kNow, Language::kEnglish),
                AllOf(HasSubstr(std::string(ToString(code))),
                      HasSubstr("genkan doctor a.test:8443"), HasSubstr("Best regards")))
        << ToString(code);
    EXPECT_THAT(LetterFor(one, {finding}, kNow, Language::kJapanese),
                AllOf(HasSubstr(std::string(TitleOf(code, Language::kJapanese))), HasSubstr("件名"),
                      HasSubstr("お世話になっております"), Not(HasSubstr("Best regards"))))
        << ToString(code);
  }
}

TEST(Letter, StrangersTextStaysOutOfCommands) {
  EXPECT_EQ(ShellQuoted("/etc/a-b_c.pem"), "/etc/a-b_c.pem");
  EXPECT_EQ(ShellQuoted("a b"), "'a b'");
  EXPECT_EQ(ShellQuoted("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellQuoted(""), "''");
  EXPECT_EQ(ShellQuoted("-rf"), "'-rf'");
  EXPECT_EQ(UrlForCommand("http://r3.i.lencr.org/"), "http://r3.i.lencr.org/");
  for (const char* bad : {"http://a/$(id)", "http://a/`id`", "http://a/'", "ldap://a/",
                          "file:///etc/passwd", "http://a/;id", "http://a/ b"})
    EXPECT_EQ(UrlForCommand(bad), "") << bad;
  Finding finding = MakeFinding(FindingCode::kChainMissingIntermediate, "a.test", "");
  finding.facts.url = "http://a/$(id)";
  Examination one;
  one.host = "a.test";
  EXPECT_THAT(LetterFor(one, {finding}, kNow, Language::kEnglish), Not(HasSubstr("$(id)")));
}

TEST(DoctorReport, ExitCodesAndJson) {
  DoctorReport report;
  report.at = kNow;
  Examination good;
  good.is_seen = true;
  good.target = "good\xff";
  report.examinations = {good};
  EXPECT_EQ(report.exit_code(), 0);
  EXPECT_EQ(DoctorText(report, Language::kEnglish), "");
  Examination bad = good;
  bad.findings = {MakeFinding(FindingCode::kLeafExpired, "a.test", "")};
  report.examinations.push_back(bad);
  EXPECT_EQ(report.exit_code(), 1);
  Examination none;
  none.findings = {MakeFinding(FindingCode::kServerRefused, "a.test", "")};
  report.examinations.push_back(none);
  EXPECT_EQ(report.exit_code(), 2);
  const auto json = nlohmann::json::parse(DoctorJson(report, Language::kJapanese));
  EXPECT_EQ(json["schema"], 1);
  EXPECT_EQ(json["result"], "cannot");
  EXPECT_EQ(json["language"], "ja");
  ASSERT_EQ(json["targets"].size(), 3u);
  EXPECT_EQ(json["targets"][0]["target"], "good\\xff");
  EXPECT_EQ(json["targets"][1]["findings"][0]["code"], "LEAF_EXPIRED");
  EXPECT_EQ(json["targets"][2]["seen"], false);
}

TEST(DoctorDocument, NamesEveryCode) {
  const std::string text =
      genkan::testing::ReadFile(std::string(GENKAN_SOURCE_DIR) + "/conf/doctor.md");
  for (const FindingCode code : AllFindingCodes())
    EXPECT_THAT(text, HasSubstr("`" + std::string(ToString(code)) + "`"));
  const TestCa ca("Document");
  auto clients = MakeClients({ca.root().certificate}, "builtin");
  ASSERT_TRUE(clients.has_value());
  for (const ClientKind& client : *clients) {
    EXPECT_THAT(text, HasSubstr("| `" + client.id + "` |"));
    EXPECT_NE(LabelOf(client.id, Language::kJapanese), client.id) << "no words for it";
  }
}

}  // namespace
}  // namespace genkan::control
