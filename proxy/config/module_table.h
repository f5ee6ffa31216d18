// Options of module instances as the SDK wants them, over a table of the file or one that was put
// together. Immutable; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/config/config.h"
#include "proxy/config/value.h"
#include "proxy/module/module_config.h"

namespace genkan::config {

// Over [module.NAME]: every key but "use".
std::shared_ptr<const ModuleTable> MakeModuleTable(Value table, std::string path, std::string label,
                                                   std::string file);
// For acme_challenge and ocsp_stapling, which are always there: the keys of [acme_challenge] and
// [ocsp] that are theirs.
std::shared_ptr<const ModuleTable> MakeAcmeChallengeTable(const AcmeChallenge& settings);
std::shared_ptr<const ModuleTable> MakeOcspTable(const Ocsp& settings);

// The files that an instance names: what stands at the keys `file`, `files`, `…_file` and `…_files`.
std::vector<std::string> NamedFiles(const ModuleTable& table);

}  // namespace genkan::config
