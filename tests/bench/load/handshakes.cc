// Connections for one request each, with a full handshake or, after the first, a resumed one.
#include <cstdio>
#include <memory>
#include <vector>

#include "tests/bench/load/http1.h"
#include "tests/bench/load/link.h"
#include "tests/bench/load/options.h"

namespace bench {
namespace {

class Handshakes final : public Link::Owner {
 public:
  explicit Handshakes(const Options& options)
      : options_(options),
        resumes_(options.workload == "resumed"),
        target_(options.port, options.name, "\x08http/1.1", false),
        meter_(options.pids, options.settle, options.seconds, options.slice),
        pace_(options.rate) {
    request_ = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.name + "\r\n\r\n";
    for (int i = 0; i < options.connections; ++i) {
      clients_.push_back(std::make_unique<Client>(target_, *this));
      idle_.push_back(clients_.back().get());
    }
  }

  int Run() {
    Time now = Clock::now();
    while (meter_.Tick(now)) {
      // What is closed is opened again here, and not from within its own callback.
      while (!idle_.empty() && pace_.Take(now, idle_.back()->since)) {
        Client& client = *idle_.back();
        idle_.pop_back();
        client.answer.Restart();
        client.was_offered = resumes_ && client.has_session();
        client.Open(resumes_);
      }
      Time until = now + std::chrono::milliseconds(5);
      if (pace_.is_open() && pace_.NextDue() < until && !idle_.empty()) until = pace_.NextDue();
      RunEvents(target_, std::min(until, meter_.end()));
      now = Clock::now();
    }
    std::puts(meter_.Report().c_str());
    return meter_.has_failed() ? 1 : 0;
  }

 private:
  struct Client final : Link {
    Client(Target& target, Handshakes& owner) : Link(target, owner) {}
    Answer answer;
    bool was_offered = false;
  };

  static Client& Of(Link& link) { return static_cast<Client&>(link); }

  void OnOpen(Link& link) override {
    if (Of(link).was_offered != link.is_resumed()) meter_.Fail("not resumed");
    link.Send(request_);
  }

  void OnData(Link& link, std::string_view data) override {
    Client& client = Of(link);
    if (!client.answer.Take(data)) return;
    if (client.answer.status() != 200) {
      meter_.Fail("status " + std::to_string(client.answer.status()));
    } else {
      meter_.Add(1);
      meter_.AddLatency(link.since, Clock::now());
    }
    link.Close();
    idle_.push_back(&client);
  }

  void OnClosed(Link& link, const std::string& why) override {
    meter_.Fail(why.empty() ? "closed before the answer" : why);
    if (++broken_ < 1000) idle_.push_back(&Of(link));
  }

  const Options& options_;
  bool resumes_;
  Target target_;
  Meter meter_;
  Pace pace_;
  std::string request_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> idle_;
  int broken_ = 0;
};

}  // namespace

int RunHandshakes(const Options& options) { return Handshakes(options).Run(); }

}  // namespace bench
