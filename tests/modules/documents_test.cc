// conf/ held against the modules: each of its files names only options that they read, and
// conf/genkan.toml has all of them with their defaults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "proxy/config/module_table.h"
#include "proxy/config/reader.h"
#include "proxy/module/builtin.h"

namespace genkan {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;

const fs::path kConf = fs::path(GENKAN_SOURCE_DIR) / "conf";

const ModuleEntry* Find(std::string_view name) {
  for (const ModuleEntry* entry : BuiltinModules()) {
    if (entry->name == name) return entry;
  }
  return nullptr;
}

TEST(ModuleDocuments, EveryInstanceInConfIsOneThatItsModuleTakes) {
  size_t instances = 0;
  for (const auto& file : fs::recursive_directory_iterator(kConf)) {
    if (file.path().extension() != ".toml") continue;
    if (file.path().filename() == "ari.toml") continue;  // of the form of ari_file
    auto config = config::ReadConfigFile(file.path().string());
    ASSERT_TRUE(config) << config.error()[0];
    for (const config::ModuleInstance& instance : config->modules) {
      const ModuleEntry* entry = Find(instance.use);
      ASSERT_NE(entry, nullptr) << file.path() << ": " << instance.use;
      EXPECT_THAT(entry->make()->Configure(instance.options.get()), IsEmpty()) << file.path();
      ++instances;
    }
  }
  EXPECT_GE(instances, 5u);
}

TEST(ModuleDocuments, TheModulesThatAreAlwaysThereTakeTheirTables) {
  config::AcmeChallenge acme;
  acme.webroot = {"/var/www/acme"};
  acme.standalone = "127.0.0.1:8888";
  acme.tls_alpn = "127.0.0.1:4443";
  acme.thumbprint = std::string(43, 'T');
  EXPECT_THAT(Find("acme_challenge")->make()->Configure(config::MakeAcmeChallengeTable(acme).get()),
              IsEmpty());
  acme.standalone = "192.0.2.1:80";
  EXPECT_EQ(
      Find("acme_challenge")->make()->Configure(config::MakeAcmeChallengeTable(acme).get()).size(),
      1u);
  EXPECT_THAT(Find("ocsp_stapling")->make()->Configure(config::MakeOcspTable({}).get()), IsEmpty());
}

// Notes what a module asks for and compares each default with what the file says.
class DefaultsReader final : public ModuleTable, private ConfigReader {
 public:
  DefaultsReader(const ModuleTable& file, std::set<std::string>& keys) : file_(file), keys_(keys) {}

  std::vector<std::string> Visit(void (*read)(void*, ConfigReader&), void* options) const override {
    auto* self = const_cast<DefaultsReader*>(this);
    read(options, *self);
    return {};
  }
  bool Equals(const ModuleTable&) const override { return false; }

 private:
  template <class T>
  void Compare(std::string_view key, const T& value) {
    keys_.insert(std::string(key));
    std::pair<std::string, T> asked(key, value);
    file_.Visit(
        [](void* to, ConfigReader& reader) {
          auto* pair = static_cast<std::pair<std::string, T>*>(to);
          reader.Read(pair->first, pair->second);
        },
        &asked);
    EXPECT_EQ(asked.second, value) << "conf/genkan.toml has another default for " << key;
  }
  void Read(std::string_view key, bool& value) override { Compare(key, value); }
  void Read(std::string_view key, int64_t& value) override { Compare(key, value); }
  void Read(std::string_view key, std::string& value) override { Compare(key, value); }
  void Read(std::string_view key, std::vector<std::string>& value) override { Compare(key, value); }
  void Read(std::string_view key, Millis& value) override { Compare(key, value); }
  void ReadSize(std::string_view key, uint64_t&) override { keys_.insert(std::string(key)); }
  void Fail(std::string_view key, std::string_view what) override {
    ADD_FAILURE() << key << ": " << what;
  }

  const ModuleTable& file_;
  std::set<std::string>& keys_;
};

TEST(ModuleDocuments, TheFileOfEveryKeyHasThoseOfTheModules) {
  auto config = config::ReadConfigFile((kConf / "genkan.toml").string());
  ASSERT_TRUE(config);
  std::set<std::string> shown;
  for (const config::ModuleInstance& instance : config->modules) {
    shown.insert(instance.use);
    std::set<std::string> keys;
    Find(instance.use)
        ->make()
        ->Configure(std::make_unique<DefaultsReader>(*instance.options, keys).get());
    // The file's table, asked for nothing, complains of every key that it has.
    auto complaints = instance.options->Visit([](void*, ConfigReader&) {}, nullptr);
    EXPECT_EQ(complaints.size(), keys.size())
        << instance.use << " reads other keys than conf/genkan.toml shows";
  }
  for (const ModuleEntry* entry : BuiltinModules()) {
    std::string_view name = entry->name;
    // Those have tables of their own.
    if (name == "acme_challenge" || name == "ocsp_stapling" || name == "crl_watch" ||
        name == "ari_watch")
      continue;
    EXPECT_EQ(shown.count(std::string(name)), 1u) << name << " is not in conf/genkan.toml";
  }
}

}  // namespace
}  // namespace genkan
