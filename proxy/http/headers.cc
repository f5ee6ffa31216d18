#include "proxy/http/headers.h"

#include <algorithm>
#include <cstring>

#include "proxy/base/text.h"

namespace genkan::http {

void Headers::Add(std::string_view name, std::string_view value) {
  // A view into our own arena (headers.Add("a", *headers.Get("b"))) must survive the arena's
  // growth.
  if (arena_.capacity() - arena_.size() < name.size() + value.size()) {
    std::string grown;
    grown.reserve(std::max(arena_.capacity() * 2, arena_.size() + name.size() + value.size()));
    grown.append(arena_);
    Entry entry = AppendTo(grown, name, value);
    arena_.swap(grown);
    entries_.push_back(entry);
    return;
  }
  entries_.push_back(AppendTo(arena_, name, value));
}

Headers::Entry Headers::AppendTo(std::string& arena, std::string_view name,
                                 std::string_view value) {
  Entry entry{static_cast<uint32_t>(arena.size()),
              static_cast<uint32_t>(name.size()),
              static_cast<uint32_t>(arena.size() + name.size()),
              static_cast<uint32_t>(value.size()),
              KindOf(name),
              false,
              false};
  arena.append(name);
  arena.append(value);
  return entry;
}

void Headers::AddAll(std::span<const Field> fields) {
  size_t bytes = 0;
  for (const Field& field : fields) bytes += field.name.size() + field.value.size();
  // Until all are there the arena stays where it is, and with it what the fields may be views into.
  std::string grown;
  const bool has_room = arena_.capacity() - arena_.size() >= bytes;
  if (!has_room) {
    grown.reserve(std::max(arena_.capacity() * 2, arena_.size() + bytes));
    grown.append(arena_);
  }
  std::string& arena = has_room ? arena_ : grown;
  for (const Field& field : fields) entries_.push_back(AppendTo(arena, field.name, field.value));
  if (!has_room) arena_.swap(grown);
}

void Headers::Set(std::string_view name, std::string_view value) {
  // The bytes of what is removed stay in the arena, so that `name` and `value` may be views into
  // it.
  Remove(name);
  Add(name, value);
}

void Headers::SetValueAt(size_t index, std::string_view value) {
  Add({}, value);
  entries_[index].value_at = entries_.back().value_at;
  entries_[index].value_size = entries_.back().value_size;
  entries_[index].is_clean = false;
  entries_.pop_back();
}

size_t Headers::Remove(std::string_view name) {
  return RemoveIf(
      [name](std::string_view field, std::string_view) { return EqualsIgnoreCase(field, name); });
}

std::optional<std::string_view> Headers::Get(std::string_view name) const {
  for (Field field : *this) {
    if (EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return std::nullopt;
}

size_t Headers::Count(std::string_view name) const {
  size_t count = 0;
  for (Field field : *this) {
    if (EqualsIgnoreCase(field.name, name)) ++count;
  }
  return count;
}

bool Headers::HasToken(std::string_view name, std::string_view token) const {
  for (Field field : *this) {
    if (!EqualsIgnoreCase(field.name, name)) continue;
    std::string_view rest = field.value;
    for (;;) {
      size_t at = rest.find(',');
      if (EqualsIgnoreCase(Trim(rest.substr(0, at)), token)) return true;
      if (at == std::string_view::npos) break;
      rest.remove_prefix(at + 1);
    }
  }
  return false;
}

size_t Headers::bytes() const {
  size_t total = 0;
  for (const Entry& entry : entries_) total += size_t{entry.name_size} + entry.value_size;
  return total;
}

}  // namespace genkan::http
