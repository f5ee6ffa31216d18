// Turns one entry of a site's `certificates` into bundles: reads the files, matches leaf and key,
// completes and orders the chain from everything in the directory. Blocks on files; any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/tls/certificate_bundle.h"
#include "proxy/tls/certificate_pool.h"
#include "proxy/tls/chain_builder.h"
#include "proxy/tls/trust_profiles.h"

namespace genkan::control {

// How files are reached: directly, or through the keeper. Any thread.
class FileAccess {
 public:
  virtual ~FileAccess() = default;
  // Regular files only; at most `max_bytes`.
  virtual Result<std::string> Read(const std::string& path, size_t max_bytes) = 0;
  // Full paths of the regular files (symlinks followed) directly in a directory, sorted.
  virtual Result<std::vector<std::string>> List(const std::string& directory) = 0;
  virtual std::vector<std::string> Glob(const std::string& pattern) = 0;
};
std::unique_ptr<FileAccess> MakeDirectFileAccess();
// A file that is open already; `path` is for the words.
Result<std::string> ReadOpenFile(int fd, const std::string& path, size_t max_bytes);

// What every reading needs besides the files. Read by several threads at once, changed by none.
struct CertificateContext {
  std::vector<tls::CertificatePtr> roots;  // trust_store
  std::vector<tls::CertificatePtr> pool;   // [certificates] pool, then what was fetched
  // Chains are chosen and proved by these; none: neither.
  std::vector<tls::TrustProfilePtr> profiles;
  // Of `roots` and of all profiles, as SetTrust gives them; none: `roots`.
  std::vector<tls::CertificatePtr> anchors;
  WallTime now;
  // A plain private key is decoded when it is first used; whoever sets it tries the bundle before
  // or after it serves.
  tls::KeyReading keys = tls::KeyReading::kNow;
  // False: what clients say to the chains is found out by whoever reads, later.
  bool proves_chains = true;
};
// Roots and the profiles above them, as [certificates] trust_profiles says. Where that fails, the
// context has the roots and no profiles.
Status SetTrust(std::vector<tls::CertificatePtr> roots, const std::string& trust_profiles,
                CertificateContext& context);
// The same with profiles that were loaded for these roots, or the error of it.
Status SetTrust(std::vector<tls::CertificatePtr> roots,
                Result<std::vector<tls::TrustProfilePtr>> profiles, CertificateContext& context);

// One certificate found (a glob or a directory with several keys gives several).
struct FoundCertificate {
  std::string name;         // the lineage's directory name, or the file: stable over renewals
  tls::BundlePtr bundle;    // null: see error
  tls::Chain chain;         // as built; chain.dropped has the reasons
  std::vector<tls::ChainProof> proofs;  // one a profile; none without a bundle
  bool is_judged = false;               // `proofs` are there, also where there are no profiles
  tls::CertificatePtr issuer;  // of the leaf, also where it is a root; null where unknown
  std::string error;  // in words with the file: "…/privkey.pem: the key does not match …"
  bool may_be_half_written = false;  // try again soon
  std::vector<std::string> files;    // what was read
  // Of a trial before it serves; set by whoever has it tried.
  bool is_tried = false;
  // It is what state_dir/last_good has; set by whoever has looked there.
  std::optional<bool> is_last_good;
};

struct SourceReading {
  // At least one entry; an error entry where nothing was found.
  std::vector<FoundCertificate> certificates;
};

// What to watch for `source`. To be looked at before the reading, so that no change falls between
// the two.
std::vector<std::string> WatchPathsOf(const config::CertificateSource& source, FileAccess& files);
bool IsGlob(const config::CertificateSource& source);

// The certificates of the files and directories in `paths` ([certificates] pool). What cannot be
// read is a line of `problems`.
std::vector<tls::CertificatePtr> ReadExtraPool(const std::vector<std::string>& paths,
                                               FileAccess& files,
                                               std::vector<std::string>& problems);

// May run on several threads at once, where `files` may.
SourceReading ReadSource(const config::CertificateSource& source, FileAccess& files, const CertificateContext& context);

// Fills found.proofs from context.profiles; ReadSource does it by itself where the context says so.
void ProveFound(FoundCertificate& found, const CertificateContext& context);

}  // namespace genkan::control
