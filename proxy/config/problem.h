// One thing that is wrong with a configuration. A value.
#pragma once

#include <string>
#include <vector>

#include "proxy/config/position.h"

namespace genkan::config {

struct Problem {
  Position at;
  std::string text;
  std::string path;  // of the value; "" where the problem is with the text itself

  // "genkan.toml:12:3: …"
  std::string ToString() const;
};

// One line each, in the order of the file.
std::vector<std::string> ToLines(std::vector<Problem> problems);

}  // namespace genkan::config
