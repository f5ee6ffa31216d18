// A message's fields in order (RFC 9110 5). Names keep the case they came in and compare without
// it. All bytes live in one arena, so that a typical head costs two allocations, and none when
// reused. A value; one thread at a time. Views given out are valid until the next change.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace genkan::http {

class Headers {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  // Adds a field behind the others. The caller has checked the bytes (message_rules.h). `name` and
  // `value` may be views into these headers.
  void Add(std::string_view name, std::string_view value);
  // Copies the lines of a parsed head at once. AddFromBlock then takes fields that are views into
  // the same lines without copying them one by one.
  void AdoptBlock(std::string_view lines) {
    block_ = lines.data();
    block_at_ = arena_.size();
    arena_.append(lines);
  }
  void AddFromBlock(std::string_view name, std::string_view value) {
    entries_.push_back({AtInBlock(name), static_cast<uint32_t>(name.size()), AtInBlock(value),
                        static_cast<uint32_t>(value.size())});
  }
  // Replaces all fields of this name by one.
  void Set(std::string_view name, std::string_view value);
  // Gives the field at `index` another value; its place stays.
  void SetValueAt(size_t index, std::string_view value);
  // Removes all of this name; returns how many there were.
  size_t Remove(std::string_view name);
  // Removes those for which `drop(name, value)` is true.
  template <class Predicate>
  size_t RemoveIf(Predicate drop) {
    size_t kept = 0;
    for (size_t i = 0; i < entries_.size(); ++i) {
      Field field = at(i);
      if (!drop(field.name, field.value)) entries_[kept++] = entries_[i];
    }
    size_t removed = entries_.size() - kept;
    entries_.resize(kept);
    return removed;
  }

  // The first field's value.
  std::optional<std::string_view> Get(std::string_view name) const;
  size_t Count(std::string_view name) const;
  bool Has(std::string_view name) const { return Get(name).has_value(); }
  // True where any field of this name has `token` in its comma-separated list, case ignored
  // (Connection: close).
  bool HasToken(std::string_view name, std::string_view token) const;

  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  Field at(size_t index) const {
    const Entry& entry = entries_[index];
    return {std::string_view(arena_).substr(entry.name_at, entry.name_size),
            std::string_view(arena_).substr(entry.value_at, entry.value_size)};
  }
  // Name and value bytes of all fields.
  size_t bytes() const;
  void Clear() {
    entries_.clear();
    arena_.clear();
  }
  void Reserve(size_t fields, size_t bytes) {
    entries_.reserve(fields);
    arena_.reserve(bytes);
  }

  // Room for a copy of `other` and for so much more behind it; copied next, nothing grows again.
  void ReserveFor(const Headers& other, size_t fields, size_t bytes) {
    Reserve(other.entries_.size() + fields, other.arena_.size() + bytes);
  }

  class Iterator {
   public:
    Iterator(const Headers& headers, size_t index) : headers_(&headers), index_(index) {}
    Field operator*() const { return headers_->at(index_); }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return index_ != other.index_; }

   private:
    const Headers* headers_;
    size_t index_;
  };
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, entries_.size()}; }

 private:
  struct Entry {
    uint32_t name_at, name_size, value_at, value_size;
  };
  uint32_t AtInBlock(std::string_view part) const {
    // A trimmed empty value may have lost its place.
    if (part.empty()) return 0;
    return static_cast<uint32_t>(block_at_ + static_cast<size_t>(part.data() - block_));
  }
  static Entry AppendTo(std::string& arena, std::string_view name, std::string_view value);

  std::string arena_;
  std::vector<Entry> entries_;
  // Of the last AdoptBlock: where its lines were then, only to reckon with.
  const char* block_ = nullptr;
  size_t block_at_ = 0;
};

}  // namespace genkan::http
