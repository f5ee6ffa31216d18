// The kinds of clients that chains are proved against, from the files in conf/trust/, which are
// built into the program, or from a directory of the operator's. conf/trust/README.md describes the
// format. The same for the proof at load, `check` and `doctor`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/result.h"
#include "proxy/tls/trust_profile.h"

namespace genkan::tls {

// One file. Pure; any thread. Its store is `trust_store` less the file's `without`, plus the roots
// in the file. Errors name the line: "old_android: line 7: unknown key …".
Result<TrustProfileOptions> ParseTrustProfile(std::string_view name, std::string_view text,
                                              const std::vector<CertificatePtr>& trust_store);

// `source`: "builtin", or a directory whose *.profile files are read (blocks; 64 at most). Sorted
// by name, those that are required first. None, and no error, where `trust_store` is empty: without
// roots nothing can be proved.
Result<std::vector<TrustProfilePtr>> LoadTrustProfiles(
    const std::string& source, const std::vector<CertificatePtr>& trust_store);

// Name and text of each built-in file.
struct TrustProfileText {
  std::string_view name;  // "modern"
  std::string_view text;
};
const std::vector<TrustProfileText>& BuiltinTrustProfiles();

}  // namespace genkan::tls
