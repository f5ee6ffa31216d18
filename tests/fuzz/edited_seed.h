// Fuzz input as edits of documents that are made at run time: no certificate is kept in a corpus,
// and still each input starts from something that parses. Byte 0 chooses the document (or none: the
// rest as it is), the rest are edits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace genkan::fuzz {

struct EditedSeed {
  int seed = -1;  // index of the document; -1: the bytes are the fuzzer's own
  bool is_edited = false;
  std::string bytes;
};
EditedSeed ReadEditedSeed(const uint8_t* data, size_t size, const std::vector<std::string>& seeds);

}  // namespace genkan::fuzz
