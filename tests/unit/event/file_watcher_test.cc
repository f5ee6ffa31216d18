#include "proxy/event/file_watcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "proxy/event/file_state.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"

namespace genkan::event {
namespace {

namespace fs = std::filesystem;
using testing::Eventually;
using testing::ReplaceFile;
using testing::WriteFile;

// The poll is too far away to help.
constexpr FileWatcherTimes kQuick{Millis(20), Millis(100), Millis(3'600'000)};

struct Watching {
  explicit Watching(std::vector<std::string> paths, FileWatcherTimes times = kQuick)
      : watcher(
            loop,
            [this](const std::vector<std::string>& seen) {
              ++calls;
              changed.insert(changed.end(), seen.begin(), seen.end());
            },
            times) {
    watcher.Watch(paths);
  }
  // What changed since the last call; waits for something.
  std::vector<std::string> Changed() {
    Eventually(loop, [&] { return !changed.empty(); });
    return std::exchange(changed, {});
  }
  // Nothing is told for several times the debounce.
  bool IsQuiet() {
    return !Eventually(
        loop, [&] { return !changed.empty(); }, Millis(150));
  }
  EventLoop loop;
  std::vector<std::string> changed;
  int calls = 0;
  FileWatcher watcher;
};

using Paths = std::vector<std::string>;

TEST(FileWatcher, TellsOnlyOfTheFileThatChanged) {
  testing::TempDir folder;
  WriteFile(folder / "a", "1");
  WriteFile(folder / "b", "1");
  Watching watching({folder / "a", folder / "b"});
  WriteFile(folder / "a", "22");
  EXPECT_EQ(watching.Changed(), Paths{folder / "a"});
  ReplaceFile(folder / "b", "1");
  EXPECT_EQ(watching.Changed(), Paths{folder / "b"}) << "another inode";
  WriteFile(folder / "c", "nobody's");
  EXPECT_TRUE(watching.IsQuiet());
}

TEST(FileWatcher, AChangeSinceTheCallersOwnLookCounts) {
  testing::TempDir folder;
  WriteFile(folder / "a", "1");
  WriteFile(folder / "b", "1");
  WriteFile(folder / "c", "1");
  std::vector<WatchedPath> seen = {{folder / "a", ReadFileState(folder / "a")},
                                   {folder / "b", ReadFileState(folder / "b")},
                                   {folder / "c", ReadFileState(folder / "c")}};
  WriteFile(folder / "a", "22");
  WriteFile(folder / "c", "22");
  seen.push_back({folder / "c", ReadFileState(folder / "c")});  // another's, later look
  Watching watching({});
  watching.watcher.Watch({folder / "a", folder / "b", folder / "c"}, seen);
  Paths changed = watching.Changed();
  std::sort(changed.begin(), changed.end());
  EXPECT_EQ(changed, (Paths{folder / "a", folder / "c"}));
  EXPECT_TRUE(watching.IsQuiet());
}

TEST(FileWatcher, GathersABurstIntoOneCall) {
  testing::TempDir folder;
  WriteFile(folder / "a", "1");
  WriteFile(folder / "b", "1");
  // Longer than any pause that a busy machine makes between two of these writes.
  Watching watching({folder / "a", folder / "b"}, {Millis(700), Millis(60'000), Millis(3'600'000)});
  for (int i = 0; i < 20; ++i) {
    WriteFile(folder / "a", std::string(static_cast<size_t>(i) + 2, 'x'));
    WriteFile(folder / "b", std::string(static_cast<size_t>(i) + 2, 'x'));
    watching.loop.RunOnce();
  }
  EXPECT_EQ(watching.Changed(), (Paths{folder / "a", folder / "b"}));
  EXPECT_EQ(watching.calls, 1);
}

TEST(FileWatcher, TellsEarlyOfWhatHasChangedSoFarAndThenOfAll) {
  testing::TempDir folder;
  WriteFile(folder / "a", "1");
  WriteFile(folder / "b", "1");
  // A busy machine makes no pause of the rest of it.
  Watching watching({folder / "a", folder / "b"},
                    {Millis(2'000), Millis(60'000), Millis(3'600'000)});
  std::vector<Paths> early;
  int calls_before = 0;
  watching.watcher.TellEarly([&](const Paths& paths) {
    early.push_back(paths);
    calls_before += watching.calls;
    if (early.size() == 1) WriteFile(folder / "b", "22");
  });
  WriteFile(folder / "a", "22");
  EXPECT_EQ(watching.Changed(), (Paths{folder / "a", folder / "b"}));
  EXPECT_EQ(watching.calls, 1);
  ASSERT_FALSE(early.empty());
  EXPECT_EQ(early.front(), Paths{folder / "a"});
  EXPECT_EQ(early.back(), (Paths{folder / "a", folder / "b"}));
  EXPECT_EQ(calls_before, 0);
}

TEST(FileWatcher, FollowsALinkThatTurnsAfterTheEarlyLook) {
  testing::TempDir folder;
  for (const char* name : {"1", "2", "3"}) WriteFile(folder / (std::string(name) + "/a"), name);
  const auto turn = [&](const std::string& to) {
    fs::create_directory_symlink(to, folder / "new");
    fs::rename(folder / "new", folder / "link");
  };
  turn("1");
  Watching watching({folder / "link/a"}, {Millis(100), Millis(60'000), Millis(3'600'000)});
  int looks = 0;
  watching.watcher.TellEarly([&](const Paths&) {
    if (++looks == 1) turn("3");
  });
  turn("2");
  EXPECT_EQ(watching.Changed(), Paths{folder / "link/a"});
  EXPECT_GE(looks, 1);
  WriteFile(folder / "2/a", "nobody's");
  WriteFile(folder / "3/a", "edited in place");
  EXPECT_EQ(watching.Changed(), Paths{folder / "link/a"});
}

TEST(FileWatcher, TellsWithinTheLongestTimeOfAnEndlessBurst) {
  testing::TempDir folder;
  WriteFile(folder / "a", "1");
  Watching watching({folder / "a"});
  int writes = 0;
  EXPECT_TRUE(Eventually(watching.loop, [&] {
    WriteFile(folder / "a", std::string(static_cast<size_t>(++writes % 100) + 2, 'x'));
    return watching.calls > 0;
  }));
}

TEST(FileWatcher, SeesCertbotsSymlinksFlip) {
  testing::TempDir folder;
  WriteFile(folder / "archive/a.test/cert1.pem", "old");
  fs::create_directories(folder / "live/a.test");
  std::string link = folder / "live/a.test/cert.pem";
  fs::create_symlink("../../archive/a.test/cert1.pem", link);
  Watching file({link});
  Watching lineage({folder / "live/a.test"});
  WriteFile(folder / "archive/a.test/cert2.pem", "new");
  EXPECT_TRUE(file.IsQuiet()) << "nobody points to it yet";
  fs::remove(link);
  fs::create_symlink("../../archive/a.test/cert2.pem", link);
  EXPECT_EQ(file.Changed(), Paths{link});
  EXPECT_EQ(lineage.Changed(), Paths{folder / "live/a.test"});
  // The new target is watched now, the old one no more.
  WriteFile(folder / "archive/a.test/cert2.pem", "edited in place");
  EXPECT_EQ(file.Changed(), Paths{link});
  EXPECT_EQ(lineage.Changed(), Paths{folder / "live/a.test"});
  WriteFile(folder / "archive/a.test/cert1.pem", "nobody's");
  EXPECT_TRUE(file.IsQuiet());
}

TEST(FileWatcher, SeesKubernetesDataFlip) {
  testing::TempDir folder;
  WriteFile(folder / "..2026_1/tls.crt", "old");
  fs::create_directory_symlink("..2026_1", folder / "..data");
  fs::create_symlink("..data/tls.crt", folder / "tls.crt");
  Watching file({folder / "tls.crt"});
  Watching directory({folder.path().string()});
  WriteFile(folder / "..2026_2/tls.crt", "new");
  fs::create_directory_symlink("..2026_2", folder / "..data_tmp");
  fs::rename(folder / "..data_tmp", folder / "..data");
  fs::remove_all(folder / "..2026_1");
  EXPECT_EQ(file.Changed(), Paths{folder / "tls.crt"});
  EXPECT_EQ(directory.Changed(), Paths{folder.path().string()});
  for (int round = 3; round < 6; ++round) {
    std::string version = "..2026_" + std::to_string(round);
    WriteFile(folder / (version + "/tls.crt"), version);
    fs::create_directory_symlink(version, folder / "..data_tmp");
    fs::rename(folder / "..data_tmp", folder / "..data");
    EXPECT_EQ(file.Changed(), Paths{folder / "tls.crt"}) << version;
  }
}

TEST(FileWatcher, SeesAFileThatAppearsFarBelowWhatExists) {
  testing::TempDir folder;
  std::string path = folder / "live/a.test/cert.pem";
  Watching watching({path});
  fs::create_directories(folder / "live");
  EXPECT_TRUE(watching.IsQuiet()) << "still nothing there";
  fs::create_directories(folder / "live/a.test");
  WriteFile(path, "here");
  EXPECT_EQ(watching.Changed(), Paths{path});
  fs::remove(path);
  EXPECT_EQ(watching.Changed(), Paths{path}) << "gone";
}

TEST(FileWatcher, SeesAllThatAppearsInOneGo) {
  testing::TempDir folder;
  std::string path = folder / "a/b/c/d/file";
  Watching watching({path});
  WriteFile(path, "here");
  EXPECT_EQ(watching.Changed(), Paths{path});
  WriteFile(path, "again, longer");
  EXPECT_EQ(watching.Changed(), Paths{path});
}

TEST(FileWatcher, FollowsADirectoryThatIsReplaced) {
  testing::TempDir folder;
  std::string path = folder / "d/file";
  WriteFile(path, "1");
  Watching watching({path, folder / "d"});
  fs::remove_all(folder / "d");
  EXPECT_EQ(watching.Changed(), (Paths{path, folder / "d"}));
  WriteFile(path, "2");
  EXPECT_EQ(watching.Changed(), (Paths{path, folder / "d"}));
  // Moved away, and another one in its place.
  fs::rename(folder / "d", folder / "away");
  WriteFile(path, "three");
  EXPECT_EQ(watching.Changed(), (Paths{path, folder / "d"}));
  WriteFile(folder / "away/file", "nobody's any more");
  EXPECT_TRUE(watching.IsQuiet());
  WriteFile(path, "four, and longer");
  EXPECT_EQ(watching.Changed(), (Paths{path, folder / "d"}));
}

TEST(FileWatcher, FollowsAnAncestorThatIsReplaced) {
  testing::TempDir folder;
  std::string path = folder / "x/y/z/file";
  WriteFile(path, "1");
  Watching watching({path});
  fs::rename(folder / "x", folder / "old");
  WriteFile(path, "two");
  EXPECT_EQ(watching.Changed(), Paths{path});
  WriteFile(path, "three");
  EXPECT_EQ(watching.Changed(), Paths{path});
}

TEST(FileWatcher, SeesADanglingSymlinkFindItsTarget) {
  testing::TempDir folder;
  fs::create_symlink("target/file", folder / "link");
  Watching watching({folder / "link"});
  WriteFile(folder / "target/file", "here");
  EXPECT_EQ(watching.Changed(), Paths{folder / "link"});
}

TEST(FileWatcher, SurvivesASymlinkLoop) {
  testing::TempDir folder;
  fs::create_symlink("b", folder / "a");
  fs::create_symlink("a", folder / "b");
  Watching watching({folder / "a"});
  fs::remove(folder / "b");
  WriteFile(folder / "b", "a file");
  EXPECT_EQ(watching.Changed(), Paths{folder / "a"});
}

TEST(FileWatcher, SeesFilesComeAndGoInADirectory) {
  testing::TempDir folder;
  Watching watching({folder.path().string()});
  WriteFile(folder / "new", "1");
  EXPECT_EQ(watching.Changed().size(), 1u);
  fs::remove(folder / "new");
  EXPECT_EQ(watching.Changed().size(), 1u);
  fs::create_directory(folder / "folder");
  EXPECT_TRUE(watching.IsQuiet()) << "only files count";
}

TEST(FileWatcher, PollFindsWhatNoEventTold) {
  testing::TempDir folder;
  WriteFile(folder / "a", "1");
  FileWatcherTimes times = kQuick;
  times.poll = Millis(30);
  times.debounce = times.longest = Millis(3'600'000);
  Watching watching({folder / "a"}, times);
  WriteFile(folder / "a", "22");
  EXPECT_EQ(watching.Changed(), Paths{folder / "a"});
}

TEST(FileWatcher, ANewSetKeepsWhatItKnows) {
  testing::TempDir folder;
  WriteFile(folder / "a", "1");
  WriteFile(folder / "b", "1");
  Watching watching({folder / "a"});
  WriteFile(folder / "a", "22");
  watching.watcher.Watch({folder / "b", folder / "a", folder / "a"});
  EXPECT_EQ(watching.Changed(), Paths{folder / "a"}) << "although the set is new";
  watching.watcher.Watch({folder / "b"});
  WriteFile(folder / "a", "333");
  EXPECT_TRUE(watching.IsQuiet());
  WriteFile(folder / "b", "333");
  EXPECT_EQ(watching.Changed(), Paths{folder / "b"});
}

TEST(FileState, WalksThroughEverySymlink) {
  testing::TempDir folder;
  std::string root = RealDirectory(folder.path().string());
  WriteFile(root + "/real/file", "1");
  fs::create_directory_symlink("real", root + "/link");
  std::vector<PathStep> steps = WalkPath(root + "/link/../link/file");
  ASSERT_GE(steps.size(), 4u);
  EXPECT_EQ(steps.back(), (PathStep{root + "/real", "file"}));
  bool has_link = false;
  for (const auto& step : steps) has_link |= step == PathStep{root, "link"};
  EXPECT_TRUE(has_link);
  EXPECT_EQ(ReadFileState(root + "/nothing").error, ENOENT);
}

}  // namespace
}  // namespace genkan::event
