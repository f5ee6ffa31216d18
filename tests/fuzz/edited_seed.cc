#include "tests/fuzz/edited_seed.h"

#include <algorithm>

namespace genkan::fuzz {
namespace {

enum Edit { kSet, kFlip, kErase, kInsert, kRepeat, kTruncate, kEdits };

}  // namespace

EditedSeed ReadEditedSeed(const uint8_t* data, size_t size, const std::vector<std::string>& seeds) {
  if (size == 0) return {0, false, seeds[0]};
  const size_t choice = data[0] % (seeds.size() + 1);
  if (choice == seeds.size()) {
    return {-1, true, std::string(reinterpret_cast<const char*>(data) + 1, size - 1)};
  }
  EditedSeed result{static_cast<int>(choice), false, seeds[choice]};
  // An edit is five bytes: what, where (two), how much, which value.
  for (size_t at = 1; at + 5 <= size && !result.bytes.empty(); at += 5) {
    const size_t where = (data[at + 1] << 8 | data[at + 2]) % result.bytes.size();
    const size_t count = std::min<size_t>(data[at + 3], result.bytes.size() - where);
    const auto value = static_cast<char>(data[at + 4]);
    switch (data[at] % kEdits) {
      case kSet:
        result.bytes[where] = value;
        break;
      case kFlip:
        result.bytes[where] = static_cast<char>(result.bytes[where] ^ (1 << (value & 7)));
        break;
      case kErase:
        result.bytes.erase(where, count);
        break;
      case kInsert:
        result.bytes.insert(where, data[at + 3], value);
        break;
      case kRepeat:
        result.bytes.insert(where, result.bytes.substr(where, count));
        break;
      case kTruncate:
        result.bytes.resize(where);
        break;
      default:
        break;
    }
  }
  result.is_edited = result.bytes != seeds[choice];
  return result;
}

}  // namespace genkan::fuzz
