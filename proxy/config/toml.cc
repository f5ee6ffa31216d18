// The only file that knows toml++: its tree becomes ours. Debian's shared library is built with
// exceptions and does not link with TOML_EXCEPTIONS=0, so it is used as headers.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 1
#include <fmt/core.h>
#include <toml++/toml.h>

#include <sstream>

#include "proxy/config/value.h"

namespace genkan::config {
namespace {

template <class T>
std::string Shown(const T& node) {
  std::ostringstream out;
  out << node;
  return out.str();
}

Value Convert(const toml::node& node) {
  Value value;
  value.line = node.source().begin.line;
  value.column = node.source().begin.column;
  if (const auto* table = node.as_table()) {
    value.kind = Value::Kind::kTable;
    for (auto&& [key, member] : *table) {
      value.members.push_back({std::string(key.str()), key.source().begin.line,
                               key.source().begin.column, Convert(member)});
    }
  } else if (const auto* array = node.as_array()) {
    value.kind = Value::Kind::kArray;
    for (auto&& item : *array) value.items.push_back(Convert(item));
  } else if (const auto* text = node.as_string()) {
    value.kind = Value::Kind::kString;
    value.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = Value::Kind::kInteger;
    value.integer = integer->get();
  } else if (const auto* boolean = node.as_boolean()) {
    value.kind = Value::Kind::kBool;
    value.boolean = boolean->get();
  } else if (const auto* number = node.as_floating_point()) {
    value.kind = Value::Kind::kFloat;
    value.text = Shown(*number);
  } else {
    value.kind = Value::Kind::kDate;
  }
  return value;
}

}  // namespace

Value ParseToml(std::string_view text, const std::string& file, std::vector<Problem>& problems) {
  toml::parse_result result = toml::parse(text, file);
  if (!result) {
    const toml::parse_error& error = result.error();
    const toml::source_position& at = error.source().begin;
    problems.push_back({{file, at.line, at.column}, std::string(error.description()), ""});
    return {};
  }
  Value root = Convert(result.table());
  // toml++ says where the first key is; messages about the whole file belong to its top.
  root.line = root.column = 1;
  return root;
}

}  // namespace genkan::config
