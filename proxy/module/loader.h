// Modules from shared objects (load_modules). A file is held against the SDK's ABI tag before the
// system opens it, so that nothing of a foreign one ever runs, not even its initialisers. What was
// opened stays open: its code may be in use. Control thread.
#pragma once

#include <string>

#include "proxy/base/result.h"
#include "proxy/module/api.h"

namespace genkan {

// Valid for the life of the process. The same path twice is the same module.
Result<const ModuleEntry*> LoadModule(const std::string& path);

}  // namespace genkan
