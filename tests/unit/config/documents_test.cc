// What the tree says of the configuration, held against the code: conf/genkan.toml names every key
// with its default, and every TOML block of every document is one that genkan takes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "proxy/config/ari_file.h"
#include "proxy/config/validate.h"
#include "tests/support/temp_dir.h"

namespace genkan::config {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = GENKAN_SOURCE_DIR;

// Variables are the reader's own affair; here each one is set.
const Environment kEveryVariable = [](const std::string& name) -> std::optional<std::string> {
  return name;
};

// Of those in modules/; what each of them reads is held against the documents by
// tests/modules/documents_test.cc.
const std::vector<std::string_view> kModules = {
    "url_filter",     "redirect_https", "security_headers",    "basic_auth",    "ip_filter",
    "rate_limit",     "request_id",     "client_cert_headers", "header_rewrite"};

std::string Join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// "site[0].route[1].path" and "upstream.app.servers[0].weight" without numbers and names of their
// own.
std::string KeyOf(std::string_view path) {
  std::string key;
  bool is_in_index = false;
  for (char c : path) {
    if (c == '[') is_in_index = true;
    if (!is_in_index) key += c;
    if (c == ']') is_in_index = false;
  }
  for (std::string_view kind : {"upstream.", "module."}) {
    if (!key.starts_with(kind)) continue;
    size_t end = key.find('.', kind.size());
    key = std::string(kind) + "NAME" + (end == std::string::npos ? "" : key.substr(end));
  }
  return key;
}

TEST(ConfigDocuments, TheFileOfEveryKeyHasEveryKey) {
  std::string text = genkan::testing::ReadFile(kRoot / "conf/genkan.toml");
  Reading reading = Read(text, "conf/genkan.toml", kEveryVariable);
  ASSERT_TRUE(reading.problems.empty()) << Join(ToLines(reading.problems));
  std::set<std::string> known, shown;
  for (const std::string& path : reading.known_keys) {
    known.insert(KeyOf(path));
    if (reading.config.origins.Has(path)) shown.insert(KeyOf(path));
  }
  EXPECT_GT(known.size(), 100u);
  for (const std::string& key : known) {
    if (shown.count(key) != 0) continue;
    // A key whose default depends on others stands there as a comment; the tables that a listener,
    // a site or a pool may have of its own are said to be as the global ones.
    std::string last = key.substr(key.rfind('.') + 1);
    bool is_comment = text.find("\n# " + last + " ") != std::string::npos;
    bool is_like_global = key == "listener.limits" || key == "site.tls";
    EXPECT_TRUE(is_comment || is_like_global) << key << " is not in conf/genkan.toml";
  }
}

TEST(ConfigDocuments, TheFileOfEveryKeyHasTheDefaults) {
  auto loaded = LoadConfigFile((kRoot / "conf/genkan.toml").string(), kModules);
  ASSERT_TRUE(loaded) << Join(loaded.error());
  EXPECT_THAT(loaded->warnings, ::testing::IsEmpty());
  Config config = loaded->config;

  // What a file must say or what stands for an example goes; the rest must be the default.
  ASSERT_EQ(config.listeners.size(), 2u);
  for (Listener& listener : config.listeners) {
    listener.address = "";
    listener.tls = false;
    EXPECT_EQ(listener, Listener{});
  }
  ASSERT_EQ(config.sites.size(), 1u);
  Site& site = config.sites[0];
  EXPECT_EQ(site.certificates.at(1).chain, CertificateSource{}.chain);
  site.names.clear();
  site.certificates.clear();
  site.upstream = "";
  site.modules.clear();
  site.routes.clear();
  EXPECT_EQ(site, Site{});
  for (Upstream& upstream : config.upstreams) {
    for (const Server& server : upstream.servers) {
      EXPECT_EQ(server.weight, Server{}.weight);
      EXPECT_EQ(server.backup, Server{}.backup);
    }
    if (upstream.health_check) {
      EXPECT_EQ(upstream.health_check->interval, HealthCheck{}.interval);
    }
    upstream.name = "";
    upstream.servers.clear();
    upstream.health_check.reset();
    EXPECT_EQ(upstream, Upstream{});
  }
  config.listeners.clear();
  config.sites.clear();
  config.upstreams.clear();
  config.modules.clear();
  config.has_state_dir = false;
  EXPECT_EQ(config, Config{});
}

TEST(ConfigDocuments, EachKeyHasItsReason) {
  std::string text = genkan::testing::ReadFile(kRoot / "conf/genkan.toml");
  size_t keys = 0, reasons = 0;
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (line.starts_with('#') || line.find(" = ") == std::string_view::npos) continue;
    ++keys;
    if (line.find('#') != std::string_view::npos) ++reasons;
  }
  // servers and use say themselves what they are.
  EXPECT_GT(keys, 90u);
  EXPECT_LE(keys - reasons, 14u);
}

struct Document {
  std::string where;  // file:line
  std::string text;
};

// Every ```toml block of every *.md, and every file *.toml in conf/.
std::vector<Document> FindDocuments() {
  std::vector<Document> documents;
  for (auto it = fs::recursive_directory_iterator(kRoot); it != fs::recursive_directory_iterator();
       ++it) {
    std::string name = it->path().filename().string();
    if (it->is_directory()) {
      // What a build or a tool left is no document of ours.
      if (name.starts_with('.') || name.starts_with("build") || name == "node_modules")
        it.disable_recursion_pending();
      continue;
    }
    std::string shown = fs::relative(it->path(), kRoot).string();
    if (it->path().extension() == ".toml" && shown.starts_with("conf/")) {
      documents.push_back({shown, genkan::testing::ReadFile(it->path())});
    } else if (it->path().extension() == ".md") {
      std::string text = genkan::testing::ReadFile(it->path());
      size_t line = 0, begin = 0;
      bool is_inside = false;
      Document block;
      while (begin < text.size()) {
        size_t end = std::min(text.find('\n', begin), text.size());
        std::string one = text.substr(begin, end - begin);
        begin = end + 1;
        ++line;
        if (!is_inside && one.starts_with("```toml")) {
          is_inside = true;
          block = {shown + ":" + std::to_string(line), ""};
        } else if (is_inside && one.starts_with("```")) {
          is_inside = false;
          documents.push_back(block);
        } else if (is_inside) {
          block.text += one + "\n";
        }
      }
    }
  }
  return documents;
}

TEST(ConfigDocuments, EveryTomlBlockIsOneThatGenkanTakes) {
  std::vector<Document> documents = FindDocuments();
  size_t whole = 0;
  for (const Document& document : documents) {
    // Of the form of ari_file.
    if (document.text.find("[[authority]]") != std::string::npos) {
      auto authorities = ReadAriText(document.text, document.where);
      EXPECT_TRUE(authorities) << Join(authorities.error());
      continue;
    }
    // A piece of a configuration is read, a whole one also held together.
    bool is_whole = document.text.find("[[listener]]") != std::string::npos &&
                    document.text.find("[[site]]") != std::string::npos;
    if (is_whole) {
      ++whole;
      auto loaded = LoadConfigText(document.text, document.where, kModules, kEveryVariable);
      EXPECT_TRUE(loaded) << Join(loaded.error());
    } else {
      auto config = ReadConfigText(document.text, document.where, kEveryVariable);
      EXPECT_TRUE(config) << Join(config.error());
    }
  }
  EXPECT_GE(whole, 5u) << "conf/ alone has more";
}

}  // namespace
}  // namespace genkan::config
