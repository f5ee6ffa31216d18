#include "proxy/config/module_table.h"

#include <utility>

#include "proxy/config/table_reader.h"

namespace genkan::config {
namespace {

class ValueTable final : public ModuleTable {
 public:
  ValueTable(Value table, std::string path, std::string label, std::string file)
      : table_(std::move(table)),
        path_(std::move(path)),
        label_(std::move(label)),
        file_(std::move(file)) {}

  std::vector<std::string> Visit(void (*read)(void* options, ConfigReader& reader),
                                 void* options) const override {
    ReadingNotes notes;
    notes.file = file_;
    TableReader reader(table_, path_, label_, notes);
    reader.Skip("use");
    read(options, reader);
    reader.Finish();
    return ToLines(std::move(notes.problems));
  }

  bool Equals(const ModuleTable& other) const override {
    const auto* table = dynamic_cast<const ValueTable*>(&other);
    return table != nullptr && IsSame(table_, table->table_);
  }

 private:
  const Value table_;
  const std::string path_, label_, file_;
};

Value MakeBool(bool boolean) {
  Value value;
  value.kind = Value::Kind::kBool;
  value.boolean = boolean;
  return value;
}

}  // namespace

std::shared_ptr<const ModuleTable> MakeModuleTable(Value table, std::string path, std::string label,
                                                   std::string file) {
  return std::make_shared<ValueTable>(std::move(table), std::move(path), std::move(label),
                                      std::move(file));
}

std::shared_ptr<const ModuleTable> MakeAcmeChallengeTable(const AcmeChallenge& settings) {
  return MakeModuleTable(MakeTable({{"webroot", MakeList(settings.webroot)},
                                    {"standalone", MakeString(settings.standalone)},
                                    {"thumbprint", MakeString(settings.thumbprint)},
                                    {"mode", MakeString(settings.mode)}}),
                         "acme_challenge", "[acme_challenge]", "[acme_challenge]");
}

std::shared_ptr<const ModuleTable> MakeOcspTable(const Ocsp& settings) {
  return MakeModuleTable(MakeTable({{"enabled", MakeBool(settings.enabled)}}), "ocsp", "[ocsp]",
                         "[ocsp]");
}

}  // namespace genkan::config
