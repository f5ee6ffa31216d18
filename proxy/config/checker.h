// What the checks of validate.cc and validate_sites.cc share. Private to config/.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/base/text.h"
#include "proxy/config/validate.h"

namespace genkan::config {

class Checker {
 public:
  Checker(const Config& config, const std::vector<std::string_view>& modules, Findings& findings)
      : config_(config), modules_(modules), findings_(findings) {}

  template <class... Args>
  void Error(std::string path, fmt::format_string<Args...> format, Args&&... args) {
    Note(findings_.errors, std::move(path), fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void Warn(std::string path, fmt::format_string<Args...> format, Args&&... args) {
    Note(findings_.warnings, std::move(path), fmt::format(format, std::forward<Args>(args)...));
  }
  // A key that is read and held to its rules, but that nothing acts on in this version.
  void NoEffectYet(std::string path) {
    Warn(std::move(path), "has no effect in this version of genkan yet");
  }
  // `word` must be one of `known`.
  void Word(const std::string& path, std::string_view word,
            std::initializer_list<std::string_view> known) {
    if (std::find(known.begin(), known.end(), word) != known.end()) return;
    std::string list;
    for (std::string_view one : known)
      list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", one);
    Error(path, "\"{}\" is none of {}", EscapeControl(word), list);
  }
  // `name` must be one of `known`, which stand in [kind.NAME].
  void Reference(const std::string& path, std::string_view kind, std::string_view name,
                 const std::vector<std::string_view>& known);
  void Modules(const std::string& path, const std::vector<std::string>& names);
  void Networks(const std::string& path, const std::vector<std::string>& networks);
  void Texts(const std::string& path, const std::vector<std::string>& texts, std::string_view what);
  template <class Number>
  void Range(const std::string& path, Number number, Number least, Number most) {
    if (number < least || number > most)
      Error(path, "{} is not from {} to {}", number, least, most);
  }
  void Timeout(const std::string& path, Millis timeout);
  void Thumbprint(const std::string& path, std::string_view thumbprint);

  const Config& config() const { return config_; }
  const std::vector<std::string_view>& modules() const { return modules_; }

 private:
  void Note(std::vector<Problem>& problems, std::string path, std::string text) {
    problems.push_back({config_.origins.Find(path), std::move(text), std::move(path)});
  }

  const Config& config_;
  const std::vector<std::string_view>& modules_;
  Findings& findings_;
};

void CheckTls(Checker& check, const std::string& path, const Tls& tls, bool is_site);
void CheckSites(Checker& check);
void CheckUpstreams(Checker& check);

}  // namespace genkan::config
