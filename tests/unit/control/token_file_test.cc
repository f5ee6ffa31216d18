#include "proxy/control/token_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

namespace fs = std::filesystem;

class TokenFileTest : public ::testing::Test {
 protected:
  std::string root() const { return dir_.path().string(); }
  fs::path file() const { return dir_.path() / ".well-known/acme-challenge/t"; }
  testing::TempDir dir_;
};

TEST_F(TokenFileTest, IsThereAsLongAsItLives) {
  {
    mode_t before = umask(077);
    auto put = TokenFile::Put(root(), "t", "t.print");
    umask(before);
    ASSERT_TRUE(put) << put.error().detail;
    EXPECT_EQ((*put)->folder(), root() + "/.well-known/acme-challenge");
    std::string text;
    std::ifstream(file()) >> text;
    EXPECT_EQ(text, "t.print");
    for (const fs::path& path : {file(), file().parent_path(), file().parent_path().parent_path()})
      EXPECT_EQ(fs::status(path).permissions() & fs::perms::others_read, fs::perms::others_read)
          << path;
  }
  EXPECT_FALSE(fs::exists(dir_.path() / ".well-known")) << "the folders that it made go too";
}

TEST_F(TokenFileTest, LeavesWhatWasThereBefore) {
  testing::WriteFile(dir_ / ".well-known/acme-challenge/other", "x");
  { ASSERT_TRUE(TokenFile::Put(root(), "t", "t.print")); }
  EXPECT_TRUE(fs::exists(dir_ / ".well-known/acme-challenge/other"));
  EXPECT_FALSE(fs::exists(file()));
}

TEST_F(TokenFileTest, OverwritesNothingAndFollowsNoSymlink) {
  testing::WriteFile(file(), "before");
  EXPECT_FALSE(TokenFile::Put(root(), "t", "t.print"));
  std::string text;
  std::ifstream(file()) >> text;
  EXPECT_EQ(text, "before");
  fs::remove_all(dir_.path() / ".well-known");
  testing::WriteFile(dir_ / "elsewhere/acme-challenge/x", "x");
  fs::create_directory_symlink(dir_ / "elsewhere", dir_ / ".well-known");
  auto put = TokenFile::Put(root(), "t", "t.print");
  ASSERT_FALSE(put);
  EXPECT_NE(put.error().detail.find("symlink"), std::string::npos) << put.error().detail;
  EXPECT_TRUE(fs::is_symlink(dir_.path() / ".well-known"));
}

TEST_F(TokenFileTest, SaysWhatIsWrongWithTheFolder) {
  auto put = TokenFile::Put(dir_ / "none", "t", "t.print");
  ASSERT_FALSE(put);
  EXPECT_NE(put.error().detail.find("/none/.well-known: No such file"), std::string::npos)
      << put.error().detail;
}

TEST_F(TokenFileTest, ASignalTakesItAway) {
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
      auto put = TokenFile::Put(root(), "t", "t.print");
      char byte = put && fs::exists(file()) ? 'y' : 'n';
      [[maybe_unused]] ssize_t put_bytes = write(pipe_ends[1], &byte, 1);
      for (;;) pause();
    }
    char byte = 0;
    ASSERT_EQ(read(pipe_ends[0], &byte, 1), 1);
    EXPECT_EQ(byte, 'y');
    kill(child, number);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 128 + number);
    EXPECT_FALSE(fs::exists(dir_.path() / ".well-known"));
    close(pipe_ends[0]);
    close(pipe_ends[1]);
  }
}

}  // namespace
}  // namespace genkan::control
