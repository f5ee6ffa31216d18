#include "proxy/control/state_dir.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>

#include "tests/support/temp_dir.h"

namespace genkan::control {
namespace {

using testing::TempDir;
using testing::WriteFile;

std::string Hash(char digit) { return std::string(64, digit); }

TEST(StateFiles, AreNamedByAHashInLowerCase) {
  for (const char* rest : {"", ".meta", ".new", ".meta.new"})
    EXPECT_EQ(HashOfStateFile(Hash('a') + rest), Hash('a')) << rest;
  for (const std::string& name :
       {std::string(), std::string("notes"), Hash('A'), Hash('g'), Hash('a').substr(1),
        Hash('a') + "a", Hash('a') + ".bak", Hash('a') + ".metameta", "." + Hash('a')})
    EXPECT_EQ(HashOfStateFile(name), "") << name;
}

// A store that may be full, and counts.
struct CountingStore final : FolderStore {
  Result<std::string> Load(const std::string& name) override {
    ++loads;
    return files[name];
  }
  Status Save(const std::string& name, std::string_view bytes) override {
    if (is_full) return Fail(ErrorCode::kIo, "no space left");
    files[name] = std::string(bytes);
    return {};
  }
  std::map<std::string, std::string> files;
  bool is_full = false;
  int loads = 0;
};

TEST(StateDir, WhatAStoreKeepsIsHeldInMemoryOnlyWhileItCannot) {
  TempDir dir;
  auto state = std::move(StateDir::Open(dir / "state").value());
  CountingStore store;
  state->Delegate("kept", store);
  state->Save("kept", "one", "first");
  EXPECT_EQ(state->Load("kept", "one"), "first");
  EXPECT_EQ(store.loads, 1);
  store.is_full = true;
  state->Save("kept", "one", "second");
  EXPECT_EQ(state->Load("kept", "one"), "second");
  EXPECT_EQ(store.loads, 1) << "from memory";
  store.is_full = false;
  state->Save("kept", "one", "third");
  EXPECT_EQ(state->Load("kept", "one"), "third");
  EXPECT_EQ(store.loads, 2);
}

class Swept : public ::testing::Test {
 protected:
  bool Exists(const std::string& path) const { return std::filesystem::exists(dir_ / path); }
  size_t Sweep(WallTime before = WallTime::max()) {
    return state_->Sweep(
        "ocsp", [](std::string_view hash) { return hash == Hash('1'); }, before);
  }

  TempDir dir_;
  std::unique_ptr<StateDir> state_ = std::move(StateDir::Open(dir_ / "state").value());
};

TEST_F(Swept, WhatIsKeptStaysAndTheRestOfOursGoes) {
  for (char digit : {'1', '2', '3'}) state_->Save("ocsp", Hash(digit), "x");
  state_->Save("ocsp", Hash('2') + ".meta", "x");
  state_->Save("crl", Hash('2'), "another folder");
  WriteFile(dir_ / ("state/ocsp/" + Hash('4') + ".new"), "half-written");
  EXPECT_EQ(Sweep(), 4u);
  EXPECT_EQ(state_->Load("ocsp", Hash('1')), "x");
  for (const std::string& name : {Hash('2'), Hash('2') + ".meta", Hash('3')}) {
    EXPECT_EQ(state_->Load("ocsp", name), "") << "not from memory either";
    EXPECT_FALSE(Exists("state/ocsp/" + name));
  }
  EXPECT_TRUE(Exists("state/crl/" + Hash('2')));
  EXPECT_EQ(Sweep(), 0u);
}

TEST_F(Swept, WhatIsNotOursStays) {
  state_->Save("ocsp", Hash('2'), "x");
  WriteFile(dir_ / "state/ocsp/README", "an operator's");
  WriteFile(dir_ / ("state/ocsp/" + Hash('2') + ".bak"), "an operator's");
  WriteFile(dir_ / "elsewhere", "an operator's");
  std::filesystem::create_directory(dir_ / ("state/ocsp/" + Hash('5')));
  std::filesystem::create_symlink(dir_ / "elsewhere", dir_ / ("state/ocsp/" + Hash('6')));
  EXPECT_EQ(Sweep(), 1u);
  for (const std::string& name : {std::string("README"), Hash('2') + ".bak", Hash('5'), Hash('6')})
    EXPECT_TRUE(Exists("state/ocsp/" + name)) << name;
  EXPECT_TRUE(Exists("elsewhere"));
}

TEST_F(Swept, WhatWasWrittenLaterStays) {
  state_->Save("ocsp", Hash('2'), "x");
  const WallTime now = SystemClock().Wall();
  EXPECT_EQ(Sweep(now - std::chrono::hours(1)), 0u);
  EXPECT_TRUE(Exists("state/ocsp/" + Hash('2')));
  EXPECT_EQ(state_->Load("ocsp", Hash('2')), "x");
  EXPECT_EQ(Sweep(now + std::chrono::hours(1)), 1u);
}

TEST_F(Swept, AFolderThatIsNotThereOrIsASymlinkIsLeftAlone) {
  EXPECT_EQ(Sweep(), 0u);
  WriteFile(dir_ / ("others/" + Hash('2')), "x");
  std::filesystem::create_symlink(dir_ / "others", dir_ / "state/ocsp");
  EXPECT_EQ(Sweep(), 0u);
  EXPECT_TRUE(Exists("others/" + Hash('2')));
}

}  // namespace
}  // namespace genkan::control
