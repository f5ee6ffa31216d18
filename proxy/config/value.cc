#include "proxy/config/value.h"

#include <fmt/core.h>

#include <utility>

namespace genkan::config {

const Member* Value::Find(std::string_view name) const {
  for (const Member& member : members) {
    if (member.name == name) return &member;
  }
  return nullptr;
}

bool IsSame(const Value& a, const Value& b) {
  if (a.kind != b.kind || a.boolean != b.boolean || a.integer != b.integer || a.text != b.text ||
      a.items.size() != b.items.size() || a.members.size() != b.members.size()) {
    return false;
  }
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!IsSame(a.items[i], b.items[i])) return false;
  }
  for (const Member& member : a.members) {
    const Member* other = b.Find(member.name);
    if (other == nullptr || !IsSame(member.value, other->value)) return false;
  }
  return true;
}

std::string_view Describe(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kBool:
      return "true or false";
    case Value::Kind::kInteger:
      return "an integer";
    case Value::Kind::kFloat:
      return "a fraction";
    case Value::Kind::kDate:
      return "a date or time";
    case Value::Kind::kString:
      return "a string";
    case Value::Kind::kArray:
      return "a list";
    case Value::Kind::kTable:
      return "a table";
  }
  return "";
}

Value MakeString(std::string text) {
  Value value;
  value.kind = Value::Kind::kString;
  value.text = std::move(text);
  return value;
}

Value MakeList(const std::vector<std::string>& texts) {
  Value value;
  value.kind = Value::Kind::kArray;
  for (const std::string& text : texts) value.items.push_back(MakeString(text));
  return value;
}

Value MakeTable(std::vector<std::pair<std::string, Value>> members) {
  Value value;
  for (auto& [name, member] : members) value.members.push_back({name, 0, 0, std::move(member)});
  return value;
}

namespace {

bool IsVariableName(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (char c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
      return false;
  }
  return true;
}

// The string with its variables put in; each reason why one could not be goes to `complain`.
template <class Complain>
std::string Substitute(std::string_view text, const Environment& environment, Complain complain) {
  std::string result;
  while (!text.empty()) {
    size_t at = text.find('$');
    result += text.substr(0, at);
    if (at == std::string_view::npos) break;
    text.remove_prefix(at);
    if (text.starts_with("$$")) {
      result += '$';
      text.remove_prefix(2);
    } else if (text.starts_with("${")) {
      size_t end = text.find('}');
      std::string name(text.substr(2, end == std::string_view::npos ? end : end - 2));
      if (end == std::string_view::npos || !IsVariableName(name)) {
        complain(fmt::format("\"{}\" is no variable; write ${{NAME}}, or $$ for a dollar",
                             text.substr(0, end == std::string_view::npos ? end : end + 1)));
        break;
      }
      auto value = environment(name);
      if (value) {
        result += *value;
      } else {
        complain(fmt::format("the environment variable {} is not set", name));
      }
      text.remove_prefix(end + 1);
    } else {
      result += '$';
      text.remove_prefix(1);
    }
  }
  return result;
}

}  // namespace

void SubstituteVariables(Value& value, const Environment& environment, const std::string& file,
                         std::vector<Problem>& problems) {
  auto complain = [&](std::string text) {
    problems.push_back({{file, value.line, value.column}, std::move(text), ""});
  };
  if (value.kind == Value::Kind::kString) {
    if (value.text.find('$') != std::string::npos)
      value.text = Substitute(value.text, environment, complain);
    // A path or name with a NUL would mean one thing here and another to the system.
    if (value.text.find('\0') != std::string::npos) complain("a string may not hold a NUL byte");
  }
  for (Value& item : value.items) SubstituteVariables(item, environment, file, problems);
  for (Member& member : value.members)
    SubstituteVariables(member.value, environment, file, problems);
}

}  // namespace genkan::config
