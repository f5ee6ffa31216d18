// A CertificateEnv for tests of watchers: time stands still, fetches wait for the test to answer
// them, OCSP responses are words ("good", "revoked", "unknown"; anything else fails to verify).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/module/api.h"

namespace genkan::testing {

class FakeCertificateEnv final : public CertificateEnv {
 public:
  WallTime now() const override { return time; }
  void Fetch(FetchRequest request, std::function<void(Result<FetchResponse>)> done) override {
    fetches.push_back({std::move(request), std::move(done)});
  }
  std::string LoadState(std::string_view folder, std::string_view name) override {
    return state[std::string(folder) + "/" + std::string(name)];
  }
  void SaveState(std::string_view folder, std::string_view name, std::string_view bytes) override {
    state[std::string(folder) + "/" + std::string(name)] = bytes;
  }
  Result<std::string> MakeOcspRequest(const CertificateView&) override {
    if (!makes_requests) return Fail(ErrorCode::kTls, "no issuer");
    return std::string("request");
  }
  Result<OcspResult> VerifyOcsp(const CertificateView&, std::string_view response) override {
    OcspResult result;
    result.this_update = this_update;
    result.next_update = next_update;
    if (response.starts_with("good")) {
      result.state = OcspResult::State::kGood;
    } else if (response == "revoked") {
      result.state = OcspResult::State::kRevoked;
      result.reason = "keyCompromise";
      result.revoked_at = revoked_at;
    } else if (response != "unknown") {
      return Fail(ErrorCode::kTls, "bad signature");
    }
    if (result.next_update <= time) return Fail(ErrorCode::kTls, "expired");
    return result;
  }
  std::string OcspGetUrl(std::string_view url, std::string_view request) override {
    return std::string(url) + "/" + std::string(request);
  }
  void CheckCrl(const CertificateView&, const std::string& url, bool is_refresh,
                std::function<void(Result<CrlResult>)> done) override {
    crl_questions.push_back({url, is_refresh, std::move(done)});
  }
  std::string AriDirectory(const CertificateView&) override { return ari_directory; }
  // "directory URL", and "window START END [URL]" in seconds from `time` as it was at first.
  Result<std::string> ReadAcmeDirectory(std::string_view json) override {
    if (!json.starts_with("directory ")) return Fail(ErrorCode::kInvalid, "not an ACME directory");
    return std::string(json.substr(10));
  }
  Result<RenewalInfo> ReadRenewalInfo(std::string_view json) override {
    const auto words = Split(json, ' ');
    if (words[0] != "window") return Fail(ErrorCode::kInvalid, "no window");
    return RenewalInfo{kStart + Seconds(std::stoll(std::string(words[1]))),
                       kStart + Seconds(std::stoll(std::string(words[2]))),
                       words.size() > 3 ? std::string(words[3]) : ""};
  }
  Result<std::string> AriCertId(const CertificateView& certificate) override {
    return "id." + certificate.sha256_hex;
  }
  std::optional<Millis> RetryAfter(const FetchResponse& response) override {
    for (const auto& [name, value] : response.headers) {
      if (name == "retry-after") return Seconds(std::stoll(value));
    }
    return std::nullopt;
  }
  void AttachStaple(const CertificateView&, std::string_view response) override {
    staples.emplace_back(response);
  }
  void Report(const CertificateView&, StateReport report) override {
    reports.push_back(report.source + " " + report.state + (report.why.empty() ? "" : " ") +
                      report.why);
    last_report = std::move(report);
  }
  void CallAgain(const CertificateView&, Millis delay) override { timer = delay; }

  // Answers the oldest fetch that waits.
  void Answer(Result<FetchResponse> response) {
    auto fetch = std::move(fetches.front());
    fetches.erase(fetches.begin());
    fetch.done(std::move(response));
  }
  void Answer(std::string body, int status = 200, std::string retry_after = "") {
    FetchResponse response;
    response.status = status;
    if (!retry_after.empty()) response.headers.emplace_back("retry-after", std::move(retry_after));
    response.body = std::move(body);
    Answer(Result<FetchResponse>(std::move(response)));
  }

  struct Waiting {
    FetchRequest request;
    std::function<void(Result<FetchResponse>)> done;
  };
  // Answers the oldest question about a list.
  void AnswerCrl(Result<CrlResult> result) {
    auto question = std::move(crl_questions.front());
    crl_questions.erase(crl_questions.begin());
    question.done(std::move(result));
  }

  struct CrlQuestion {
    std::string url;
    bool is_refresh;
    std::function<void(Result<CrlResult>)> done;
  };
  static constexpr WallTime kStart = WallTime(Seconds(1'800'000'000));
  WallTime time = kStart;
  WallTime this_update = time - Seconds(3600), next_update = time + Seconds(7 * 86'400);
  WallTime revoked_at = time - Seconds(1800);
  bool makes_requests = true;
  std::vector<Waiting> fetches;
  std::vector<CrlQuestion> crl_questions;
  std::string ari_directory = "http://ari.test/directory";
  std::map<std::string, std::string> state;
  std::vector<std::string> staples, reports;
  StateReport last_report;
  std::optional<Millis> timer;
};

}  // namespace genkan::testing
