// The kinds of clients that chains are proved against, from the files in conf/trust/, which are
// built into the program, or from a directory of the operator's. conf/trust/README.md describes the
// format. The same for the proof at load, `check` and `doctor`.
#pragma once

#include <string>
#include <string_view>
#include <utility>
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

// The same in two steps, for whoever has parsed these bytes before: name and text of each file, then
// the profiles.
using TrustProfileTexts = std::vector<std::pair<std::string, std::string>>;
Result<TrustProfileTexts> ReadTrustProfiles(const std::string& source);
Result<std::vector<TrustProfilePtr>> ParseTrustProfiles(
    const std::string& source, const TrustProfileTexts& texts,
    const std::vector<CertificatePtr>& trust_store);

// What one kind of client says of what is served.
struct ChainProof {
  TrustProfilePtr profile;
  TrustVerdict verdict;
  bool is_by_long = false;  // of the long chain of `by_client`, which alone it takes
  bool operator==(const ChainProof&) const = default;
};
// In the order of the profiles. `long_chain` may be empty.
std::vector<ChainProof> ProveChain(const std::vector<TrustProfilePtr>& profiles,
                                   const std::vector<CertificatePtr>& chain,
                                   const std::vector<CertificatePtr>& long_chain, WallTime now);

// Each root that `trust_store` or a profile holds, once.
std::vector<CertificatePtr> AnchorsOf(const std::vector<CertificatePtr>& trust_store,
                                      const std::vector<TrustProfilePtr>& profiles);

// Name and text of each built-in file.
struct TrustProfileText {
  std::string_view name;  // "modern"
  std::string_view text;
};
const std::vector<TrustProfileText>& BuiltinTrustProfiles();

}  // namespace genkan::tls
