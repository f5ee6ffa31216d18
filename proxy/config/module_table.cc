#include "proxy/config/module_table.h"

#include <utility>

#include "proxy/config/table_reader.h"

namespace genkan::config {
namespace {

class ValueTable final : public ModuleTable {
 public:
  ValueTable(Value table, std::string path, std::string label, std::string file, bool is_checked)
      : table_(std::move(table)),
        path_(std::move(path)),
        label_(std::move(label)),
        file_(std::move(file)),
        is_checked_(is_checked) {}

  std::vector<std::string> Visit(void (*read)(void* options, ConfigReader& reader),
                                 void* options) const override {
    ReadingNotes notes;
    notes.file = file_;
    TableReader reader(table_, path_, label_, notes);
    reader.Skip("use");
    if (is_checked_) reader.SkipAll();
    read(options, reader);
    reader.Finish();
    return ToLines(std::move(notes.problems));
  }

  const Value& value() const { return table_; }

  bool Equals(const ModuleTable& other) const override {
    const auto* table = dynamic_cast<const ValueTable*>(&other);
    return table != nullptr && IsSame(table_, table->table_);
  }

 private:
  const Value table_;
  const std::string path_, label_, file_;
  const bool is_checked_;  // the file's reader knows the keys; a module may leave some unread
};

bool NamesFiles(std::string_view key) {
  return key == "file" || key == "files" || key.ends_with("_file") || key.ends_with("_files");
}

Value MakeBool(bool boolean) {
  Value value;
  value.kind = Value::Kind::kBool;
  value.boolean = boolean;
  return value;
}

}  // namespace

std::vector<std::string> NamedFiles(const ModuleTable& table) {
  std::vector<std::string> files;
  const auto* values = dynamic_cast<const ValueTable*>(&table);
  if (values == nullptr) return files;
  auto add = [&](const Value& value) {
    if (value.kind == Value::Kind::kString && !value.text.empty()) files.push_back(value.text);
  };
  for (const Member& member : values->value().members) {
    if (!NamesFiles(member.name)) continue;
    add(member.value);
    for (const Value& item : member.value.items) add(item);
  }
  return files;
}

std::shared_ptr<const ModuleTable> MakeModuleTable(Value table, std::string path, std::string label,
                                                   std::string file) {
  return std::make_shared<ValueTable>(std::move(table), std::move(path), std::move(label),
                                      std::move(file), false);
}

std::shared_ptr<const ModuleTable> MakeAcmeChallengeTable(const AcmeChallenge& settings) {
  Value table = MakeTable({{"webroot", MakeList(settings.webroot)},
                           {"standalone", MakeString(settings.standalone)},
                           {"thumbprint", MakeString(settings.thumbprint)},
                           {"mode", MakeString(settings.mode)}});
  const std::string name = "[acme_challenge]";
  return std::make_shared<ValueTable>(std::move(table), "acme_challenge", name, name, true);
}

std::shared_ptr<const ModuleTable> MakeOcspTable(const Ocsp& settings) {
  const std::string name = "[ocsp]";
  return std::make_shared<ValueTable>(MakeTable({{"enabled", MakeBool(settings.enabled)}}), "ocsp",
                                      name, name, true);
}

}  // namespace genkan::config
