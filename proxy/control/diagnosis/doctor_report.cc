// What `genkan doctor` prints.
#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "proxy/control/diagnosis/examination.h"

namespace genkan::control {
namespace {

using Json = nlohmann::ordered_json;

const char* Word(const char* english, const char* japanese, Language language) {
  return language == Language::kJapanese ? japanese : english;
}

std::string Line(std::string_view name, std::string_view value) {
  return value.empty() ? std::string() : fmt::format("  {:<10} {}\n", name, value);
}

std::string Verdicts(const SeenChain& chain, Language language) {
  std::string text;
  for (const ClientVerdict& verdict : chain.verdicts) {
    std::string said = verdict.is_accepted
                           ? std::string(Word("accepts", "接続可", language))
                           : fmt::format("{}: {} ({})", Word("REFUSES", "拒否", language),
                                         verdict.reason, verdict.code);
    if (verdict.is_fetched)
      said = Word("accepts, if it can fetch what is missing", "接続可（不足分を取得できる場合）",
                  language);
    text += fmt::format("    {}: {}\n", LabelOf(verdict.client, language), said);
  }
  return text;
}

std::string ChainText(const SeenChain& chain, Language language) {
  constexpr size_t kMost = 10;
  std::string text;
  for (size_t i = 0; i < chain.sent.size() && i < kMost; ++i) {
    text += fmt::format("    {} {} <- {} ({})\n", i, Printable(chain.sent[i]->subject()),
                        Printable(chain.sent[i]->issuer()),
                        DayOf(chain.sent[i]->not_after(), Language::kEnglish));
  }
  if (chain.sent_count > kMost) text += fmt::format("    … {}\n", chain.sent_count);
  text += Line("staple", Printable(chain.staple)) + Line("revoked?", Printable(chain.revocation));
  return text + Verdicts(chain, language);
}

std::string FindingText(const Finding& finding, size_t number, Language language) {
  std::string text = fmt::format("\n{}. [{}] {} ({})\n   {}\n", number, ToString(finding.severity),
                                 TitleOf(finding.code, language), ToString(finding.code),
                                 CauseOf(finding.code, finding.facts, language));
  if (!finding.file.empty()) text += fmt::format("   {}\n", Printable(finding.file));
  // Their messages stand in the letter.
  for (const ClientFailure& one : finding.clients)
    text += fmt::format("   - {}: {}\n", Word("fails", "影響あり", language),
                        LabelOf(one.client, language));
  return text;
}

std::string ExaminationText(const Examination& one, WallTime at, Language language) {
  if (one.findings.empty() && one.is_seen) return {};
  std::string text =
      fmt::format("{}\n", one.kind == TargetKind::kServer ? HostPort(one) : Printable(one.target));
  text += Line("version", one.version.empty() ? "" : one.version + ", " + one.cipher);
  for (const SeenAddress& address : one.addresses)
    text += Line("address", address.address + ": " + Printable(address.outcome));
  for (const SeenChain& chain : one.chains) text += ChainText(chain, language);
  for (size_t i = 0; i < one.findings.size(); ++i)
    text += FindingText(one.findings[i], i + 1, language);
  for (const std::string& note : one.notes) text += "  * " + Printable(note) + "\n";
  const std::string letter = LetterFor(one, one.findings, at, language);
  if (letter.empty()) return text;
  text +=
      fmt::format("\n---- {} ----\n{}----\n",
                  Word("a text to send to whoever runs it", "管理者に送る文面", language), letter);
  return text;
}

Json CertificateJson(const tls::Certificate& one) {
  return {{"subject", Printable(one.subject())},
          {"issuer", Printable(one.issuer())},
          {"serial", one.serial_hex()},
          {"sha256", one.sha256_hex()},
          {"not_before", FormatIso8601(one.not_before())},
          {"not_after", FormatIso8601(one.not_after())},
          {"names", one.names()},
          {"ca", one.is_ca()}};
}

Json ChainJson(const SeenChain& chain) {
  Json sent = Json::array(), verdicts = Json::array(), right = Json::array();
  for (const auto& one : chain.sent) sent.push_back(CertificateJson(*one));
  for (const auto& one : chain.right) right.push_back(Printable(one->subject()));
  for (const ClientVerdict& verdict : chain.verdicts) {
    verdicts.push_back({{"client", verdict.client},
                        {"label", LabelOf(verdict.client, Language::kEnglish)},
                        {"accepted", verdict.is_accepted},
                        {"fetches", verdict.is_fetched},
                        {"code", verdict.code},
                        {"reason", verdict.reason},
                        {"subject", Printable(verdict.subject)}});
  }
  return {{"key", chain.key},
          {"sent", std::move(sent)},
          {"sent_count", chain.sent_count},
          {"chain", std::move(right)},
          {"staple", Printable(chain.staple)},
          {"revocation", Printable(chain.revocation)},
          {"clients", std::move(verdicts)}};
}

Json FindingJson(const Finding& finding, const Examination& one, WallTime at, Language language) {
  Json clients = Json::array();
  for (const ClientFailure& failure : finding.clients) {
    Json messages = Json::array();
    for (const ClientMessage& message : failure.messages)
      messages.push_back({{"program", message.program}, {"message", message.text}});
    clients.push_back({{"client", failure.client},
                       {"label", LabelOf(failure.client, language)},
                       {"messages", std::move(messages)}});
  }
  return {{"code", ToString(finding.code)},
          {"severity", ToString(finding.severity)},
          {"title", TitleOf(finding.code, language)},
          {"cause", CauseOf(finding.code, finding.facts, language)},
          {"subject", finding.facts.subject},
          {"file", Printable(finding.file)},
          {"clients", std::move(clients)},
          {"letter", LetterFor(one, {finding}, at, language)}};
}

Json ExaminationJson(const Examination& one, WallTime at, Language language) {
  Json addresses = Json::array(), chains = Json::array(), findings = Json::array();
  Json notes = Json::array();
  for (const SeenAddress& address : one.addresses)
    addresses.push_back({{"address", address.address}, {"outcome", Printable(address.outcome)}});
  for (const SeenChain& chain : one.chains) chains.push_back(ChainJson(chain));
  for (const Finding& finding : one.findings)
    findings.push_back(FindingJson(finding, one, at, language));
  for (const std::string& note : one.notes) notes.push_back(Printable(note));
  return {{"target", Printable(one.target)},
          {"kind", ToString(one.kind)},
          {"seen", one.is_seen},
          {"host", one.host},
          {"port", one.port},
          {"version", one.version},
          {"cipher", one.cipher},
          {"alpn", Printable(one.protocol)},
          {"addresses", std::move(addresses)},
          {"files", one.files},
          {"chains", std::move(chains)},
          {"findings", std::move(findings)},
          {"notes", std::move(notes)},
          {"letter", LetterFor(one, one.findings, at, language)}};
}

}  // namespace

std::string_view ToString(TargetKind kind) {
  switch (kind) {
    case TargetKind::kServer:
      return "server";
    case TargetKind::kFiles:
      return "files";
    case TargetKind::kAcme:
      return "acme";
  }
  return "";
}

std::string HostPort(const Examination& one) {
  const bool is_v6 = one.host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", one.host, one.port)
               : fmt::format("{}:{}", one.host, one.port);
}

int DoctorReport::exit_code() const {
  int code = 0;
  for (const Examination& one : examinations)
    code = std::max(code, !one.is_seen ? 2 : one.findings.empty() ? 0 : 1);
  return code;
}

std::string DoctorText(const DoctorReport& report, Language language) {
  std::string text;
  for (const Examination& one : report.examinations) {
    const std::string next = ExaminationText(one, report.at, language);
    if (!text.empty() && !next.empty()) text += "\n";
    text += next;
  }
  return text;
}

std::string DoctorJson(const DoctorReport& report, Language language) {
  Json targets = Json::array();
  for (const Examination& one : report.examinations)
    targets.push_back(ExaminationJson(one, report.at, language));
  static constexpr const char* kResults[] = {"good", "findings", "cannot"};
  const Json root = {{"schema", 1},
                     {"at", FormatIso8601(report.at)},
                     {"language", language == Language::kJapanese ? "ja" : "en"},
                     {"result", kResults[report.exit_code()]},
                     {"targets", std::move(targets)}};
  // Names out of certificates and files need not be UTF-8.
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace genkan::control
