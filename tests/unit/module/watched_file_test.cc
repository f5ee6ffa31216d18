#include "proxy/module/watched_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "proxy/module/file_reader.h"
#include "tests/support/temp_dir.h"

namespace genkan {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing::TempDir;
using testing::WriteFile;

// The file's text; one that says "broken" is.
Result<std::string> Parse(const std::string& path, std::string_view text) {
  if (text.find("broken") != std::string_view::npos)
    return Fail(ErrorCode::kInvalid, "{}:1: broken", path);
  return std::string(text);
}
using TextFile = ParsedFile<std::string>;

TEST(WatchedFile, WhatIsReadIsSeenByEveryView) {
  TempDir dir;
  WriteFile(dir / "f", "one");
  TextFile file(dir / "f", &Parse);
  TextFile::View view(file);
  EXPECT_EQ(view.Get(), nullptr);
  auto loaded = file.Load();
  ASSERT_TRUE(loaded) << loaded.error().detail;
  EXPECT_TRUE(*loaded);
  ASSERT_NE(view.Get(), nullptr);
  EXPECT_EQ(*view.Get(), "one");
  WriteFile(dir / "f", "two");
  EXPECT_EQ(*view.Get(), "one") << "nobody has read it again";
  auto kept = view.content();
  EXPECT_TRUE(*file.Load());
  EXPECT_EQ(*view.Get(), "two");
  EXPECT_EQ(*kept, "one");
}

TEST(WatchedFile, TheSameTextIsNothingNew) {
  TempDir dir;
  WriteFile(dir / "f", "");
  TextFile file(dir / "f", &Parse);
  EXPECT_TRUE(*file.Load()) << "an empty file is something, too";
  TextFile::View view(file);
  const std::string* before = view.Get();
  EXPECT_FALSE(*file.Load());
  EXPECT_EQ(view.Get(), before);
}

TEST(WatchedFile, ABrokenOrMissingFileLeavesWhatWasThere) {
  TempDir dir;
  WriteFile(dir / "f", "good");
  TextFile file(dir / "f", &Parse);
  ASSERT_TRUE(file.Load());
  TextFile::View view(file);
  WriteFile(dir / "f", "broken");
  auto broken = file.Load();
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().detail, StartsWith(dir / "f" + ":1: "));
  EXPECT_EQ(*view.Get(), "good");
  std::filesystem::remove(dir / "f");
  auto missing = file.Load();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(*view.Get(), "good");
}

TEST(WatchedFile, OnlyRegularFilesOfSomeSizeAreRead) {
  TempDir dir;
  EXPECT_THAT(ReadWholeFile(dir.path().string(), 10).error().detail, HasSubstr("no regular file"));
  ASSERT_EQ(mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_THAT(ReadWholeFile(dir / "fifo", 10).error().detail, HasSubstr("no regular file"));
  WriteFile(dir / "f", "0123456789");
  EXPECT_EQ(*ReadWholeFile(dir / "f", 10), "0123456789");
  EXPECT_EQ(ReadWholeFile(dir / "f", 9).error().code, ErrorCode::kTooLarge);
  std::string large(300'000, 'x');
  WriteFile(dir / "large", large);
  EXPECT_EQ(*ReadWholeFile(dir / "large", large.size()), large);
}

// As a user who may not read it, whoever runs the tests.
class AsNobody {
 public:
  AsNobody() { setfsuid(65534); }
  ~AsNobody() { setfsuid(geteuid()); }
};

TEST(WatchedFile, WhatWeMayNotReadIsAskedOfWhoMay) {
  TempDir dir;
  WriteFile(dir / "f", "secret");
  WriteFile(dir / "open", "open");
  std::filesystem::permissions(dir.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(dir / "open", std::filesystem::perms(0644));
  std::filesystem::permissions(dir / "f", std::filesystem::perms(0));
  AsNobody nobody;
  EXPECT_EQ(ReadWholeFile(dir / "f", 10).error().code, ErrorCode::kPermission);
  std::vector<std::string> asked;
  SetFileReader([&](const std::string& path, size_t) -> Result<std::string> {
    asked.push_back(path);
    return std::string("read for you");
  });
  EXPECT_EQ(*ReadWholeFile(dir / "f", 20), "read for you");
  EXPECT_EQ(*ReadWholeFile(dir / "open", 20), "open");
  EXPECT_EQ(ReadWholeFile(dir / "none", 20).error().code, ErrorCode::kNotFound);
  SetFileReader({});
  EXPECT_EQ(asked, std::vector<std::string>{dir / "f"});
  EXPECT_FALSE(ReadWholeFile(dir / "f", 20));
}

TEST(WatchedFile, ReadersGoOnWhileItIsReadAgain) {
  TempDir dir;
  WriteFile(dir / "f", "0");
  TextFile file(dir / "f", &Parse);
  ASSERT_TRUE(file.Load());
  std::atomic<bool> is_done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      TextFile::View view(file);
      int before = 0;
      while (!is_done) {
        int now = std::stoi(*view.Get());
        ASSERT_GE(now, before) << "never an older one again";
        before = now;
      }
      EXPECT_EQ(*view.Get(), "50");
    });
  }
  for (int i = 1; i <= 50; ++i) {
    WriteFile(dir / "f", std::to_string(i));
    ASSERT_TRUE(file.Load());
  }
  is_done = true;
  for (std::thread& reader : readers) reader.join();
}

}  // namespace
}  // namespace genkan
