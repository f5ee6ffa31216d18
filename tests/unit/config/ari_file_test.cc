#include "proxy/config/ari_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/config/validate.h"
#include "tests/support/temp_dir.h"

namespace genkan::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kSite =
    "[[listener]]\naddress = \"127.0.0.1:0\"\n"
    "[[site]]\nnames = [\"a.test\"]\nupstream = \"http://127.0.0.1:1\"\n";

TEST(AriFile, TheBuiltInOneKnowsLetsEncrypt) {
  auto all = AllAriAuthorities({});
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all[0],
            (AriAuthority{"Let's Encrypt", "https://acme-v02.api.letsencrypt.org/directory"}));
}

TEST(AriFile, TheOperatorsOwnComesFirst) {
  Revocation revocation;
  revocation.authorities = {{"Let's Encrypt", ""}};
  auto all = AllAriAuthorities(revocation);
  EXPECT_EQ(all[0], (AriAuthority{"Let's Encrypt", ""}));
  EXPECT_GT(all.size(), 2u);
}

TEST(AriFile, PlainHttpIsForLoopbackAlone) {
  auto read = ReadAriText(
      "[[authority]]\nissuer = \"A\"\ndirectory = \"http://127.0.0.1:14000/dir\"\n"
      "[[authority]]\nissuer = \"B\"\ndirectory = \"http://[::1]:14000/dir\"\n",
      "ari.toml");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->size(), 2u);
  for (const char* url : {"http://ca.test/dir", "http://127.0.0.1.evil.test/dir", "ftp://a/b", "x",
                          "http://127.0.0.1:80@ca.test/dir"}) {
    auto bad = ReadAriText(fmt::format("[[authority]]\nissuer = \"A\"\ndirectory = \"{}\"\n", url),
                           "ari.toml");
    ASSERT_FALSE(bad) << url;
    EXPECT_THAT(bad.error(), ElementsAre(HasSubstr("ari.toml:3:"))) << url;
  }
}

TEST(AriFile, AllThatIsWrongIsSaidWithTheConfigurationsErrors) {
  testing::TempDir dir;
  testing::WriteFile(dir / "ari.toml",
                     "[[authority]]\nissuer = \"A\"\ndirectery = \"https://a/dir\"\n"
                     "[[authority]]\ndirectory = \"http://a/dir\"\n");
  auto loaded = LoadConfigText(kSite + "[revocation]\nari_file = \"" + (dir / "ari.toml") +
                                   "\"\non_revoked = [\"http://a/\"]\n",
                               "genkan.toml");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error(),
              ElementsAre(HasSubstr("genkan.toml:8:15:"), HasSubstr("ari.toml:3:1: unknown key"),
                          HasSubstr("issuer is missing"), HasSubstr("ari.toml:5:")));
}

TEST(AriFile, OneThatIsNotThereIsAnError) {
  auto loaded =
      LoadConfigText(kSite + "[revocation]\nari_file = \"/nonexistent/ari\"\n", "genkan.toml");
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error(), ElementsAre(HasSubstr("/nonexistent/ari")));
}

}  // namespace
}  // namespace genkan::config
