// What `genkan check` prints.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proxy/base/text.h"
#include "proxy/control/check.h"

namespace genkan::control {
namespace {

std::string Join(const std::vector<std::string>& texts, std::string_view between) {
  std::string joined;
  for (const std::string& text : texts) {
    if (!joined.empty()) joined += between;
    joined += EscapeControl(text);
  }
  return joined;
}

std::string Block(const CheckedCertificate& one, WallTime now) {
  std::string text = fmt::format("{}: {}\n", one.site, one.name);
  if (!one.is_usable) return text + "  not usable\n";
  const auto days =
      std::chrono::duration_cast<std::chrono::hours>(one.not_after - now).count() / 24;
  text += fmt::format("  names     {}\n  serial    {}\n  valid     until {} ({} days left)\n",
                      Join(one.names, ", "), one.serial, FormatIso8601(one.not_after), days);
  text += fmt::format("  sent      {}{}\n", Join(one.chain, " <- "),
                      one.is_chain_complete ? "" : " <- ?");
  if (!one.dropped.empty()) text += fmt::format("  left out  {}\n", Join(one.dropped, "; "));
  std::string yes, no;
  for (const ClientVerdict& verdict : one.verdicts) {
    std::string& list = verdict.is_accepted ? yes : no;
    list += (list.empty() ? "" : ", ") + verdict.client;
  }
  if (!yes.empty()) text += fmt::format("  accepted  by {}\n", yes);
  if (!no.empty()) text += fmt::format("  refused   by {}\n", no);
  return text;
}

std::string_view Summary(Severity worst) {
  switch (worst) {
    case Severity::kNote:
      return "good";
    case Severity::kWillBreak:
      return "will break";
    case Severity::kBroken:
      return "broken";
  }
  return "";
}

}  // namespace

std::string CheckText(const CheckReport& report, WallTime now) {
  std::string text;
  for (const CheckedCertificate& one : report.certificates) text += Block(one, now);
  if (!text.empty()) text += "\n";
  std::vector<const Finding*> findings;
  for (const Finding& finding : report.findings) findings.push_back(&finding);
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding* a, const Finding* b) { return a->severity > b->severity; });
  for (const Finding* finding : findings) {
    text += fmt::format("{:<10} {}{}\n", ToString(finding->severity),
                        finding->site.empty() ? "" : finding->site + ": ",
                        EscapeControl(finding->text));
    if (!finding->file.empty() && finding->text.find(finding->file) == std::string::npos)
      text += fmt::format("{:<10} in {}\n", "", EscapeControl(finding->file));
  }
  return text + std::string(Summary(report.worst())) + "\n";
}

std::string CheckJson(const CheckReport& report) {
  using Json = nlohmann::ordered_json;
  Json certificates = Json::array(), findings = Json::array();
  for (const CheckedCertificate& one : report.certificates) {
    Json item = {
        {"site", one.site}, {"name", one.name}, {"files", one.files}, {"usable", one.is_usable}};
    if (one.is_usable) {
      item.update({{"subject", one.subject},
                   {"serial", one.serial},
                   {"names", one.names},
                   {"not_before", FormatIso8601(one.not_before)},
                   {"not_after", FormatIso8601(one.not_after)},
                   {"chain_complete", one.is_chain_complete},
                   {"chain", one.chain},
                   {"dropped", one.dropped},
                   {"missing_issuer", one.missing_issuer},
                   {"verdicts", Json::object()}});
      for (const ClientVerdict& verdict : one.verdicts) {
        item["verdicts"][verdict.client] = {
            {"accepted", verdict.is_accepted}, {"code", verdict.code}, {"reason", verdict.reason}};
      }
    }
    certificates.push_back(std::move(item));
  }
  for (const Finding& finding : report.findings) {
    Json clients = Json::array();
    for (const ClientFailure& one : finding.clients) clients.push_back(one.client);
    findings.push_back({{"code", ToString(finding.code)},
                        {"severity", ToString(finding.severity)},
                        {"site", finding.site},
                        {"file", finding.file},
                        {"text", finding.text},
                        {"clients", std::move(clients)}});
  }
  const Severity worst = report.worst();
  Json root = {{"schema", 1},
               {"result", worst == Severity::kNote ? "good" : ToString(worst)},
               {"certificates", std::move(certificates)},
               {"findings", std::move(findings)}};
  // Names out of certificates and files need not be UTF-8.
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace genkan::control
