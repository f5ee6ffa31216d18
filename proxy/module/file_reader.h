// Who reads the files of modules that this process may not read itself: with a keeper, the keeper.
// For control/; modules have ReadWholeFile and need not know.
#pragma once

#include <functional>
#include <string>

#include "proxy/base/result.h"

namespace genkan {

using FileReader = std::function<Result<std::string>(const std::string& path, size_t most_bytes)>;

// ReadWholeFile asks it where the file system refuses. Thread-safe it has to be; it is set and taken
// away while nothing reads. Empty: nobody.
void SetFileReader(FileReader reader);

}  // namespace genkan
