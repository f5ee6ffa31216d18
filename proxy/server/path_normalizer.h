// The one normalisation of a path (RFC 3986 6.2.2) that filters judge by and that routes with a filter forward. Pure;
// any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace genkan::server {

struct NormalizedPath {
  // Unreserved bytes decoded, escapes in upper case, slashes merged, dot segments removed.
  std::string path;
  // Not "" where two readers of the same path may differ, and why: an escaped slash or backslash, a control byte, a
  // parameter, a double escape, overlong UTF-8 … Such a path cannot be judged (message rule 14).
  std::string_view doubt;
};

// `path`: origin-form without query. Anything else ("*") comes back as it is.
NormalizedPath NormalizePath(std::string_view path);

// What such a path may be for an origin that decodes once more, cuts parameters off, or takes a backslash for a slash:
// every reading that some server is known for, normalised, each once.
std::vector<std::string> OtherReadings(std::string_view path);

// True where NormalizePath would change nothing and has no doubt; the usual case, without an allocation.
bool IsPlainPath(std::string_view path);

}  // namespace genkan::server
