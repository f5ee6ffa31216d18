#include "proxy/control/private_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PrivateFolderTest : public ::testing::Test {
 protected:
  unsigned ModeOf(const std::string& name) const {
    struct stat info {};
    EXPECT_EQ(lstat((dir_ / name).c_str(), &info), 0) << name;
    return info.st_mode & 07777;
  }

  testing::TempDir dir_;
  PrivateFolder folder_{dir_ / "kept"};
};

TEST_F(PrivateFolderTest, WhatIsNotThereIsEmpty) {
  EXPECT_EQ(folder_.Load("a").value(), "");
  EXPECT_EQ(folder_.Load("site/a").value(), "");
  EXPECT_THAT(folder_.Files(), IsEmpty());
  EXPECT_FALSE(fs::exists(dir_ / "kept")) << "asking makes nothing";
}

TEST_F(PrivateFolderTest, FilesAndFoldersAreForNobodyElse) {
  ASSERT_TRUE(folder_.Save("site/a", "one"));
  ASSERT_TRUE(folder_.Save("site/a", "two"));
  EXPECT_EQ(folder_.Load("site/a").value(), "two");
  EXPECT_EQ(ModeOf("kept"), 0700u);
  EXPECT_EQ(ModeOf("kept/site"), 0700u);
  EXPECT_EQ(ModeOf("kept/site/a"), 0600u);
}

TEST_F(PrivateFolderTest, OneThatIsOpenToOthersIsShut) {
  testing::WriteFile(dir_ / "kept/site/a", "one");
  for (const char* name : {"kept", "kept/site"}) fs::permissions(dir_ / name, fs::perms(0755));
  EXPECT_EQ(folder_.Load("site/a").value(), "one");
  EXPECT_EQ(ModeOf("kept"), 0700u);
  EXPECT_EQ(ModeOf("kept/site"), 0700u);
}

TEST_F(PrivateFolderTest, NamesLeadNowhereElse) {
  for (const char* name : {"", ".", "..", "../a", "a/../b", "a/b/c", "/a", "a/", "a/.b", ".a/b"}) {
    EXPECT_FALSE(IsFileOfFolder(name)) << name;
    EXPECT_FALSE(folder_.Load(name)) << name;
    EXPECT_FALSE(folder_.Save(name, "x")) << name;
  }
  EXPECT_FALSE(IsFileOfFolder(std::string_view("a\0b", 3)));
}

TEST_F(PrivateFolderTest, LinksLeadNowhere) {
  testing::WriteFile(dir_ / "elsewhere/a", "secret");
  ASSERT_TRUE(folder_.Save("site/a", "one"));
  fs::create_symlink(dir_ / "elsewhere", dir_ / "kept/linked");
  fs::create_symlink(dir_ / "elsewhere/a", dir_ / "kept/site/linked");
  fs::create_hard_link(dir_ / "elsewhere/a", dir_ / "kept/site/hard");
  for (const char* name : {"linked/a", "site/linked", "site/hard"})
    EXPECT_FALSE(folder_.Load(name)) << name;
  EXPECT_FALSE(folder_.Save("linked/a", "mine"));
  ASSERT_TRUE(folder_.Save("site/linked", "mine"));
  EXPECT_EQ(testing::ReadFile(dir_ / "elsewhere/a"), "secret");
  EXPECT_THAT(folder_.Files(), IsEmpty());
}

TEST_F(PrivateFolderTest, AWriteThatWasCutIsNeitherReadNorInTheWay) {
  ASSERT_TRUE(folder_.Save("site/a", "one"));
  testing::WriteFile(dir_ / "kept/site/a.new", "ha");
  EXPECT_EQ(folder_.Load("site/a").value(), "one");
  ASSERT_TRUE(folder_.Save("site/a", "two"));
  EXPECT_EQ(folder_.Load("site/a").value(), "two");
  EXPECT_FALSE(fs::exists(dir_ / "kept/site/a.new"));
}

TEST_F(PrivateFolderTest, WhatIsTooLargeIsRefusedBothWays) {
  const std::string large(PrivateFolder::kMaxBytes + 1, 'x');
  EXPECT_FALSE(folder_.Save("a", large));
  testing::WriteFile(dir_ / "kept/b", large);
  EXPECT_FALSE(folder_.Load("b"));
}

TEST_F(PrivateFolderTest, RenamesIntoAFolderThatItMakes) {
  ASSERT_TRUE(folder_.Save("b", "of b"));
  ASSERT_TRUE(folder_.Save("a", "of a"));
  EXPECT_THAT(folder_.Files(), ElementsAre("a", "b"));
  ASSERT_TRUE(folder_.Rename("a", "site/a"));
  EXPECT_EQ(folder_.Load("site/a").value(), "of a");
  EXPECT_THAT(folder_.Files(), ElementsAre("b")) << "files directly in it";
  EXPECT_FALSE(folder_.Rename("a", "site/a"));
}

}  // namespace
}  // namespace genkan::control
