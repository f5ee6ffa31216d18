// How a FileWatcher looks at paths: directly, or through a process that may see more than this one.
// Whoever asks for a watch owns the inotify descriptor and reads its events; who adds the watch
// needs the rights. Watcher's thread; implementations say what else they allow.
#pragma once

#include <string>
#include <vector>

#include "proxy/event/file_state.h"

namespace genkan::event {

// A step of a path, watched.
struct ArmedStep {
  std::string directory;  // free of symlinks
  std::string name;       // "": every name in the directory counts
  int watch = -1;         // inotify's number; -1: the kernel refused, with this errno
  int error = 0;
  bool operator==(const ArmedStep&) const = default;
};

class FileView {
 public:
  virtual ~FileView() = default;
  virtual FileState State(const std::string& path) = 0;
  // Every step of the path and, where it is a directory, of the regular files in it. Each step's
  // directory is added to `inotify` (again: the same number as long as it is the same directory);
  // with -1 nothing is added.
  virtual std::vector<ArmedStep> Arm(const std::string& path, int inotify) = 0;
  // Before the descriptor is closed: its number may become another one's.
  virtual void Forget(int /*inotify*/) {}
};

// This process's own rights. Any thread.
FileView& DirectFileView();

}  // namespace genkan::event
