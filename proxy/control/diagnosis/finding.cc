#include "proxy/control/diagnosis/finding.h"

#include <fmt/args.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "proxy/base/text.h"

namespace genkan::control {
namespace {

struct Entry {
  FindingCode code;
  const char* name;
  Severity severity;
};

constexpr Entry kEntries[] = {
    {FindingCode::kChainMissingIntermediate, "CHAIN_MISSING_INTERMEDIATE", Severity::kBroken},
    {FindingCode::kChainOrder, "CHAIN_ORDER", Severity::kWillBreak},
    {FindingCode::kChainDuplicate, "CHAIN_DUPLICATE", Severity::kWillBreak},
    {FindingCode::kChainUnrelated, "CHAIN_UNRELATED", Severity::kWillBreak},
    {FindingCode::kChainRootSent, "CHAIN_ROOT_SENT", Severity::kNote},
    {FindingCode::kChainExpiredIntermediate, "CHAIN_EXPIRED_INTERMEDIATE", Severity::kBroken},
    {FindingCode::kChainExpiredCrossSign, "CHAIN_EXPIRED_CROSS_SIGN", Severity::kBroken},
    {FindingCode::kChainIntermediateExpiresSoon, "CHAIN_INTERMEDIATE_EXPIRES_SOON",
     Severity::kWillBreak},
    {FindingCode::kChainTooLong, "CHAIN_TOO_LONG", Severity::kWillBreak},
    {FindingCode::kChainNotVerified, "CHAIN_NOT_VERIFIED", Severity::kBroken},
    {FindingCode::kRootNotTrusted, "ROOT_NOT_TRUSTED", Severity::kBroken},
    {FindingCode::kSelfSigned, "SELF_SIGNED", Severity::kBroken},
    {FindingCode::kLeafExpired, "LEAF_EXPIRED", Severity::kBroken},
    {FindingCode::kLeafNotYetValid, "LEAF_NOT_YET_VALID", Severity::kBroken},
    {FindingCode::kLeafExpiresSoon, "LEAF_EXPIRES_SOON", Severity::kWillBreak},
    {FindingCode::kNameMismatch, "NAME_MISMATCH", Severity::kBroken},
    {FindingCode::kNameNotInSan, "NAME_NOT_IN_SAN", Severity::kBroken},
    {FindingCode::kKeyMismatch, "KEY_MISMATCH", Severity::kBroken},
    {FindingCode::kRevoked, "REVOKED", Severity::kBroken},
    {FindingCode::kMustStapleWithoutStaple, "MUST_STAPLE_WITHOUT_STAPLE", Severity::kBroken},
    {FindingCode::kMustStapleWithoutResponder, "MUST_STAPLE_WITHOUT_RESPONDER", Severity::kBroken},
    {FindingCode::kMustStapleOcspOff, "MUST_STAPLE_OCSP_OFF", Severity::kBroken},
    {FindingCode::kStapleInvalid, "STAPLE_INVALID", Severity::kBroken},
    {FindingCode::kMustRenew, "MUST_RENEW", Severity::kWillBreak},
    {FindingCode::kStandbyUnusable, "STANDBY_UNUSABLE", Severity::kWillBreak},
    {FindingCode::kServerNotFound, "SERVER_NOT_FOUND", Severity::kBroken},
    {FindingCode::kServerRefused, "SERVER_REFUSED", Severity::kBroken},
    {FindingCode::kServerUnreachable, "SERVER_UNREACHABLE", Severity::kBroken},
    {FindingCode::kServerTimeout, "SERVER_TIMEOUT", Severity::kBroken},
    {FindingCode::kServerNotTls, "SERVER_NOT_TLS", Severity::kBroken},
    {FindingCode::kServerAlert, "SERVER_ALERT", Severity::kBroken},
    {FindingCode::kServerHungUp, "SERVER_HUNG_UP", Severity::kBroken},
    {FindingCode::kServerNoCertificate, "SERVER_NO_CERTIFICATE", Severity::kBroken},
    {FindingCode::kServerBadTls, "SERVER_BAD_TLS", Severity::kBroken},
    {FindingCode::kServersDiffer, "SERVERS_DIFFER", Severity::kWillBreak},
    {FindingCode::kTlsVersionOld, "TLS_VERSION_OLD", Severity::kBroken},
    {FindingCode::kCertificateUnreadable, "CERTIFICATE_UNREADABLE", Severity::kBroken},
    {FindingCode::kCertificateMissing, "CERTIFICATE_MISSING", Severity::kBroken},
    {FindingCode::kFileDamaged, "FILE_DAMAGED", Severity::kWillBreak},
    {FindingCode::kCertificateDropped, "CERTIFICATE_DROPPED", Severity::kNote},
    {FindingCode::kPoolUnreadable, "POOL_UNREADABLE", Severity::kWillBreak},
    {FindingCode::kTrustStoreUnreadable, "TRUST_STORE_UNREADABLE", Severity::kBroken},
    {FindingCode::kTrustStoreEmpty, "TRUST_STORE_EMPTY", Severity::kNote},
    {FindingCode::kConfigError, "CONFIG_ERROR", Severity::kBroken},
    {FindingCode::kConfigWarning, "CONFIG_WARNING", Severity::kNote},
    {FindingCode::kAcmeV1Client, "ACME_V1_CLIENT", Severity::kBroken},
};

constexpr bool AreInOrder() {
  for (size_t i = 0; i < std::size(kEntries); ++i)
    if (static_cast<size_t>(kEntries[i].code) != i) return false;
  return true;
}
static_assert(AreInOrder());

constexpr auto kCodes = [] {
  std::array<FindingCode, std::size(kEntries)> codes{};
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = kEntries[i].code;
  return codes;
}();

}  // namespace

std::string_view ToString(Severity severity) {
  switch (severity) {
    case Severity::kNote:
      return "note";
    case Severity::kWillBreak:
      return "will_break";
    case Severity::kBroken:
      return "broken";
  }
  return "";
}

std::string_view ToString(FindingCode code) { return kEntries[static_cast<size_t>(code)].name; }
std::span<const FindingCode> AllFindingCodes() { return kCodes; }
Severity SeverityOf(FindingCode code) { return kEntries[static_cast<size_t>(code)].severity; }

Severity WorstOf(const std::vector<Finding>& findings) {
  Severity worst = Severity::kNote;
  for (const Finding& finding : findings) worst = std::max(worst, finding.severity);
  return worst;
}

std::string DayOf(WallTime time, Language language) {
  const std::string iso = FormatIso8601(time);
  if (language == Language::kEnglish) return iso.substr(0, 10);
  const auto number = [](std::string_view digits) { return ParseDecimal(digits).value_or(0); };
  const std::string_view view = iso;
  return fmt::format("{}年{}月{}日", number(view.substr(0, 4)), number(view.substr(5, 2)),
                     number(view.substr(8, 2)));
}

}  // namespace genkan::control
