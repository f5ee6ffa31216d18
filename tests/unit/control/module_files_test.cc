#include "proxy/control/module_files.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

using testing::TempDir;
using testing::WriteFile;

Result<std::string> Parse(const std::string& path, std::string_view text) {
  if (text == "broken") return Fail(ErrorCode::kInvalid, "{}:1: broken", path);
  return std::string(text);
}
using TextFile = ParsedFile<std::string>;

class FileModule final : public Module {
 public:
  explicit FileModule(const std::filesystem::path& path) : file_(path.string(), &Parse) {}
  std::vector<std::string> Configure(const ModuleTable*) override { return {}; }
  std::unique_ptr<WorkerState> MakeWorkerState() const override { return nullptr; }
  std::unique_ptr<ExchangeFilter> MakeFilter(WorkerState&) const override { return nullptr; }
  unsigned hooks() const override { return 0; }
  std::vector<WatchedFile*> files() const override { return {&file_}; }

  mutable TextFile file_;
};

class ModuleFilesTest : public ::testing::Test {
 protected:
  static server::SnapshotPtr SnapshotOf(std::vector<std::shared_ptr<const Module>> modules) {
    auto snapshot = std::make_shared<server::Snapshot>();
    snapshot->modules.push_back({"acme_challenge", nullptr, nullptr, nullptr});
    for (auto& module : modules) snapshot->modules.push_back({"m", module, nullptr, nullptr});
    return snapshot;
  }
  bool Becomes(TextFile::View& view, std::string_view text) {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < until) {
      const std::string* content = view.Get();
      if (content != nullptr && *content == text) return true;
      loop_.RunOnce();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }

  TempDir dir_;
  event::EventLoop loop_;
  event::BlockingPool blocking_{2};
  ModuleFiles files_{loop_, blocking_, {Millis(20), Millis(100), Millis(500)}};
};

TEST_F(ModuleFilesTest, AFileIsReadAgainWhenItChanges) {
  WriteFile(dir_ / "list", "one");
  auto module = std::make_shared<FileModule>(dir_ / "list");
  files_.Apply(SnapshotOf({module}));
  TextFile::View view(module->file_);
  EXPECT_TRUE(Becomes(view, "one")) << "read when it is applied";
  WriteFile(dir_ / "list", "two");
  EXPECT_TRUE(Becomes(view, "two"));
  // As careful writers do it.
  WriteFile(dir_ / "new", "three");
  std::filesystem::rename(dir_ / "new", dir_ / "list");
  EXPECT_TRUE(Becomes(view, "three"));
}

TEST_F(ModuleFilesTest, ABrokenFileIsPassedOverUntilItIsGoodAgain) {
  WriteFile(dir_ / "list", "one");
  auto module = std::make_shared<FileModule>(dir_ / "list");
  files_.Apply(SnapshotOf({module}));
  TextFile::View view(module->file_);
  ASSERT_TRUE(Becomes(view, "one"));
  WriteFile(dir_ / "list", "broken");
  auto other = std::make_shared<FileModule>(dir_ / "other");
  WriteFile(dir_ / "other", "two");
  files_.Apply(SnapshotOf({module, other}));
  TextFile::View other_view(other->file_);
  ASSERT_TRUE(Becomes(other_view, "two"));
  EXPECT_EQ(*view.Get(), "one");
  WriteFile(dir_ / "list", "three");
  EXPECT_TRUE(Becomes(view, "three"));
}

TEST_F(ModuleFilesTest, TheFilesOfTheNextSnapshotTakeTheirPlace) {
  WriteFile(dir_ / "old", "old");
  WriteFile(dir_ / "new", "new");
  auto old_module = std::make_shared<FileModule>(dir_ / "old");
  auto new_module = std::make_shared<FileModule>(dir_ / "new");
  files_.Apply(SnapshotOf({old_module}));
  TextFile::View old_view(old_module->file_), new_view(new_module->file_);
  ASSERT_TRUE(Becomes(old_view, "old"));
  files_.Apply(SnapshotOf({new_module}));
  ASSERT_TRUE(Becomes(new_view, "new"));
  WriteFile(dir_ / "old", "older");
  WriteFile(dir_ / "new", "newer");
  EXPECT_TRUE(Becomes(new_view, "newer"));
  EXPECT_EQ(*old_view.Get(), "old") << "nobody watches it any more";
}

TEST(ModuleFiles, ItMayGoWhileAFileIsBeingRead) {
  TempDir dir;
  WriteFile(dir / "list", std::string(1'000'000, 'x'));
  event::EventLoop loop;
  event::BlockingPool blocking(2);
  auto module = std::make_shared<FileModule>(dir / "list");
  {
    ModuleFiles files(loop, blocking);
    auto snapshot = std::make_shared<server::Snapshot>();
    snapshot->modules.push_back({"m", module, nullptr, nullptr});
    files.Apply(snapshot);
  }
  for (int i = 0; i < 10; ++i) loop.RunOnce();
}

}  // namespace
}  // namespace genkan::control
