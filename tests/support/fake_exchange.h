// An Exchange for tests of modules: what it was asked is kept, what it answers is set. Offloaded
// work runs at once, or when the test says RunOffloaded().
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/module/api.h"

namespace genkan::testing {

class FakeExchange final : public Exchange {
 public:
  struct Answer {
    int status = 0;
    http::ResponseHead head;
    std::string body, answered_by;
  };

  FakeExchange() {
    view.client_address = "192.0.2.1";
    request_head.method = "GET";
    request_head.authority = "a.test";
    request_head.target = "/";
  }
  explicit FakeExchange(std::string target) : FakeExchange() {
    request_head.target = std::move(target);
  }

  const ConnectionView& connection() const override { return view; }
  std::string_view client_address() const override {
    return conveyed_address.empty() ? view.client_address : std::string_view(conveyed_address);
  }
  bool is_from_trusted_proxy() const override { return is_trusted; }
  MonotonicTime now() const override { return time; }
  http::RequestHead& request() override { return request_head; }
  http::ResponseHead& response() override { return response_head; }
  std::string id() const override { return "1.2/3"; }
  Result<std::string> normalized_path() override {
    if (!is_judgeable) return Fail(ErrorCode::kInvalid, "an escape that may not be judged");
    return normalized.value_or(std::string(request_head.path()));
  }
  std::string_view site() const override { return site_name; }
  bool site_has_challenge_upstream() const override { return has_challenge_upstream; }
  std::string_view site_thumbprint() const override { return thumbprint; }

  void Reply(http::ResponseHead head, std::string body, std::string_view answered_by) override {
    int status = head.status;
    answers.push_back({status, std::move(head), std::move(body), std::string(answered_by)});
  }
  void ReplyStatus(int status, std::string_view answered_by) override {
    ReplyStatusWith(status, {}, answered_by);
  }
  void ReplyStatusWith(int status, const http::Headers& more,
                       std::string_view answered_by) override {
    http::ResponseHead head;
    head.status = status;
    head.headers = more;
    answers.push_back({status, std::move(head), "", std::string(answered_by)});
  }
  std::string OwnChallenge(std::string_view token) override {
    return own_answer.starts_with(std::string(token) + ".") ? own_answer : "";
  }
  void CollectResponse(size_t most, std::function<void(Result<std::string>)> done) override {
    most_collected = most;
    collected = std::move(done);
  }
  void NoteReason(std::string_view reason) override { noted = reason; }
  void ForwardNow() override { ++forwards; }
  void Resume() override { ++resumes; }
  bool Offload(std::function<void()> work, std::function<void()> done) override {
    if (!takes_work) return false;
    if (runs_work_at_once) {
      work();
      done();
    } else {
      offloaded.emplace_back(std::move(work), std::move(done));
    }
    return true;
  }
  // Here it runs as what is offloaded does.
  bool Compute(std::function<void()> work, std::function<void()> done) override {
    return Offload(std::move(work), std::move(done));
  }
  void NoteUser(std::string_view user) override { noted_user = user; }
  std::string_view user() const override { return noted_user; }
  void NoteRequestId(std::string_view request_id) override { noted_request_id = request_id; }
  std::string_view request_id() const override { return noted_request_id; }

  void RunOffloaded() {
    for (auto& [work, done] : std::exchange(offloaded, {})) {
      work();
      done();
    }
  }

  // Of the only answer there should be; 0 without one.
  int status() const {
    return answers.size() == 1 ? answers[0].status : -static_cast<int>(answers.size());
  }

  ConnectionView view;
  std::string conveyed_address, noted_user, noted_request_id;
  bool is_trusted = false;
  MonotonicTime time{std::chrono::hours(1)};
  http::RequestHead request_head;
  http::ResponseHead response_head;
  std::optional<std::string> normalized;  // otherwise the path as it is
  bool is_judgeable = true;
  std::string site_name = "a.test", thumbprint;
  bool has_challenge_upstream = false, takes_work = true, runs_work_at_once = true;
  std::string own_answer;  // TOKEN.THUMBPRINT
  std::vector<Answer> answers;
  // What CollectResponse was given: the test calls it.
  std::function<void(Result<std::string>)> collected;
  size_t most_collected = 0;
  std::string noted;
  int forwards = 0, resumes = 0;
  std::vector<std::pair<std::function<void()>, std::function<void()>>> offloaded;
};

// A module made as the program makes it, from the keys of a TOML table.
class ModuleUnderTest {
 public:
  ModuleUnderTest(const ModuleEntry& entry, const ModuleTable* options) : module_(entry.make()) {
    errors = module_->Configure(options);
    // As in the program: what could not be configured is asked for nothing.
    if (errors.empty()) state_ = module_->MakeWorkerState();
  }
  std::unique_ptr<ExchangeFilter> MakeFilter() { return module_->MakeFilter(*state_); }
  std::unique_ptr<CertificateWatcher> MakeWatcher() { return module_->MakeWatcher(); }
  unsigned hooks() const { return module_->hooks(); }
  std::vector<WatchedFile*> files() const { return module_->files(); }

  std::vector<std::string> errors;

 private:
  std::unique_ptr<Module> module_;
  std::unique_ptr<WorkerState> state_;
};

}  // namespace genkan::testing
