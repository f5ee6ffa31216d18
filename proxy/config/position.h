// Where a value of the configuration stands. Values; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace genkan::config {

// For messages: genkan.toml:12:3. Without a line, `file` is what to name instead: a flag, a
// variable.
struct Position {
  std::string file;
  uint32_t line = 0, column = 0;
  bool operator==(const Position&) const {
    return true;
  }  // never a difference between configurations

  std::string ToString() const;
};

// Each value's position by its path: "site[0].names[1]", "upstream.app.servers[0]".
class Origins {
 public:
  void Note(std::string path, Position position) {
    by_path_[std::move(path)] = std::move(position);
  }
  // The position of this path, or of the nearest thing around it (the table, where a key is
  // missing).
  Position Find(std::string_view path) const;
  bool Has(std::string_view path) const { return by_path_.find(path) != by_path_.end(); }
  bool operator==(const Origins&) const { return true; }

 private:
  std::map<std::string, Position, std::less<>> by_path_;
};

}  // namespace genkan::config
