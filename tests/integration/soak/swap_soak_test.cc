// Ten thousand swaps through the certificate manager: what goes out of service leaves nothing
// behind.
#include <gtest/gtest.h>
#include <malloc.h>

#include <filesystem>
#include <map>

#include "proxy/base/clock.h"
#include "tests/support/certificate_site.h"

namespace genkan::control {
namespace {

using genkan::testing::CertificateOptions;
using genkan::testing::CertificateSites;
using genkan::testing::Issued;

// Files that are never on a disk.
class FilesInMemory final : public FileAccess {
 public:
  Result<std::string> Read(const std::string& path, size_t) override {
    auto found = texts.find(path);
    if (found == texts.end()) return Fail(ErrorCode::kNotFound, "{}: No such file", path);
    return found->second;
  }
  Result<std::vector<std::string>> List(const std::string& directory) override {
    return Fail(ErrorCode::kNotFound, "{}: No such directory", directory);
  }
  std::vector<std::string> Glob(const std::string&) override { return {}; }

  std::map<std::string, std::string> texts;
};

size_t DescriptorsOpen() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

size_t BytesInUse() { return mallinfo2().uordblks; }

TEST(SwapSoak, TenThousandSwapsLeaveNoMemoryAndNoDescriptor) {
  constexpr int kSwaps = 10'000, kWarm = 1'000, kLeaves = 16;
  CertificateSites sites;
  ManualClock clock;
  sites.clock = &clock;
  auto files = std::make_unique<FilesInMemory>();
  auto& text = files->texts["/nowhere/a.pem"];
  sites.files = std::move(files);
  // All with the same dates: none is older than another.
  std::vector<std::string> leaves;
  for (int i = 0; i < kLeaves; ++i) {
    CertificateOptions options;
    options.names = {"a.test"};
    options.key_label = "soak" + std::to_string(i);
    Issued leaf = sites.ca.LeafWith(options);
    leaves.push_back(sites.ca.FullChainPem(leaf) + leaf.key_pem());
  }
  text = leaves[0];
  sites.AddSite({"a.test"}, {"/nowhere/a.pem"});
  sites.Start();
  SetLogObserver({});  // keeps every line
  size_t memory = 0, descriptors = 0;
  for (int i = 1; i <= kSwaps; ++i) {
    text = leaves[static_cast<size_t>(i % kLeaves)];
    clock.Advance(Millis(1'000));
    sites.manager->ReadAgain(false);
    sites.loop.RunOnce(false);
    if (i == kWarm) {
      memory = BytesInUse();
      descriptors = DescriptorsOpen();
    }
  }
  EXPECT_EQ(sites.StatusOf("a.test").swaps, static_cast<uint64_t>(kSwaps));
  const size_t after = BytesInUse();
  RecordProperty("growth_bytes", static_cast<int>(after) - static_cast<int>(memory));
  EXPECT_LT(after, memory + (1 << 20));
  EXPECT_LE(DescriptorsOpen(), descriptors);
}

}  // namespace
}  // namespace genkan::control
