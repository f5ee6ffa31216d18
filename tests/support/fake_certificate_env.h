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
  void Answer(std::string body, int status = 200) {
    FetchResponse response;
    response.status = status;
    response.body = std::move(body);
    Answer(Result<FetchResponse>(std::move(response)));
  }

  struct Waiting {
    FetchRequest request;
    std::function<void(Result<FetchResponse>)> done;
  };
  WallTime time = WallTime(Seconds(1'800'000'000));
  WallTime this_update = time - Seconds(3600), next_update = time + Seconds(7 * 86'400);
  WallTime revoked_at = time - Seconds(1800);
  bool makes_requests = true;
  std::vector<Waiting> fetches;
  std::map<std::string, std::string> state;
  std::vector<std::string> staples, reports;
  StateReport last_report;
  std::optional<Millis> timer;
};

}  // namespace genkan::testing
