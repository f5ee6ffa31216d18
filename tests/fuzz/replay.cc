// The main of a fuzz target where libFuzzer is not at hand: runs the target on every file of a
// corpus, then on mutations of them. The same ones each time: a failure is found again by running
// it again.
//
//   NAME_fuzzer CORPUS_FOLDER [MUTATIONS]     files and mutations
//   NAME_fuzzer FILE…                         these inputs alone
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Run(const std::string& input) {
  // A copy of exactly this size: AddressSanitizer then sees each byte too far.
  std::vector<uint8_t> bytes(input.begin(), input.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

class Mutator {
 public:
  explicit Mutator(std::vector<std::string> seeds) : seeds_(std::move(seeds)) {}

  std::string Next() {
    std::string input = seeds_[Below(seeds_.size())];
    for (size_t rounds = 1 + Below(4); rounds > 0; --rounds) Mutate(input);
    return input;
  }

 private:
  size_t Below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  std::string_view Piece(const std::string& of) {
    size_t at = Below(of.size() + 1);
    return std::string_view(of).substr(at, 1 + Below(64));
  }

  void Mutate(std::string& input) {
    static constexpr std::string_view kBytes(
        "\r\n\t :;,=-+/\\*#?%\"\0\x7f\x80\xff"
        "0159afAFxX",
        32);
    size_t at = Below(input.size() + 1);
    switch (Below(8)) {
      case 0:
        input.insert(at, 1, kBytes[Below(kBytes.size())]);
        break;
      case 1:
        input.insert(at, 1, static_cast<char>(Below(256)));
        break;
      case 2:
        if (at < input.size()) input[at] = kBytes[Below(kBytes.size())];
        break;
      case 3:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ 1 << Below(8));
        break;
      case 4:
        input.erase(at, 1 + Below(8));
        break;
      case 5:
        input.insert(at, Piece(std::string(input)));
        break;
      case 6:
        input.insert(at, Piece(seeds_[Below(seeds_.size())]));
        break;
      case 7:
        input.resize(at);
        break;
    }
  }

  std::vector<std::string> seeds_;
  std::mt19937 random_{20261122};
};

}  // namespace

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  if (argc > 1 && fs::is_regular_file(argv[1])) {
    for (int i = 1; i < argc; ++i) Run(ReadFile(argv[i]));
    return 0;
  }
  std::vector<fs::path> files;
  if (argc > 1 && fs::is_directory(argv[1])) {
    for (const auto& entry : fs::directory_iterator(argv[1])) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds = {""};
  for (const fs::path& file : files) seeds.push_back(ReadFile(file));
  for (const std::string& seed : seeds) Run(seed);
  int mutations = argc > 2 ? std::atoi(argv[2]) : 5000;
  Mutator mutator(seeds);
  for (int i = 0; i < mutations; ++i) Run(mutator.Next());
  fmt::print("{} files, {} mutations\n", files.size(), mutations);
  return 0;
}
