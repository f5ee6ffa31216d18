// Is a leaf revoked? Its OCSP responder and its CRL are asked over http, with caps.
#include <fmt/core.h>

#include "proxy/control/diagnosis/doctor.h"
#include "proxy/control/fetcher.h"
#include "proxy/tls/crl.h"
#include "proxy/tls/ocsp.h"

namespace genkan::control {
namespace {

constexpr size_t kMaxOcspBytes = 64 * 1024;
constexpr size_t kMaxCrlBytes = 32 << 20;  // what a few seconds can fetch
constexpr size_t kMaxUrls = 2;
constexpr Millis kTooLate{100};

Millis Left(MonotonicTime deadline) {
  return std::chrono::duration_cast<Millis>(deadline - SystemClock().Now());
}

Result<std::string> Fetch(FetchRequest request, MonotonicTime deadline) {
  request.timeout = Left(deadline);
  if (request.timeout < kTooLate) return Fail(ErrorCode::kTimeout, "no time left");
  if (!request.url.starts_with("http://"))
    return Fail(ErrorCode::kUnsupported, "{}: http only", request.url);
  auto response = FetchBlocking(request);
  if (!response) return PassOn(response);
  if (response->status != 200)
    return Fail(ErrorCode::kInvalid, "{}: status {}", request.url, response->status);
  return std::move(response->body);
}

RevocationAnswer Revoked(std::string source, std::string reason, WallTime since) {
  RevocationAnswer answer;
  answer.text = fmt::format("revoked ({}{}{})", source, reason.empty() ? "" : ", ", reason);
  answer.facts = RevocationFacts{true, std::move(source), std::move(reason), since};
  return answer;
}

RevocationAnswer Good(std::string source) {
  RevocationAnswer answer;
  answer.text = fmt::format("good ({})", source);
  answer.facts = RevocationFacts{false, std::move(source), "", {}};
  return answer;
}

Result<RevocationAnswer> AskOcsp(const std::string& url, const tls::Certificate& leaf,
                                 const tls::Certificate& issuer, WallTime now,
                                 MonotonicTime deadline) {
  auto question = tls::MakeOcspRequest(leaf, issuer);
  if (!question) return PassOn(question);
  FetchRequest request;
  request.url = url;
  request.method = "POST";
  request.body = *std::move(question);
  request.headers = {"Content-Type: application/ocsp-request"};
  request.max_bytes = kMaxOcspBytes;
  auto body = Fetch(std::move(request), deadline);
  if (!body) return PassOn(body);
  auto answer = tls::VerifyOcsp(*body, leaf, issuer, now);
  if (!answer) return PassOn(answer);
  if (answer->state == tls::OcspState::kRevoked)
    return Revoked("ocsp", answer->reason, answer->revoked_at);
  if (answer->state == tls::OcspState::kGood) return Good("ocsp");
  return Fail(ErrorCode::kNotFound, "{}: the responder does not know the certificate", url);
}

Result<RevocationAnswer> AskCrl(const std::string& url, const tls::Certificate& leaf,
                                const tls::Certificate& issuer, WallTime now,
                                MonotonicTime deadline) {
  FetchRequest request;
  request.url = url;
  request.max_bytes = kMaxCrlBytes;
  auto body = Fetch(std::move(request), deadline);
  if (!body) return PassOn(body);
  auto answer = tls::LookUpInCrl(*body, leaf, issuer, now);
  if (!answer) return PassOn(answer, "{}", url);
  return answer->is_revoked ? Revoked("crl", answer->reason, answer->revoked_at) : Good("crl");
}

}  // namespace

RevocationAnswer AskRevocation(const tls::Certificate& leaf, const tls::Certificate& issuer,
                               WallTime now, MonotonicTime deadline) {
  std::string why;
  const auto try_all = [&](const std::vector<std::string>& urls, auto ask,
                           MonotonicTime until) -> std::optional<RevocationAnswer> {
    for (size_t i = 0; i < urls.size() && i < kMaxUrls; ++i) {
      auto answer = ask(urls[i], leaf, issuer, now, until);
      if (answer) return *std::move(answer);
      why += (why.empty() ? "" : "; ") + answer.error().detail;
    }
    return std::nullopt;
  };
  // A responder that hangs leaves half of the time to the list.
  const bool has_both = !leaf.ocsp_urls().empty() && !leaf.crl_urls().empty();
  const auto until = has_both ? SystemClock().Now() + Left(deadline) / 2 : deadline;
  if (auto answer = try_all(leaf.ocsp_urls(), AskOcsp, until)) return *std::move(answer);
  if (auto answer = try_all(leaf.crl_urls(), AskCrl, deadline)) return *std::move(answer);
  RevocationAnswer answer;
  answer.text =
      "not known: " + (why.empty() ? std::string("the certificate names nobody to ask") : why);
  return answer;
}

}  // namespace genkan::control
