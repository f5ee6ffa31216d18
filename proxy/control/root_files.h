// Files that root opens for somebody who is not: a link that another user has laid leads only to
// that user's own files, and what that user may rename or replace on the way does not matter,
// because each step is taken from the directory that is held open. Blocks; any thread.
#pragma once

#include <string>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/net/fd.h"

namespace genkan::control {

// For reading. Regular files only.
Result<net::Fd> OpenAsRoot(const std::string& path);
// Full paths of the regular files (symlinks followed) directly in a directory, sorted.
Result<std::vector<std::string>> ListAsRoot(const std::string& directory);
// Nobody but root can change where this path leads: every directory on the way is root's and closed
// to other writers.
bool IsRootsAlone(const std::string& directory);

}  // namespace genkan::control
