#include "proxy/control/diagnosis/doctor.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "proxy/base/text.h"

namespace genkan::control {
namespace {

bool IsHostName(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '-' || host.front() == '.') return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return IsAlpha(c) || IsDigit(c) || c == '-' || c == '.' || c == '_';
  });
}

// Host and port apart: "[::1]:443", "::1", "a:443", "a". The port is "" where none is given.
std::pair<std::string_view, std::string_view> Parts(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return {text, {}};
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return {text.substr(1, close - 1), {}};
    if (rest.front() == ':') return {text.substr(1, close - 1), rest.substr(1)};
    return {text, {}};
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.find(':') != colon) return {text, {}};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

}  // namespace

Result<ServerTarget> ParseServerTarget(std::string_view text) {
  const std::string_view asked = text;
  if (text.starts_with("https://")) {
    text.remove_prefix(8);
    text = text.substr(0, text.find_first_of("/?#"));
  }
  const auto [host, port] = Parts(text);
  ServerTarget target;
  target.host = ToLower(host);
  if (target.host.ends_with('.')) target.host.pop_back();
  if (!port.empty() || text.ends_with(':')) {
    const auto number = ParseDecimal(port);
    if (!number || *number == 0 || *number > 65535)
      return Fail(ErrorCode::kInvalid, "{}: the port is a number from 1 to 65535", asked);
    target.port = static_cast<uint16_t>(*number);
  }
  if (auto address = net::Address::ParseHost(target.host, target.port)) {
    target.is_address = true;
    target.host = address->HostString();
    return target;
  }
  if (IsHostName(target.host) && !text.starts_with('[')) return target;
  const bool is_ascii = std::all_of(host.begin(), host.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!is_ascii)
    return Fail(ErrorCode::kInvalid, "{}: write the name as it stands in DNS (xn--…)", asked);
  return Fail(ErrorCode::kInvalid, "{}: neither a file nor HOST:PORT", asked);
}

Finding MakeFinding(FindingCode code, std::string host, std::string detail) {
  Finding finding;
  finding.code = code;
  finding.severity = SeverityOf(code);
  finding.facts.host = Printable(host);
  finding.facts.detail = Printable(detail);
  return finding;
}

std::vector<Examination> Doctor::Examine(const std::string& target) const {
  std::error_code error;
  const bool is_url = target.starts_with("https://");
  const bool is_path =
      !is_url && (target.find('/') != std::string::npos || std::filesystem::exists(target, error));
  if (is_path) return ExaminePath(target);
  auto server = ParseServerTarget(target);
  if (server) return {ExamineServer(*server, target)};
  Examination one;
  one.target = target;
  one.kind = TargetKind::kFiles;  // there is no host to name
  one.findings.push_back(MakeFinding(FindingCode::kServerNotFound, target, server.error().detail));
  return {std::move(one)};
}

}  // namespace genkan::control
