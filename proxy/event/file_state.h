// What a path leads to right now: the directories that a change of it would show in, and what stat says of its end.
// Blocking file system calls; any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace genkan::event {

// Equal signatures: the same file with the same content, as far as stat can tell.
struct FileSignature {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modified_nanos = 0;
  int64_t changed_nanos = 0;
  bool operator==(const FileSignature&) const = default;
};

struct FileState {
  int error = 0;  // errno of the stat; ENOENT where nothing is there
  bool is_directory = false;
  FileSignature file;                                        // of a file
  std::vector<std::pair<std::string, FileSignature>> files;  // in a directory: its regular files, by name
  bool operator==(const FileState&) const = default;
};

// Follows symlinks. Of a directory at most 4096 files count.
FileState ReadFileState(const std::string& path);

// An entry of an existing directory that the path goes through: a change of that entry may change where it leads.
struct PathStep {
  std::string directory;  // free of symlinks
  std::string name;
  bool operator==(const PathStep&) const = default;
};

// Every step from / to the end of `path`, with each symlink on the way (at most 40) and its target's steps; as far as
// directories exist. Where the path is a directory, its own name is the last step.
std::vector<PathStep> WalkPath(const std::string& path);
// The real path of a directory; "" where there is none.
std::string RealDirectory(const std::string& path);

}  // namespace genkan::event
