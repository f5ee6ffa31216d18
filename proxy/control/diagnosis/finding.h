// What can be wrong with a certificate, its chain or its server: the one home of the codes and of
// the words for them. `check`, `doctor` and `status` say the same thing by the same code. Values;
// any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/base/clock.h"

namespace genkan::control {

enum class Language { kEnglish, kJapanese };

enum class Severity {
  kNote,       // good to know
  kWillBreak,  // works today, or for most
  kBroken,     // clients, or genkan itself, refuse it today
};
std::string_view ToString(Severity severity);  // "note", "will_break", "broken"

// Their names are stable: they are only ever added to.
enum class FindingCode {
  // The chain.
  kChainMissingIntermediate,
  kChainOrder,
  kChainDuplicate,
  kChainUnrelated,
  kChainRootSent,
  kChainExpiredIntermediate,
  kChainExpiredCrossSign,
  kChainIntermediateExpiresSoon,
  kChainTooLong,
  kChainNotVerified,
  kRootNotTrusted,
  kSelfSigned,
  // The leaf.
  kLeafExpired,
  kLeafNotYetValid,
  kLeafExpiresSoon,
  kNameMismatch,
  kNameNotInSan,
  kKeyMismatch,
  kRevoked,
  kMustStapleWithoutStaple,
  kMustStapleWithoutResponder,
  kMustStapleOcspOff,
  kStapleInvalid,
  kMustRenew,
  kStandbyUnusable,
  // The server.
  kServerNotFound,
  kServerRefused,
  kServerUnreachable,
  kServerTimeout,
  kServerNotTls,
  kServerAlert,
  kServerHungUp,
  kServerNoCertificate,
  kServerBadTls,
  kServersDiffer,
  kTlsVersionOld,
  // Files, the configuration and what renews.
  kCertificateUnreadable,
  kCertificateMissing,
  kFileDamaged,
  kCertificateDropped,
  kPoolUnreadable,
  kTrustStoreUnreadable,
  kTrustStoreEmpty,
  kConfigError,
  kConfigWarning,
  kAcmeV1Client,
};
std::string_view ToString(FindingCode code);  // "CHAIN_MISSING_INTERMEDIATE"
std::span<const FindingCode> AllFindingCodes();
// How bad it is for a server that is in service.
Severity SeverityOf(FindingCode code);

// What the words of a finding speak of. What does not apply is empty.
struct FindingFacts {
  std::string host;     // the name that was asked for
  std::string subject;  // of the certificate at fault: "CN=R3,O=Let's Encrypt"
  std::string issuer;   // who issued it, or who is missing
  std::string names;    // "a.test, www.a.test"
  std::string url;      // where the missing certificate is
  std::string detail;   // in English, of the library or the operating system
  WallTime when{};
};

// What one program prints when it fails.
struct ClientMessage {
  std::string program, text;
};
// A kind of client that fails, and how it says so.
struct ClientFailure {
  std::string client;  // "no_aia"
  std::vector<ClientMessage> messages;
};

struct Finding {
  FindingCode code = FindingCode::kConfigError;
  Severity severity = Severity::kNote;
  std::string site;  // its first name; "" where no site is meant
  std::string file;  // the lineage or file that it is about; "" where there is none
  std::string text;  // what is wrong and what to do; "" where CauseOf() says it
  FindingFacts facts;
  std::vector<ClientFailure> clients;
};

Severity WorstOf(const std::vector<Finding>& findings);  // kNote where there is none

// A few words: "an intermediate certificate is missing".
std::string_view TitleOf(FindingCode code, Language language);
// What it is and why it matters, in plain words, one paragraph.
std::string CauseOf(FindingCode code, const FindingFacts& facts, Language language);

// 2026-11-22, or 2026年11月22日.
std::string DayOf(WallTime time, Language language);

}  // namespace genkan::control
