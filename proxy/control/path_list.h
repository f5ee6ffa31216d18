// Some paths in one block: each begins mostly as the one before it, and of thousands of
// certificates the paths of their files would be a tenth of all memory. A value; one thread.
#pragma once

#include <string>
#include <vector>

namespace genkan::control {

class PathList {
 public:
  PathList() = default;
  explicit PathList(const std::vector<std::string>& paths);

  std::vector<std::string> All() const;

 private:
  // Of each: how many bytes it has of the one before, how many of its own (each as two bytes), and
  // these.
  std::string packed_;
};

}  // namespace genkan::control
