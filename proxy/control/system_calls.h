// The proxy's list of system calls, once it is not root any more: nothing that starts programs,
// changes users, mounts, traces or loads code into the kernel. Main thread, for all threads of the
// process.
#pragma once

#include "proxy/base/result.h"

namespace genkan::control {

// What is not on the list fails with EPERM from here on. Needs no_new_privs or root. Does nothing
// under a sanitizer, which has calls of its own.
Status RestrictSystemCalls();

}  // namespace genkan::control
