#include "proxy/config/table_reader.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "proxy/base/text.h"
#include "proxy/config/units.h"

namespace genkan::config {

TableReader::TableReader(const Value& table, std::string path, std::string label,
                         ReadingNotes& notes)
    : table_(table), path_(std::move(path)), label_(std::move(label)), notes_(notes) {
  notes_.origins.Note(path_, position());
}

std::string TableReader::Below(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

std::string TableReader::Below(std::string_view key, size_t index) const {
  return fmt::format("{}[{}]", Below(key), index);
}

// "[[site]]" and "tls" -> "[site.tls]".
std::string TableReader::Label(std::string_view key) const {
  std::string_view outer = label_;
  if (path_.empty()) return fmt::format("[{}]", key);
  while (outer.starts_with('[')) outer.remove_prefix(1);
  while (outer.ends_with(']')) outer.remove_suffix(1);
  return fmt::format("[{}.{}]", outer, key);
}

std::string TableReader::InTable() const { return path_.empty() ? "" : " in " + label_; }

const Value* TableReader::Find(std::string_view key) {
  known_.emplace_back(key);
  notes_.known_keys.push_back(Below(key));
  const Member* member = table_.Find(key);
  if (member == nullptr) return nullptr;
  notes_.origins.Note(Below(key), {notes_.file, member->line, member->column});
  return &member->value;
}

const Value* TableReader::FindOf(std::string_view key, Value::Kind kind) {
  const Value* value = Find(key);
  if (value == nullptr || value->kind == kind) return value;
  WrongType(key, *value, Describe(kind));
  return nullptr;
}

const Value* TableReader::FindTables(std::string_view key) {
  const Value* value = Find(key);
  if (value == nullptr) return nullptr;
  bool is_list = value->kind == Value::Kind::kArray;
  if (is_list) {
    for (const Value& item : value->items) is_list = is_list && item.kind == Value::Kind::kTable;
  }
  if (is_list) return value;
  FailAt(*value, Below(key),
         fmt::format("\"{}\" is written as [{}], once for each", key, Label(key)));
  return nullptr;
}

bool TableReader::IsNamedTable(std::string_view key, const Member& member) {
  if (member.value.kind == Value::Kind::kTable) return true;
  std::string label = Label(key);
  label.insert(label.size() - 1, ".NAME");
  notes_.problems.push_back({{notes_.file, member.line, member.column},
                             fmt::format("\"{}\" is no table; write {}", member.name, label),
                             Below(key)});
  return false;
}

void TableReader::FailAt(const Value& value, std::string path, std::string text) {
  notes_.problems.push_back(
      {{notes_.file, value.line, value.column}, std::move(text), std::move(path)});
}

void TableReader::NoteItem(std::string_view key, size_t index, const Value& item) {
  notes_.origins.Note(Below(key, index), {notes_.file, item.line, item.column});
}

void TableReader::WrongType(std::string_view key, const Value& value, std::string_view wanted) {
  FailAt(value, Below(key),
         fmt::format("\"{}\"{} must be {}, not {}", key, InTable(), wanted, Describe(value.kind)));
}

void TableReader::Read(std::string_view key, bool& value) {
  if (const Value* found = FindOf(key, Value::Kind::kBool)) value = found->boolean;
}

void TableReader::Read(std::string_view key, std::optional<bool>& value) {
  if (const Value* found = FindOf(key, Value::Kind::kBool)) value = found->boolean;
}

void TableReader::Read(std::string_view key, int64_t& value) {
  if (const Value* found = FindOf(key, Value::Kind::kInteger)) value = found->integer;
}

void TableReader::Read(std::string_view key, uint32_t& value) {
  const Value* found = FindOf(key, Value::Kind::kInteger);
  if (found == nullptr) return;
  if (found->integer < 0 || found->integer > std::numeric_limits<uint32_t>::max()) {
    FailAt(*found, Below(key), fmt::format("\"{}\": {} is out of range", key, found->integer));
    return;
  }
  value = static_cast<uint32_t>(found->integer);
}

void TableReader::Read(std::string_view key, std::string& value) {
  if (const Value* found = FindOf(key, Value::Kind::kString)) value = found->text;
}

void TableReader::Read(std::string_view key, std::vector<std::string>& value) {
  const Value* found = Find(key);
  if (found == nullptr) return;
  if (found->kind == Value::Kind::kString) {
    return FailAt(*found, Below(key),
                  fmt::format("\"{}\" is a list; write [\"{}\"]", key, EscapeControl(found->text)));
  }
  if (found->kind != Value::Kind::kArray) return WrongType(key, *found, "a list of strings");
  std::vector<std::string> texts;
  for (size_t i = 0; i < found->items.size(); ++i) {
    const Value& item = found->items[i];
    NoteItem(key, i, item);
    if (item.kind != Value::Kind::kString) {
      FailAt(
          item, Below(key, i),
          fmt::format("\"{}\"{} must hold strings, not {}", key, InTable(), Describe(item.kind)));
    } else {
      texts.push_back(item.text);
    }
  }
  value = std::move(texts);
}

void TableReader::Read(std::string_view key, Millis& value) {
  const Value* found = Find(key);
  if (found == nullptr) return;
  if (found->kind != Value::Kind::kString) {
    return WrongType(key, *found, "a duration such as \"10s\"");
  }
  auto duration = ParseDuration(found->text);
  if (!duration) {
    return FailAt(*found, Below(key),
                  fmt::format("\"{}\": \"{}\" is no duration; write \"250ms\", \"10s\", \"2m\", "
                              "\"12h\" or \"1d\"",
                              key, EscapeControl(found->text)));
  }
  value = *duration;
}

void TableReader::ReadSize(std::string_view key, uint64_t& value) {
  const Value* found = Find(key);
  if (found == nullptr) return;
  if (found->kind == Value::Kind::kInteger && found->integer >= 0) {
    value = static_cast<uint64_t>(found->integer);
    return;
  }
  if (found->kind != Value::Kind::kString) {
    return WrongType(key, *found, "a size such as \"64KiB\"");
  }
  auto size = ParseSize(found->text);
  if (!size) {
    return FailAt(*found, Below(key),
                  fmt::format("\"{}\": \"{}\" is no size; write \"512\", \"64KiB\", \"10MB\" or "
                              "\"1GiB\"",
                              key, EscapeControl(found->text)));
  }
  value = *size;
}

void TableReader::Fail(std::string_view key, std::string_view what) {
  Position at = notes_.origins.Find(Below(key));
  notes_.problems.push_back({at, fmt::format("\"{}\": {}", key, what), Below(key)});
}

void TableReader::Skip(std::string_view key) { known_.emplace_back(key); }

void TableReader::SkipAll() { skips_all_ = true; }

void TableReader::Finish() {
  if (skips_all_) return;
  std::vector<std::string_view> known(known_.begin(), known_.end());
  for (const Member& member : table_.members) {
    if (std::find(known.begin(), known.end(), member.name) != known.end()) continue;
    std::string text = fmt::format("unknown key \"{}\" {}", EscapeControl(member.name),
                                   path_.empty() ? std::string("at the top") : "in " + label_);
    std::string_view nearest = NearestWord(member.name, known);
    if (!nearest.empty()) text += fmt::format("; did you mean \"{}\"?", nearest);
    // Under the name that was meant, so that nobody complains of that one's absence too.
    notes_.problems.push_back({{notes_.file, member.line, member.column},
                               std::move(text),
                               Below(nearest.empty() ? member.name : nearest)});
  }
}

}  // namespace genkan::config
