// Reads one table key by key: each Read names a key, gives the variable that holds its default, and
// leaves it alone where the key is not there. Wrong types are noted with their position; Finish
// notes every key that nobody read. Control thread; lives for one reading.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"
#include "proxy/config/problem.h"
#include "proxy/config/value.h"
#include "proxy/module/module_config.h"

namespace genkan::config {

// Where readings of one file note what they find.
struct ReadingNotes {
  std::string file;
  std::vector<Problem> problems;
  Origins origins;
  std::vector<std::string> known_keys;  // the path of every key that was looked for
};

class TableReader final : public ConfigReader {
 public:
  // `path` is "" for the top, "site[0]", "upstream.app"; `label` is how messages call the table:
  // "[[site]]".
  TableReader(const Value& table, std::string path, std::string label, ReadingNotes& notes);
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;

  void Read(std::string_view key, bool& value) override;
  void Read(std::string_view key, int64_t& value) override;
  void Read(std::string_view key, uint32_t& value);
  void Read(std::string_view key, std::optional<bool>& value);
  void Read(std::string_view key, std::string& value) override;
  void Read(std::string_view key, std::vector<std::string>& value) override;
  void Read(std::string_view key, Millis& value) override;
  void ReadSize(std::string_view key, uint64_t& value) override;
  void Fail(std::string_view key, std::string_view what) override;

  // [key], or key = { … }: read(TableReader&), where it is there.
  template <class Read>
  void ReadTable(std::string_view key, Read read) {
    const Value* value = FindOf(key, Value::Kind::kTable);
    if (value == nullptr) return;
    TableReader inner(*value, Below(key), Label(key), notes_);
    read(inner);
    inner.Finish();
  }
  // [[key]]: read(TableReader&) for each, in order.
  template <class Read>
  void ReadTables(std::string_view key, Read read) {
    const Value* list = FindTables(key);
    if (list == nullptr) return;
    for (size_t i = 0; i < list->items.size(); ++i) {
      TableReader inner(list->items[i], Below(key, i), "[" + Label(key) + "]", notes_);
      read(inner);
      inner.Finish();
    }
  }
  // [key.NAME]: read(name, TableReader&) for each.
  template <class Read>
  void ReadNamedTables(std::string_view key, Read read) {
    const Value* value = FindOf(key, Value::Kind::kTable);
    if (value == nullptr) return;
    for (const Member& member : value->members) {
      if (!IsNamedTable(key, member)) continue;
      std::string label = Label(key);
      label.insert(label.size() - 1, "." + member.name);
      TableReader inner(member.value, Below(key) + "." + member.name, label, notes_);
      read(member.name, inner);
      inner.Finish();
    }
  }

  // The key's value as it stands; nullptr where it is not there. Counts as read.
  const Value* Find(std::string_view key);
  // The same, and a problem where it is of another kind.
  const Value* FindOf(std::string_view key, Value::Kind kind);
  // A problem with the value itself, or with an item of it (path "servers[1]").
  void FailAt(const Value& value, std::string path, std::string text);
  // Notes where an item stands.
  void NoteItem(std::string_view key, size_t index, const Value& item);

  // Not a key of this reader, but of somebody's: no problem.
  void Skip(std::string_view key);
  void SkipAll();
  // Every key that nobody read is a problem. Call last.
  void Finish();

  const Value& value() const { return table_; }
  const std::string& path() const { return path_; }
  Position position() const { return {notes_.file, table_.line, table_.column}; }
  std::string Below(std::string_view key) const;
  std::string Below(std::string_view key, size_t index) const;
  ReadingNotes& notes() { return notes_; }

 private:
  std::string Label(std::string_view key) const;
  std::string InTable() const;
  const Value* FindTables(std::string_view key);
  bool IsNamedTable(std::string_view key, const Member& member);
  void WrongType(std::string_view key, const Value& value, std::string_view wanted);

  const Value& table_;
  std::string path_, label_;
  ReadingNotes& notes_;
  std::vector<std::string> known_;  // keys asked for
  bool skips_all_ = false;
};

}  // namespace genkan::config
