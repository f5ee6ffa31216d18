// This program as it was started: what a hand-over starts again, from the same path, so that an
// upgrade in place works. Main thread, at the start.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "proxy/base/result.h"

namespace genkan::control {

struct Program {
  std::string path;  // as it was named or found in PATH; not what a symlink led to then
  std::vector<std::string> argv;
};

Program OwnProgram();

// The variable that names the descriptor of the hand-over to the new process.
inline constexpr const char* kHandOverVariable = "GENKAN_HANDOVER";

// Starts it with fresh signals and one descriptor besides the standard three, which stays the
// caller's here. Any thread.
Result<pid_t> StartProgram(const Program& program, int descriptor);

}  // namespace genkan::control
