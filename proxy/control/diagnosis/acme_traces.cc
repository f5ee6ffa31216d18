#include "proxy/control/diagnosis/acme_traces.h"

#include "proxy/base/text.h"

namespace genkan::control {
namespace {

constexpr size_t kMaxValue = 512;

std::string_view NextLine(std::string_view& text) {
  const size_t end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return Trim(line);
}

std::string_view Unquoted(std::string_view value) {
  if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
      value.back() == value.front()) {
    return value.substr(1, value.size() - 2);
  }
  return value;
}

}  // namespace

RenewalConf ParseRenewalConf(std::string_view text) {
  RenewalConf conf;
  while (!text.empty()) {
    const std::string_view line = NextLine(text);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line == "[renewalparams]") conf.is_renewal = true;
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = Trim(line.substr(0, equals));
    const std::string_view value = Unquoted(Trim(line.substr(equals + 1))).substr(0, kMaxValue);
    if (key == "server") conf.server = value;
    if (key == "version") conf.version = value;
    if (key == "archive_dir" || key == "fullchain") conf.is_renewal = true;
  }
  return conf;
}

bool IsAcmeV1(std::string_view server) {
  return server.find("acme-v01.api.letsencrypt.org") != std::string_view::npos ||
         server.find("acme-staging.api.letsencrypt.org") != std::string_view::npos;
}

bool IsCertbotOfV1(std::string_view version) {
  const size_t dot = version.find('.');
  if (dot == std::string_view::npos || version.substr(0, dot) != "0") return false;
  std::string_view minor = version.substr(dot + 1);
  minor = minor.substr(0, minor.find_first_not_of("0123456789"));
  const auto number = ParseDecimal(minor);
  return number && *number < 22;
}

void AcmeLogScanner::Feed(std::string_view piece) {
  while (!piece.empty()) {
    const size_t end = piece.find('\n');
    const std::string_view part = piece.substr(0, end);
    // What matters stands at the front of a line; answers of servers make long ones.
    const size_t room = kMaxLine - line_.size();
    line_.append(part.substr(0, room));
    if (end == std::string_view::npos) return;
    Look();
    piece.remove_prefix(end + 1);
  }
}

void AcmeLogScanner::End() { Look(); }

void AcmeLogScanner::Look() {
  constexpr std::string_view kRequest = "Sending GET request to ";
  const std::string_view line = line_;
  if (const size_t at = line.find(kRequest); at != std::string_view::npos) {
    std::string_view url = line.substr(at + kRequest.size());
    url = url.substr(0, url.find_first_of(" \t\r\"'"));
    // "…/directory." in the oldest ones.
    while (!url.empty() && url.back() == '.') url.remove_suffix(1);
    if (url.ends_with("/directory")) last_server_ = url.substr(0, kMaxValue);
  }
  line_.clear();
}

}  // namespace genkan::control
