#include "proxy/tls/trust_profiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/temp_dir.h"
#include "tests/support/test_ca.h"

namespace genkan::tls {
namespace {

using genkan::testing::Issued;
using genkan::testing::MakeIntermediate;
using genkan::testing::MakeLeaf;
using genkan::testing::MakeRoot;
using genkan::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const WallTime kNow = ManualClock().Wall();

std::vector<std::string> NamesOf(const std::vector<TrustProfilePtr>& profiles) {
  std::vector<std::string> names;
  for (const auto& one : profiles) names.push_back(one->name());
  return names;
}

bool Holds(const TrustProfile& profile, std::string_view subject_part) {
  return std::any_of(profile.roots().begin(), profile.roots().end(), [&](const auto& root) {
    return root->subject().find(subject_part) != std::string::npos;
  });
}

TEST(ParseTrustProfile, ReadsEveryKeyAndItsOwnRoots) {
  const Issued known = MakeRoot({.common_name = "Known"}), late = MakeRoot({.common_name = "Late"});
  const Issued own = MakeRoot({.common_name = "Own"});
  const std::string text =
      "# words\r\nclient = Old things # of ours\r\npath=as_sent\n" +
      std::string("root_dates = ignored\nsecurity_level = 2\nrequired = true\n") +
      "without = " + late.certificate->sha256_hex() + "  # Late\n\nOwn:\n" + own.pem() +
      "client = not read\n" + own.pem();
  const auto options = ParseTrustProfile("old", text, {known.certificate, late.certificate});
  ASSERT_TRUE(options.has_value()) << options.error().detail;
  EXPECT_EQ(options->name, "old");
  EXPECT_EQ(options->client, "Old things");
  EXPECT_TRUE(options->follows_sent_chain && options->ignores_root_dates && options->is_required);
  EXPECT_EQ(options->security_level, 2);
  ASSERT_EQ(options->roots.size(), 2u);
  EXPECT_EQ(options->roots[0], known.certificate);
  EXPECT_EQ(options->roots[1]->der(), own.certificate->der());
}

TEST(ParseTrustProfile, AnEmptyFileIsAClientOfTheTrustStore) {
  const Issued root = MakeRoot({.common_name = "R"});
  const auto options = ParseTrustProfile("plain", "", {root.certificate});
  ASSERT_TRUE(options.has_value());
  EXPECT_FALSE(options->follows_sent_chain || options->ignores_root_dates || options->is_required);
  EXPECT_EQ(options->roots.size(), 1u);
}

TEST(ParseTrustProfile, ErrorsNameTheLine) {
  const struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"\npath = sideways\n", "x: line 2: path cannot be \"sideways\""},
      {"paths = as_sent\n", "x: line 1: unknown key \"paths\""},
      {"security_level = 6\n", "cannot be \"6\""},
      {"security_level = 1x\n", "cannot be \"1x\""},
      {"required = yes\n", "cannot be \"yes\""},
      {"root_dates = no\n", "cannot be \"no\""},
      {"client =\n", "client cannot be \"\""},
      {"without = abc\n", "without cannot be \"abc\""},
      {"path = as_sent\npath = as_sent\n", "x: line 2: path a second time"},
      {"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "1 PEM blocks"},
      {"-----BEGIN CERTIFICATE-----\nAAAA\n", "1 PEM blocks"},
  };
  for (const auto& c : cases) {
    const auto options = ParseTrustProfile("x", c.text, {});
    ASSERT_FALSE(options.has_value()) << c.text;
    EXPECT_THAT(options.error().detail, HasSubstr(c.error));
  }
}

TEST(LoadTrustProfiles, TheBuiltInOnesAreTheFourOfTheDocumentation) {
  const Issued root = MakeRoot({.common_name = "House root"});
  const auto profiles = LoadTrustProfiles("builtin", {root.certificate});
  ASSERT_TRUE(profiles.has_value()) << profiles.error().detail;
  EXPECT_THAT(NamesOf(*profiles),
              ElementsAre("modern", "gnutls_2020", "old_android", "openssl_1_0"));
  for (const auto& one : *profiles) {
    EXPECT_TRUE(Holds(*one, "House root")) << one->name();
    EXPECT_EQ(Holds(*one, "DST Root CA X3"), one->name() != "modern") << one->name();
    EXPECT_NE(one->client(), one->name());
  }
}

// Debian's list of today as the stores of the past: the roots that Let's Encrypt's chains end at.
TEST(LoadTrustProfiles, TheStoresOfThePastLackWhatJoinedLater) {
  constexpr std::string_view kIsrgRootX1 =
      "96bcec06264976f37460779acf28c5a7cfe8a3c0aae11a8ffcee05c0bddf08c6";
  constexpr std::string_view kIsrgRootX2 =
      "69729b8e15a86efc177a57afb7171dfc64add28c2fca8cf1507e34453ccb1470";
  const auto lacks = [](std::string_view name, std::string_view sha256) {
    const auto& all = BuiltinTrustProfiles();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
    return found != all.end() &&
           found->text.find("without = " + std::string(sha256)) != std::string_view::npos;
  };
  EXPECT_TRUE(lacks("old_android", kIsrgRootX1));
  EXPECT_TRUE(lacks("old_android", kIsrgRootX2));
  EXPECT_FALSE(lacks("openssl_1_0", kIsrgRootX1));
  EXPECT_TRUE(lacks("openssl_1_0", kIsrgRootX2));
  EXPECT_TRUE(lacks("gnutls_2020", kIsrgRootX2));
}

TEST(LoadTrustProfiles, WithoutATrustStoreThereIsNothingToProve) {
  const auto profiles = LoadTrustProfiles("builtin", {});
  ASSERT_TRUE(profiles.has_value());
  EXPECT_TRUE(profiles->empty());
}

TEST(LoadTrustProfiles, ReadsADirectoryAndTellsWhatIsWrongInIt) {
  const TempDir dir;
  const Issued root = MakeRoot({.common_name = "R"});
  const auto write = [&](const std::string& name, const std::string& text) {
    genkan::testing::WriteFile(dir.path() / name, text);
  };
  EXPECT_THAT(LoadTrustProfiles(dir.path(), {root.certificate}).error().detail,
              HasSubstr("no *.profile in it"));
  EXPECT_THAT(LoadTrustProfiles(dir / "none", {root.certificate}).error().detail,
              HasSubstr("No such file"));
  write("b.profile", "");
  write("a.profile", "");
  write("z.profile", "required = true\n");
  write("README.md", "path = nonsense\n");
  auto profiles = LoadTrustProfiles(dir.path(), {root.certificate});
  ASSERT_TRUE(profiles.has_value()) << profiles.error().detail;
  EXPECT_THAT(NamesOf(*profiles), ElementsAre("z", "a", "b"));
  write("c.profile", "\n\npath = nonsense\n");
  EXPECT_THAT(LoadTrustProfiles(dir.path(), {root.certificate}).error().detail,
              HasSubstr("c: line 3: path cannot be \"nonsense\""));
}

// What today's clients refuse is not sent for the sake of yesterday's.
TEST(ScoreBy, ARequiredProfileDecidesBeforeTheNumber) {
  const Issued old = MakeRoot({.common_name = "Old"}), known = MakeRoot({.common_name = "New"});
  const Issued by_new = MakeIntermediate(known, {.common_name = "I"});
  const Issued by_old = MakeIntermediate(old, {.common_name = "I"});
  const Issued leaf = MakeLeaf(by_new, {.names = {"a.test"}});
  const auto profile = [](TrustProfileOptions options) {
    return *TrustProfile::Make(std::move(options));
  };
  const auto score = ScoreBy(
      {profile(ModernProfile({known.certificate})), profile(OldAndroidProfile({old.certificate})),
       profile(OpenSsl10Profile({old.certificate}))},
      kNow);
  EXPECT_EQ(score({leaf.certificate, by_new.certificate}), 1);
  EXPECT_EQ(score({leaf.certificate, by_old.certificate}), 0);
}

}  // namespace
}  // namespace genkan::tls
