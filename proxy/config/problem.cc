#include "proxy/config/problem.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

namespace genkan::config {

std::string Position::ToString() const {
  if (line == 0) return file;
  return fmt::format("{}:{}:{}", file, line, column);
}

Position Origins::Find(std::string_view path) const {
  for (;;) {
    auto found = by_path_.find(path);
    if (found != by_path_.end()) return found->second;
    size_t at = path.find_last_of(".[");
    if (path.empty()) return {};
    path = at == std::string_view::npos ? std::string_view() : path.substr(0, at);
  }
}

std::string Problem::ToString() const {
  std::string where = at.ToString();
  return where.empty() ? text : where + ": " + text;
}

std::vector<std::string> ToLines(std::vector<Problem> problems) {
  std::stable_sort(problems.begin(), problems.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.at.line, a.at.column) < std::tie(b.at.line, b.at.column);
  });
  std::vector<std::string> lines;
  for (const Problem& problem : problems) {
    std::string line = problem.ToString();
    if (lines.empty() || lines.back() != line) lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace genkan::config
