// A message's fields in order (RFC 9110 5). Names keep the case they came in and compare without
// it. All bytes live in one arena, so that a typical head costs two allocations, and none when
// reused. A value; one thread at a time. Views given out are valid until the next change.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "proxy/http/field_kind.h"

namespace genkan::http {

class Headers {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
    // The rest is these headers' to say.
    FieldKind kind = FieldKind::kOther;
    bool is_plain = false;  // known: a name of letters, digits and dashes alone
    bool is_clean = false;  // known: read from a line, so no byte of it can end one
  };

  // Adds a field behind the others. The caller has checked the bytes (message_rules.h). `name` and
  // `value` may be views into these headers.
  void Add(std::string_view name, std::string_view value);
  void AddAll(std::span<const Field> fields);
  // Copies the lines of a parsed head at once. AddFromBlock then takes fields that are views into
  // the same lines without copying them one by one.
  void AdoptBlock(std::string_view lines) {
    block_ = lines.data();
    block_at_ = arena_.size();
    arena_.append(lines);
  }
  void AddFromBlock(const Field& field) {
    entries_.push_back({AtInBlock(field.name), static_cast<uint32_t>(field.name.size()),
                        AtInBlock(field.value), static_cast<uint32_t>(field.value.size()),
                        field.kind, field.is_plain, field.is_clean});
  }
  // Replaces all fields of this name by one.
  void Set(std::string_view name, std::string_view value);
  // Gives the field at `index` another value; its place stays.
  void SetValueAt(size_t index, std::string_view value);
  // Removes all of this name; returns how many there were.
  size_t Remove(std::string_view name);
  // Removes those for which `drop(name, value)` or `drop(field)` is true.
  template <class Predicate>
  size_t RemoveIf(Predicate drop) {
    auto is_dropped = [&](const Field& field) {
      if constexpr (std::is_invocable_v<Predicate, const Field&>) {
        return drop(field);
      } else {
        return drop(field.name, field.value);
      }
    };
    size_t kept = 0;
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (is_dropped(at(i))) continue;
      if (kept != i) entries_[kept] = entries_[i];
      ++kept;
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
    return {std::string_view(arena_.data() + entry.name_at, entry.name_size),
            std::string_view(arena_.data() + entry.value_at, entry.value_size), entry.kind,
            entry.is_plain, entry.is_clean};
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
    FieldKind kind;
    bool is_plain, is_clean;
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
