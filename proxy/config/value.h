// What a configuration file says, as a tree without the library that parsed it: every value and
// every key knows its line and column. A value; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/problem.h"

namespace genkan::config {

struct Member;

struct Value {
  enum class Kind { kBool, kInteger, kFloat, kDate, kString, kArray, kTable } kind = Kind::kTable;
  uint32_t line = 0, column = 0;
  bool boolean = false;
  int64_t integer = 0;
  std::string text;             // kString; kFloat and kDate as they may be shown
  std::vector<Value> items;     // kArray
  std::vector<Member> members;  // kTable, in the order of the file

  const Member* Find(std::string_view name) const;
};

struct Member {
  std::string name;
  uint32_t line = 0, column = 0;  // of the key
  Value value;
};

// Positions do not count.
bool IsSame(const Value& a, const Value& b);

// "a string", "an integer", …
std::string_view Describe(Value::Kind kind);

// For a table that no file has.
Value MakeString(std::string text);
Value MakeList(const std::vector<std::string>& texts);
Value MakeTable(std::vector<std::pair<std::string, Value>> members);

// The value of an environment variable; nothing where it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// TOML 1.0 text as a tree. A syntax error is one problem, and the tree is empty: nothing behind it
// can be trusted.
Value ParseToml(std::string_view text, const std::string& file, std::vector<Problem>& problems);

// Replaces ${NAME} in every string by the variable and $$ by a dollar; an unset variable is a
// problem each.
void SubstituteVariables(Value& value, const Environment& environment, const std::string& file,
                         std::vector<Problem>& problems);

}  // namespace genkan::config
